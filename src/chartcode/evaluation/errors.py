"""Where a coder goes wrong: codes taken for others, siblings, notes coded too fully or too thinly, doubtful labels.

- **Confusions**: in one note, a code missed beside a code called falsely. Ranked by lift, the number of such notes over
  what the two error rates alone would give, because a raw count finds only the commonest codes. Siblings share the
  first three characters: right category, wrong code.
- **Notes**: called, right and true codes of each note.
- **Suspects**: labels that the coder contradicts most, for the hospital's coders to look at again. A false call is one
  (`missing`) when its score reaches the mean score of the code's true notes; a missed code (`unsupported`) when its
  score is no higher than the mean of the code's other notes: the thresholds of confident learning (Northcutt et al.
  2021). Ranked by how far beyond, in distances of the two means.

These tables speak of single notes or of few, and stay in the DVC cache; `summary` is what may be published.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.evaluation.cohort import NEVER, Cohort, blocks
from chartcode.evaluation.decisions import Calls, f1, ratio
from chartcode.privacy import SMALLEST, Guarded, publish, publish_parts

FEWEST_NOTES = 5  # below that a lift is noise
MOST_ROWS = 1000  # of confusions and of suspects
CATEGORY = 3  # characters of an ICD-10 category
# Called less true codes of a note: where a group begins, and its name.
BALANCE = (
    (-(10**6), "too few by 6 or more"),
    (-5, "too few by 2-5"),
    (-1, "within one"),
    (2, "too many by 2-5"),
    (6, "too many by 6 or more"),
)
Summary = dict[str, dict[str, dict[str, float | int | None]]]


def confusions(cohort: Cohort, calls: Calls) -> pa.Table:
    """Pairs of codes, missed and called in its place, of at least 5 notes: `notes`, `patients`, `expected`, `lift`."""
    missed, false = calls.missed.tocsc(), calls.false.tocsc()
    pairs = (missed.T @ false).tocoo()
    expected = missed.sum(axis=0)[pairs.row] * false.sum(axis=0)[pairs.col] / cohort.n
    lift = ratio(pairs.data, expected)
    common = np.flatnonzero(pairs.data >= FEWEST_NOTES)
    order = common[np.lexsort((pairs.col[common], pairs.row[common], -pairs.data[common], -lift[common]))][:MOST_ROWS]
    rows, columns = pairs.row[order], pairs.col[order]
    shared = [
        np.intersect1d(_rows(missed, one), _rows(false, other), assume_unique=True)
        for one, other in zip(rows, columns, strict=True)
    ]
    categories = _categories(cohort)
    return pa.table(
        {
            "split": pa.array([cohort.split] * len(order), pa.string()),
            "missed": pa.array([cohort.codes[column] for column in rows], pa.string()),
            "called": pa.array([cohort.codes[column] for column in columns], pa.string()),
            "sibling": categories[rows] == categories[columns],
            "notes": pairs.data[order].astype(np.int64),
            "patients": np.array([len(np.unique(cohort.patients[notes])) for notes in shared], dtype=np.int64),
            "expected": expected[order],
            "lift": lift[order],
        }
    )


def notes(cohort: Cohort, calls: Calls, hadm_ids: NDArray[np.int64]) -> pa.Table:
    """One row a note: codes called, right and true among the labels, and all its gold codes."""
    right, called, true = (cells.sum(axis=1).astype(np.int32) for cells in calls.all)
    columns: dict[str, Any] = {"split": [cohort.split] * cohort.n, "hadm_id": hadm_ids, "called": called}
    return pa.table(columns | {"right": right, "true": true, "n_codes": cohort.n_codes})


def suspects(cohort: Cohort, calls: Calls, hadm_ids: NDArray[np.int64]) -> pa.Table:
    """The labels contradicted most: `kind` missing or unsupported, `strength` in distances of the code's two means."""
    of_true, of_false = _means(cohort)
    apart = of_true - of_false
    found = []
    for kind, cells, start, sign in (
        ("missing", calls.false, of_true, 1),
        ("unsupported", calls.missed, of_false, -1),
    ):
        row, column = cells.nonzero()
        score = cohort.scores[row, column].astype(np.float64)
        known = (score != NEVER) & (apart[column] > 0)  # not where the coder does not know the code, or knows it badly
        row, column, score = row[known], column[known], score[known]
        strength = sign * (score - start[column]) / apart[column]
        found.append((np.full(len(row), kind), row, column, score, strength))
    kinds, row, column, score, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    beyond = np.flatnonzero(strength >= 0)
    order = beyond[np.lexsort((column[beyond], row[beyond], -strength[beyond]))][:MOST_ROWS]
    return pa.table(
        {
            "split": pa.array([cohort.split] * len(order), pa.string()),
            "hadm_id": hadm_ids[row[order]],
            "code": pa.array([cohort.codes[label] for label in column[order]], pa.string()),
            "kind": pa.array(kinds[order].tolist(), pa.string()),
            "score": score[order],
            "strength": strength[order],
        }
    )


