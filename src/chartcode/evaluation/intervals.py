"""How far a number would move with other patients: percentile bootstrap over patients, 95%.

Patients are drawn, not notes: notes of one patient repeat each other. A round is a vector of weights (how often each
patient was drawn); every metric is a function of sums over patients, so all rounds are one product, weights (R, P) by
sums (P, .). Products go through scipy's sparse kernel: its order of summation is fixed, that of a threaded BLAS is not.

Percentile interval: Efron & Tibshirani 1993, ch. 13. Each round recomputes the metric whole: macro-F1 averages over
the labels that have a true note in that round. Rare labels pull its rounds off the estimate (3,000 notes, 2,000 labels:
estimate .515, percentiles .484 to .507), so every interval is moved by that bias, the estimate less the mean of the
rounds (ch. 10); for a metric that is a mean over notes the move is next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.evaluation.cohort import Cohort, blocks
from chartcode.evaluation.decisions import Calls, f1, ratio

LEVEL = 0.95


def weights(patients: int, rounds: int, seed: int) -> NDArray[np.float64]:
    """How often each patient is drawn in each round (R, P); rows sum to P."""
    generator = np.random.default_rng(seed)
    drawn = np.empty((rounds, patients))
    for row in drawn:
        row[:] = np.bincount(generator.integers(0, patients, patients), minlength=patients)
    return drawn


def interval(values: NDArray[np.float64], estimate: float, least: float = 0, most: float = 1) -> tuple[float, float]:
    """Percentiles of the rounds (R,) moved by their bias, within bounds; undefined rounds (NaN) do not count."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    ends = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = np.clip(ends + (estimate - defined.mean()), least, most)
    return float(low), float(high)


def note_means(
    cohort: Cohort, drawn: NDArray[np.float64], values: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Mean over notes of each value (N,), per round (R,)."""
    sums = note_sums(cohort, drawn, values)
    notes = sums.pop("")
    return {name: ratio(row, notes) for name, row in sums.items()}


def note_sums(
    cohort: Cohort, drawn: NDArray[np.float64], values: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Sum over notes of each value (N,), per round (R,); under the empty name, the number of notes."""
    named = {"": np.ones(cohort.n), **values}
    sums = np.vstack(list(named.values())) @ _patients(cohort).T  # (1 + values, P)
    rounds = csr_array(sums) @ drawn.T  # (1 + values, R)
    return dict(zip(named, rounds, strict=True))


Sums = tuple[Any, ...]  # right, called and true notes of each patient and label, three (P, L) CSC matrices


def f1_rounds(cohort: Cohort, drawn: NDArray[np.float64], tau: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Micro-F1 and macro-F1 at thresholds `tau`, per round (R,); macro is NaN in a round without a true label."""
    return f1_rounds_of([(patient_sums(cohort, tau), drawn)])


def patient_sums(cohort: Cohort, tau: NDArray[np.float32]) -> Sums:
    """What F1 at thresholds `tau`, (L,) or (N, L), is made of."""
    by_patient = _patients(cohort)
    return tuple((by_patient @ cells).tocsc() for cells in Calls.of(cohort, tau).all)


def f1_rounds_of(parts: Sequence[tuple[Sums, NDArray[np.float64]]]) -> tuple[NDArray[np.float64], ...]:
    """The same when a round is made of several coders on the same notes, each patient of each with a weight (R, P)."""
    rounds, labels = len(parts[0][1]), parts[0][0][0].shape[1]
    weighed = [(sums, np.ascontiguousarray(weights.T)) for sums, weights in parts]
    totals = np.zeros((3, rounds))
    f1_sum, with_true = np.zeros(rounds), np.zeros(rounds)
    for part in blocks(labels, rounds):
        right, called, true = (
            np.sum([csr_array(sums[which][:, part].T) @ weights for sums, weights in weighed], axis=0)
            for which in range(3)
        )  # (labels of the block, R) each
        totals += [cells.sum(axis=0) for cells in (right, called, true)]
        present = true > 0
        f1_sum += np.where(present, f1(right, called, true), 0).sum(axis=0)
        with_true += present.sum(axis=0)
    macro = np.full(rounds, np.nan)
    np.divide(f1_sum, with_true, out=macro, where=with_true > 0)
    return f1(*totals), macro


def _patients(cohort: Cohort) -> csr_array:
    """Which notes are whose (P, N)."""
    n = cohort.n
    return csr_array((np.ones(n), (cohort.patients, np.arange(n))), shape=(cohort.size, n))
