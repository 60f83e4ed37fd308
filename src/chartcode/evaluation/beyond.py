"""Codes outside gold's labels that a coder named: those that a dictionary knows and too few train notes had.

Most coders know gold's labels alone, and a note's other gold codes are missed (`_all_codes`). A coder with a label
space of its own may be right about them. What it says of them counts in `micro_f1_all_codes` and `map_all_codes` and
nowhere else: every other metric is about the labels, so that coders compare.
- Called: with a score that reaches a threshold of these codes alone, which val chose: the highest of those by which F1
  over all codes is largest, labels being called at their global threshold; none is called where none makes it larger.
- Ranked: in one list with the labels; of equal scores the labels come first.

Shapes: N notes, L labels, K such codes, M true note-code pairs of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

NEVER = np.float32(np.inf)  # the threshold that none reaches


@dataclass(frozen=True)
class Beyond:
    """codes (K,); truth (N, K) CSR of ones; scores (N, K) CSR float32, a cell left out is never called."""

    codes: tuple[str, ...]
    truth: csr_array
    scores: csr_array

    def rows(self, rows: NDArray[Any]) -> Beyond:
        """Of some notes."""
        return Beyond(self.codes, csr_array(self.truth[rows]), csr_array(self.scores[rows]))

    @cached_property
    def notes(self) -> NDArray[np.int64]:
        """The note of each score (Z,)."""
        return np.repeat(np.arange(self.scores.shape[0]), np.diff(self.scores.indptr))

    @cached_property
    def true(self) -> NDArray[np.bool_]:
        """Whether each score is that of a true code (Z,)."""
        keys, width = self.notes * np.int64(len(self.codes)) + self.scores.indices, np.int64(len(self.codes))
        true = np.repeat(np.arange(self.truth.shape[0]), np.diff(self.truth.indptr)) * width + self.truth.indices
        return np.isin(keys, true)

    def called(self, tau: float) -> NDArray[np.int64]:
        """How many are called of each note (N,)."""
        return self._count(self.scores.data >= np.float32(tau))

    def right(self, tau: float) -> NDArray[np.int64]:
        """How many of these are true (N,)."""
        return self._count(self.true & (self.scores.data >= np.float32(tau)))

    def _count(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(self.notes[which], minlength=self.scores.shape[0])


def best_threshold(beyond: Beyond, right: int, called: int, gold: int) -> np.float32:
    """The threshold of largest F1 over all codes, where labels have so many right and called codes, of `gold` true ones
    in all; the highest of equals, and NEVER where none is better than to call none.
    """
    order = np.argsort(-beyond.scores.data, kind="stable")
    values = beyond.scores.data[order]
    last = np.append(values[1:] != values[:-1], True) if len(values) else np.zeros(0, bool)
    hits = right + np.cumsum(beyond.true[order])[last]
    calls = called + np.arange(1, len(values) + 1)[last]
    f1 = 2 * hits / (calls + gold)
    best = int(np.argmax(f1)) if len(f1) else 0
    if not len(f1) or f1[best] <= 2 * right / max(1, called + gold):
        return NEVER
    found: np.float32 = values[last][best]
    return found


def average_precision(
    scores: NDArray[np.float32], truth: Any, ranks: NDArray[np.int64], beyond: Beyond, gold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of each note (N,) with its labels and other codes in one list, over its `gold` codes (N,), 0 without any.

    scores (N, L), truth (N, L) CSR, `ranks` of the true labels among the labels, 0 for one on no list.
    """
    found = np.zeros(len(gold))
    for note in range(len(gold)):
        if not gold[note]:
            continue
        own, part = scores[note], slice(beyond.scores.indptr[note], beyond.scores.indptr[note + 1])
        place = ranks[truth.indptr[note] : truth.indptr[note + 1]]
        labels = truth.indices[truth.indptr[note] : truth.indptr[note + 1]][place > 0]
        others = beyond.scores.data[part]
        rising = np.sort(others)
        places = [place[place > 0] + len(others) - np.searchsorted(rising, own[labels], "right")]
        hits = np.flatnonzero(beyond.true[part])
        if len(hits):
            order = np.argsort(-others, kind="stable")  # of equal scores the first code
            among = np.empty(len(others), np.int64)
            among[order] = np.arange(1, len(others) + 1)
            before = len(own) - np.searchsorted(np.sort(own), others[hits], "left")
            places.append(among[hits] + before)
        ranked = np.sort(np.concatenate(places))
        found[note] = (np.arange(1, len(ranked) + 1) / ranked).sum() / gold[note]
    return found
