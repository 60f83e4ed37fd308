"""How a training goes, while it goes: val in two numbers, and curves to look at.

`evaluate` is the judge; this is for early stopping and for people who wait.
Legend: N notes, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from chartcode.coders.base import FloatArray
from chartcode.coders.batches import Array


def judged(scores: FloatArray, truth: Array) -> dict[str, float]:
    """A short look at scores (N, L): MAP, a note without labels counted as 0 as `evaluate` does, and micro-F1 at the
    best single threshold."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order, axis=1)  # (N, L)
    precision = np.cumsum(hits, axis=1) / np.arange(1, truth.shape[1] + 1)
    found = (precision * hits).sum(axis=1) / np.maximum(truth.sum(axis=1), 1)
    flat = np.argsort(-scores, axis=None, kind="stable")
    right = np.cumsum(truth.ravel()[flat])
    f1 = 2 * right / (np.arange(1, len(right) + 1) + truth.sum()) if truth.any() else np.zeros(1)
    return {"map": round(float(found.mean()) if len(found) else 0.0, 6), "micro_f1": round(float(f1.max()), 6)}


@contextmanager
def live_curves(coder: str) -> Iterator[Callable[[dict[str, float]], None]]:
    """Curves of the running training under the git-ignored .live/<coder>, an entry an epoch."""
    from dvclive.live import Live  # a second to import

    with Live(f".live/{coder}", dvcyaml=None, save_dvc_exp=False) as live:

        def show(entry: dict[str, float]) -> None:
            for name, value in entry.items():
                live.log_metric(f"{coder}/{name}", value)
            live.next_step()

        yield show
