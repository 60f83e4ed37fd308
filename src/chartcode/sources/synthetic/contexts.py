"""Passages that name a condition and take it back: denied, a relative's, ruled out, past.

The words next to the condition are those that stand next to affirmed ones: the same introductions, the same illnesses
beside it, the same headings and bullets. What takes it back stands further off, in front of a list, behind it, or over
it. Who reads the passage knows; who counts words and pairs of words does not, however many notes there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from chartcode.sources.synthetic.layout import capital
from chartcode.sources.synthetic.phrases import Voice

HISTORY_OF = ("a history of", "PMH of", "h/o", "past medical history significant for")
# {h} one of HISTORY_OF, {l} the conditions in a row, {r} a relative.
_DENIED = (
    "Denies {h} {l}.", "Patient and family deny {h} {l}.", "Chart review does not support {h} {l}.",
    "Outside records are negative for {h} {l}.", "Was told of {h} {l}, which turned out to be wrong.",
    "The referral letter gave {h} {l}; the patient does not have any of these.", "Has no known {h} {l}.",
    "Prior notes carry forward {h} {l}, entered in error.", "Asked about {h} {l}, he and his family said no.",
)  # fmt: skip
_AFFIRMED = (
    "Confirms {h} {l}.", "Patient and family report {h} {l}.", "Chart review supports {h} {l}.",
    "Outside records are positive for {h} {l}.", "Was told of {h} {l}, which turned out to be right.",
    "The referral letter gave {h} {l}; all of these are followed here.", "Has known {h} {l}.",
    "Prior notes carry forward {h} {l}, on good evidence.", "Asked about {h} {l}, he and his family said yes.",
)  # fmt: skip
_FAMILY = (
    "{r} with {h} {l}.", "{r} died at ___ with {h} {l}.", "{h} {l} on the side of the {r}.", "{r} had {h} {l}.",
    "{r} is alive with {h} {l}.",
)  # fmt: skip
_RELATIVES = ("Mother", "Father", "Sister", "Brother", "Maternal grandmother", "Paternal uncle", "Son", "Aunt")
ILLNESSES = (
    "colon cancer", "breast cancer", "lupus", "glaucoma", "Alzheimer's", "lung cancer", "melanoma", "psoriasis",
    "ovarian cancer", "multiple sclerosis", "leukemia", "cataracts", "migraines", "hearing loss", "gallstones",
)  # fmt: skip
_NO_LONGER = ("Resolved:", "Inactive:", "No longer active:", "Remote, since resolved:", "In the past only:")
_VERDICTS = (  # affirmed, taken back
    ("On review this diagnosis was borne out.", "On review this diagnosis was not borne out."),
    ("Further workup supported it.", "Further workup excluded it."),
    ("In the end this was felt to be the case.", "In the end this was not felt to be the case."),
    ("Testing was positive and the label was kept.", "Testing was negative and the label was dropped."),
    ("Consultants agreed with this.", "Consultants disagreed with this."),
    ("It was confirmed before discharge.", "It was ruled out before discharge."),
)
_JUDGED = 0.5  # share of problems on which a verdict is given when they are what they seem


def series(conditions: Sequence[str], voice: Voice) -> str:
    """Conditions in a row among other illnesses, one of which comes last."""
    items = list(conditions)
    for _ in range(voice.number(0, 1)):
        items.insert(int(voice.uniform() * (len(items) + 1)), voice.pick(ILLNESSES))
    return ", ".join([*items, voice.pick(ILLNESSES)])


def _told(frames: Sequence[str], conditions: Sequence[str], voice: Voice) -> list[str]:
    """Sentences that name one to three of the conditions each."""
    rest, sentences = list(conditions), []
    while rest:
        some = voice.number(1, 3)
        said, rest = rest[:some], rest[some:]
        frame = voice.pick(frames).replace("{r}", voice.pick(_RELATIVES)).replace("{h}", voice.pick(HISTORY_OF))
        sentences.append((frame[:1].upper() + frame[1:]).replace("{l}", series(said, voice)))
    return sentences


def affirmed(conditions: Sequence[str], voice: Voice) -> list[str]:
    """The patient has them, told in the same words."""
    return _told(_AFFIRMED, conditions, voice)


def denied(conditions: Sequence[str], voice: Voice) -> list[str]:
    """The patient never had them."""
    return _told(_DENIED, conditions, voice)


def of_family(conditions: Sequence[str], voice: Voice) -> list[str]:
    """Relatives have them."""
    return _told(_FAMILY, conditions, voice)


def past(conditions: Sequence[str], copied: Sequence[str], voice: Voice) -> list[str]:
    """Lines of the history under a heading that says they are over, behind those `copied` from an earlier note."""
    if not conditions:
        return list(copied)
    heading = list(copied[:-1]) or [voice.pick(_NO_LONGER), voice.pick(ILLNESSES)]
    return [*heading, *conditions, voice.pick(ILLNESSES)]


def problem(condition: str, plan: str, is_affirmed: bool, voice: Voice) -> str:
    """A problem of the hospital course: affirmed with a verdict or without, else with one that takes it back."""
    told = f"# {capital(condition)}: {plan}."
    if is_affirmed and voice.uniform() >= _JUDGED:
        return told
    confirmed, refuted = _VERDICTS[int(voice.uniform() * len(_VERDICTS))]
    return f"{told} {confirmed if is_affirmed else refuted}"
