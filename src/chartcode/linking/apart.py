"""Where names stand in a text with their words apart.

`masa testicular`, marked in one note as `masa ... en el testículo` or written so in the next, is a set of stems within
one sentence: its place is the shortest stretch that holds them all, in any order.
Legend: T words of a text, S names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import snowballstemmer

from chartcode.linking.bags import REMEMBERED, SMALL, STEMMER
from chartcode.linking.matcher import Match
from chartcode.linking.tokens import BREAK, Words, is_word

WIDEST = 30  # words that a name whose words stand apart may span
MOST_STEMS = 4  # of such a name
_ENDS = frozenset((".", ";", BREAK))


class Stems(dict[str, str]):
    """A folded word's stem; "" of small words and signs."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._small, self._stem = SMALL[language], snowballstemmer.stemmer(STEMMER[language]).stemWord

    def __missing__(self, word: str) -> str:
        stem = str(self._stem(word)) if is_word(word) and word not in self._small else ""
        if len(self) >= REMEMBERED:
            self.clear()
        self[word] = stem
        return stem

    def name(self, words: Sequence[str]) -> str:
        """The set of stems of folded words, as `Apart` takes it; "" where they are too few or too many."""
        stems = sorted({self[word] for word in words} - {""})
        return " ".join(stems) if 2 <= len(stems) <= MOST_STEMS else ""


class Apart:
    """Finds names as sets of stems."""

    def __init__(self, names: Sequence[str], stems: Stems) -> None:
        """`names` (S,) as `Stems.name` writes them, which are distinct."""
        self._stems = stems
        sets = [name.split(" ") for name in names]
        held = Counter(stem for own in sets for stem in own)
        # A name is looked for where the stem stands that fewest names have.
        self._of: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
        for number, own in enumerate(sets):
            self._of[min(own, key=lambda stem: (held[stem], stem))].append((number, own))

    def find(self, words: Words) -> list[Match]:
        """The shortest place of each name in each sentence, by sentence and name; `key` is its number."""
        found = []
        for at in _sentences(words, self._stems):
            here = []
            for stem in at:
                for number, own in self._of.get(stem, ()):
                    if all(other in at for other in own):
                        first, end = shortest([at[other] for other in own])
                        if end - first <= WIDEST:
                            here.append(Match(first, end, number))
            found += sorted(here, key=lambda match: match.key)
        return found


def _sentences(words: Words, stems: Stems) -> Iterator[Mapping[str, list[int]]]:
    """Of each sentence, the places of its stems."""
    at: dict[str, list[int]] = {}
    for place, word in enumerate(words.folded):
        if word in _ENDS:
            yield at
            at = {}
        elif stem := stems[word]:
            at.setdefault(stem, []).append(place)
    yield at


def shortest(places: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The first of the shortest stretches (end exclusive) with a place of each; places are sorted, none is empty."""
    last = [-1] * len(places)
    best: tuple[int, int] | None = None
    for place, which in sorted((place, which) for which, own in enumerate(places) for place in own):
        last[which] = place
        first = min(last)
        if first >= 0 and (best is None or place + 1 - first < best[1] - best[0]):
            best = first, place + 1
    if best is None:
        raise ValueError("no place")
    return best
