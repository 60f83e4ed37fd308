"""The linear coder's solver beside scikit-learn's liblinear, on TF-IDF of invented notes.

Run   python -m benchmarks.logistic [NOTES]     10,000 notes unless told; minutes, most of them liblinear's

One matrix, the 50 commonest codes, one process, BLAS on one thread; CPU and wall seconds of the whole fit. `objective`
is the largest relative excess over the smallest objective any solver found for a code, in float64; `dw` the largest
difference of a weight or intercept from liblinear's at tol 1e-9; F1 is test micro / macro F1 at the thresholds that
val chose (global, and one a code), and `dt` the largest difference of a threshold from liblinear's.
Then what a code costs where it is commonest, middling and rarest, what all codes would, and what storing weights sparse
changes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

from benchmarks.scale import NOTES_A_PATIENT, stage, workspace
from chartcode.artifacts import Artifact
from chartcode.coders.base import gold_of, labelled_notes
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from chartcode.evaluation import cohort
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.thresholds import choose

COMMONEST = 50
ROUNDS = 3
GOAL = (40_000, 8_000)  # notes and codes that all codes of a large hospital are judged by


class Split(NamedTuple):
    """Features (N, F) and labels (N, L), the commonest code first."""

    X: sp.csr_matrix
    Y: sp.csr_matrix


class Fit(NamedTuple):
    """Weights (L, F) and intercepts (L,), and what they took."""

    name: str
    coef: Any
    intercept: Any
    cpu: float
    wall: float


def hospital(notes: int) -> dict[str, Split]:
    """Invented notes through the pipeline to gold with every code of 10 notes or more, then scikit-learn's TF-IDF."""
    with tempfile.TemporaryDirectory(prefix="logistic-") as temporary:
        folder = Path(temporary)
        workspace(folder, round(notes / NOTES_A_PATIENT), all_codes=True)
        for name in ("synthetic", "bronze", "silver", "split", "gold"):
            stage(folder, name)
        silver = Artifact(folder / "data/silver")
        labels = gold_of(silver, Artifact(folder / "data/gold"))
        parts = {split: labelled_notes(silver, labels, split) for split in ("train", "val", "test")}
        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), min_df=5, max_features=200_000, sublinear_tf=True, strip_accents="unicode"
        )
        vectorizer.fit(parts["train"].texts())
        order = np.argsort(-np.asarray(parts["train"].labels.sum(axis=0)).ravel(), kind="stable")
        return {k: Split(vectorizer.transform(v.texts()), v.labels[:, order]) for k, v in parts.items()}


def timed(name: str, fit: Callable[[], tuple[Any, Any]]) -> Fit:
    """Run a fit with BLAS on one thread."""
    with threadpool_limits(1, "blas"):
        wall, cpu = time.perf_counter(), time.process_time()
        coef, intercept = fit()
        return Fit(name, coef, intercept, time.process_time() - cpu, time.perf_counter() - wall)


def liblinear(name: str, train: Split, **options: Any) -> Fit:
    """scikit-learn's own, one code after another."""

    def fit() -> tuple[Any, Any]:
        coef, intercept = np.zeros((train.Y.shape[1], train.X.shape[1])), np.zeros(train.Y.shape[1])
        for label in range(len(coef)):
            model = LogisticRegression(class_weight="balanced", solver="liblinear", **options)
            model.fit(train.X, train.Y[:, [label]].toarray().ravel())
            coef[label], intercept[label] = model.coef_[0], model.intercept_[0]
        return coef, intercept

    return timed(name, fit)


def ours(name: str, train: Split, **options: Any) -> Fit:
    """The median of several runs."""

    def fit() -> tuple[Any, Any]:
        model = OneVsRestLogistic(class_weight="balanced", **options).fit(train.X, train.Y)
        return model.coef_, model.intercept_

    runs = [timed(name, fit) for _ in range(ROUNDS)]
    return runs[0]._replace(cpu=median(r.cpu for r in runs), wall=median(r.wall for r in runs))


def objectives(train: Split, fit: Fit) -> np.ndarray[Any, Any]:
    """P(w) of each code (L,), in float64."""
    truth, notes = train.Y.toarray() > 0, train.X.shape[0]
    positives = truth.sum(axis=0)
    cost = np.where(truth, notes / (2 * positives), notes / (2 * (notes - positives)))
    margin = np.where(truth, 1, -1) * (train.X @ fit.coef.T.astype(float) + fit.intercept)
    penalty = (fit.coef.astype(float) ** 2).sum(axis=1) + fit.intercept.astype(float) ** 2
    return penalty / 2 + (cost * np.logaddexp(0, -margin)).sum(axis=0)


def scores(split: Split, coef: Any, intercept: Any) -> np.ndarray[Any, Any]:
    """Float32 (N, L)."""
    logits = split.X @ coef.T
    return expit((logits.toarray() if sp.issparse(logits) else logits) + intercept).astype(np.float32)


def judged(data: dict[str, Split], coef: Any, intercept: Any) -> tuple[np.ndarray[Any, Any], list[float]]:
    """Thresholds, the global one and one a code (1+L,); test micro and macro F1 at either."""
    val = data["val"]
    codes = [f"C{label}" for label in range(val.Y.shape[1])]
    of_val = cohort.make(
        "val", codes, sp.csr_array(val.Y), scores(val, coef, intercept), patients=np.arange(val.Y.shape[0])
    )
    chosen = choose(of_val, over_all(of_val))
    truth, found = data["test"].Y.toarray(), scores(data["test"], coef, intercept)
    f1 = [
        f1_score(truth, found >= threshold, average=average, zero_division=0)
        for threshold in (chosen.one, chosen.own)
        for average in ("micro", "macro")
    ]
    return np.append(chosen.one, chosen.own), f1


