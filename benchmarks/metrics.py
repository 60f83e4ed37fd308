"""How long metrics, intervals and tests take, beside scikit-learn where it has them, and for the full label space.

Alone    python -m benchmarks.metrics          12,000 notes x 50 labels, paired with scikit-learn
         python -m benchmarks.metrics full     20,000 notes x 7,942 labels, MIMIC-IV's: seconds and peak RSS
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from scipy.sparse import csr_array
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from chartcode.evaluation import errors
from chartcode.evaluation.areas import area_rounds, calibration_rounds
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.decisions import Calls
from chartcode.evaluation.discrimination import auroc, average_precision, over_all, per_label, precision_at_recall
from chartcode.evaluation.headline import FEW_ROUNDS, MANY_LABELS, headline, label_scores
from chartcode.evaluation.intervals import f1_rounds, note_means, weights
from chartcode.evaluation.paired import Side, differences
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.recalibration import fit
from chartcode.evaluation.thresholds import best_threshold, choose
from chartcode.params import EvaluateParams

ROUNDS = 5  # of each paired timing
ROUNDS_OF_ALL = 1000  # of the bootstrap
PARAMS = EvaluateParams(
    threshold="global", calibrate="none", cross_fit=False, top_k=[5, 8, 15], bootstrap_rounds=1000, seed=1
)


def ward(notes: int, labels: int, mean_codes: float) -> Cohort:
    """Random notes with a long-tailed label frequency and scores that know something about the truth."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, labels + 1)
    share = np.minimum(0.6, share / share.sum() * mean_codes)
    rows, columns = [], []
    for label in range(labels):
        found = np.flatnonzero(rng.random(notes) < share[label])
        rows.append(found)
        columns.append(np.full(len(found), label))
    row, column = np.concatenate(rows), np.concatenate(columns)
    truth = csr_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=(notes, labels))
    scores = rng.random((notes, labels), dtype=np.float32) * np.sqrt(share).astype(np.float32)
    scores[row, column] += 0.4 * rng.random(len(row), dtype=np.float32)
    np.minimum(scores, 1, out=scores)
    codes = [f"C{label:05d}" for label in range(labels)]
    return make("test", codes, truth, scores, patients=np.arange(notes) // 2)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds of one call, and what it returned."""
    start = time.process_time()
    value = work()
    return time.process_time() - start, value


def paired(name: str, slow: Callable[[], object], fast: Callable[[], object]) -> None:
    """Run both in turn, print the medians, their ratio and the largest difference."""
    seconds: tuple[list[float], list[float]] = ([], [])
    values: list[object] = [None, None]
    for _ in range(ROUNDS):
        for side, work in enumerate((slow, fast)):
            used, values[side] = timed(work)
            seconds[side].append(used)
    theirs, ours = median(seconds[0]), median(seconds[1])
    gap = np.abs(np.asarray(values[0], dtype=float) - np.asarray(values[1], dtype=float)).max()
    print(f"{name:44s} {theirs:8.3f} s  {ours:8.4f} s  {theirs / ours:7.1f}x  largest difference {gap:.1e}")


def against_sklearn(cohort: Cohort) -> None:
    """AUROC, AUPRC and the threshold search, per label and micro."""
    truth, scores = cohort.truth.toarray(), cohort.scores
    labels = range(cohort.labels)
    flat_truth, flat = truth.ravel(), scores.ravel()

    def curve_threshold(true: np.ndarray, said: np.ndarray) -> float:
        precision, recall, tau = precision_recall_curve(true, said)
        both = precision + recall
        f1 = 2 * precision * recall / np.where(both > 0, both, 1)
        best = np.flatnonzero(f1[:-1] == f1[:-1].max())[-1]
        return float(tau[best])

    def grid_f1() -> list[float]:
        return [f1_score(flat_truth, flat >= np.float32(t), zero_division=0) for t in np.arange(0.1, 0.7, 0.1)]

    def ours_grid() -> list[float]:
        cells = over_all(cohort)
        hits, called = (
            len(a) - np.searchsorted(a, np.arange(0.1, 0.7, 0.1).astype(np.float32))
            for a in (cells.positives, cells.values)
        )
        return list(2 * hits / (called + len(cells.positives)))

    print(f"{cohort.n} notes x {cohort.labels} labels; CPU seconds, median of {ROUNDS} paired rounds")
    print(f"{'':44s} {'sklearn':>10s}  {'chartcode':>10s}")
    paired(
        "AUROC and AUPRC per label",
        lambda: [
            (roc_auc_score(truth[:, j], scores[:, j]), average_precision_score(truth[:, j], scores[:, j]))
            for j in labels
        ],
        lambda: [(auroc(s), average_precision(s)) for s in per_label(cohort)],
    )
    paired(
        "AUROC and AUPRC micro",
        lambda: [roc_auc_score(flat_truth, flat), average_precision_score(flat_truth, flat)],
        lambda: [f(cells) for cells in [over_all(cohort)] for f in (auroc, average_precision)],
    )
    paired(
        "best threshold per label (exact)",
        lambda: [curve_threshold(truth[:, j], scores[:, j]) for j in labels],
        lambda: [best_threshold(s) for s in per_label(cohort)],
    )
    paired(
        "best threshold micro (exact)",
        lambda: curve_threshold(flat_truth, flat),
        lambda: best_threshold(over_all(cohort)),
    )
    paired("micro-F1 on a grid of 6 thresholds", grid_f1, ours_grid)


def whole(cohort: Cohort) -> None:
    """Each step of evaluate on one split, and of a comparison of two coders."""
    print(f"{cohort.n} notes x {cohort.labels} labels, {cohort.true_scores.size} true pairs, {cohort.size} patients")
    print(f"{'':44s} {'CPU s':>8s}")
    begin = time.process_time()
    cells = step("sort every score", lambda: over_all(cohort))
    chosen = step("thresholds, global and per label", lambda: choose(cohort, cells))
    labels = step("AUROC, AUPRC, ECE per label", lambda: label_scores(cohort))
    step("precision-recall curve", lambda: precision_at_recall(cells))
    ranking = step("P@k, R-precision, MAP", lambda: rank_notes(cohort, PARAMS.top_k))
    tau, without = chosen.arrays(), PARAMS.model_copy(update={"bootstrap_rounds": 0})
    step("every headline number, no intervals", lambda: headline(cohort, tau, labels, cells, ranking, without))
    single = time.process_time() - begin
    drawn = step(f"bootstrap: draw patients, {ROUNDS_OF_ALL} rounds", lambda: weights(cohort.size, ROUNDS_OF_ALL, 1))
    notes = {"map": ranking.average_precision} | {f"p_at_{k}": hits / k for k, hits in ranking.hits.items()}
    step(f"  P@k and MAP, {ROUNDS_OF_ALL} rounds", lambda: note_means(cohort, drawn, notes))
    for kind in ("global", "per_label"):
        step(f"  micro- and macro-F1, {kind}, {ROUNDS_OF_ALL} rounds", lambda: f1_rounds(cohort, drawn, tau[kind]))  # noqa: B023
    some = drawn[:FEW_ROUNDS] if cohort.labels > MANY_LABELS else drawn
    step(f"  AUROC and AUPRC, macro and micro, {len(some)} rounds", lambda: area_rounds(cohort, some, cells))
    step(f"  ECE, {len(some)} rounds", lambda: calibration_rounds(cohort, some, cells))
    intervals = time.process_time() - begin - single
    calls = step("calls", lambda: Calls.of(cohort, tau["global"]))
    step("error analysis", lambda: (errors.confusions(cohort, calls), errors.suspects(cohort, calls, cohort.patients)))
    blurred = replace(cohort, scores=(0.9 * cohort.scores + 0.05).astype(np.float32))
    sides, seen = (Side(cohort, tau), Side(blurred, tau)), {"micro_f1": 0.01, "macro_f1": 0.01, "map": 0.0}
    test = f"two coders: interval and p, {ROUNDS_OF_ALL} rounds"
    step(test, lambda: differences(*sides, seen, PARAMS.top_k, ROUNDS_OF_ALL, 1))
    for kind in ("platt", "isotonic"):
        step(f"calibration, {kind}, one of six fits", lambda: fit(cohort, kind, True).apply(cohort.scores))  # noqa: B023
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'metrics':44s} {single:8.2f}\n{'their intervals':44s} {intervals:8.2f}\npeak RSS {peak:.0f} MB")


def step(name: str, work: Callable[[], Any]) -> Any:
    """Run one step, print its CPU seconds and return what it made."""
    used, made = timed(work)
    print(f"{name:44s} {used:8.2f}", flush=True)
    return made


if __name__ == "__main__":
    area_rounds(ward(40, 3, 1), np.ones((2, 20)), over_all(ward(40, 3, 1)))  # compiles the loops
    if sys.argv[1:] == ["full"]:
        whole(ward(20_000, 7_942, 15))
    else:
        small = ward(12_000, 50, 5)
        against_sklearn(small)
        whole(small)
