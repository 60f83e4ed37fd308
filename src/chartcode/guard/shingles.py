"""Which lines of a few small texts hold eight words in a row that also stand in one of very many notes.

Words are runs of letters and digits in lower case: punctuation, line breaks and `___` do not count, so a sentence that
was wrapped anew or put into a table is still found. Exact: each candidate is compared word for word.

How it is fast. Notes are laid end to end as lower-case words with one blank between them. Over these bytes runs one
polynomial hash modulo 2^64, as a cumulative sum; the hash of any eight words is a difference of two sums times an
inverse power (the base is odd, so it has one). A table of flags throws out nearly all windows, a sorted search the
rest. Memory is that of one block and of the texts looked at; nothing is kept on disk.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

WIDTH = 8  # words
BLOCK = 256 << 10  # bytes hashed at once: the arrays of a block stay in the processor's cache
_END = " \x01 "  # between two texts: a word that no text can hold, so no window joins two of them
_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(r"\\[nrt]")  # a line break inside a string of code or JSON
_BLANK = 32
_LETTERS = bytes(b if 48 <= b < 58 or 97 <= b < 123 else b + 32 if 65 <= b < 91 else _BLANK for b in range(256))

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_random = np.random.default_rng(8)
_VALUES: Hashes = _random.integers(1, 2**64, 256, dtype=np.uint64)  # of each byte
_BASE = int(_random.integers(2**62, 2**63)) | 1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the low bits of such a hash are weak: spread, then take the high ones


def words(text: str) -> list[str]:
    """The words that count, in lower case."""
    return _WORD.findall(text.lower())


def _plain(note: bytes) -> bytes:
    """A note as lower-case words and blanks, UTF-8; the bytes of ASCII notes are mapped one to one."""
    if note.isascii():
        return note.translate(_LETTERS)
    return " ".join(words(note.decode("utf-8", "replace"))).encode()


@functools.lru_cache(maxsize=4)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """base^i and base^-i modulo 2^64 for i < size."""
    inverse = pow(_BASE, -1, 2**64)
    both = []
    for base in (_BASE, inverse):
        factors = np.full(size, base, dtype=np.uint64)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


def _windows(stream: bytes) -> tuple[npt.NDArray[np.uint8], Hashes, Indices, Indices]:
    """Packed bytes (single blanks), and of each window of WIDTH words: hash, first byte, byte after the last."""
    raw = np.frombuffer(stream + b" ", dtype=np.uint8)
    solid = raw != _BLANK
    keep = solid.copy()
    keep[1:] |= solid[:-1]  # a word and the one blank behind it
    packed = raw[keep]
    ends = np.flatnonzero(packed == _BLANK)
    count = max(0, len(ends) - WIDTH + 1)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + 1])[:count]
    ends = ends[len(ends) - count :]
    powers, inverses = _powers(1 << max(len(packed), BLOCK * 2).bit_length())
    sums = np.zeros(len(packed) + 1, dtype=np.uint64)
    terms = _VALUES.take(packed)
    terms *= powers[: len(packed)]
    np.cumsum(terms, out=sums[1:])
    return packed, (sums[ends] - sums[starts]) * inverses[starts], starts, ends


def _blocks(notes: Iterable[bytes]) -> Iterator[bytes]:
    end = _END.encode()
    held: list[bytes] = []
    size = 0
    for note in notes:
        held.append(_plain(note))
        size += len(held[-1])
        if size >= BLOCK:
            yield end.join(held)
            held, size = [], 0
    if held:
        yield end.join(held)


class Suspects:
    """The windows of a few texts, to be looked for in notes. `lines` are their windows' (text, line) places."""

    def __init__(self, texts: Sequence[str]) -> None:
        places: list[tuple[int, int]] = []  # of each word: text, line
        stream: list[str] = []
        for number, text in enumerate(texts):
            for line, content in enumerate(text.split("\n"), start=1):
                found = words(_ESCAPE.sub(" ", content))
                stream += found
                places += [(number, line)] * len(found)
            stream.append(_END.strip())
            places.append((number, -1))
        self._packed, hashes, self._starts, self._ends = _windows(" ".join(stream).encode())
        whole = np.array([line > 0 for _, line in places], dtype=bool)
        inside = np.lib.stride_tricks.sliding_window_view(whole, WIDTH).all(axis=1) if len(hashes) else whole[:0]
        kept = np.flatnonzero(inside)
        order = kept[np.argsort(hashes[kept], kind="stable")]
        self._order = order
        self._places = places
        self._sorted = hashes[order]
        self._unique = np.unique(self._sorted)
        self._bits = int(np.clip(len(self._unique).bit_length() + 6, 16, 24))
        self._flags = np.zeros(1 << self._bits, dtype=bool)
        self._flags[self._slots(self._unique)] = True

    def __len__(self) -> int:
        return len(self._order)

    def _slots(self, hashes: Hashes) -> Hashes:
        return (hashes * _SPREAD) >> np.uint64(64 - self._bits)

    def found_in(self, notes: Iterable[bytes]) -> list[tuple[int, int]]:
        """(text, line) at which a window starts that stands in a note (UTF-8), sorted; stops early without windows."""
        if not len(self):
            return []
        found = np.zeros(len(self._order), dtype=bool)
        settled = np.zeros(len(self._unique), dtype=bool)
        for block in _blocks(notes):
            packed, hashes, starts, ends = _windows(block)
            candidates = np.flatnonzero(self._flags[self._slots(hashes)])
            at = np.minimum(np.searchsorted(self._unique, hashes[candidates]), len(self._unique) - 1)
            same = (self._unique[at] == hashes[candidates]) & ~settled[at]
            for candidate, unique in zip(candidates[same], at[same], strict=True):
                if not settled[unique]:
                    words_there = packed[starts[candidate] : ends[candidate]].tobytes()
                    settled[unique] = self._confirm(self._unique[unique], words_there, found)
        return sorted({self._places[window] for window in self._order[found]})

    def _confirm(self, value: np.uint64, words_there: bytes, found: npt.NDArray[np.bool_]) -> bool:
        """Mark windows of this hash whose words are these; True when none of that hash is left to find."""
        low, high = np.searchsorted(self._sorted, value, "left"), np.searchsorted(self._sorted, value, "right")
        for index in range(low, high):
            window = self._order[index]
            found[index] |= self._packed[self._starts[window] : self._ends[window]].tobytes() == words_there
        return bool(found[low:high].all())
