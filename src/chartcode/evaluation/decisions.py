"""What happens when scores become codes on a bill: right, wrong and missed codes, per label and per note.

A code is called when score >= threshold. F1 = 2 TP / (called + true), 0 when that sum is 0. The literature has two
macro-F1: `macro_f1`, the mean over labels with at least one true note in the split (scikit-learn's mean over all labels
is that times labels_with_positives / labels, since F1 without a true note is 0), and `macro_f1_harmonic`, the harmonic
mean of macro precision and macro recall over all labels (CAML, Mullenbach et al. 2018; then MSMN, PLM-ICD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.evaluation.cohort import Cohort, blocks
from chartcode.privacy import SMALLEST


@dataclass(frozen=True)
class Decisions:
    """Hits, called and true codes: `label_*` (L,) counts notes, `note_*` (N,) counts labels."""

    label_hits: NDArray[np.int64]
    label_called: NDArray[np.int64]
    label_true: NDArray[np.int64]
    note_hits: NDArray[np.int64]
    note_called: NDArray[np.int64]
    note_true: NDArray[np.int64]

    @property
    def hits(self) -> int:
        """True positives over all cells."""
        return int(self.label_hits.sum())

    @property
    def called(self) -> int:
        """Codes called over all cells."""
        return int(self.label_called.sum())

    @property
    def true(self) -> int:
        """Codes that are true over all cells."""
        return int(self.label_true.sum())

    @property
    def errors(self) -> tuple[int, int, int]:
        """True positives, false positives, false negatives."""
        return self.hits, self.called - self.hits, self.true - self.hits


def decide(cohort: Cohort, tau: NDArray[np.float32]) -> Decisions:
    """Call every code whose score reaches `tau` (L,) or (N, L), in float32, and count."""
    tau = everywhere(tau, cohort)
    called_label = np.zeros(cohort.labels, dtype=np.int64)
    called_note = np.zeros(cohort.n, dtype=np.int64)
    for part in blocks(cohort.n, cohort.labels):
        called = cohort.scores[part] >= tau[part]
        called_label += np.count_nonzero(called, axis=0)
        called_note[part] = np.count_nonzero(called, axis=1)
    hit = cohort.true_scores >= tau[cohort.rows, cohort.columns]
    return Decisions(
        label_hits=np.bincount(cohort.columns[hit], minlength=cohort.labels),
        label_called=called_label,
        label_true=cohort.label_positives,
        note_hits=np.bincount(cohort.rows[hit], minlength=cohort.n),
        note_called=called_note,
        note_true=cohort.note_positives,
    )


@dataclass(frozen=True)
class Calls:
    """The cells of a split, (N, L) CSR of ones each: called and true, called, true."""

    right: csr_array
    called: csr_array
    true: csr_array

    @classmethod
    def of(cls, cohort: Cohort, tau: NDArray[np.float32]) -> Calls:
        """What the thresholds `tau`, (L,) or (N, L), call."""
        tau = everywhere(tau, cohort)
        found = [np.nonzero(cohort.scores[part] >= tau[part]) for part in blocks(cohort.n, cohort.labels)]
        starts = [part.start for part in blocks(cohort.n, cohort.labels)]
        rows = np.concatenate([here[0] + start for here, start in zip(found, starts, strict=True)])
        columns = np.concatenate([here[1] for here in found])
        called = csr_array((np.ones(len(rows)), (rows, columns)), shape=(cohort.n, cohort.labels))
        true = csr_array(cohort.truth, dtype=np.float64)
        return cls(csr_array(called.multiply(true)), called, true)

    @property
    def false(self) -> csr_array:
        """Called and not true."""
        return _ones(self.called - self.right)

    @property
    def missed(self) -> csr_array:
        """True and not called."""
        return _ones(self.true - self.right)

    @property
    def all(self) -> tuple[csr_array, csr_array, csr_array]:
        """Right, called, true."""
        return self.right, self.called, self.true


def _ones(cells: csr_array) -> csr_array:
    cells.eliminate_zeros()
    return cells


def everywhere(tau: NDArray[np.float32], cohort: Cohort) -> NDArray[np.float32]:
    """The threshold of each cell (N, L): thresholds of labels (L,) are a view, and cost no memory."""
    return np.broadcast_to(tau, (cohort.n, cohort.labels))


def ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """part / whole, and 0 where whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    share: NDArray[np.float64] = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=share, where=whole != 0)
    return share


def f1(hits: Any, called: Any, true: Any) -> NDArray[np.float64]:
    """2 TP / (called + true), elementwise."""
    return ratio(2 * np.asarray(hits), np.asarray(called) + np.asarray(true))


def micro_f1(decisions: Decisions) -> float:
    """F1 over all cells at once."""
    return float(f1(*_totals(decisions)))


def macro_f1(decisions: Decisions) -> float:
    """Mean F1 over labels with at least one true note; NaN without such a label."""
    values = f1(decisions.label_hits, decisions.label_called, decisions.label_true)
    return float(values[decisions.label_true > 0].mean()) if decisions.true else float("nan")


def counted_by_mean(by_label: NDArray[Any], notes: int) -> tuple[int, int]:
    """Hits and errors of labels, from their right, called and true notes (3, L), as far as the mean F1 counts them: 11
    or more where it leaves room for 11.

    A label's hits are at most notes x F1. Its errors are (1 - F1) x (called + true), and called + true is at most
    2 x notes, and 2 x true / F1; no F1 is below 1 - gap.
    """
    hits, called, true = by_label
    values = f1(hits, called, true)
    gap = float(len(values) - values.sum())
    errors = 2 * gap * (min(notes, int(true.sum()) / (1 - gap)) if gap < 1 else notes)
    wrong = int((called + true - 2 * hits).sum())
    few_hits, few_errors = notes * values.sum() < SMALLEST, errors < SMALLEST
    return max(int(hits.sum()), 0 if few_hits else SMALLEST), max(wrong, 0 if few_errors else SMALLEST)


def macro_f1_harmonic(decisions: Decisions) -> float:
    """Harmonic mean of precision and recall, each averaged over all labels, absent and uncalled ones as 0."""
    precision = float(ratio(decisions.label_hits, decisions.label_called).mean())
    recall = float(ratio(decisions.label_hits, decisions.label_true).mean())
    return float(ratio(2 * precision * recall, precision + recall))


def micro_f1_all_codes(decisions: Decisions, gold_codes: int, right: int = 0, called: int = 0) -> float:
    """F1 when every gold code counts: of those outside the label space (`gold_codes` holds them too) so many are
    `right` of so many `called`, and the rest is missed.
    """
    return float(f1(decisions.hits + right, decisions.called + called, gold_codes))


def example_f1(decisions: Decisions) -> float:
    """Mean F1 per note; a note without true and without called codes is right, 1."""
    values = f1(decisions.note_hits, decisions.note_called, decisions.note_true)
    values[(decisions.note_called == 0) & (decisions.note_true == 0)] = 1
    return float(values.mean())


def exact_matches(decisions: Decisions) -> int:
    """Notes whose called codes are exactly the true ones."""
    right = (decisions.note_hits == decisions.note_called) & (decisions.note_hits == decisions.note_true)
    return int(np.count_nonzero(right))


def predict_all_f1(true: Any, notes: int) -> NDArray[np.float64]:
    """F1 of calling the label on every note, 2p / (1 + p): the floor a coder must clear."""
    return f1(true, notes, true)


def _totals(decisions: Decisions) -> tuple[int, int, int]:
    return decisions.hits, decisions.called, decisions.true
