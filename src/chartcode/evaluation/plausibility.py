"""How well a coder's evidence agrees with the evidence people marked: measures over the words of a note.

A pair is one code of one note. `shares` (T,) says how much of the evidence each word carries (they sum to 1, or are all
0); `gold` (T,) which words are in a marked span; a word is predicted when its share is `boundary` or more.

Definitions, as the authors' own code has them:
- token precision, recall, F1: words pooled over all pairs (DeYoung et al. 2020, ERASER, "instance_micro"; Edin et al.
  2024). The boundary maximises F1 on val (Edin et al. 2024); here every share is a candidate, no grid.
- AUPRC: area under precision and recall of the pooled shares, as a sum of steps (average precision).
- IoU: mean over pairs of the intersection of the |gold| words of largest share with the gold words, over their union
  (Edin et al. 2024); words without a share are left out of it, where Edin takes them in any order.
- IoU-F1: runs of predicted words; one is right when it shares half or more of its union with some gold run; precision
  over predicted runs, recall over gold runs (ERASER, partial match at 0.5, micro).
- span recall: mean over pairs of the share of gold runs with a predicted word; cover: of the words of those runs, the
  share that is predicted; empty: pairs with no predicted word (Edin et al. 2024). A gold run is a sequence of
  neighbouring gold words, so a discontinuous mention is several.
MDACE (Cheng et al. 2023) introduced code evidence for MIMIC and the token F1 used since; its tokens are a model's, ours
are words, so numbers on other tokens or corpora do not compare.
Legend: T words of a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
Marks = NDArray[np.bool_]
HALF = 0.5
NOTHING = np.inf  # a boundary above every share


@dataclass(frozen=True)
class Agreement:
    """One pair, counted: words and runs, each (hits, predicted, gold), IoU, and what Edin takes the mean of."""

    words: tuple[int, int, int]
    runs: tuple[int, int, int]
    iou: float
    span_recall: float
    cover: float

    @property
    def empty(self) -> bool:
        """Whether no word is predicted."""
        return self.words[1] == 0


def best_boundary(pairs: Sequence[tuple[Shares, Marks]]) -> float:
    """The share of largest pooled F1, the highest of equals; infinite when no gold word has a share."""
    tau, hits, called = _ranked(pairs)
    positive = tau > 0
    if not positive.any() or not hits[positive].any():
        return NOTHING
    total = sum(int(gold.sum()) for _, gold in pairs)
    f1 = 2 * hits[positive] / (called[positive] + total)
    return float(tau[positive][int(np.argmax(f1))])


def auprc(pairs: Sequence[tuple[Shares, Marks]]) -> float:
    """Average precision of the pooled shares; NaN without a gold word."""
    _, hits, called = _ranked(pairs)
    if not len(hits) or hits[-1] == 0:
        return float("nan")
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / called).sum() / hits[-1])


def _ranked(
    pairs: Sequence[tuple[Shares, Marks]],
) -> tuple[Shares, NDArray[np.int64], NDArray[np.int64]]:
    """Each distinct share of the pooled words, falling; gold words and words with that share or more."""
    shares = np.concatenate([share for share, _ in pairs] or [np.zeros(0)])
    gold = np.concatenate([marks for _, marks in pairs] or [np.zeros(0, bool)])
    order = np.argsort(-shares, kind="stable")
    shares = shares[order]
    last = np.flatnonzero(np.append(np.diff(shares) != 0, True)) if len(shares) else np.zeros(0, np.int64)
    return shares[last], np.cumsum(gold[order])[last], last + 1


def agreement(shares: Shares, gold: Marks, boundary: float) -> Agreement:
    """What one pair contributes; `gold` has a word at least."""
    predicted = shares >= boundary
    hits, called, true = (int(np.count_nonzero(m)) for m in (predicted & gold, predicted, gold))
    best = np.zeros_like(gold)
    best[np.argsort(-shares, kind="stable")[:true]] = True
    best &= shares > 0
    said, marked = runs(predicted), runs(gold)
    hit_in_run = np.array([np.count_nonzero(predicted[start:end]) for start, end in marked])
    met = marked[hit_in_run > 0]
    words_met = int((met[:, 1] - met[:, 0]).sum())
    return Agreement(
        (hits, called, true),
        (_matched(said, marked), len(said), len(marked)),
        np.count_nonzero(best & gold) / np.count_nonzero(best | gold),
        len(met) / len(marked),
        int(hit_in_run.sum()) / words_met if words_met else 0.0,
    )


def runs(marks: Marks) -> NDArray[np.int64]:
    """Start and end (R, 2), exclusive, of the stretches of True."""
    edges = np.diff(marks.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def _matched(said: NDArray[np.int64], marked: NDArray[np.int64]) -> int:
    """How many of the runs `said` share half or more of their union with some run `marked`."""
    if not len(said) or not len(marked):
        return 0
    ends, starts = np.minimum(said[:, 1:], marked[:, 1]), np.maximum(said[:, :1], marked[:, 0])
    shared = np.maximum(ends - starts, 0)  # (said, marked)
    union = (said[:, 1] - said[:, 0])[:, None] + (marked[:, 1] - marked[:, 0]) - shared
    return int(np.count_nonzero((shared / union).max(axis=1) >= HALF))
