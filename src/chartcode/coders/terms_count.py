"""Counts words and n-grams of a corpus exactly, and looks up their columns: tables that grow around compiled loops.

n-grams are many and most are rare. A sketch (one byte a cell, several n-grams may share one) overrates each; only those
whose cell reaches the count that matters enter an exact table. Threads share the notes; each has a sketch (64 MB at
most) and a table of its own, and the sums do not depend on how many there are.
Legend: N notes, T tokens, K words, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from chartcode.coders import terms_kernel as kernels
from chartcode.coders.terms_kernel import Array, Form, Notes, Table
from chartcode.errors import DataError

_MARGIN = 1.3  # n-grams looked at for each one wanted: a cell's count is not yet its n-grams' count
_MOST_CELLS = 1 << 26  # bytes of a sketch, however many notes
_MOST_SHARES = 8  # threads that count n-grams: each has a sketch and a table of its own
_SAME = np.arange(256, dtype=np.uint8)


class Text(NamedTuple):
    """UTF-8 bytes of notes, where each begins and ends (N + 1,) int64, and what a byte counts as in a word (256,)."""

    content: Array
    offsets: Array
    letters: Array


class Words:
    """The words met so far: a number each, in order of appearance, and how often."""

    def __init__(self, room: int = 1 << 12) -> None:
        self.table: Table = (
            np.zeros((room, 2), np.uint64),
            np.zeros(room * 4, np.uint8),
            np.zeros(room // 2 + 1, np.int64),
            np.zeros((room // 2, 3), np.int64),
            np.zeros(3, np.int64),
        )

    def __len__(self) -> int:
        return int(self.table[4][0])

    @property
    def counts(self) -> Array:
        """int64 (K,) how often each word occurs."""
        return self.table[3][: len(self), 0]

    @property
    def notes(self) -> Array:
        """int64 (K,) how many notes hold each word."""
        return self.table[3][: len(self), 1]

    def names(self, numbers: Array) -> list[bytes]:
        """The words of these numbers."""
        content, starts = self.table[1][: self.table[4][1]].tobytes(), self.table[2].tolist()
        return [content[starts[number] : starts[number + 1]] for number in numbers.tolist()]

    def count(self, text: Text) -> Notes:
        """Notes as numbers of words, new words added."""
        notes, first = _empty_notes(text), 0
        while (first := kernels.count_words(self.table, *text, first, notes)) < len(text.offsets) - 1:
            size = int(text.offsets[first + 1] - text.offsets[first])
            self._make_room(size // 3 + 1, size)
        return notes[0][: notes[1][-1]], notes[1]

    def find(self, text: Text) -> Notes:
        """Notes as numbers of words, -1 for words not in the table."""
        notes = _empty_notes(text)
        kernels.find_words(self.table, *text, notes)
        return notes

    def merge(self, other: Self) -> Array:
        """Add the words of another table; int32 (K,) their numbers here."""
        numbers = np.zeros(len(other), np.int32)
        self._make_room(len(other), int(other.table[4][1]))
        kernels.merge_words(self.table, other.table, _SAME, numbers)
        return numbers

    def _make_room(self, words: int, size: int) -> None:
        """For so many more words and bytes."""
        slots, arena, starts, tallies, fill = self.table
        room = _doubled(len(slots), 2 * (int(fill[0]) + words))
        if room > len(slots):
            grown = np.zeros((room, 2), np.uint64)
            kernels.rehash(slots, grown)
            slots, starts, tallies = grown, _longer(starts, room // 2 + 1), _longer(tallies, room // 2)
        arena = _longer(arena, _doubled(len(arena), int(fill[1]) + size))
        self.table = (slots, arena, starts, tallies, fill)


class Counts(NamedTuple):
    """Terms with how often they occur and in how many notes, all int64 (F,), in the order of their keys."""

    keys: Array
    counts: Array
    notes: Array

    def take(self, which: Array) -> Counts:
        """Some of them."""
        return Counts(self.keys[which], self.counts[which], self.notes[which])


def common_terms(
    chunks: Sequence[Notes],
    words: Counts,
    form: Form,
    min_df: int,
    most: int | None,
    ties: Literal["name", "sklearn"],
    threads: int,
) -> Counts:
    """The terms in `min_df` notes or more, of these the `most` commonest; `words` are the one-word terms among them."""
    low, high, _ = form
    if high == 1:
        return words.take(_commonest(words.counts, most, ties))
    if low > 1:
        words = words.take(np.zeros(0, np.int64))
    tokens = sum(int(bounds[-1]) for _, bounds in chunks)
    parts = max(1, min(threads, _MOST_SHARES, len(chunks)))
    shares = [chunks[part::parts] for part in range(parts)]
    size = _doubled(64, min(tokens // 4, _MOST_CELLS))
    cells = _sum(_on_all_threads(partial(_sketch, form, size), shares))
    smallest = min(min_df, kernels.FULL)
    least = smallest if most is None or ties == "sklearn" else max(smallest, _likely_cut(cells, words.counts, most))
    while True:
        found = _merged(_on_all_threads(partial(_exact, form, cells, least), shares))
        found = found.take(np.flatnonzero(found.notes >= min_df))
        every = Counts(*(np.concatenate(column) for column in zip(words, found, strict=True)))
        every = every.take(np.argsort(every.keys))
        chosen = every.take(_commonest(every.counts, most, ties))
        if least == smallest or (len(chosen.keys) == most and chosen.counts.min() >= least):
            return chosen
        least = max(smallest, least // 2)  # n-grams that were not looked at may belong to the commonest


def _sketch(form: Form, size: int, share: Sequence[Notes]) -> Array:
    """How often n-grams occur in a share of the notes, at most: uint8 of so many cells."""
    cells = np.zeros(size, np.uint8)
    for notes in share:
        kernels.sketch_ngrams(notes, form, cells)
    return cells


def _sum(sketches: list[Array]) -> Array:
    """Cell by cell, no further than a cell counts; in the first of them."""
    total, *others = sketches
    for other in others:
        room = kernels.FULL - total
        total += np.minimum(other, room)
    return total


def _exact(form: Form, cells: Array, least: int, share: Sequence[Notes]) -> Counts:
    """The n-grams of a share of the notes that occur `least` times or more in all of them, by their cells."""
    table = np.zeros((_doubled(1 << 12, 2 * int(np.count_nonzero(cells >= least))), 4), np.int64)
    fill = np.zeros(2, np.int64)
    for notes in share:
        first = 0
        while (first := kernels.count_ngrams(notes, form, first, cells, least, table, fill)) < len(notes[1]) - 1:
            new = int(notes[1][first + 1] - notes[1][first]) * (form[1] - 1)
            grown = np.zeros((_doubled(len(table), 2 * (int(fill[0]) + new)), 4), np.int64)
            kernels.rehash(table, grown)
            table = grown
    table = table[table[:, 0] != 0]
    return Counts(table[:, 0], table[:, 1], table[:, 2])


def _merged(shares: list[Counts]) -> Counts:
    """Counts of all shares together; no note is in two of them."""
    keys, counts, notes = (np.concatenate(column) for column in zip(*shares, strict=True))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=0))  # keys are positive
    if not len(starts):
        return Counts(keys, counts, notes)
    return Counts(keys[starts], np.add.reduceat(counts[order], starts), np.add.reduceat(notes[order], starts))


def _likely_cut(cells: Array, counts: Array, most: int) -> int:
    """The largest count that more than `most` terms seem to reach, by their cells."""
    reached = np.bincount(cells, minlength=kernels.FULL + 1)
    reached += np.bincount(np.minimum(counts, kernels.FULL), minlength=kernels.FULL + 1)
    enough = np.flatnonzero(reached[::-1].cumsum()[::-1] >= _MARGIN * most)
    return int(enough[-1]) if len(enough) else 0


def _commonest(counts: Array, most: int | None, ties: Literal["name", "sklearn"]) -> Array:
    """Places of the `most` largest counts, rising; of equal counts the first, or those of scikit-learn's sort."""
    if most is None or len(counts) <= most:
        return np.arange(len(counts))
    if ties == "sklearn":
        return np.sort((-counts.astype(np.float32)).argsort()[:most])
    return np.sort(np.argsort(-counts, kind="stable")[:most])