def beside_liblinear(data: dict[str, Split]) -> None:
    """The table of solvers, and what sparse storage changes."""
    train = data["train"]
    fits = [
        liblinear("liblinear (tol 1e-4)", train),
        liblinear("liblinear (tol 1e-9)", train, tol=1e-9, max_iter=10_000),
        liblinear("liblinear (dual=True)", train, dual=True, random_state=0),
        ours("ours, 1 thread", train, threads=1),
        ours(f"ours, {os.cpu_count()} threads", train),
        ours("ours, 1 thread, tol 1e-6", train, threads=1, tol=1e-6),
        ours("ours, 1 thread, tol 1e-9", train, threads=1, tol=1e-9),
    ]
    reference, exact = fits[:2]
    values = [objectives(train, fit) for fit in fits]
    best = np.min(values, axis=0)
    thresholds, _ = judged(data, reference.coef, reference.intercept)
    print("| solver | CPU s | wall s | CPU ratio | wall ratio | objective | dw | dt | F1 global | F1 per code |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|---|")
    for fit, value in zip(fits, values, strict=True):
        excess = (value / best - 1).max()
        dw = max(np.abs(fit.coef - exact.coef).max(), np.abs(fit.intercept - exact.intercept).max())
        own, f1 = judged(data, fit.coef, fit.intercept)
        print(
            f"| {fit.name} | {fit.cpu:.2f} | {fit.wall:.2f} | {reference.cpu / fit.cpu:.1f} "
            f"| {reference.wall / fit.wall:.1f} | {excess:.1e} | {dw:.1e} | {np.abs(own - thresholds).max():.1e} "
            f"| {f1[0]:.4f} / {f1[1]:.4f} | {f1[2]:.4f} / {f1[3]:.4f} |",
            flush=True,
        )


def every_code(data: dict[str, Split]) -> None:
    """One block of codes at three places of the frequency range, then all of them by cost a code and nonzero."""
    train, width = data["train"], OneVsRestLogistic().block
    seconds, weights, chosen = [], [], []
    print("\n| train notes a code | codes | sweeps | CPU s | CPU ms a code and million nonzeros | gap |")
    print("|---|---:|---:|---:|---:|---:|")
    last = train.Y.shape[1] - width
    for first in (0, last // 2, last):
        labels = np.arange(first, first + width)
        some = train.Y[:, labels]
        model = OneVsRestLogistic(class_weight="balanced", threads=1)
        fit = timed("", lambda m=model, y=some: (m.fit(train.X, y).coef_, m.intercept_))  # type: ignore[misc]
        seconds.append(fit.cpu / width)
        weights.append(fit)
        chosen.append(labels)
        counts = np.asarray(some.sum(axis=0)).ravel()
        sweeps = f"{model.n_iter_.min()}-{model.n_iter_.max()}"
        rate = fit.cpu / width / train.X.nnz * 1e9
        print(
            f"| {counts.min()}-{counts.max()} | {width} | {sweeps} | {fit.cpu:.2f} | {rate:.2f} "
            f"| {model.gap_.max():.1e} |",
            flush=True,
        )
    mean = float(np.mean(seconds))
    notes, codes = GOAL
    here, there = mean * train.Y.shape[1] / 60, mean * codes * notes / train.X.shape[0] / 60
    print(f"\nextrapolated by codes and nonzeros: all {train.Y.shape[1]:,} codes here {here:.1f} CPU min;")
    print(f"{codes:,} codes at {notes:,} train notes {there:.0f} CPU min")
    coef, intercept = np.vstack([w.coef for w in weights]), np.concatenate([w.intercept for w in weights])
    part = {k: Split(v.X, v.Y[:, np.concatenate(chosen)]) for k, v in data.items()}
    dense = scores(part["test"], coef, intercept)
    print("\n| weights kept | share | a code, kB | largest change of a score | F1 global | F1 per code |")
    print("|---|---:|---:|---:|---|---|")
    for epsilon in (0.0, 1e-3, 3e-3, 1e-2, 3e-2):
        kept = sp.csr_matrix(np.where(np.abs(coef) < epsilon, np.float32(0), coef))
        moved = np.abs(scores(part["test"], kept, intercept) - dense).max()
        _, f1 = judged(part, kept, intercept)
        print(
            f"| at least {epsilon:g} | {kept.nnz / coef.size:.1%} | {kept.nnz * 8 / len(coef) / 1e3:.0f} | {moved:.1e} "
            f"| {f1[0]:.4f} / {f1[1]:.4f} | {f1[2]:.4f} / {f1[3]:.4f} |",
            flush=True,
        )


def main() -> None:
    """Print everything."""
    data = hospital(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    X, Y = data["train"].X, data["train"].Y
    print(
        f"{X.shape[0]:,} train notes, {X.shape[1]:,} features, {X.nnz / X.shape[0]:.0f} a note, {Y.shape[1]:,} codes\n"
    )
    with tempfile.TemporaryDirectory(prefix="numba-") as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # read when numba is imported, which the first fit does
        empty = timed("", lambda: (OneVsRestLogistic().fit(X[:2], Y[:2, :0]).coef_, 0))
        print(f"first use compiles, once: {empty.wall:.1f} s\n", flush=True)
        beside_liblinear({k: Split(v.X, v.Y[:, :COMMONEST]) for k, v in data.items()})
        every_code(data)


if __name__ == "__main__":
    main()
