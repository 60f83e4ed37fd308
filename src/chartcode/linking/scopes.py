"""Triggers in a sentence and how far each reaches: forward over an enumeration, back to what it judges.

A scope is walked word by word from its trigger. It runs through commas, `and`, `or` and slashes as far as the reach of
the trigger allows, and stops at a semicolon, a colon that does not follow the trigger, the bracket that encloses it, a
trigger of another meaning, an ending, or more words in a row than a name has.
Legend: T words of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

WORD = re.compile(r"<\w+>|[^\W_]+(?:['’][^\W_]+)*|_+|[^\w\s]")
_YEAR = re.compile(r"(?:19|20)\d\d")
_LIMIT = {"next": 1, "item": 5, "closed": 7, "list": 7, "events": 8, "clause": 8, "sentence": 40}  # words in a row
_FARTHEST = 200  # words of a scope
_BACK = {"item": 3, "events": 3, "list": 7, "sentence": 40}
_LISTS = frozenset(("closed", "list", "clause", "events", "sentence"))
_PLAIN = ("adjective", "assert", "or", "and", "event", "lasting", "tail", "link", "heading")
_STOPS = frozenset(("end", "start", "verb"))
_ENDINGS = _STOPS | {"pseudo"}
# A year or a date of these ends nothing.
_BEGUN = frozenset(
    (
        "since",
        "dx",
        "dxd",
        "from",
        "until",
        "x",
        "began",
        "begins",
        "started",
        "onset",
        "first",
        "desde",
        "diagnosed",
        "diagnosticado",
        "diagnosticada",
    )
)
_NONE = ("no ", "not ", "without ", "sin ")
_OPPOSED = {"negated": "uncertain", "uncertain": "negated"}


class Trigger(NamedTuple):
    """A phrase, what it is (context.py names the kinds), the flags it sets or stops, and how far it reaches."""

    phrase: str
    kind: str
    flags: frozenset[str]
    reach: str


class Rules(NamedTuple):
    """The triggers of a language by their words, and the words that are no triggers by kind."""

    phrases: dict[tuple[str, ...], list[Trigger]]
    lengths: dict[str, list[int]]  # of the phrases that begin with a word
    words: dict[str, frozenset[str]]
    endings: tuple[str, ...]  # of words that name an event
    verdicts: tuple[str, ...]  # the longest word of each


class Found(NamedTuple):
    """Triggers on words first..end (exclusive) of a sentence."""

    first: int
    end: int
    triggers: list[Trigger]


class Line(NamedTuple):
    """A sentence as words (T,), the mention each belongs to (T,; -1: none), and its triggers by first and last word."""

    words: list[str]
    owner: list[int]
    found: dict[int, Found]
    ending: dict[int, Found]


def line_of(words: list[str], owner: list[int], rules: Rules) -> Line:
    """A sentence with its triggers."""
    found = find(words, owner, rules)
    return Line(words, owner, found, {one.end - 1: one for one in found.values()})


def rules_of(rows: Iterable[Mapping[str, str]]) -> Rules:
    """Rules from rows with phrase, kind, flags (joined by +) and reach."""
    words: dict[str, set[str]] = {kind: set() for kind in _PLAIN}
    phrases: dict[tuple[str, ...], list[Trigger]] = {}
    verdicts = set()
    for row in rows:
        phrase, kind = row["phrase"], row["kind"]
        if kind in _PLAIN:
            words[kind].add(phrase)
            continue
        parts = tuple(map(_class, WORD.findall(phrase)))
        trigger = Trigger(phrase, kind, frozenset(row["flags"].split("+")) - {""}, row["reach"])
        phrases.setdefault(parts, []).append(trigger)
        if kind == "verdict":
            verdicts.add(max(parts, key=len))
    for parts, triggers in phrases.items():  # a long phrase stops what its words stop (`and has`, `has`)
        if len(parts) > 1 and all(trigger.kind in _STOPS for trigger in triggers):
            words_of = (one for part in parts for one in phrases.get((part,), ()))
            triggers += [one for one in words_of if one.kind in _STOPS and one not in triggers]
    lengths: dict[str, list[int]] = {}
    for first, length in sorted({(parts[0], len(parts)) for parts in phrases}):
        lengths.setdefault(first, []).append(length)
    endings = tuple(sorted(word[1:] for word in words["event"] if word[0] == "*"))
    plain = {kind: frozenset(found) for kind, found in words.items()}
    return Rules(phrases, lengths, plain, endings, tuple(sorted(verdicts)))


def find(words: Sequence[str], owner: Sequence[int], rules: Rules) -> dict[int, Found]:
    """The triggers among lower-case words, none on a mention.

    Of those that overlap the longest, then one that means something, then the first.
    """
    plain = [_class(word) if number < 0 else "" for word, number in zip(words, owner, strict=True)]
    met = [
        Found(at, at + length, rules.phrases[phrase])
        for at, word in enumerate(plain)
        for length in rules.lengths.get(word, ())
        if (phrase := tuple(plain[at : at + length])) in rules.phrases
    ]
    found: dict[int, Found] = {}
    taken: set[int] = set()
    for one in sorted(met, key=lambda one: (one.first - one.end, one.triggers[0].kind == "pseudo", one.first)):
        if taken.isdisjoint(range(one.first, one.end)):
            taken.update(range(one.first, one.end))
            found[one.first] = one
    return found


def _class(word: str) -> str:
    """A number as its kind: phrases name `<year>` and `<n>`."""
    return word if not word.isdecimal() else "<year>" if _YEAR.fullmatch(word) else "<n>"


def after(line: Line, at: int, trigger: Trigger, rules: Rules) -> Iterator[int]:
    """Mentions in the scope of a trigger that ends before word `at`, in order."""
    words, owner, reach = line.words, line.owner, trigger.reach
    closed = _closed(line, at, trigger, rules)  # what stands before the last `or` of an enumeration is a part of it
    ands, ors, adjectives = rules.words["and"], rules.words["or"], rules.words["adjective"]
    said, depth, last = 0, 0, -1
    comma = parted = False
    begin, stop = at, min(at + _FARTHEST, len(words))
    while at < stop:
        word, mark = words[at], line.found.get(at)
        if owner[at] >= 0:
            if owner[at] != last:
                if reach == "list" and comma and at > closed and _asserted(line, at, rules):
                    return
                last = owner[at]
                yield last
            said, parted, comma = 0, True, False
            at += 1
            continue
        joins = word in ands  # `and has`
        if mark and _stops(mark, trigger, parted or joins, joins or (parted and not said)):
            return
        if reach == "list" and comma and at > closed and word in adjectives:
            return
        if word in ors or word == "/":
            said, parted, comma = 0, True, False
        elif word in ands or word == ",":
            if reach not in _LISTS or (reach == "closed" and at > closed):
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


def _stops(mark: Found, trigger: Trigger, parted: bool, fresh: bool) -> bool:
    """Whether a scope ends at other triggers; `parted`: behind a comma or a mention, `fresh`: right behind."""
    for other in mark.triggers:
        hits = not other.flags or bool(other.flags & trigger.flags)
        if hits and other.kind == "end":
            return True
        if trigger.reach == "sentence":
            continue
        if hits and ((other.kind == "verb" and parted) or (other.kind == "start" and fresh)):
            return True
        if fresh and other.kind == "pseudo" and other.phrase.startswith(_NONE):
            return True  # `no stroke, no change in gout`
        if other.kind not in ("pre", "relative") or other.flags == trigger.flags:
            continue
        if parted and any(_OPPOSED.get(flag) in other.flags for flag in trigger.flags):
            return True
        if "hypothetical" in other.flags or (fresh and trigger.reach in ("list", "closed") and other.reach == "events"):
            return True
        if parted and "hypothetical" in trigger.flags and "historical" in other.flags:
            return True
    return False


def _closed(line: Line, at: int, trigger: Trigger, rules: Rules) -> int:
    """The place of the last `or` before the clause ends, -1 if there is none."""
    last, said = -1, 0
    for place in range(at, min(at + _FARTHEST, len(line.words))):
        word, mark = line.words[place], line.found.get(place)
        if word == ";" or (mark and _stops(mark, trigger, parted=False, fresh=False)):
            break
        if line.owner[place] >= 0 or word == ",":
            said = 0
        elif word in rules.words["or"] or (trigger.reach == "closed" and last < 0 and word in rules.words["and"]):
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
    return any("".join(line.words[at : at + size]) in rules.words["assert"] for size in (1, 3))  # on, s/p


def before(line: Line, at: int, trigger: Trigger, rules: Rules) -> Iterator[int]:
    """Mentions in the scope of a trigger that begins at word `at`, the nearest first."""
    words, owner, reach = line.words, line.owner, trigger.reach
    lists, whole = reach in ("list", "sentence"), reach == "sentence"
    ands, ors = rules.words["and"], rules.words["or"]
    # `X, possible Y` speaks of Y; `X: ruled out` of X
    ahead = any(number >= 0 for number in owner[at + 1 : at + 5]) and ":" not in words[at : at + 5]
    said, last, depth, joined = 0, -1, 0, True
    begin = at = at - 1
    stop = max(at - _FARTHEST, -1)
    while at > stop:
        word, mark = words[at], line.ending.get(at)
        if owner[at] >= 0:
            if owner[at] != last:
                if not joined:
                    return
                last, joined = owner[at], lists
                yield last
            said = 0
            at -= 1
            continue
        if mark and any(
            other.kind == "end" and not other.flags if whole else other.kind in _ENDINGS for other in mark.triggers
        ):
            return
        if word in ors or word == "/":
            said, joined = 0, True
        elif word in ands or word in ",-":
            if not lists and (at < begin or ahead):
                return
            said = 0
        elif not whole and (word == ";" or (word == ":" and (at < begin or "uncertain" in trigger.flags))):
            return
        elif word == ")":
            depth += 1
        elif word == "(":
            if at < begin and not depth and not whole:
                return
            depth -= 1
        elif word[0].isalnum():
            if word in _BEGUN and "historical" in trigger.flags:
                return
            said += 1
            if said > _BACK[reach]:
                return
        at -= 1
