"""TF-IDF of a hospital's notes: the terms and weights of scikit-learn's TfidfVectorizer, streamed and on every core.

As `TfidfVectorizer(ngram_range, min_df, max_features, sublinear_tf, lowercase=True, strip_accents="unicode")` has it:
- a word is a run of two or more letters, digits or underscores, lower case, without accents; a term is a run of words;
- a term is kept if `min_df` notes or more hold it, and if it is among the `max_features` commonest;
- weight = (1 + ln count, or count) * (1 + ln((1 + N) / (1 + notes with the term))); each note's row has length 1.
Terms equally common at the cut: the first names stay. `ties="sklearn"` cuts as scikit-learn's unstable sort does on
this machine, for comparison.

Words become numbers while the notes stream by, then n-grams are counted (`terms_count.py`) and weighed. Besides the
matrix there are only the numbers, 4 bytes a word, let go as rows are written. Results depend neither on the number of
threads nor on how the notes are batched. numba is loaded, and the loops compiled, at first use.
Legend: N notes, T tokens, K words, F features.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.errors import DataError
from chartcode.parallel import cores, in_order

if TYPE_CHECKING:
    from chartcode.coders.terms_count import Index, Text, Words
    from chartcode.coders.terms_kernel import Notes

Array = np.ndarray[Any, Any]
Rows = tuple[Array, Array, Array]  # columns int32, weights float32, end of each row (N,)

BLOCK = 64  # notes a task: what a task allocates stays in the heap
_WORD = re.compile(r"\w\w+")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_NO_LETTER = re.compile(r"\W")
# What a byte counts as in a word, 0 = not part of one: in folded text, and in plain ASCII text.
_FOLDED = np.array([b if b >= 128 or chr(b).isalnum() or chr(b) == "_" else 0 for b in range(256)], np.uint8)
_ASCII = np.array([ord(chr(b).lower()) if b < 128 and _FOLDED[b] else 0 for b in range(256)], np.uint8)


class TfidfTerms:
    """Vocabulary and weights of word n-grams. Texts come as Arrow string arrays, one note an element."""

    def __init__(
        self,
        ngram_range: tuple[int, int] = (1, 2),
        min_df: int = 5,
        max_features: int | None = 200_000,
        sublinear_tf: bool = True,
        ties: Literal["name", "sklearn"] = "name",
        threads: int | None = None,
    ) -> None:
        self.low, self.high = ngram_range
        self.min_df = min_df
        self.max_features = max_features
        self.sublinear_tf = sublinear_tf
        self.ties = ties
        self.threads = threads or cores()
        self._set([], np.zeros(0))

    def _set(self, terms: list[str], idf: Array) -> None:
        self.terms_ = terms  # (F,) in the order of the columns, sorted
        self.idf_ = idf  # float64 (F,)
        self._columns: dict[str, int] | None = None
        self._lookup: tuple[Words, Index] | None = None

    @classmethod
    def restore(cls, terms: Sequence[str], idf: Array, ngram_range: tuple[int, int], sublinear_tf: bool = True) -> Self:
        """What `fit` learned, from `terms_` and `idf_`. Raises DataError if these are not terms in their order."""
        restored = cls(ngram_range, sublinear_tf=sublinear_tf)
        restored._set(list(terms), np.asarray(idf, np.float64))
        restored._find_terms()
        return restored

    def fit(self, batches: Iterable[pa.Array]) -> Self:
        """Learn terms and idf. Raises DataError when no term is common enough."""
        self._learn(batches)
        return self

    def fit_transform(self, batches: Iterable[pa.Array]) -> sp.csr_array:
        """The same and, without reading the notes again, their weights as `transform` gives them."""
        notes, index, entries = self._learn(batches)
        notes.reverse()
        blocks = (notes.pop() for _ in range(len(notes)))  # each is let go when its rows are written
        rows = in_order(self.threads, lambda block: index.weigh(block, self.idf_, self.sublinear_tf), blocks)
        return _stacked(rows, len(self.terms_), entries)

    def transform(self, batches: Iterable[pa.Array]) -> sp.csr_array:
        """Weights of notes, float32 (N, F): int32 columns, rising in each row; rows of length 1, or empty."""
        words, index = self._find_terms()

        def rows(texts: pa.LargeStringArray) -> Rows:
            return index.weigh(words.find(_bytes_of(texts)), self.idf_, self.sublinear_tf)

        return _stacked(in_order(self.threads, rows, _blocks(batches)), len(self.terms_))

    def occurrences(self, text: str) -> Iterator[tuple[int, int, int]]:
        """(start, end, column) of every term in a note, in code points of the note, end exclusive."""
        if self._columns is None:
            self._columns = {term: column for column, term in enumerate(self.terms_)}
        folded, origin = _folded_with_origin(text)
        words = [(origin[m.start()], origin[m.end() - 1] + 1, m.group()) for m in _WORD.finditer(folded)]
        for size in range(self.low, self.high + 1):
            for first in range(len(words) - size + 1):
                run = words[first : first + size]
                column = self._columns.get(" ".join(word for _, _, word in run))
                if column is not None:
                    yield run[0][0], run[-1][1], column

    def _learn(self, batches: Iterable[pa.Array]) -> tuple[list[Notes], Index, int]:
        """Sets terms and idf; the notes as ranks of words, the columns of the terms, and entries of the matrix."""
        from chartcode.coders import terms_count, terms_kernel

        notes, words = self._number(batches)
        kept = np.flatnonzero(words.notes >= self.min_df)
        names = words.names(kept)
        order = sorted(range(len(names)), key=names.__getitem__)  # UTF-8 sorts as code points do
        kept, sorted_names = kept[order], [names[place].decode() for place in order]
        form = terms_count.form_of(self.low, self.high, len(kept))
        ranks = np.full(len(words), -1, np.int32)
        ranks[kept] = np.arange(len(kept))
        for _ in in_order(self.threads, lambda block: terms_kernel.relabel(block[0], ranks), iter(notes)):
            pass
        alone = np.arange(1, len(kept) + 1, dtype=np.int64) << (form[2] * (self.high - 1))
        found = terms_count.common_terms(
            notes,
            terms_count.Counts(alone, words.counts[kept], words.notes[kept]),
            form,
            self.min_df,
            self.max_features,
            self.ties,
            self.threads,
        )
        if not len(found.keys):
            raise DataError("tfidf.min_df: no term is in so many notes; lower it")
        total = sum(len(bounds) - 1 for _, bounds in notes)
        columns = [ranks.tolist() for ranks in terms_count.words_of(found.keys, form)]
        terms = [" ".join(sorted_names[r] for r in term if r >= 0) for term in zip(*columns, strict=True)]
        # Not np.log: its last bit depends on the vector units of the CPU.
        rarity = [math.log(ratio) for ratio in ((1 + total) / (1 + found.notes)).tolist()]
        self._set(terms, np.array(rarity) + 1)
        return notes, terms_count.Index.of(found.keys, form, len(kept)), int(found.notes.sum())

    def _number(self, batches: Iterable[pa.Array]) -> tuple[list[Notes], Words]:
        """Notes as numbers of words, and those words. Each thread fills a table of its own; then they become one."""
        from chartcode.coders import terms_count, terms_kernel

        tables = [terms_count.Words() for _ in range(self.threads)]
        free: SimpleQueue[int] = SimpleQueue()
        for number in range(self.threads):
            free.put(number)

        def count(texts: pa.LargeStringArray) -> tuple[int, Notes]:
            number = free.get()
            try:
                return number, tables[number].count(_bytes_of(texts))
            finally:
                free.put(number)

        shelf = _Shelf()
        found = in_order(self.threads, count, _blocks(batches))
        counted = [(number, (shelf.put(notes), bounds)) for number, (notes, bounds) in found]
        words = tables[0]
        numbers = [np.arange(len(words), dtype=np.int32), *(words.merge(table) for table in tables[1:])]
        for number, (block, _) in counted:
            if number:
                terms_kernel.relabel(block, numbers[number])
        return [notes for _, notes in counted], words

    def _find_terms(self) -> tuple[Words, Index]:
        """The words of the terms, numbered by rank, and the terms' columns."""
        from chartcode.coders import terms_count

        if self._lookup is None:
            words = terms_count.Words()
            names = sorted({word for term in self.terms_ for word in term.split(" ")})
            words.count(_text(["\n".join(names)]))
            form = terms_count.form_of(self.low, self.high, len(names))
            keys = terms_count.keys_of(words.find(_text(self.terms_)), form)
            if len(words) != len(names) or len(keys) != len(self.idf_) or (np.diff(keys, prepend=0) <= 0).any():
                raise DataError("terms: not the sorted terms of this ngram_range with an idf each; fit the coder anew")
            self._lookup = words, terms_count.Index.of(keys, form, len(names))
        return self._lookup


