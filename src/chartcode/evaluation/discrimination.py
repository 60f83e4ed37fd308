"""How well scores tell patients who have a code from those who have not: AUROC, AUPRC, the precision-recall curve.

Everything follows from two sorted arrays: all scores, and the scores of the true pairs. Sorting values needs no
permutation, so one fast sort per label serves every function here, the thresholds and the calibration; the positives
are then looked up in it. Ties are handled as scikit-learn does: AUROC counts a tie as half (Mann-Whitney), average
precision takes a tie group as one threshold (Davis & Goadrich 2006, no interpolation).

A score of -inf means "never predicted": no threshold reaches it, so it adds nothing to average precision; in AUROC it
ties with the other -inf cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation.cohort import NEVER, Cohort, blocks
from chartcode.privacy import SMALLEST, Cut, apart

GRID = np.linspace(0, 1, 101)  # recall points of the curve; fixed, so no point belongs to a note


@dataclass(frozen=True)
class Sorted:
    """Scores of one label, or of all cells: `values` (n,) and those of the true pairs `positives` (m,), ascending."""

    values: NDArray[np.float32]
    positives: NDArray[np.float32]

    @property
    def constant(self) -> bool:
        """Whether there is no positive or no negative, so that nothing can be told apart."""
        return not 0 < len(self.positives) < len(self.values)


@dataclass(frozen=True)
class Thresholds:
    """Distinct finite scores of true pairs, ascending, and what calling every score >= tau would yield (all (t,))."""

    tau: NDArray[np.float32]
    hits: NDArray[np.int64]  # true pairs called
    called: NDArray[np.int64]  # pairs called
    here: NDArray[np.int64]  # true pairs at exactly tau


def per_label(cohort: Cohort) -> Iterator[Sorted]:
    """`Sorted` of each label, in label order; transposed and sorted block by block."""
    by_label = cohort.truth.tocsc()
    for part in blocks(cohort.labels, cohort.n):
        columns = cohort.scores[:, part].T.copy(order="C")  # (labels of the block, N); sorted in place
        for offset, label in enumerate(range(part.start, part.stop)):
            rows = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
            positives = np.sort(columns[offset, rows])
            columns[offset].sort()
            yield Sorted(columns[offset], positives)


def over_all(cohort: Cohort) -> Sorted:
    """`Sorted` over the ravelled matrix."""
    return Sorted(np.sort(cohort.scores, axis=None), np.sort(cohort.true_scores))


def auroc(scores: Sorted) -> float:
    """Probability that a true pair scores above a false one, ties half; NaN when one of them is absent."""
    if scores.constant:
        return float("nan")
    values, positives = scores.values, scores.positives
    wins = np.searchsorted(values, positives, "left") - np.searchsorted(positives, positives, "left")
    wins_or_ties = np.searchsorted(values, positives, "right") - np.searchsorted(positives, positives, "right")
    false = len(values) - len(positives)
    return (int(wins.sum()) + int(wins_or_ties.sum())) / (2 * len(positives) * false)


def behind(scores: Sorted) -> int:
    """True pairs that a false one stands before or beside."""
    values, positives = scores.values, scores.positives
    reached = len(values) - np.searchsorted(values, positives, "left")
    true = len(positives) - np.searchsorted(positives, positives, "left")
    return int(np.count_nonzero(reached > true))


def at_positives(scores: Sorted) -> Thresholds:
    """The thresholds at which recall changes; between two of them only false calls are added."""
    tau, here = np.unique(scores.positives, return_counts=True)
    reach = tau != NEVER
    tau, here = tau[reach], here[reach]
    hits = len(scores.positives) - np.searchsorted(scores.positives, tau, "left")
    called = len(scores.values) - np.searchsorted(scores.values, tau, "left")
    return Thresholds(tau, hits.astype(np.int64), called.astype(np.int64), here.astype(np.int64))


def average_precision(scores: Sorted) -> float:
    """Area under the precision-recall curve as a step function; NaN when the label is constant."""
    if scores.constant:
        return float("nan")
    at = at_positives(scores)
    return float((at.here * at.hits / at.called).sum() / len(scores.positives))


def precision_at_recall(scores: Sorted, known: Sequence[Cut] = ()) -> NDArray[np.float64]:
    """Best precision of any threshold with at least that recall, for each point of GRID; 0 where none reaches it.

    This curve is published, so thresholds that would show a small cell are left out (`_apart`), beside those already
    `known` too.
    """
    best: NDArray[np.float64] = np.zeros(len(GRID))
    if not len(scores.positives):
        return best
    at = at_positives(scores)
    ends = len(scores.positives), len(scores.values) - len(scores.positives)
    kept = _apart(at.hits, at.called - at.hits, [ends, *known])
    hits, called = at.hits[kept], at.called[kept]
    if not len(hits):
        return best
    # tau ascends, so recall falls along the arrays: a running maximum is the best precision at that recall or more.
    best_so_far = np.maximum.accumulate(hits / called)[::-1]
    needed = np.ceil(np.round(GRID * len(scores.positives), 9))
    first = np.searchsorted(hits[::-1], needed, "left")
    reached = first < len(hits)
    best[reached] = best_so_far[first[reached]]
    return best


def _apart(hits: NDArray[np.int64], false: NDArray[np.int64], known: Sequence[Cut]) -> list[int]:
    """Thresholds, ascending, between which no small cell lies, nor between them and those known: from the highest down,
    each adds 11 hits or more, and no false call or 11 or more."""
    kept: list[int] = []
    last = 0, 0
    cuts: list[Cut] = list(zip(hits.tolist(), false.tolist(), strict=True))
    for place in range(len(cuts) - 1, -1, -1):
        here = cuts[place]
        if here[0] - last[0] >= SMALLEST and apart(here, last) and all(apart(here, cut) for cut in known):
            kept.append(place)
            last = here
    return kept[::-1]


def mean_over_labels(values: NDArray[Any]) -> float:
    """Mean over the labels where the value is defined; NaN when it is for none."""
    defined = ~np.isnan(values)
    return float(values[defined].mean()) if defined.any() else float("nan")