def summary(cohort: Cohort, calls: Calls) -> Summary:
    """What may be published, as two more dimensions of the slices: balance (notes by called less true codes), and
    siblings (micro-F1 when the category is enough; the share of false calls with a missed sibling in the same note).
    Nothing of fewer than 11 patients."""
    if cohort.size < SMALLEST:
        return {}
    right, called, true = (cells.sum(axis=1) for cells in calls.all)
    wrong = (right < called) | (right < true)  # the others are counted by exact_match
    groups = np.searchsorted([start for start, _ in BALANCE], called - true, "right") - 1
    names = [name for _, name in BALANCE]
    members = {name: np.flatnonzero(groups == place) for place, name in enumerate(names)}
    patients = {name: len(np.unique(cohort.patients[rows])) for name, rows in members.items()}
    parts = {
        name: {"n": Guarded(len(rows), (len(rows), patients[name], int(np.count_nonzero(wrong[rows]))))}
        for name, rows in members.items()
    }
    balance = publish_parts(parts, {name: len(rows) for name, rows in members.items()})
    return {"balance": balance, "siblings": {"all": publish(_siblings(cohort, calls), cohort.size)}}


def _siblings(cohort: Cohort, calls: Calls) -> dict[str, Guarded]:
    named, category = np.unique(_categories(cohort), return_inverse=True)
    shape = cohort.labels, len(named)
    member = csr_array((np.ones(cohort.labels), (np.arange(cohort.labels), category)), shape=shape)
    called, true = (_binary(cells @ member) for cells in (calls.called, calls.true))  # (N, categories)
    hits, all_called, all_true = int(called.multiply(true).sum()), int(called.sum()), int(true.sum())
    cells = (hits, all_called - hits, all_true - hits)
    right, false = calls.right, calls.false
    codes = (int(right.sum()), int(false.sum()), int(calls.missed.sum()))
    moved = tuple(abs(one - other) for one, other in zip(cells, codes, strict=True))  # beside the F1 of codes
    beside = int(_binary(false.multiply(calls.missed @ member @ member.T)).sum())
    return {
        "category_micro_f1": Guarded(float(f1(hits, all_called, all_true)), cells + moved),
        "false_beside_missed_sibling": Guarded(float(ratio(beside, codes[1])), (beside, codes[1] - beside)),
    }


def _categories(cohort: Cohort) -> NDArray[np.str_]:
    """First three characters of each label's code (L,)."""
    return np.array([code[:CATEGORY] for code in cohort.codes], dtype=np.str_)


def _means(cohort: Cohort) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean score (L,) of the notes that have the code and of those that have not; -inf cells do not count."""
    total, known = np.zeros(cohort.labels), np.zeros(cohort.labels)
    for part in blocks(cohort.n, cohort.labels):
        finite = cohort.scores[part] != NEVER
        total += np.where(finite, cohort.scores[part], 0).sum(axis=0, dtype=np.float64)
        known += finite.sum(axis=0)
    reached = cohort.true_scores != NEVER
    columns = cohort.columns[reached]
    true = np.bincount(columns, minlength=cohort.labels).astype(np.float64)
    own = np.bincount(columns, weights=cohort.true_scores[reached], minlength=cohort.labels)
    return _mean(own, true), _mean(total - own, known - true)


def _mean(total: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """total / count, NaN without any: a comparison with NaN is false, so such a code has no suspects."""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rows(cells: Any, column: int) -> NDArray[np.int64]:
    return np.asarray(cells.indices[cells.indptr[column] : cells.indptr[column + 1]], dtype=np.int64)


def _binary(cells: Any) -> csr_array:
    cells = csr_array(cells)
    cells.eliminate_zeros()
    cells.data[:] = 1
    return cells
