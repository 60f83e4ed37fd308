"""One logistic regression a code, many codes in one sweep over the notes: liblinear's optimum, many times faster.

For each label, over weights w (the intercept among them, penalised, as liblinear's `intercept_scaling=1`):

    P(w) = |w|²/2 + sum_n C_n log(1 + exp(-m_n)),   m_n = y_n (w·x_n), y_n = ±1, C_n = C or C N / (2 N_class)

The solver is dual coordinate descent (Yu, Huang, Lin 2011, the algorithm behind liblinear's `-s 7`): each note has one
dual variable a_n = C_n sigmoid(-t_n), w = sum_n a_n y_n x_n, and a visit solves for t_n exactly. Notes are visited in a
new random order each sweep: in one order, kept, the sweeps hardly get nearer the optimum.

- **Stop.** sum_n (m_n - t_n)(a_n - C_n sigmoid(-m_n)) bounds the duality gap and costs next to nothing during a sweep.
  A label rests after the sweep in which this sum fell to `tol / 4` of P: a quarter, because w moves while it is summed
  and the sum at rest can be the larger one. `gap_` is the sum at rest, relative to P.
- **Precision.** Weights are float32 and drift from sum_n a_n y_n x_n. Sweeps find the a_n that fit the drifted w, which
  costs |drift|²/2 in P and nothing else. Now and then w is summed anew, which keeps the drift small; never at the end,
  where the a_n would not fit any more: rare labels of heavy weight then stay orders of magnitude above `tol`.
- **Where it is slow.** Many notes, few features, a C of hundreds: hundreds of sweeps, as with any solver of its kind.
- **Bytes** depend on X, Y and the params, and not on threads, `block`, the other labels or the processor.

Shapes: N notes, F features, L labels, B labels of a block, Z nonzeros of X.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import row_norms
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from tqdm import tqdm

from chartcode.parallel import cores

Floats = NDArray[np.float32]
CERTAIN = np.float32(30)  # a logit whose sigmoid is 0 or 1 in float32
_UNMET = np.float32(60)  # the logit t of a note not visited yet: its a is 0 beside anything that counts
_RENEW = 8  # sweeps between sums of the weights from nothing
_LINE = 64  # bytes of a cache line
_PART = 1 << 22  # nonzeros renumbered at once


class Block(NamedTuple):
    """The fitted models of some labels."""

    labels: NDArray[np.int64]  # (B,) columns of Y
    coef: Floats  # (B, F)
    intercept: Floats  # (B,)
    gap: NDArray[np.float64]  # (B,) bound of the duality gap at rest, relative to the objective
    sweeps: NDArray[np.int64]  # (B,) sweeps until the label rested


class OneVsRestLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """L2-regularised logistic regression of every label against the rest: the optimum of scikit-learn's
    `OneVsRestClassifier(LogisticRegression(C=C, class_weight=class_weight, solver="liblinear"))`.

    C             inverse strength of the penalty
    class_weight  "balanced": both classes of a label weigh as much in total; None: every note weighs the same
    tol           duality gap, relative to the objective, that every label must reach
    max_epochs    sweeps over the notes at most; labels that do not get there are counted in a ConvergenceWarning
    seed          of the order in which notes are visited
    block         labels moved at once; each takes about 4 F + 5 N bytes a thread
    threads       blocks fitted side by side; None: one a core
    progress      show a bar on a terminal

    A label without positives, or without negatives, gets weights 0 and the logit -30 or 30: a constant score of 0 or 1.

    Y is (N, L) of 0 and 1, sparse or dense. One class a note, (N,), is taken as scikit-learn takes it: one model a
    class, of two classes one model. Fitted: `coef_` float32 (L, F), `intercept_` (L,), `gap_` (L,), `n_iter_` (L,)
    sweeps, `classes_`, `multilabel_`.
    """

    def __init__(
        self,
        C: float = 1.0,
        class_weight: Literal["balanced"] | None = None,
        tol: float = 1e-7,
        max_epochs: int = 200,
        seed: int = 0,
        block: int = 32,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_epochs = max_epochs
        self.seed = seed
        self.block = block
        self.threads = threads
        self.progress = progress

    def fit(self, X: Any, Y: Any, coef_init: Any = None, intercept_init: Any = None) -> Self:
        """Fit all labels and keep the weights, 4 L F bytes. A start near the optimum, `coef_init` (L, F) and
        `intercept_init` (L,), saves sweeps; the optimum is the same.
        """
        X = self._features(X)
        truth = self._indicator(Y)
        self.coef_ = np.zeros((truth.shape[1], X.shape[1]), np.float32)
        self.intercept_ = np.zeros(truth.shape[1], np.float32)
        self.gap_ = np.zeros(truth.shape[1])
        self.n_iter_ = np.zeros(truth.shape[1], np.int64)
        for block in self._blocks(X, truth, coef_init, intercept_init):
            self.coef_[block.labels], self.intercept_[block.labels] = block.coef, block.intercept
            self.gap_[block.labels], self.n_iter_[block.labels] = block.gap, block.sweeps
        return self

    def fit_blocks(self, X: Any, Y: Any, overwrite_X: bool = False) -> Iterator[Block]:
        """Fit all labels of Y (N, L) and yield them `block` at a time, the commonest first, to a caller who writes them
        away: memory stays at X, its indices once more and a few blocks. With `overwrite_X` the features of X, if it is
        float32 CSR, are renumbered where they are: it is of no use afterwards. Labels of a block are in no order.
        """
        return self._blocks(self._features(X), _zero_one(Y), None, None, overwrite_X)

    def decision_function(self, X: Any) -> Floats:
        """Logits, float32 (N, L); (N,) when fitted on two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        logits: Floats = X @ self.coef_.T + self.intercept_
        return logits if self.multilabel_ or logits.shape[1] > 1 else logits.ravel()

    def predict_proba(self, X: Any) -> Floats:
        """Sigmoid of the logits (N, L). Fitted on one class a note: (N, classes), rows with sum 1."""
        scores: Floats = expit(self.decision_function(X))
        if scores.ndim == 1:
            return np.column_stack([1 - scores, scores])
        return scores if self.multilabel_ else scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels with a positive logit, (N, L) of 0 and 1; or the class of largest logit, (N,)."""
        logits = self.decision_function(X)
        if self.multilabel_:
            return (logits > 0).astype(np.int64)
        best: NDArray[Any] = self.classes_[logits.argmax(axis=1) if logits.ndim == 2 else (logits > 0).astype(int)]
        return best

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def _features(self, X: Any) -> sp.csr_matrix:
        """X as float32 CSR, each feature once a row. Raises ValueError, also on NaN, infinity or a wrong param."""
        if not (self.C > 0 and self.tol > 0 and self.max_epochs > 0 and self.block > 0):
            raise ValueError("C, tol, max_epochs and block must be positive")
        if self.class_weight not in (None, "balanced"):
            raise ValueError("class_weight must be None or 'balanced'")
        X = sp.csr_matrix(validate_data(self, X, accept_sparse="csr", dtype=np.float32))
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        return X

    def _indicator(self, Y: Any) -> sp.csr_matrix:
        """Y as 0 and 1 (N, L); sets `classes_` and `multilabel_`."""
        if Y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        Y = Y if sp.issparse(Y) else np.asarray(Y)
        self.multilabel_ = sp.issparse(Y) or (Y.ndim == 2 and Y.shape[1] > 1)
        if self.multilabel_:
            truth = _zero_one(Y)
            self.classes_ = np.arange(truth.shape[1])
            return truth
        y = column_or_1d(Y, warn=True)
        check_classification_targets(y)
        self.classes_, place = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class; two are needed")
        return sp.csr_matrix(place[:, None] == (np.arange(len(self.classes_)) if len(self.classes_) > 2 else 1))

    def _blocks(
        self, X: sp.csr_matrix, truth: sp.csr_matrix, coef: Any, intercept: Any, overwrite: bool = False
    ) -> Iterator[Block]:
        """Blocks in order, each fitted by a thread; the kernel runs without the GIL."""
        if truth.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} rows and Y {truth.shape[0]}: inconsistent numbers of samples")
        columns = truth.tocsc()
        positives = np.diff(columns.indptr)  # (L,)
        # Labels as common as each other take about as many sweeps, so that few lanes of a block idle.
        order = np.argsort(-positives, kind="stable")
        waiting = deque(np.array_split(order, -(-len(order) // self.block)) if len(order) else [])
        running: deque[Future[Block]] = deque()
        problem, stop, threads = _Problem.of(X, overwrite), Event(), self.threads or cores()
        unfinished = 0

        def fit(labels: NDArray[np.int64]) -> Block:
            start = None
            if coef is not None:
                bias = np.zeros(len(labels)) if intercept is None else np.asarray(intercept)[labels]
                start = np.column_stack([np.asarray(coef)[labels], bias]).astype(np.float32)
            return self._fit_block(problem, columns, labels, start, stop)

        # Until the first block the bar says what a first use waits for: a few seconds, kept in numba's cache.
        off = None if self.progress else True
        bar = tqdm(total=len(order), desc="compiling, once", unit=" labels", leave=False, disable=off)
        with ThreadPoolExecutor(threads) as pool, bar:
            _compile(self.block)
            bar.set_description("fitting")
            try:
                while waiting or running:
                    while waiting and len(running) <= threads:
                        running.append(pool.submit(fit, waiting.popleft()))
                    block = running.popleft().result()
                    unfinished += int((block.gap > self.tol).sum())
                    bar.update(len(block.labels))
                    yield block
            finally:  # an error or an interrupt, here or in the caller: threads end with the sweep they are in
                stop.set()
                for future in running:
                    future.cancel()
        if unfinished:
            text = f"{unfinished} labels stopped above tol={self.tol}; raise max_epochs={self.max_epochs}"
            warnings.warn(text, ConvergenceWarning, stacklevel=3)

    def _fit_block(
        self, problem: _Problem, columns: sp.csc_matrix, labels: NDArray[np.int64], start: Floats | None, stop: Event
    ) -> Block:
        """Sweep until every label of the block rests, from weights and intercepts `start` (B, F+1) or from nothing."""
        from chartcode.coders.logistic_kernel import judge, rebuild, resume, sweep  # numba comes with the first fit

        (notes, features), used, width = problem.shape, len(labels), self.block
        lanes, csr = (0,) * width, (problem.indptr, problem.indices, problem.values)
        truth = np.zeros((notes, width), np.int8)
        truth[:, :used] = columns[:, labels].toarray()
        counts = np.stack([notes - truth.sum(axis=0, dtype=np.int64), truth.sum(axis=0, dtype=np.int64)])  # (2, B)
        live = counts.min(axis=0) > 0  # a lane without a label, or a label without a choice, has nothing to learn
        weights = notes / (2 * np.maximum(counts, 1)) if self.class_weight else np.ones((2, width))
        costs = (self.C * weights * live).astype(np.float32)
        logits = np.full((notes, width), _UNMET, np.float32)
        table = _aligned(features + 1, width)
        square, sweeps = np.zeros(width), np.zeros(width, np.int64)
        if start is not None:
            table[problem.place, :used], table[-1, :used] = start[:, :-1].T, start[:, -1]
            resume(lanes, *csr, truth, logits, table)
            rebuild(lanes, *csr, truth, costs, live, logits, table, square)
        learnt, rng = live.copy(), np.random.default_rng(self.seed)
        for done in range(self.max_epochs):
            if stop.is_set() or not live.any():
                break
            if done % _RENEW == 0 and done:
                rebuild(lanes, *csr, truth, costs, live, logits, table, square)
            gap, loss = np.zeros(width), np.zeros(width)
            visits = rng.permutation(notes)
            sweep(lanes, visits, *csr, problem.norms, truth, costs, live, logits, table, gap, loss, square)
            sweeps += live
            live &= gap > self.tol / 4 * (loss + square / 2)
        gap, loss = np.zeros(width), np.zeros(width)
        judge(lanes, *csr, truth, costs, logits, table, gap, loss)
        relative = np.divide(gap, loss + square / 2, out=np.zeros(width), where=learnt)
        intercept = np.where(learnt, table[-1], np.where(counts[1] > 0, CERTAIN, -CERTAIN))
        coef = np.ascontiguousarray(table[problem.place, :used].T)
        return Block(labels, coef, intercept[:used], relative[:used], sweeps[:used])


@dataclass(frozen=True)
class _Problem:
    """X as the kernel reads it, shared by all blocks. Features are renumbered, the commonest first: the rows of the
    weight table that most notes touch then lie together in the processor's cache. Sums keep the order of X.
    """

    indptr: NDArray[np.int64]  # (N+1,)
    indices: NDArray[np.int32]  # (Z,) renumbered
    values: Floats  # (Z,)
    norms: Floats  # (N,) |x|² + 1
    place: NDArray[np.int32]  # (F,) the new number of each feature

    @property
    def shape(self) -> tuple[int, int]:
        """N, F."""
        return len(self.norms), len(self.place)

    @classmethod
    def of(cls, X: sp.csr_matrix, overwrite: bool = False) -> _Problem:
        """Of X float32 with each feature once a row, whose indices may be overwritten."""
        parts = [slice(start, start + _PART) for start in range(0, X.nnz, _PART)]  # numpy copies indices to int64
        counts = np.zeros(X.shape[1], np.int64)
        for part in parts:
            counts += np.bincount(X.indices[part], minlength=len(counts))
        place = np.empty(X.shape[1], np.int32)
        place[np.argsort(-counts, kind="stable")] = np.arange(len(place))
        indices = X.indices if overwrite and X.indices.dtype == np.int32 else np.empty(X.nnz, np.int32)
        for part in parts:
            indices[part] = place[X.indices[part]]
        norms = (row_norms(X, squared=True) + 1).astype(np.float32)
        return cls(X.indptr.astype(np.int64), indices, np.ascontiguousarray(X.data), norms, place)


def _zero_one(Y: Any) -> sp.csr_matrix:
    """Y (N, L) as int8 CSR without stored zeros. Raises ValueError when it holds anything but 0 and 1."""
    Y = sp.csr_matrix(Y)
    if not np.isin(Y.data, (0, 1)).all():
        raise ValueError("Y: a label matrix holds 0 and 1 alone")
    truth = sp.csr_matrix((Y.data.astype(np.int8), Y.indices, Y.indptr), Y.shape)
    truth.eliminate_zeros()
    return truth


def _aligned(rows: int, lanes: int) -> Floats:
    """Zeros whose rows start with a cache line, so that a row of 16 floats touches one, not two."""
    whole = np.zeros(rows * lanes + _LINE // 4, np.float32)
    first = -whole.ctypes.data % _LINE // 4
    return whole[first : first + rows * lanes].reshape(rows, lanes)


def _compile(width: int) -> None:
    """Compile the kernels of this width, or fetch them from numba's cache, by a fit of no notes."""
    from chartcode.coders.logistic_kernel import judge, rebuild, resume, sweep

    lanes, none = (0,) * width, np.zeros(0, np.int64)
    csr = (np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    empty, table, sums = np.zeros((0, width), np.float32), _aligned(1, width), np.zeros(width)
    truth, costs = np.zeros((0, width), np.int8), np.zeros((2, width), np.float32)
    sweep(lanes, none, *csr, csr[2], truth, costs, sums > 0, empty, table, sums, sums.copy(), sums.copy())
    judge(lanes, *csr, truth, costs, empty, table, sums, sums.copy())
    resume(lanes, *csr, truth, empty, table)
    rebuild(lanes, *csr, truth, costs, sums > 0, empty, table, sums)
