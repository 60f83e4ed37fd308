"""What a note offers as places of evidence, each with a code, and what is to be said of each.

Candidates: the mentions that a linker finds, with each of their codes; every place of a name that marks gave, one
inside another too; and the shortest place of its words where they stand apart (apart.py).
Legend: T words of a note, E entries (a name in a form, with a code), M candidates, F features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chartcode.linking.apart import Apart, Stems
from chartcode.linking.marks import Mark
from chartcode.linking.matcher import Match, Matcher
from chartcode.linking.tokens import Words, words_of
from chartcode.tables.cleaning import to_source

Array = np.ndarray[Any, Any]
WHOLE, APART = "whole", "apart"  # forms of a name: a key (tokens.key_of), a set of stems
_OF_MENTION = ("p", "seen", "together", "dictionary", "other")  # MENTIONS' alternative; largest p of another code
_OF_WHOLE = ("share", "seen", "marked")  # of train notes: with the name, and those where it is marked so
_OF_APART = (*_OF_WHOLE, "stems", "between")  # of the name; words at the place that are none of them
FEATURES = (
    "words",
    "letters",
    "rival",  # largest share of another code of the name that stands whole at this place
    "best",  # largest p or share (whole) of the code in the note
    *(f"mention_{name}" for name in _OF_MENTION),
    *(f"whole_{name}" for name in _OF_WHOLE),
    *(f"apart_{name}" for name in _OF_APART),
)
Place = tuple[int, int, str]  # words first..end (exclusive) of a note, and a code


class Note(NamedTuple):
    """Words of a clean note, and where each stands in the source (T,)."""

    words: Words
    spans: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str, edits: Sequence[Mapping[str, int]], language: str) -> Note:
        """Of silver's columns."""
        words = words_of(text, language)
        segments = [(edit["clean_start"], edit["source_start"], edit["length"]) for edit in edits]
        return cls(words, to_source(zip(words.starts, words.ends, strict=True), segments))

    def span(self, first: int, end: int) -> tuple[int, int]:
        """Code points of the source."""
        return self.spans[first][0], self.spans[end - 1][1]


def names_of(mark: Mark, text: str, stems: Stems, language: str) -> Iterator[tuple[str, str]]:
    """The names that a mark in a text gives, each with its form."""
    folded = words_of(mark.said(text), language).folded
    if folded and len(mark.fragments) == 1:
        yield WHOLE, " ".join(folded)
    if name := stems.name(folded):
        yield APART, name


class Names:
    """Names with their codes, and where they stand."""

    def __init__(self, entries: Sequence[tuple[str, str, str]], language: str) -> None:
        """`entries` (E,) are form, name and code, sorted."""
        self.codes = [code for _, _, code in entries]
        self.stems = Stems(language)
        of: dict[tuple[str, str], list[int]] = defaultdict(list)
        for entry, (form, name, _) in enumerate(entries):
            of[form, name].append(entry)
        self._names = {form: [name for own, name in of if own == form] for form in (WHOLE, APART)}
        self.entries = {form: [of[form, name] for name in names] for form, names in self._names.items()}
        self._whole = Matcher(self._names[WHOLE], overlapping=True)
        self._apart = Apart(self._names[APART], self.stems)

    def find(self, note: Note) -> dict[str, list[Match]]:
        """Every place of every name, by form; `key` is its place in `entries` of the form."""
        return {WHOLE: self._whole.find(note.words), APART: self._apart.find(note.words)}

    def between(self, match: Match, note: Note) -> tuple[int, int]:
        """Stems of a name that stands apart, and words at its place that are none of them."""
        stems = self._names[APART][match.key].count(" ") + 1
        return stems, sum(bool(self.stems[word]) for word in note.words.folded[match.first : match.end]) - stems


class Counts(NamedTuple):
    """Of each entry (E,): train notes with its name, those where it is marked so, and whether it is a name at all."""

    seen: Array
    marked: Array
    offered: Array

    @property
    def share(self) -> Array:
        """How often it is marked so, drawn to one in five."""
        found: Array = (self.marked + 0.2) / (self.seen + 1)
        return found


def candidates(
    note: Note, mentions: Iterable[Mapping[str, Any]], names: Names, found: Mapping[str, list[Match]], counts: Counts
) -> dict[Place, list[float]]:
    """Features of each candidate (M, F), NaN where there are none; in order of places."""
    mentioned = _mentioned(note, mentions)
    whole, apart = (_named(note, names, found[form], counts, form) for form in (WHOLE, APART))
    best: dict[str, float] = defaultdict(float)
    shares: dict[tuple[int, int], list[tuple[float, str]]] = defaultdict(list)
    for (first, end, code), said in whole.items():
        best[code] = max(best[code], said[0])
        shares[first, end].append((said[0], code))
    for (_, _, code), said in mentioned.items():
        best[code] = max(best[code], said[0])
    none = ([float("nan")] * len(of) for of in (_OF_MENTION, _OF_WHOLE, _OF_APART))
    parts = list(zip((mentioned, whole, apart), none, strict=True))
    made = {}
    for place in sorted({*mentioned, *whole, *apart}):
        first, end, code = place
        start, stop = note.span(first, end)
        rival = max((share for share, other in shares[first, end] if other != code), default=0.0)
        own = [float(end - first), float(stop - start), rival, best[code]]
        made[place] = own + [number for held, otherwise in parts for number in held.get(place, otherwise)]
    return made


def _mentioned(note: Note, mentions: Iterable[Mapping[str, Any]]) -> dict[Place, list[float]]:
    """Of MENTIONS that begin and end with a word."""
    begins = {start: place for place, (start, _) in enumerate(note.spans)}
    ends = {end: place + 1 for place, (_, end) in enumerate(note.spans)}
    made = {}
    for mention in mentions:
        first, end = begins.get(mention["start"]), ends.get(mention["end"])
        if first is None or end is None:
            continue
        for own in mention["alternatives"]:
            other = max((a["p"] for a in mention["alternatives"] if a["code"] != own["code"]), default=0.0)
            numbers = [float(own[name]) for name in _OF_MENTION[:-1]]
            made[first, end, own["code"]] = [*numbers, other]
    return made


def _named(note: Note, names: Names, found: Iterable[Match], counts: Counts, form: str) -> dict[Place, list[float]]:
    """Of names of a form; of two at one place with one code, by that of the larger share."""
    made: dict[Place, list[float]] = {}
    share = counts.share
    for match in found:
        for entry in names.entries[form][match.key]:
            if not counts.offered[entry]:
                continue
            place = match.first, match.end, names.codes[entry]
            if place in made and made[place][0] >= share[entry]:
                continue
            made[place] = [float(numbers[entry]) for numbers in (share, counts.seen, counts.marked)]
            if form == APART:
                made[place] += map(float, names.between(match, note))
    return made
