"""What a note says about a condition it names: denied, doubted, past, hypothetical, or a relative's.

Triggers and scopes as in NegEx and ConText (Chapman et al. 2001, A simple algorithm for identifying negated findings;
Harkema et al. 2009, ConText). context.csv holds our own triggers, `phrase,language,kind,flags,reach`:

- pre, post: flag the mentions behind, or before, the phrase. `reach` says how far: next (the very next words), item,
  closed (a list only if it ends with or), list (an enumeration, until something is asserted), clause (an enumeration
  until a new clause), sentence, events (a list, but only what happens once: a stroke, an operation).
- verdict: flags what its sentence, or one before it in the same paragraph, named (`It was ruled out`).
- over: as post, but only where older illnesses stand; in a hospital course what resolved is of this stay.
- heading: flags what is listed under it, until the next heading.
- pseudo: means nothing, though a part of it would (`no change`). end, start, adjective, assert: where scopes stop:
  anywhere, at the begin of a clause, before an item that is asserted, at an item that is.
- relative, link: who else is ill, and the words that say so (`mother with`, not `mother says`).
- event, and, or: words of the language.

A section can flag, too. Flags say what is written and never drop a mention. Offsets are those of the text given.
Legend: T words of a sentence.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from chartcode.linking.sentences import Sentence, sentences

FLAGS = ("negated", "uncertain", "historical", "hypothetical", "family")
_WORD = re.compile(r"<\w+>|[^\W_]+(?:['’][^\W_]+)*|_+|[^\w\s]")
_YEAR, _NUMBER = re.compile(r"(?:19|20)\d\d"), re.compile(r"\d+")
_LIMIT = {"next": 1, "item": 5, "closed": 7, "list": 7, "events": 8, "clause": 8, "sentence": 40}  # words in a row
_SECTIONS = {"family_history": "family", "past_surgical_history": "historical", "allergies": "historical"}
_OF_THIS_STAY = frozenset(
    ("history_of_present_illness", "hospital_course", "discharge_diagnosis", "discharge_instructions",
     "pertinent_results", "chief_complaint")
)  # fmt: skip
_NEAR = 3  # sentences within which a verdict follows what it is about
_STARTED = frozenset(("since", "diagnosed", "dx", "dxd", "from", "until", "x", "desde"))  # a year of these ends nothing


class Context(NamedTuple):
    """The flags of one mention and the words that decided, joined by `; ` (empty if nothing did)."""

    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    family: bool = False
    trigger: str = ""


class Trigger(NamedTuple):
    """A row of context.csv."""

    phrase: str
    kind: str
    flags: frozenset[str]
    reach: str


class Rules(NamedTuple):
    """The triggers of a language, by their first word, longest first."""

    phrases: dict[str, list[tuple[tuple[str, ...], list[Trigger]]]]
    headings: list[tuple[str, ...]]
    words: dict[str, frozenset[str]]  # of the kinds that are single words
    endings: tuple[str, ...]  # of words that name an event
    verdicts: tuple[str, ...]  # one word of each


class Found(NamedTuple):
    """Triggers on words first..end (exclusive) of a sentence."""

    first: int
    end: int
    triggers: list[Trigger]


class Line(NamedTuple):
    """A sentence as words (T,), the mention each belongs to (-1: none), and the triggers by where they begin."""

    words: list[str]
    owner: list[int]
    found: dict[int, Found]


def flags(
    text: str,
    spans: Sequence[tuple[int, int]],
    sections: Sequence[tuple[str, int, int]] = (),
    language: str = "en",
) -> list[Context]:
    """The context of each mention of `text`, in the order of `spans` (start, end in code points, end exclusive).

    `sections` (name, start, end) are those of silver, names of cleaning.HEADERS.
    """
    rules = _rules(language)
    order = sorted(range(len(spans)), key=spans.__getitem__)
    sorted_spans = [spans[number] for number in order]
    parts = sentences(text, sorted_spans)
    begins = [part.start for part in parts]
    members: dict[int, list[int]] = {}
    for place, (start, _) in enumerate(sorted_spans):
        members.setdefault(max(bisect_right(begins, start) - 1, 0), []).append(place)
    reader = _Reader(text, sorted_spans, sections, rules)
    for at, inside in members.items():
        reader.read(parts[at], inside)
    reader.judge(parts, begins, members)
    contexts = [Context()] * len(spans)
    for place, number in enumerate(order):
        contexts[number] = reader.context(place)
    return contexts


class _Reader:
    """Collects what is said about each mention of one note."""

    def __init__(
        self,
        text: str,
        spans: Sequence[tuple[int, int]],
        sections: Sequence[tuple[str, int, int]],
        rules: Rules,
    ) -> None:
        self._text, self._spans, self._rules = text, spans, rules
        self._sections = sorted(sections, key=lambda section: section[1])
        self._starts = [start for _, start, _ in self._sections]
        self._said: dict[int, list[tuple[frozenset[str], str]]] = {}

    def section(self, place: int) -> tuple[str, int]:
        """Name and start of the section in which a code point stands."""
        at = bisect_right(self._starts, place) - 1
        if at < 0 or place >= self._sections[at][2]:
            return "", 0
        return self._sections[at][:2]

    def say(self, mention: int, said: frozenset[str], phrase: str) -> None:
        """Note that `phrase` says `said` of a mention."""
        self._said.setdefault(mention, []).append((said, phrase))

    def context(self, mention: int) -> Context:
        """What all triggers together say."""
        section, _ = self.section(self._spans[mention][0])
        said = list(self._said.get(mention, ()))
        if section in _SECTIONS:
            said.append((frozenset((_SECTIONS[section],)), f"section {section}"))
        if not said:
            return _NOTHING
        held = frozenset().union(*(flags for flags, _ in said))
        if "negated" in held and not any({"negated", "uncertain"} <= flags for flags, _ in said):
            held -= {"uncertain"}
        if held & {"negated", "family", "hypothetical"}:
            held -= {"historical"}
        deciding = dict.fromkeys(phrase for flags, phrase in said if flags & held)
        return Context(*(name in held for name in FLAGS), "; ".join(deciding))

    def read(self, sentence: Sentence, mentions: Sequence[int]) -> None:
        """Apply the triggers of a sentence, and of the heading over it, to its mentions."""
        line = self._line(sentence, mentions)
        section, begin = self.section(sentence.start)
        for found in line.found.values():
            for trigger in found.triggers:
                self._apply(trigger, found, line, section)
        if sentence.heading[1] and sentence.heading[0] >= begin:
            over = _heading(self._text[slice(*sentence.heading)], self._rules)
            for trigger in over:
                older = trigger.kind == "heading" and section not in _OF_THIS_STAY
                if older or (trigger.kind == "pre" and sentence.near):
                    for mention in mentions:
                        self.say(mention, trigger.flags, trigger.phrase)

    def _line(self, sentence: Sentence, mentions: Sequence[int]) -> Line:
        words, owner = [], []
        spans = [(*self._spans[mention], mention) for mention in mentions]
        for match in _WORD.finditer(self._text, sentence.start, sentence.end):
            start, end = match.span()
            words.append(match[0].lower())
            owner.append(next((number for first, last, number in spans if start < last and end > first), -1))
        return Line(words, owner, _find(words, owner, self._rules))

    def _apply(self, trigger: Trigger, found: Found, line: Line, section: str) -> None:
        if trigger.kind == "relative":
            behind = self._ill(line, found.end)
            if behind or _belongs(line.words, found.first):
                walk = _after if behind else _before
                at = found.end if behind else found.first
                reach = Trigger(trigger.phrase, "relative", trigger.flags, "sentence" if behind else "item")
                for mention in walk(line, at, reach, self._rules):
                    self.say(mention, trigger.flags, trigger.phrase)
            return
        if trigger.kind == "over" and section in _OF_THIS_STAY:
            return
        if trigger.kind == "pre":
            walked = _after(line, found.end, trigger, self._rules)
        elif trigger.kind in ("post", "over", "verdict"):
            walked = _before(line, found.first, trigger, self._rules)
        else:
            return
        for mention in walked:
            if trigger.reach != "events" or self._happens(mention):
                self.say(mention, trigger.flags, trigger.phrase)

    def _ill(self, line: Line, at: int) -> bool:
        """Whether the words behind a relative say that he or she is ill."""
        words, links = line.words, self._rules.words["link"]
        if at < len(words) and words[at] in ",(":
            return at + 1 < len(words) and (words[at + 1] in ("who", "whose") or words[at] == "(")
        return at < len(words) and (words[at] in links)

    def _happens(self, mention: int) -> bool:
        """Whether a condition is one that is over once it happened."""
        words = _WORD.findall(self._text[slice(*self._spans[mention])].lower())
        return any(word in self._rules.words["event"] or word.endswith(self._rules.endings) for word in words)

    def judge(self, parts: Sequence[Sentence], begins: Sequence[int], members: dict[int, list[int]]) -> None:
        """Apply verdicts to what an earlier sentence of the same block named."""
        low, spoken = self._text.lower(), set()
        for word in self._rules.verdicts:
            place = low.find(word)
            while place >= 0:
                spoken.add(bisect_right(begins, place) - 1)
                place = low.find(word, place + 1)
        for at in sorted(spoken - {-1}):
            if at in members:
                continue
            line = self._line(parts[at], ())
            triggers = [t for found in line.found.values() for t in found.triggers if t.kind == "verdict"]
            before = next((p for p in range(at - 1, max(at - 1 - _NEAR, -1), -1) if p in members), -1)
            if triggers and before >= 0 and parts[before].block == parts[at].block:
                for mention in self._meant(parts[before], members[before], line.words):
                    self.say(mention, triggers[0].flags, triggers[0].phrase)

    def _meant(self, sentence: Sentence, mentions: Sequence[int], words: Sequence[str]) -> Sequence[int]:
        """Of the mentions of a sentence, those that the pronoun of the next one stands for."""
        first, last = self._spans[mentions[0]][1], self._spans[mentions[-1]][1]
        colon = self._text.find(":", first, sentence.end)
        if colon >= 0 and len(self._text[first:colon].split()) < 4:
            return [mention for mention in mentions if self._spans[mention][1] <= colon]
        if "these" in words or "both" in words or "them" in words:
            return mentions
        doubted = [m for m in mentions if any("uncertain" in said for said, _ in self._said.get(m, ()))]
        return doubted or [mention for mention in mentions if self._spans[mention][1] == last]


_NOTHING = Context()


def _find(words: Sequence[str], owner: Sequence[int], rules: Rules) -> dict[int, Found]:
    """The triggers of a sentence by where they begin: of those that overlap the longest, none on a mention."""
    met: list[Found] = []
    for at, word in enumerate(words):
        if owner[at] >= 0:
            continue
        for first in (word, _class(word)) if word[0].isdigit() else (word,):
            for phrase, triggers in rules.phrases.get(first, ()):
                end = at + len(phrase)
                if end <= len(words) and (end == at + 1 or _matches(words, owner, at, phrase)):
                    met.append(Found(at, end, triggers))
                    break
    found: dict[int, Found] = {}
    taken: set[int] = set()
    for one in sorted(met, key=lambda one: (one.first - one.end, one.first)):
        if taken.isdisjoint(range(one.first, one.end)):
            taken.update(range(one.first, one.end))
            found[one.first] = one
    return found


def _matches(words: Sequence[str], owner: Sequence[int], at: int, phrase: Sequence[str]) -> bool:
    return all(
        (words[at + place] == word or (word[0] == "<" and _class(words[at + place]) == word)) and owner[at + place] < 0
        for place, word in enumerate(phrase)
    )


def _class(word: str) -> str:
    return "<year>" if _YEAR.fullmatch(word) else "<n>" if _NUMBER.fullmatch(word) else word


def _stops(mark: Found, trigger: Trigger, parted: bool) -> bool:
    """Whether the scope of `trigger` ends at other triggers; `parted`: behind a comma or an item."""
    for other in mark.triggers:
        hits = not other.flags or bool(other.flags & trigger.flags)
        if (other.kind == "end" and hits) or (other.kind == "start" and hits and parted):
            return True
        if other.kind in ("pre", "relative") and trigger.reach != "sentence":
            opposed = {"negated": "uncertain", "uncertain": "negated"}
            if any(opposed.get(flag) in other.flags for flag in trigger.flags) and other.flags != trigger.flags:
                return True
            if "hypothetical" in other.flags and "hypothetical" not in trigger.flags:
                return True
    return False


def _after(line: Line, at: int, trigger: Trigger, rules: Rules) -> Iterator[int]:
    """Mentions in the scope of a trigger that ends before word `at`."""
    words, owner, reach = line.words, line.owner, trigger.reach
    closed = _closed(line, at, trigger, rules)  # what stands before the last `or` of an enumeration is a part of it
    lists = reach in ("list", "closed", "clause", "events", "sentence")
    ands, ors = rules.words["and"], rules.words["or"]
    said, depth, last, comma, parted = 0, 0, -1, False, False
    begin = at
    while at < len(words):
        word = words[at]
        if owner[at] >= 0:
            if owner[at] != last:
                if reach == "list" and comma and at > closed and _asserted(line, at, rules):
                    return
                last = owner[at]
                yield last
            said, parted, comma = 0, True, False
            at += 1
            continue
        mark = line.found.get(at)
        if mark and _stops(mark, trigger, parted):
            return
        if reach == "list" and comma and at > closed and word in rules.words["adjective"]:
            return
        if word in ors or word == "/":
            said, parted = 0, True
        elif word in ands or word == ",":
            if not lists or (reach == "closed" and at > closed):
                return
            said, parted, comma = 0, True, True
        elif word == ";" or (word == ":" and at > begin and reach != "sentence"):
            return
        elif word == "(":
            depth += 1
        elif word == ")":
            if not depth:
                return
            depth -= 1
        elif word[0].isalnum():
            said += 1
            if said > _LIMIT[reach]:
                return
        at = mark.end if mark else at + 1


def _closed(line: Line, at: int, trigger: Trigger, rules: Rules) -> int:
    """The place of the last `or` before the clause ends, -1 if there is none."""
    last, said, ors = -1, 0, rules.words["or"]
    for place in range(at, len(line.words)):
        word, mark = line.words[place], line.found.get(place)
        if word == ";" or (mark and _stops(mark, trigger, parted=False)):
            break
        if line.owner[place] >= 0 or word == ",":
            said = 0
        elif word in ors or (trigger.reach == "closed" and word in rules.words["and"] and last < 0):
            last = place
        else:
            said += 1
            if said > _LIMIT[trigger.reach]:
                break
    return last


def _asserted(line: Line, at: int, rules: Rules) -> bool:
    """Whether the words behind the mention at `at` say that it is there."""
    number = line.owner[at]
    while at < len(line.words) and line.owner[at] == number:
        at += 1
    return any(line.words[at : at + size] == list(phrase) for phrase, size in _phrases("assert", rules))


def _phrases(kind: str, rules: Rules) -> Iterator[tuple[tuple[str, ...], int]]:
    for phrase in rules.words[kind]:
        parts = tuple(_WORD.findall(phrase))
        yield parts, len(parts)


def _before(line: Line, at: int, trigger: Trigger, rules: Rules) -> Iterator[int]:
    """Mentions in the scope of a trigger that begins at word `at`, the nearest first."""
    words, owner, reach = line.words, line.owner, trigger.reach
    lists = reach in ("list", "sentence")
    ands, ors = rules.words["and"], rules.words["or"]
    said, last, joined, depth = 0, -1, True, 0
    marks = {mark.end - 1: mark for mark in line.found.values()}
    begin, at = at - 1, at - 1
    while at >= 0:
        word = words[at]
        if owner[at] >= 0:
            if owner[at] != last:
                if not joined:
                    return
                last, joined = owner[at], lists
                yield last
            said = 0
            at -= 1
            continue
        mark = marks.get(at)
        if mark and reach != "sentence" and any(other.kind in ("end", "start", "pseudo") for other in mark.triggers):
            return
        if mark and reach == "sentence" and any(other.kind == "end" and not other.flags for other in mark.triggers):
            return
        if word in ors or word == "/":
            joined = True
            said = 0
        elif word in ands or word in ",-":
            if not lists and at < begin:
                return
            said = 0
        elif word == ";" and reach != "sentence":
            return
        elif word == ":" and reach != "sentence" and (at < begin or "uncertain" in trigger.flags):
            return
        elif word == ")":
            depth += 1
        elif word == "(":
            if at < begin and not depth and reach != "sentence":
                return
            depth -= 1
        elif word[0].isalnum():
            if trigger.reach == "events" and word in _STARTED:
                return
            said += 1
            if said > (3 if reach in ("item", "events") else _LIMIT[reach]):
                return
        at -= 1


def _belongs(words: Sequence[str], at: int) -> bool:
    """Whether the relative at word `at` is the one in whom an illness is: `in her mother`, `(father)`."""
    before = words[max(at - 4, 0) : at]
    return before[-1:] == ["("] or "in" in before[-3:] or "side" in before or "en" in before[-2:]


@lru_cache(256)
def _under(heading: str, rules_of: str) -> tuple[Trigger, ...]:
    rules = _rules(rules_of)
    words = _WORD.findall(heading.lower())
    for phrase in rules.headings:
        if any(tuple(words[at : at + len(phrase)]) == phrase for at in range(len(words))):
            return (Trigger(" ".join(phrase), "heading", frozenset(("historical",)), ""),)
    found = [*_find(words, [-1] * len(words), rules).values()]
    if not found:
        return ()
    # The last trigger of the heading, if it runs to the colon.
    tail = words[found[-1].end :]
    far = [t for t in found[-1].triggers if t.kind == "pre" and t.reach in ("list", "clause", "sentence")]
    return tuple(far) if len(tail) < 7 else ()


def _heading(heading: str, rules: Rules) -> tuple[Trigger, ...]:
    return _under(heading, "es" if "y" in rules.words["and"] else "en")


@lru_cache(8)
def _rules(language: str) -> Rules:
    """The triggers of a language. Raises KeyError for one that context.csv does not know."""
    rows = [
        row
        for row in csv.DictReader(files("chartcode.linking").joinpath("context.csv").read_text("utf-8").splitlines())
        if row["language"] == language
    ]
    if not rows:
        raise KeyError(language)
    plain = ("adjective", "assert", "or", "and", "event", "link")
    words = {kind: frozenset(row["phrase"] for row in rows if row["kind"] == kind) for kind in plain}
    by_phrase: dict[tuple[str, ...], list[Trigger]] = {}
    headings, verdicts = [], set()
    for row in rows:
        phrase = tuple(_WORD.findall(row["phrase"]))
        if row["kind"] == "heading":
            headings.append(phrase)
        elif row["kind"] not in plain:
            said = frozenset(row["flags"].split("+")) - {""}
            by_phrase.setdefault(phrase, []).append(Trigger(row["phrase"], row["kind"], said, row["reach"]))
        if row["kind"] == "verdict":
            verdicts.add(max(phrase, key=len))
    phrases: dict[str, list[tuple[tuple[str, ...], list[Trigger]]]] = {}
    for phrase, triggers in sorted(by_phrase.items(), key=lambda pair: (-len(pair[0]), pair[0])):
        phrases.setdefault(phrase[0], []).append((phrase, triggers))
    endings = tuple(word[1:] for word in words["event"] if word[0] == "*")
    return Rules(phrases, sorted(headings, key=len, reverse=True), words, endings, tuple(sorted(verdicts)))
