"""What a note says about a condition it names: denied, doubted, past, hypothetical, or a relative's.

Triggers and scopes as in NegEx and ConText (Chapman et al. 2001, A simple algorithm for identifying negated findings;
Harkema et al. 2009, ConText). context.csv holds our own triggers, `phrase,language,kind,flags,reach`:

- pre, post: flag the mentions behind, or before, the phrase. `reach` says how far: next (the very next words), item,
  closed (a list only if it ends with or), list (an enumeration, until something is asserted), clause (an enumeration
  until a new clause), sentence, events (a list, but only what happens once: a stroke, an operation).
- verdict: flags what its sentence, or one before it in the same paragraph, named (`It was ruled out`).
- over: as post, where older illnesses stand; elsewhere what resolved is of this stay.
- heading: flags what is listed under it, until the next heading.
- pseudo: means nothing, though a part of it would (`no change`).
- end, verb, start, adjective, assert: where scopes of these flags stop: anywhere, within a second item or clause, at
  its begin, before an item that is asserted, at an item that is.
- relative, link: who else is ill, and the words that say so (`mother with`, not `mother says`).
- event, lasting, tail, and, or: words of the language; what was an event but lasts (old, status, chronic); what is no
  event whatever follows (without rupture, due to an injury).

A section can flag, too. Flags say what is written and never drop a mention. Offsets are those of the text given.
"""

from __future__ import annotations

import csv
import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from chartcode.linking.flags import FLAGS
from chartcode.linking.scopes import WORD, Found, Line, Rules, Trigger, after, before, find, line_of, rules_of
from chartcode.linking.sentences import Sentence, sentences

LANGUAGES = ("en", "es")
_SECTIONS = {"family_history": "family", "past_surgical_history": "historical", "allergies": "historical"}
_OLDER = frozenset(("past_medical_history", "past_surgical_history", "social_history"))
# A heading `Resolved` or `Inactive` here is of problems of this stay.
_OF_THIS_STAY = frozenset(("hospital_course", "discharge_diagnosis", "discharge_instructions", "pertinent_results"))
_NEAR = 3  # sentences within which a verdict follows what it is about


class Context(NamedTuple):
    """The flags of one mention and what decided them, joined by `; ` (empty if nothing did)."""

    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    family: bool = False
    trigger: str = ""


_NOTHING = Context()


def flags(
    text: str,
    spans: Sequence[tuple[int, int]],
    sections: Sequence[tuple[str, int, int]] = (),
    language: str = "en",
    rules: Rules | None = None,
) -> list[Context]:
    """The context of each mention of `text`, in the order of `spans` (start, end in code points, end exclusive).

    `sections` (name, start, end) are those of silver, names of cleaning.HEADERS. `rules` other than those of
    context.csv are for comparisons.
    """
    placed, mention_of = _apart(spans)
    parts = sentences(text, placed)
    begins = [part.start for part in parts]
    members: dict[int, list[int]] = {}  # mentions of each sentence
    for mention, (start, _) in enumerate(placed):
        members.setdefault(max(bisect_right(begins, start) - 1, 0), []).append(mention)
    reader = _Reader(text, placed, sections, rules or language_rules(language))
    for at, mentions in members.items():
        if parts:
            reader.read(parts[at], mentions)
    reader.judge(parts, begins, members)
    contexts = [reader.context(mention) for mention in range(len(placed))]
    return [contexts[mention] for mention in mention_of]


def _apart(spans: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], list[int]]:
    """Spans in order, those that overlap as one, and which of them each span given is."""
    placed: list[tuple[int, int]] = []
    mention_of = [0] * len(spans)
    for number in sorted(range(len(spans)), key=spans.__getitem__):
        start, end = spans[number]
        if placed and start < placed[-1][1]:
            placed[-1] = (placed[-1][0], max(placed[-1][1], end))
        else:
            placed.append((start, end))
        mention_of[number] = len(placed) - 1
    return placed, mention_of


