"""Names whose words stand in another order, with other endings or small words between: `stone in the left kidney`.

A name is the bag of its stems (Snowball), small words left out. A window of a note that holds just these stems, in any
order and with no sign inside, is that name; each stem is a fixed 64-bit number and a bag their sum, so a window grows
by one addition and one look into a set.
Legend: T words of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import snowballstemmer

from chartcode.linking.tokens import Words, is_word

SMALL = {
    "en": frozenset("a an and as at by due for from her his in its of on or that the their this to was with".split()),
    "es": frozenset("a al ambo ante con de del e el en la las lo los o para por que se sin su sus u un una y".split()),
}
STEMMER = {"en": "english", "es": "spanish"}
MOST_STEMS = 6  # of a name
WIDEST = 10  # words a window spans
_WRAP = (1 << 64) - 1


class Window(NamedTuple):
    """Words first..end (exclusive) of a text hold the stems of a bag, `stems` of them."""

    first: int
    end: int
    surface: int
    stems: int


class Bags:
    """The bags of names, each with the surface it stands for."""

    def __init__(self, names: Mapping[str, int], language: str) -> None:
        """`names` are keys of two stems or more and their surfaces; of two with one bag the first stays."""
        self._small, self._number = SMALL[language], _numbers(STEMMER[language])
        self._surface: dict[int, int] = {}
        for key, surface in names.items():
            stems = {self._number(word) for word in key.split(" ") if is_word(word) and word not in self._small}
            if 2 <= len(stems) <= MOST_STEMS:
                self._surface.setdefault(sum(stems) & _WRAP, surface)

    def find(self, words: Words) -> list[Window]:
        """Every window that begins and ends with a word of its bag."""
        numbers = [
            self._number(word) if is_word(word) and word not in self._small else (0 if is_word(word) else -1)
            for word in words.folded
        ]
        found: list[Window] = []
        surface_of = self._surface.get
        for first, number in enumerate(numbers):
            if number <= 0:
                continue
            total, stems = number, 1
            for end in range(first + 1, min(first + WIDEST, len(numbers))):
                number = numbers[end]
                if number == 0:
                    continue
                if number < 0 or stems == MOST_STEMS:
                    break
                total, stems = (total + number) & _WRAP, stems + 1
                surface = surface_of(total)
                if surface is not None:
                    found.append(Window(first, end + 1, surface, stems))
        return found


def _numbers(algorithm: str):  # type: ignore[no-untyped-def]
    stemmer = snowballstemmer.stemmer(algorithm)

    @lru_cache(1 << 18)
    def number(word: str) -> int:
        return int.from_bytes(blake2b(stemmer.stemWord(word).encode(), digest_size=8).digest()) | 1

    return number


def longest(exact: Sequence[Window], windows: Sequence[Window]) -> list[Window]:
    """Windows kept beside the exact matches: longer than any exact match they touch, then none over another."""
    taken: list[Window] = list(exact)
    kept: list[Window] = []
    for window in sorted(windows, key=lambda w: (-w.stems, w.end - w.first, w.first)):
        over = [other for other in taken if other.first < window.end and window.first < other.end]
        inside = all(
            window.first <= other.first and other.end <= window.end and other.stems < window.stems for other in over
        )
        if inside and not any(other in kept for other in over):
            taken.append(window)
            kept.append(window)
    return kept
