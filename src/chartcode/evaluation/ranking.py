"""How far up the list of suggestions a coder must read: precision and recall at k, R-precision, average precision.

The rank of a true code is one plus the number of labels before it: those with a larger score, and those with the same
score and a smaller label index (ties are broken by label order, always). It is counted, not sorted, so only true pairs
cost anything. A code scored -inf is on no list: it is never found, whatever k.

P@k divides by k even where k exceeds the number of labels; R@k divides by the true labels, and is NaN without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation.beyond import average_precision
from chartcode.evaluation.cohort import BLOCK, NEVER, Cohort
from chartcode.evaluation.decisions import ratio


@dataclass(frozen=True)
class NoteRanking:
    """Per note: `hits[k]` (N,) true labels among the first k, and the three measures (N,) of the whole list."""

    hits: dict[int, NDArray[np.int64]]
    r_precision: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    average_precision_all_codes: NDArray[np.float64]  # divided by every gold code of the note, in a list of all codes


def ranks(cohort: Cohort) -> NDArray[np.int64]:
    """Rank (from 1) of every true pair in its note's list (M,); 0 for a code that is on no list."""
    rows, columns, scores = cohort.rows, cohort.columns, cohort.true_scores
    found = np.zeros(len(rows), dtype=np.int64)
    order = np.arange(cohort.labels)
    step = max(1, BLOCK // max(1, cohort.labels))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        lists = cohort.scores[rows[part]]  # (pairs, L)
        own = scores[part, None]
        before = np.count_nonzero(lists > own, axis=1)
        tied = lists == own
        # Most scores have no twin: look at label order only where one exists.
        twins = np.flatnonzero(np.count_nonzero(tied, axis=1) > 1)
        before[twins] += np.count_nonzero(tied[twins] & (order < columns[part][twins, None]), axis=1)
        found[part] = before + 1
    found[scores == NEVER] = 0
    return found


def rank_notes(cohort: Cohort, ks: Sequence[int]) -> NoteRanking:
    """Every ranking measure of each note."""
    rank, rows, n = ranks(cohort), cohort.rows, cohort.n
    listed = rank > 0
    true = cohort.note_positives
    hits = {k: np.bincount(rows[listed & (rank <= k)], minlength=n) for k in ks}
    first = np.bincount(rows[listed & (rank <= true[rows])], minlength=n)

    order = np.lexsort((rank[listed], rows[listed]))
    note, place = rows[listed][order], rank[listed][order]
    start = np.searchsorted(note, note, "left")
    precision = (np.arange(len(note)) - start + 1) / place  # at each true code, down the list
    total = np.bincount(note, weights=precision, minlength=n)
    every = ratio(total, cohort.n_codes)
    if cohort.beyond is not None:
        every = average_precision(cohort.scores, cohort.truth, rank, cohort.beyond, cohort.n_codes)
    return NoteRanking(hits, ratio(first, true), ratio(total, true), every)
