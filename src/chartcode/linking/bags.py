"""Names whose words stand in another order, with other endings or small words between: `stone in the left kidney`.

A name is the bag of its stems (Snowball), small words left out. A window of a note that holds just these stems, in any
order and with no sign inside, is that name; each stem is a fixed 64-bit number and a bag their sum, so a window grows
by one addition and one look into a set.
Legend: T words of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import snowballstemmer

from chartcode.linking.tokens import Words, is_word

SMALL = {
    "en": frozenset("a an and as at by due for from her his in its of on or that the their this to was with".split()),  # noqa: SIM905
    "es": frozenset("a al ambo ante con de del e el en la las lo los o para por que se sin su u un una y".split()),  # noqa: SIM905
}
STEMMER = {"en": "english", "es": "spanish"}
MOST_STEMS = 6  # of a name
WIDEST = 10  # words a window spans
REMEMBERED = 1 << 18  # words whose numbers are kept, 200 bytes each; a hospital has millions, with slips and numbers
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
        self._numbers = _Numbers(language)
        self._surface: dict[int, int] = {}
        for key, surface in names.items():
            stems = {number for number in map(self._numbers.__getitem__, key.split(" ")) if number > 0}
            if 2 <= len(stems) <= MOST_STEMS:
                self._surface.setdefault(sum(stems) & _WRAP, surface)

    def find(self, words: Words) -> list[Window]:
        """Every window that begins and ends with a word of its bag."""
        number_of, surface_of = self._numbers, self._surface
        numbers = [number_of[word] for word in words.folded]
        found: list[Window] = []
        for first, number in enumerate(numbers):
            if number <= 0:
                continue
            total, stems, end = number, 1, first
            for following in numbers[first + 1 : first + WIDEST]:
                end += 1
                if following > 0:
                    if stems == MOST_STEMS:
                        break
                    stems += 1
                    total = (total + following) & _WRAP
                    if total in surface_of:
                        found.append(Window(first, end + 1, surface_of[total], stems))
                elif following < 0:
                    break
        return found


class _Numbers(dict[str, int]):
    """A word's fixed number: that of its stem, 0 of a small word, -1 of a sign."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._small, self._stem = SMALL[language], snowballstemmer.stemmer(STEMMER[language]).stemWord

    def __missing__(self, word: str) -> int:
        if not is_word(word):
            number = -1
        elif word in self._small:
            number = 0
        else:
            number = int.from_bytes(blake2b(self._stem(word).encode(), digest_size=8).digest()) | 1
        if len(self) >= REMEMBERED:
            self.clear()
        self[word] = number
        return number


def longest(exact: Sequence[Window], windows: Sequence[Window]) -> list[Window]:
    """Windows kept beside the exact matches: longer than any exact match they touch, then none over another."""
    owner = {word: window for window in exact for word in range(window.first, window.end)}
    held: set[int] = set()  # words of what is kept
    kept: list[Window] = []
    for window in sorted(windows, key=lambda w: (-w.stems, w.end - w.first, w.first)):
        words = range(window.first, window.end)
        over = {owner[word] for word in words if word in owner}
        inside = all(
            window.first <= other.first and other.end <= window.end and other.stems < window.stems for other in over
        )
        if inside and held.isdisjoint(words):
            held.update(words)
            kept.append(window)
    return kept
