"""Small random wards, and slow, obvious definitions of the metrics to hold the fast ones against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from chartcode.evaluation.cohort import Cohort, make

NEG = -np.inf


def ward(
    seed: int,
    notes: int = 40,
    labels: int = 7,
    *,
    patients: int | None = None,
    levels: int | None = None,
    never: float = 0.0,
    prevalence: float = 0.25,
    outside: int = 0,
    signal: float = 0.3,
) -> Cohort:
    """Notes with random labels and scores that follow them (`signal` 1: perfectly); `levels` makes ties, `never` cells
    of -inf, `outside` gold codes beyond the labels."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((notes, labels)) < prevalence * rng.uniform(0.2, 1.8, labels)).astype(np.int8)
    scores = np.clip(signal * truth + (1 - signal) * rng.random((notes, labels)), 0, 1).astype(np.float32)
    if levels:
        scores = (np.round(scores * levels) / levels).astype(np.float32)
    scores[rng.random((notes, labels)) < never] = NEG
    owner = rng.integers(0, patients or notes, notes)
    n_codes = truth.sum(1) + (rng.integers(0, outside + 1, notes) if outside else 0)
    codes = [f"A{label:03d}" for label in range(labels)]
    return make("test", codes, truth, scores, patients=owner, n_codes=n_codes)


@st.composite
def wards(draw: st.DrawFn, never: bool = True) -> Cohort:
    """Wards of every awkward shape: one note, one label, all ties, no positives, codes never predicted."""
    return ward(
        draw(st.integers(0, 10**6)),
        draw(st.integers(1, 30)),
        draw(st.integers(1, 9)),
        patients=draw(st.integers(1, 12)),
        levels=draw(st.sampled_from([None, 1, 2, 4])),
        never=draw(st.sampled_from([0.0, 0.3, 1.0])) if never else 0.0,
        prevalence=draw(st.sampled_from([0.0, 0.1, 0.4, 1.2])),
        outside=draw(st.integers(0, 3)),
    )


def dense(cohort: Cohort) -> NDArray[np.int64]:
    """Truth as a dense (N, L) array."""
    return cohort.truth.toarray().astype(np.int64)


def ranked_list(scores: NDArray[Any]) -> list[int]:
    """Labels of one note, best first, ties by label index; codes never predicted are not on the list."""
    order = sorted(range(len(scores)), key=lambda label: (-scores[label], label))
    return [label for label in order if scores[label] != NEG]


def precision_at(cohort: Cohort, k: int) -> list[float]:
    """P@k of each note, by walking its list."""
    truth = dense(cohort)
    return [sum(truth[i, x] for x in ranked_list(cohort.scores[i])[:k]) / k for i in range(cohort.n)]


def r_precision(cohort: Cohort) -> list[float]:
    """Precision at the number of true labels, 0 without any."""
    truth = dense(cohort)
    found = []
    for i in range(cohort.n):
        true = int(truth[i].sum())
        found.append(sum(truth[i, x] for x in ranked_list(cohort.scores[i])[:true]) / true if true else 0.0)
    return found


def average_precision(cohort: Cohort, denominators: Sequence[int]) -> list[float]:
    """Average precision of each note's list, divided by the number given."""
    truth = dense(cohort)
    found = []
    for i in range(cohort.n):
        hits, total = 0, 0.0
        for place, label in enumerate(ranked_list(cohort.scores[i]), 1):
            if truth[i, label]:
                hits += 1
                total += hits / place
        found.append(total / denominators[i] if denominators[i] else 0.0)
    return found


def f1(truth: NDArray[Any], called: NDArray[Any]) -> float:
    """F1 of two arrays of 0/1."""
    hits = int((truth.astype(bool) & called.astype(bool)).sum())
    both = int(truth.sum()) + int(called.sum())
    return 2 * hits / both if both else 0.0


def macro_f1(truth: NDArray[Any], called: NDArray[Any]) -> float:
    """Mean F1 over columns with a true row."""
    values = [f1(truth[:, j], called[:, j]) for j in range(truth.shape[1]) if truth[:, j].any()]
    return sum(values) / len(values) if values else float("nan")
