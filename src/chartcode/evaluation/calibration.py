"""Whether a score of 0.3 means three patients in ten: Brier score, calibration error, the reliability curve.

Bins hold equal numbers of cells (15 of them, Naeini et al. 2015 with equal mass), except that equal scores are never
parted: a cut inside a tie group moves to its start, so the result does not depend on any order. -inf counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation.discrimination import Sorted
from chartcode.privacy import Cut, apart, merge_small

BINS = 15


@dataclass(frozen=True)
class Bins:
    """Equal-mass bins (B,), by rising score: lowest score, cells, true cells, and the sum of their scores."""

    lowest: NDArray[np.float32]
    size: NDArray[np.int64]
    positives: NDArray[np.int64]
    total: NDArray[np.float64]


def equal_mass(scores: Sorted, bins: int = BINS) -> Bins:
    """`bins` bins of about n / bins cells each; fewer when scores tie."""
    values, positives = scores.values, scores.positives
    n = len(values)
    cuts = np.arange(bins, dtype=np.int64) * n // bins
    start = np.unique(np.searchsorted(values, values[cuts], "left")) if n else np.zeros(0, dtype=np.int64)
    true_before = np.append(np.searchsorted(positives, values[start], "left"), len(positives))
    total = np.add.reduceat(np.maximum(values, 0), start, dtype=np.float64) if n else np.zeros(0)
    return Bins(values[start], np.diff(np.append(start, n)), np.diff(true_before), total)


def calibration_error(scores: Sorted, bins: int = BINS) -> float:
    """Expected calibration error: mean over cells of |mean score - share true| of the cell's bin."""
    found = equal_mass(scores, bins)
    return float(np.abs(found.total - found.positives).sum() / max(1, len(scores.values)))


def brier(scores: Sorted) -> float:
    """Mean squared difference between score and truth."""
    values = np.maximum(scores.values, 0)
    positives = np.maximum(scores.positives, 0)
    squares = np.einsum("i,i->", values, values, dtype=np.float64)
    true = np.sum(positives, dtype=np.float64)
    return float((squares - 2 * true + len(positives)) / max(1, len(values)))


def reliability(scores: Sorted, known: Sequence[Cut] = ()) -> tuple[NDArray[np.float64], list[Cut]]:
    """Mean score and share true of each bin (B, 2), and where bins begin.

    Bins are merged until none shows a small cell, by itself or beside the thresholds already `known`.
    """
    found = equal_mass(scores)
    cells = merge_small(list(zip(found.size.tolist(), found.positives.tolist(), found.total.tolist(), strict=True)))
    above = len(scores.positives), len(scores.values) - len(scores.positives)
    merged: list[tuple[int, int, float]] = []
    cuts: list[Cut] = []
    for size, true, total in cells:
        if not merged or all(apart(above, cut) for cut in known):
            merged.append((size, true, total))
            cuts.append(above)
        else:
            last = merged.pop()
            merged.append((last[0] + size, last[1] + true, last[2] + total))
        above = above[0] - true, above[1] - (size - true)
    return np.asarray([(total / size, true / size) for size, true, total in merged]).reshape(-1, 2), cuts
