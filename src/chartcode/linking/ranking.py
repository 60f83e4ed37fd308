"""Which of a mention's candidates it means: a conditional logit over their evidence, learned on marked mentions.

    P(c | mention) = exp(w . x_c) / sum_c' exp(w . x_c'),   maximise sum ln P(right codes) - l2/2 |w|^2

(McFadden 1974). Started at 0, so that a run gives the same weights again. A mention none of whose candidates is right
teaches nothing.
Legend: M mentions, C candidates of all of them in one run, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

Array = np.ndarray[Any, Any]


def fit(evidence: Sequence[Array], right: Sequence[Array], l2: float) -> Array:
    """Weights (D,) from the evidence (C, D) of each mention and which of its candidates are right (C,) bool."""
    kept = [(x, y) for x, y in zip(evidence, right, strict=True) if y.any() and not y.all()]
    x = np.concatenate([x for x, _ in kept])
    y = np.concatenate([y for _, y in kept])
    starts = np.cumsum([0, *(len(y) for _, y in kept)])[:-1]
    sizes = np.array([len(y) for _, y in kept])

    def loss(w: Array) -> tuple[float, Array]:
        scores = x @ w
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        e = np.exp(scores)
        total = np.add.reduceat(e, starts)
        good = np.add.reduceat(e * y, starts)
        p, q = e / np.repeat(total, sizes), e * y / np.repeat(good, sizes)
        return float(np.log(total / good).sum() + l2 / 2 * w @ w), x.T @ (p - q) + l2 * w

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)


def shares(evidence: Array, weights: Array) -> Array:
    """P of each candidate (C,) given that one of them is meant."""
    if not len(evidence):
        return np.zeros(0)
    scores = evidence @ weights
    e = np.exp(scores - scores.max())
    return np.asarray(e / e.sum())


def logistic(x: Array, y: Array, l2: float) -> Array:
    """Weights (D,) of P(y) = sigmoid(w . x), the first of which (the intercept) goes unpunished."""
    free = np.ones(x.shape[1])
    free[0] = 0

    def loss(w: Array) -> tuple[float, Array]:
        scores = x @ w
        return (
            float(np.logaddexp(0, scores).sum() - y @ scores + l2 / 2 * (free * w) @ w),
            x.T @ (sigmoid(scores) - y) + l2 * free * w,
        )

    return np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))