@cache
def _plain(character: str) -> str:
    """A lower-case character without accents, what is no letter as a blank; no character depends on its neighbours."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return _NO_LETTER.sub(" ", bare)


def _folded(text: str) -> str:
    """A note in lower case without accents, as scikit-learn sees it."""
    lowered = text.lower()
    return lowered if lowered.isascii() else _FOREIGN.sub(lambda match: _plain(match.group()), lowered)


def _folded_with_origin(text: str) -> tuple[str, Sequence[int]]:
    """The same, and for each of its characters the place in `text` that it comes from."""
    lowered = text.lower()
    if text.isascii():
        return lowered, range(len(text))
    folded: list[str] = []
    origin: list[int] = []
    at = 0
    for place, character in enumerate(text):
        size = len(character.lower())  # of its part of `lowered`, whose sigma depends on what stands around it
        plain = "".join(map(_plain, lowered[at : at + size]))
        at += size
        folded.append(plain)
        origin.extend([place] * len(plain))
    return "".join(folded), origin


def _text(folded: Iterable[str]) -> Text:
    from chartcode.coders.terms_count import Text

    parts = [text.encode() for text in folded]
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return Text(np.frombuffer(b"".join(parts), np.uint8), offsets, _FOLDED)


def _bytes_of(texts: pa.LargeStringArray) -> Text:
    """Notes as bytes: ASCII notes where they lie, others folded first."""
    from chartcode.coders.terms_count import Text

    _, places, content = texts.buffers()
    offsets = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1].copy()
    found = np.frombuffer(content or b"", np.uint8)
    found.flags.writeable = False  # always, so that the loops are compiled once
    if found[offsets[0] : offsets[-1]].max(initial=0) < 128:
        return Text(found, offsets, _ASCII)
    return _text(map(_folded, texts.to_pylist()))


def _blocks(batches: Iterable[pa.Array]) -> Iterator[pa.LargeStringArray]:
    """Notes in blocks of one task each. Raises DataError for a note without text."""
    for batch in batches:
        for array in batch.chunks if isinstance(batch, pa.ChunkedArray) else [batch]:
            if array.null_count:
                raise DataError("text: a note is null; every note needs a text, which may be empty")
            texts = array.cast(pa.large_string())
            yield from (texts.slice(start, BLOCK) for start in range(0, len(texts), BLOCK))


class _Shelf:
    """Arrays side by side in stretches so large that their memory goes back to the system when all of it is let go."""

    STRETCH = 1 << 24  # 64 MB of int32: glibc never keeps more than 32 MB for itself

    def __init__(self) -> None:
        self._room = np.empty(0, np.int32)

    def put(self, array: Array) -> Array:
        """The same, int32, in its place."""
        if len(array) > len(self._room):
            self._room = np.empty(max(self.STRETCH, len(array)), np.int32)
        place, self._room = self._room[: len(array)], self._room[len(array) :]
        place[:] = array
        return place


def _stacked(rows: Iterable[Rows], features: int, entries: int = 0) -> sp.csr_array:
    """One matrix of all rows, grown in place where the number of `entries` is not known."""
    indices, data = np.empty(entries, np.int32), np.empty(entries, np.float32)
    ends = [np.zeros(1, np.int64)]
    at = 0
    for columns, weights, end in rows:
        stop = at + len(columns)
        if stop > len(data):
            for array in (indices, data):
                array.resize(max(stop, len(array) * 3 // 2), refcheck=False)
        indices[at:stop], data[at:stop] = columns, weights
        ends.append(at + end)
        at = stop
    for array in (indices, data):
        array.resize(at, refcheck=False)
    indptr = np.concatenate(ends)
    if at <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    matrix = sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, features))
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix
