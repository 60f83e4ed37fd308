"""Finds every name of a dictionary in a text in one pass: leftmost, then longest, or all; whole words only.

An Aho-Corasick automaton (ahocorasick-rs) over words, not letters: each word of the dictionary is one private
character, a text is as many characters as it has words, and what the dictionary does not know is one character that no
name holds. So a match is a run of whole words, and its place needs no search.
Legend: K keys (names as `tokens.key_of` writes them), T words of a text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from chartcode.errors import DataError
from chartcode.linking.tokens import Words

_UNKNOWN = "\x01"
_FIRST = 0x100
_SURROGATES = range(0xD800, 0xE000)
MOST = sys.maxunicode + 1 - _FIRST - len(_SURROGATES)  # words of a dictionary: as many as there are characters


class Match(NamedTuple):
    """Words first..end (exclusive) of a text are the key of this number."""

    first: int
    end: int
    key: int


class Matcher:
    """An automaton over the words of `keys` (K,), which are distinct."""

    def __init__(self, keys: Sequence[str], overlapping: bool = False) -> None:
        """`overlapping`: names are found inside and across others too."""
        self._overlapping = overlapping
        self._signs: dict[str, str] = {}
        patterns = ["".join(map(self._sign, key.split(" "))) for key in keys]
        self._automaton = AhoCorasick(
            patterns,
            matchkind=MatchKind.Standard if overlapping else MatchKind.LeftmostLongest,
            store_patterns=False,
            implementation=Implementation.ContiguousNFA,
        )

    def _sign(self, word: str) -> str:
        sign = self._signs.get(word)
        if sign is None:
            if len(self._signs) == MOST:
                raise DataError(f"terminology: more than {MOST:,} different words; leave names out (terminology.kinds)")
            number = _FIRST + len(self._signs)
            sign = chr(number if number < _SURROGATES.start else number + len(_SURROGATES))
            self._signs[word] = sign
        return sign

    def find(self, words: Words) -> list[Match]:
        """The names in a text, in order, none over another: of those that begin first, the longest.

        Of an overlapping matcher every one, in order of their ends, the longest of equals first.
        """
        known = self._signs.get
        text = "".join([known(word, _UNKNOWN) for word in words.folded])
        matches = self._automaton.find_matches_as_indexes(text, self._overlapping)
        return [Match(first, end, key) for key, first, end in matches]
