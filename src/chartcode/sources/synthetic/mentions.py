"""What a note will say about each condition: affirmed, stray, negated, of the family, ruled out, past.

A plan holds the words of every mention, fenced, and its context: affirmed mentions of a coded condition become
evidence. Noise of the pen happens here: misspellings, shared and ambiguous forms, words that de-identification
masked by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic.layout import MAX_FENCES, fence
from chartcode.sources.synthetic.lexicon import Concept, kind_of_shared
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.phrases import Voice
from chartcode.sources.synthetic.rates import CONTEXTS, Rates

MASK = "___"
AFFIRMED = "affirmed"
_GOLDEN = 0.6180339887498949

# Abbreviations with another meaning than the diagnosis: (phrase, condition it does not mean).
AMBIGUOUS = (
    "PE: unremarkable apart from above", "MS intact", "AF, vital signs stable", "heparin gtt per protocol, HD #3",
    "AC meals and HS",
    "CP free overnight", "HL flushed", "RA sat 96%", "PT/OT evaluated", "MR x1 if needed", "PD removed", "AS tolerated",
    "CAD of the chest study reviewed by radiology", "DM elixir as needed for cough", "CAP q12h",
    "HTN clinic referral declined",
    "per OSA anesthesia screening score", "TIA clinic number given", "MDD consult not needed", "PNA vaccine declined",
    "UTI precautions sheet",
)  # fmt: skip


class Mark(NamedTuple):
    """What a fence encloses."""

    position: int  # in the catalogue
    kind: str
    context: str  # "affirmed" or one of rates.CONTEXTS

    @property
    def affirmed(self) -> bool:
        """Whether the note says that the patient has it."""
        return self.context == AFFIRMED


@dataclass
class Plan:
    """Everything a note has to say. Strings may be fenced; `chronic` marks conditions that go to the history."""

    principal: list[str] = field(default_factory=list)
    chronic: list[str] = field(default_factory=list)
    acute: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    negated: list[str] = field(default_factory=list)
    family: list[str] = field(default_factory=list)
    ruled_out: list[str] = field(default_factory=list)
    historical: list[str] = field(default_factory=list)
    drugs: list[str] = field(default_factory=list)
    implied: list[str] = field(default_factory=list)
    table: list[Mark] = field(default_factory=list)  # by mention number


class Planner:
    """Plans the mentions of one note."""

    def __init__(
        self,
        params: SyntheticParams,
        rates: Rates,
        concepts: Sequence[Concept],
        chronic: NDArray[np.bool_],
        voice: Voice,
    ) -> None:
        self._params, self._rates, self._concepts, self._chronic, self._voice = params, rates, concepts, chronic, voice
        self._widest = max(len(concept.cues) for concept in concepts)
        self.plan = Plan()

    def mark(self, position: int, kind: str, text: str, context: str = AFFIRMED) -> str:
        """`text` fenced as a mention of the code at `position`."""
        table = self.plan.table
        if len(table) >= MAX_FENCES:
            return text
        table.append(Mark(position, kind, context))
        return fence(len(table) - 1, text)

    def make(
        self,
        coded: frozenset[int],
        rare: Sequence[tuple[int, Concept]],
        besides: Sequence[tuple[int, Concept, bool]],
        principal: int,
        rng: np.random.Generator,
    ) -> Plan:
        """Plan a note whose codes are `coded`; `rare` are the diagnoses outside the common K, with their concepts.

        `besides` are diagnoses that nobody coded and the note names all the same, and whether it affirms them.
        `principal` is the position of the reason for the stay; if stated, it is likely to head the discharge diagnoses.
        What is said of which condition is drawn first and alike whatever the rates, so that hospitals of one seed and
        different rates differ in as few mentions as they can.
        """
        rates, common = self._rates, len(self._concepts)
        present = np.zeros(common, dtype=bool)
        present[[position for position in coded if position < common]] = True
        draws, of_cues = rng.random((common, 5)), rng.random((common, self._widest))
        affirmed = draws[:, 0] < np.where(present, rates.mention, rates.stray)
        # How often a condition is named tells nothing: coded, stray and taken back, all are named as often again.
        repeats = np.minimum(rng.poisson(self._params.repeats, (common, 1 + len(CONTEXTS))), 4)
        for position in np.flatnonzero(affirmed).tolist():
            self._affirm(position, self._concepts[position], int(repeats[position, 0]))
        for position, concept in rare:
            if self._voice.uniform() >= unmentioned(position, self._params.rare_unmentioned):
                self._affirm(position, concept, int(self._voice.uniform() < 0.3))
                if position == principal and self._voice.uniform() < 0.6:
                    self.plan.principal.append(self._mention(position, concept))
        plan = self.plan
        for column, context in enumerate(CONTEXTS, 1):
            for position in np.flatnonzero(draws[:, column] < getattr(rates, context)).tolist():
                self._take_back(position, self._concepts[position], context, int(repeats[position, column]))
        ends = np.cumsum([*CONTEXTS.values()])
        for position, concept, is_affirmed in besides:
            if is_affirmed:
                self._affirm(position, concept, 0)
            else:
                context = [*CONTEXTS][int(np.searchsorted(ends, self._voice.uniform() * ends[-1]))]
                self._take_back(position, concept, context, 0)
        self._cues(of_cues < np.where(present, rates.cue_coded, rates.cue_uncoded)[:, None])
        return plan

    def _cues(self, shown: NDArray[np.bool_]) -> None:
        """Drugs and implying phrases, each on its own: common with the condition, rare without it."""
        for position, which in np.argwhere(shown).tolist():
            cues = self._concepts[position].cues
            if which < len(cues):
                kind, form = cues[which]
                text = self.mark(position, kind, form[:1].upper() + form[1:] if kind == "drug" else form)
                (self.plan.drugs if kind == "drug" else self.plan.implied).append(text)

    def _affirm(self, position: int, concept: Concept, repeats: int) -> None:
        for again in range(1 + repeats):
            text = self._mention(position, concept)
            if again:
                self.plan.repeated.append(text)
            elif self._chronic[position]:
                self.plan.chronic.append(text)
            else:
                self.plan.acute.append(text)

    def _take_back(self, position: int, concept: Concept, context: str, repeats: int) -> None:
        """Name the condition where the passage around it will not affirm it."""
        forms = [self._form(position, concept) for _ in range(1 + repeats)]
        getattr(self.plan, context).extend(self.mark(position, kind, text, context) for kind, text in forms)

    def _mention(self, position: int, concept: Concept) -> str:
        kind, text = self._form(position, concept)
        text, whole = self._pen(text)
        return self.mark(position, kind, text) if whole else text

    def _form(self, position: int, concept: Concept) -> tuple[str, str]:
        """(kind, words) of one way to name the condition."""
        voice, rates = self._voice, self._rates
        shared = rates.shared[position] if position < len(self._concepts) else rates.shared_rare
        if concept.shared and voice.uniform() < shared:
            form = voice.pick(concept.shared)
            return kind_of_shared(form), form
        draw = voice.uniform()
        if concept.abbreviations and draw < 0.4:
            return "abbreviation", voice.pick(concept.abbreviations)
        if concept.synonyms and draw < 0.8:
            return "synonym", voice.pick(concept.synonyms)
        return ("title", voice.pick(concept.titles)) if concept.titles else ("synonym", voice.pick(concept.synonyms))

    def _pen(self, text: str) -> tuple[str, bool]:
        """Slips of the pen and of de-identification; False when words of the mention were masked."""
        voice, params = self._voice, self._params
        draw = voice.uniform()
        if draw < params.over_mask:
            words = text.split()
            words[int(voice.uniform() * len(words))] = MASK
            return " ".join(words), False
        if draw < params.over_mask + params.misspelling:
            return misspell(text, voice), True
        return text, True


def unmentioned(position: int, mean: float) -> float:
    """Share of the notes with a rare diagnosis that do not state it: 0 to 2 x `mean`, each diagnosis its own."""
    return 2 * mean * (position * _GOLDEN % 1)


def misspell(text: str, voice: Voice) -> str:
    """`text` with one slip inside one of its longer words: a letter dropped, doubled or swapped with the next."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return text
    place = long[int(voice.uniform() * len(long))]
    word = words[place]
    at = 1 + int(voice.uniform() * (len(word) - 2))
    slip = voice.uniform()
    if slip < 0.4:
        word = word[:at] + word[at + 1 :]
    elif slip < 0.6:
        word = word[:at] + word[at] + word[at:]
    else:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    words[place] = word
    return " ".join(words)