@lru_cache(len(LANGUAGES))
def language_rules(language: str) -> Rules:
    """The rules of context.csv for a language, one of LANGUAGES."""
    text = files("chartcode.linking").joinpath("context.csv").read_text("utf-8")
    return rules_of(row for row in csv.DictReader(text.splitlines()) if row["language"] == language)


class _Reader:
    """Collects what is said about each mention of one note; mentions are numbered by their place in `spans`."""

    def __init__(
        self, text: str, spans: Sequence[tuple[int, int]], sections: Sequence[tuple[str, int, int]], rules: Rules
    ) -> None:
        self._text, self._spans, self._rules = text, spans, rules
        self._sections = sorted(sections, key=lambda section: section[1])
        self._starts = [start for _, start, _ in self._sections]
        self._said: dict[int, list[tuple[frozenset[str], str]]] = {}
        self._headings: dict[tuple[int, int], list[Trigger]] = {}

    def context(self, mention: int) -> Context:
        """What all triggers together say."""
        section, _ = self._section(self._spans[mention][0])
        said = self._said.get(mention, [])
        if section in _SECTIONS:
            said = [*said, (frozenset((_SECTIONS[section],)), f"section {section}")]
        if not said:
            return _NOTHING
        held = frozenset[str]().union(*(set_ for set_, _ in said))
        if "negated" in held and not any({"negated", "uncertain"} <= set_ for set_, _ in said):
            held -= {"uncertain"}  # the doubt is settled
        if held & {"negated", "family", "hypothetical"}:
            held -= {"historical"}  # nothing was
        deciding = dict.fromkeys(phrase for set_, phrase in said if set_ & held)
        negated, uncertain, historical, hypothetical, family = (name in held for name in FLAGS)
        return Context(negated, uncertain, historical, hypothetical, family, "; ".join(deciding))

    def read(self, sentence: Sentence, mentions: Sequence[int]) -> None:
        """Apply the triggers of a sentence, and of the heading over it, to its mentions."""
        line = self._line(sentence, mentions)
        section, begin = self._section(sentence.start)
        for found in line.found.values():
            for trigger in found.triggers:
                for mention in self._scope(trigger, found, line, section):
                    self._say(mention, trigger)
        if not sentence.heading[1] or sentence.heading[0] < begin:  # none, or one of the section before
            return
        for trigger in self._heading(sentence.heading):
            if sentence.near if trigger.kind == "pre" else section not in _OF_THIS_STAY:
                for mention in mentions:
                    self._say(mention, trigger)

    def judge(self, parts: Sequence[Sentence], begins: Sequence[int], members: dict[int, list[int]]) -> None:
        """Apply verdicts to what an earlier sentence of the same block named."""
        low, spoken = self._text.lower(), set()
        for word in self._rules.verdicts:
            place = low.find(word)
            while place >= 0:
                spoken.add(bisect_right(begins, place) - 1)
                place = low.find(word, place + 1)
        for at in sorted(spoken - {-1}):
            earlier = next((place for place in range(at - 1, max(at - 1 - _NEAR, -1), -1) if place in members), -1)
            if at in members or earlier < 0 or parts[earlier].block != parts[at].block:
                continue
            line = self._line(parts[at], ())
            verdict = next((t for found in line.found.values() for t in found.triggers if t.kind == "verdict"), None)
            if verdict:
                for mention in self._meant(parts[earlier], members[earlier], line.words):
                    self._say(mention, verdict)

    def _section(self, place: int) -> tuple[str, int]:
        """Name and start of the section in which a code point stands."""
        at = bisect_right(self._starts, place) - 1
        return self._sections[at][:2] if at >= 0 and place < self._sections[at][2] else ("", 0)

    def _say(self, mention: int, trigger: Trigger) -> None:
        self._said.setdefault(mention, []).append((trigger.flags, trigger.phrase))

    def _line(self, sentence: Sentence, mentions: Sequence[int]) -> Line:
        words, owner = [], []
        waiting = iter(mentions)  # in order and apart, as words are
        mention = next(waiting, -1)
        for match in WORD.finditer(self._text, sentence.start, sentence.end):
            start, end = match.span()
            while mention >= 0 and self._spans[mention][1] <= start:
                mention = next(waiting, -1)
            words.append(match[0].lower())
            owner.append(mention if mention >= 0 and self._spans[mention][0] < end else -1)
        return line_of(words, owner, self._rules)

    def _scope(self, trigger: Trigger, found: Found, line: Line, section: str) -> Iterator[int]:
        """The mentions that a trigger flags."""
        if trigger.kind == "pre":
            reached = after(line, found.end, trigger, self._rules)
        elif trigger.kind in ("post", "verdict") or (trigger.kind == "over" and section in _OLDER):
            reached = before(line, found.first, trigger, self._rules)
        elif trigger.kind == "relative":
            reached = self._ill(trigger, found, line)
        else:
            return
        for mention in reached:
            if trigger.reach != "events" or self._happens(mention):
                yield mention

    def _ill(self, trigger: Trigger, found: Found, line: Line) -> Iterator[int]:
        """What a relative has: `mother with X`, `X in her mother`, `X (father)`."""
        words, at = line.words, found.end
        following = words[at : at + 2]
        tied = following[:1] == ["("] or (following[:1] == [","] and following[1:] in (["who"], ["whose"]))
        if tied or (following and following[0] in self._rules.words["link"]):
            yield from after(line, at, trigger._replace(reach="sentence"), self._rules)
            return
        for place in range(found.first - 1, max(found.first - 4, -1), -1):
            if words[place] in ("in", "en", "side") or (words[place] == "(" and place == found.first - 1):
                yield from before(line, place, trigger._replace(reach="item"), self._rules)
                return

    def _happens(self, mention: int) -> bool:
        """Whether a condition is one that is over once it happened (an old infarction is not: it is a status)."""
        words, known = WORD.findall(self._text[slice(*self._spans[mention])].lower()), self._rules.words
        if not known["lasting"].isdisjoint(words):
            return False
        head = itertools.takewhile(lambda word: word not in known["tail"], words)
        return any(word in known["event"] or word.endswith(self._rules.endings) for word in head)

    def _heading(self, place: tuple[int, int]) -> list[Trigger]:
        """What a heading says of the list under it: that it is past, or the trigger with which the heading ends."""
        if place not in self._headings:
            words = WORD.findall(self._text[slice(*place)].lower())
            heading = f" {' '.join(words)} "
            past = [phrase for phrase in self._rules.words["heading"] if f" {phrase} " in heading]
            if past and len(words) <= _LONGEST_HEADING:
                said = [Trigger(max(past, key=lambda phrase: (len(phrase), phrase)), "heading", _HISTORICAL, "")]
            else:
                found = find(words, [-1] * len(words), self._rules)
                near = [found[at] for at in sorted(found) if len(words) - found[at].end <= _LONGEST_TAIL]
                said = [t for one in near for t in one.triggers if t.kind == "pre" and t.reach in _FAR]
            self._headings[place] = said
        return self._headings[place]

    def _meant(self, sentence: Sentence, mentions: Sequence[int], words: Sequence[str]) -> Sequence[int]:
        """Of the mentions of a sentence, those that the pronoun of a later one stands for."""
        end = self._spans[mentions[0]][1]
        colon = self._text.find(":", end, sentence.end)
        if colon >= 0 and len(self._text[end:colon].split()) < 4:  # the problem under which both stand
            return [mention for mention in mentions if self._spans[mention][1] <= colon]
        if not {"these", "both", "them"}.isdisjoint(words):
            return mentions
        doubted = [m for m in mentions if any("uncertain" in set_ for set_, _ in self._said.get(m, ()))]
        return doubted or mentions[-1:]


_HISTORICAL = frozenset(("historical",))
_FAR = frozenset(("list", "clause", "sentence"))
_LONGEST_HEADING = 8  # words; a longer one is a sentence
_LONGEST_TAIL = 8  # words between the trigger of a heading and its colon: `call your doctor if you have any of these:`