class Index(NamedTuple):
    """Columns of terms by key."""

    form: Form
    column_of_word: Array  # int32 (K,), -1 where a word alone is no term
    table: Array  # int64 (S, 2): key, column

    @classmethod
    def of(cls, keys: Array, form: Form, words: int) -> Self:
        """Keys int64 (F,) in the order of the columns."""
        _, high, bits = form
        shift = bits * (high - 1)
        alone = keys & ((1 << shift) - 1) == 0
        column_of_word = np.full(words, -1, np.int32)
        column_of_word[(keys[alone] >> shift) - 1] = np.flatnonzero(alone)
        columns = np.flatnonzero(~alone)
        table = np.zeros((_doubled(64, 2 * len(columns)), 2), np.int64)
        kernels.index_ngrams(keys[columns], columns, table)
        return cls(form, column_of_word, table)

    def weigh(self, notes: Notes, idf: Array, sublinear: bool) -> tuple[Array, Array, Array]:
        """Columns int32 and weights float32 of each note's terms, and where each note's end (N,)."""
        low, high, _ = self.form
        longest = int(np.diff(notes[1]).max(initial=0))
        damped = np.arange(longest + 1, dtype=np.float64)
        if sublinear:
            damped[1:] = 1 + np.log(damped[1:])
        most = int(notes[1][-1]) * (high - low + 1)
        rows = np.empty(most, np.int32), np.empty(most, np.float32), np.empty(len(notes[1]) - 1, np.int64)
        entries = kernels.weigh(notes, self.form, (self.column_of_word, self.table), damped, idf, rows)
        return rows[0][:entries], rows[1][:entries], rows[2]


