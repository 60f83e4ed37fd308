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
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Solver:
    """How labels are fitted.

    C             inverse strength of the penalty
    class_weight  "balanced": both classes of a label weigh as much in total; None: every note weighs the same
    tol           duality gap, relative to the objective, that every label must reach
    max_epochs    sweeps over the notes at most; labels that do not get there are counted in a ConvergenceWarning
    seed          of the order in which notes are visited
    block         labels moved at once; each takes about 4 F + 5 N bytes a thread
    threads       blocks fitted side by side; None: one a core
    progress      show a bar on a terminal

    A label without positives, or without negatives, gets weights 0 and the logit -30 or 30: a constant score of 0 or 1.
    """

    C: float = 1.0
    class_weight: Literal["balanced"] | None = None
    tol: float = 1e-7
    max_epochs: int = 200
    seed: int = 0
    block: int = 32
    threads: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not (self.C > 0 and self.tol > 0 and self.max_epochs > 0 and self.block > 0):
            raise ValueError("C, tol, max_epochs and block must be positive")
        if self.class_weight not in (None, "balanced"):
            raise ValueError("class_weight must be None or 'balanced'")

    def blocks(
        self, X: Any, Y: Any, coef_init: Any = None, intercept_init: Any = None, overwrite_X: bool = False
    ) -> Iterator[Block]:
        """Fit the labels Y (N, L), 0 and 1, on X (N, F), CSR and finite, and yield them `block` at a time, the
        commonest first and in no order within a block, to a caller who writes them away: memory stays at X, its indices
        once more and a few blocks. With `overwrite_X` the features of X, if it is float32, are renumbered where they
        are: it is of no use afterwards. Threads fit the blocks; the kernel runs without the GIL. Raises ValueError.
        """
        X, truth = sp.csr_matrix(X, dtype=np.float32), zero_one(Y)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        if truth.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} rows and Y {truth.shape[0]}: inconsistent numbers of samples")
        columns = truth.tocsc()
        positives = np.diff(columns.indptr)  # (L,)
        # Labels as common as each other take about as many sweeps, so that few lanes of a block idle.
        order = np.argsort(-positives, kind="stable")
        waiting = deque(np.array_split(order, -(-len(order) // self.block)) if len(order) else [])
        running: deque[Future[Block]] = deque()
        problem, stop, threads = _Problem.of(X, overwrite_X), Event(), self.threads or cores()
        unfinished = 0

        def fit(labels: NDArray[np.int64]) -> Block:
            start = None
            if coef_init is not None:
                bias = np.zeros(len(labels)) if intercept_init is None else np.asarray(intercept_init)[labels]
                start = np.column_stack([np.asarray(coef_init)[labels], bias]).astype(np.float32)
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
                    unfinished += int((~(block.gap <= self.tol)).sum())  # also where it is no number
                    bar.update(len(block.labels))
                    yield block
            finally:  # an error or an interrupt, here or in the caller: threads end with the sweep they are in
                stop.set()
                for future in running:
                    future.cancel()
        if unfinished:
            text = f"{unfinished} labels stopped above tol={self.tol}; raise max_epochs={self.max_epochs}"
            from sklearn.exceptions import ConvergenceWarning  # sklearn takes longer to import than a small fit

            warnings.warn(text, ConvergenceWarning, stacklevel=3)

    def _fit_block(
        self, problem: _Problem, columns: sp.csc_matrix, labels: NDArray[np.int64], start: Floats | None, stop: Event
    ) -> Block:
        """Sweep until every label of the block rests, from weights and intercepts `start` (B, F+1) or from nothing."""
        from chartcode.coders.logistic_kernel import judge, rebuild, resume, sweep

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
        coef = np.ascontiguousarray(np.where(learnt, table[problem.place], 0)[:, :used].T)
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
        from chartcode.coders.logistic_kernel import measure  # numba comes with the first fit

        parts = [slice(start, start + _PART) for start in range(0, X.nnz, _PART)]  # numpy copies indices to int64
        counts = np.zeros(X.shape[1], np.int64)
        for part in parts:
            counts += np.bincount(X.indices[part], minlength=len(counts))
        place = np.empty(X.shape[1], np.int32)
        place[np.argsort(-counts, kind="stable")] = np.arange(len(place))
        indices = X.indices if overwrite and X.indices.dtype == np.int32 else np.empty(X.nnz, np.int32)
        for part in parts:
            indices[part] = place[X.indices[part]]
        indptr, values = X.indptr.astype(np.int64), np.ascontiguousarray(X.data)
        norms = np.empty(X.shape[0], np.float32)
        measure(indptr, values, norms)
        return cls(indptr, indices, values, norms, place)


def zero_one(Y: Any) -> sp.csr_matrix:
    """Y (N, L) as int8 CSR of its own, each one once and no zeros. Raises ValueError when it holds anything else."""
    Y = sp.csr_matrix(Y, copy=True)
    Y.sum_duplicates()
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
