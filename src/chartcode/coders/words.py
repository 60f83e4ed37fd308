"""Words of notes as numbers, and vectors for them, both from the train notes alone.

A word is a run of letters and digits that begins with a letter, lower case and without accents; numbers by themselves
are left out, as LAAT does, and a mark that ends a statement (. ; :) is a word of its own: what a denial covers ends
there. Number 0 is every word that too few train notes hold.
Vectors: positive pointwise mutual information of words that stand close together, brought to few dimensions by a
truncated singular value decomposition (Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization";
Levy et al. 2015, TACL 3, for the smoothed context distribution and the root of the singular values).
Legend: N notes, T tokens, K words, E width of a vector.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from chartcode.coders.base import FloatArray
from chartcode.coders.batches import Array, Documents
from chartcode.errors import DataError

UNKNOWN = 0
TOGETHER = 4096  # notes whose words are counted at once
WINDOW = 5  # words on either side that count as close
SMOOTHED = 0.75  # power of the counts of contexts
_WORD = re.compile(r"[^\W\d_][^\W_]*|[.;:]")
MARK, DIGIT, LETTER = 1, 2, 3
_KIND = np.zeros(128, np.uint8)  # of an ASCII character
for _number in range(128):
    _character = chr(_number)
    _KIND[_number] = LETTER if _character.isalpha() else DIGIT if _character.isdigit() else MARK * (_character in ".;:")


def words_of(text: str) -> tuple[list[str], Array]:
    """The words of a clean text, and their places int32 (T, 2) in it, code points, end exclusive."""
    if text.isascii():
        places = _places(np.frombuffer(text.encode(), np.uint8))
        lower = text.lower()
        return [lower[start:end] for start, end in places.tolist()], places
    found = list(_WORD.finditer(text))
    places = np.array([match.span() for match in found], np.int32).reshape(-1, 2)
    return [_plain(match.group()) for match in found], places


def _places(letters: Array) -> Array:
    """What `_WORD` finds in ASCII text (T, 2), several times as fast."""
    kind = _KIND[letters]
    inside, letter = kind >= DIGIT, kind == LETTER
    seen = np.cumsum(letter)
    in_run = seen - np.maximum.accumulate(np.where(inside, 0, seen))  # letters since the last blank or mark
    after = np.append(inside[1:], False)
    mark = np.flatnonzero(kind == MARK)
    starts = np.append(np.flatnonzero(letter & (in_run == 1)), mark)
    ends = np.append(np.flatnonzero(inside & ~after & (in_run > 0)), mark) + 1
    order = np.argsort(starts, kind="stable")
    return np.stack([starts[order], ends[order]], 1).astype(np.int32)


def _plain(word: str) -> str:
    """Lower case, without accents."""
    if not word.isascii():
        word = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return word.lower()


class Vocabulary:
    """The words that a network knows, the commonest first, numbered from 1."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}

    def __len__(self) -> int:
        return len(self.words) + 1

    @classmethod
    def learn(cls, texts: Iterable[str], min_df: int) -> Vocabulary:
        """Words in `min_df` notes or more, by falling number of notes, then by name. DataError if there are none."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update({_plain(word) for word in set(_WORD.findall(text))})
        common = [word for word, number in counts.items() if number >= min_df]
        kept = sorted(common, key=lambda word: (-counts[word], word))
        if not kept:
            raise DataError("laat.min_df: no word is in so many notes; lower it")
        return cls(kept)

    def numbers(self, words: Iterable[str]) -> Array:
        """Their numbers, int32 (T,)."""
        known = self._numbers
        return np.array([known.get(word, UNKNOWN) for word in words], np.int32)


def vectors(notes: Documents, size: int, width: int, seed: int) -> FloatArray:
    """A vector for each of the `size` words, float32 (K, E), from where they stand; its numbers are of unit spread.

    Sums are taken on one thread: their order decides the last bits.
    """
    counts = _together(notes, size)
    of_word = np.asarray(counts.sum(axis=1)).ravel()
    of_context = of_word**SMOOTHED
    entries = counts.tocoo()
    share = of_context[entries.col] / of_context.sum()
    information = np.log(entries.data / (of_word[entries.row] * share))
    kept = information > 0
    matrix = sp.csr_matrix(
        (information[kept].astype(np.float32), (entries.row[kept], entries.col[kept])), shape=(size, size)
    )
    wide = min(width, size - 1)
    with threadpool_limits(1):
        left, values, _ = randomized_svd(matrix, wide, n_iter=3, random_state=seed)
    found = np.zeros((size, width), np.float32)
    found[:, :wide] = left * np.sqrt(values)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(lengths, 1e-6) * np.sqrt(width), np.float32)


def _together(notes: Documents, size: int) -> sp.csr_matrix:
    """How often words stand within WINDOW of each other (K, K), symmetric; nearer ones count more (1 / distance).

    Counted some notes at a time: the pairs of all would take over 100 bytes a token.
    """
    counted = sp.csr_matrix((size, size), dtype=np.float64)
    for first in range(0, len(notes), TOGETHER):
        starts = notes.starts[first : first + TOGETHER + 1]
        ids, note = notes.ids[starts[0] : starts[-1]], np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        for distance in range(1, WINDOW + 1):
            same = note[:-distance] == note[distance:]
            pairs = ids[:-distance][same], ids[distance:][same]
            weight = np.full(len(pairs[0]), 1.0 / distance)
            counted = counted + sp.coo_matrix((weight, pairs), shape=(size, size)).tocsr()
    return sp.csr_matrix(counted + counted.T)
