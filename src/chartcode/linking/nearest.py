"""Names that are spelled like a mention: runs of two to four letters, TF-IDF weighted, cosine.

    cos(q, n) = q . n,   q and n of length 1,   weight of a run = (1 + ln tf) (1 + ln((1 + N) / (1 + df)))

The runs stay within words, so that the order of words does not matter. N names x V runs are kept transposed (V, N): a
batch of queries is one sparse product.
Legend: N names, Q queries, V runs of letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

BATCH = 64  # queries; a batch's cosines are BATCH x N float32: 17 MB for MEDIC's names


class Nearest:
    """The runs of letters of N names."""

    def __init__(self, names: Sequence[str]) -> None:
        rare = 2 if len(names) > 1000 else 1  # a run that only one name has can only be met by that name
        self._vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32, min_df=rare, lowercase=False
        )
        self._names = csr_array(self._vectorizer.fit_transform(names).T)

    def cosines(self, queries: Sequence[str]) -> Iterator[np.ndarray[Any, Any]]:
        """Cosine of every query with every name, batch by batch: (at most BATCH, N) float32."""
        for first in range(0, len(queries), BATCH):
            runs = self._vectorizer.transform(queries[first : first + BATCH])
            yield (csr_array(runs) @ self._names).toarray()


def top(scores: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Places of the `count` highest of a row (N,), highest first; of equals the first in the table."""
    count = min(count, len(scores))
    kth = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > kth)
    found = np.concatenate([above, np.flatnonzero(scores == kth)[: count - len(above)]])
    return found[np.lexsort((found, -scores[found]))]