def form_of(low: int, high: int, words: int) -> Form:
    """How n-grams of so many different words are packed into 63 bits. Raises DataError where they do not fit."""
    bits = 63 // high
    if words >= 1 << bits:
        raise DataError(
            f"tfidf.ngram_range: n-grams of {high} words need fewer than {1 << bits:,} different words; "
            "shorten them or raise tfidf.min_df"
        )
    return low, high, bits


def keys_of(notes: Notes, form: Form) -> Array:
    """Keys int64 (F,) of terms given as notes of one term each; 0 for a term that is too short or too long."""
    low, high, bits = form
    words, bounds = notes
    sizes = np.diff(bounds)
    keys = np.zeros(len(sizes), np.int64)
    for place in range(high):
        longer = np.flatnonzero(sizes > place)
        keys[longer] |= (words[bounds[longer] + place].astype(np.int64) + 1) << (bits * (high - 1 - place))
    keys[(sizes < low) | (sizes > high)] = 0
    return keys


def words_of(keys: Array, form: Form) -> list[Array]:
    """Ranks of the words of terms, int64 (F,) for each place in a term, -1 behind the last."""
    _, high, bits = form
    return [((keys >> (bits * (high - 1 - place))) & ((1 << bits) - 1)) - 1 for place in range(high)]


def _on_all_threads(work: Callable[[Any], Any], shares: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(len(shares)) as pool:
        return list(pool.map(work, shares))


def _empty_notes(text: Text) -> Notes:
    """Room for every word that these notes can hold."""
    notes = len(text.offsets) - 1
    most = (int(text.offsets[-1] - text.offsets[0]) + notes) // 3
    return np.empty(most, np.int32), np.zeros(notes + 1, np.int64)


def _doubled(room: int, needed: int) -> int:
    """`room` doubled until it suffices."""
    while room < needed:
        room *= 2
    return room


def _longer(array: Array, length: int) -> Array:
    """The same array with zeros behind it."""
    if len(array) >= length:
        return array
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
