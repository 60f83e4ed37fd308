"""What a coder said about the notes of one split, beside what the hospital coded: the input of every metric.

Scores and gold meet here and nowhere else: rows are checked by admission, columns are matched by code name. A gold
label that the coder does not know, or a cell that a sparse coder left out, has score -inf: never predicted, so missed.
Codes of the coder that are not gold labels stand apart (beyond.py); every other array is (N, L) in gold's order.

Shapes: N notes, L labels, M true note-label pairs, P patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.evaluation.beyond import Beyond
from chartcode.tables.labels import Gold

NEVER = np.float32(-np.inf)  # the score of a code that cannot be predicted
BLOCK = 1 << 22  # cells of a dense block worked on at once; 16 MB of float32


@dataclass(frozen=True)
class Cohort:
    """One split of one coder.

    truth (N, L) CSR of ones; scores (N, L) float32, no NaN; patients (N,) index 0..P-1; n_codes (N,) gold codes of the
    note, those outside the label space included; `beyond` where the coder names codes that are no labels.
    """

    split: str
    codes: tuple[str, ...]
    truth: Any
    scores: NDArray[np.float32]
    patients: NDArray[np.int64]
    n_codes: NDArray[np.int64]
    beyond: Beyond | None = None

    @property
    def n(self) -> int:
        """Number of notes."""
        return int(self.scores.shape[0])

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int(self.scores.shape[1])

    @property
    def size(self) -> int:
        """Number of patients."""
        return int(self.patients.max(initial=-1)) + 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """Note of each true pair (M,), ascending."""
        return np.repeat(np.arange(self.n, dtype=np.int64), np.diff(self.truth.indptr))

    @property
    def columns(self) -> NDArray[np.int64]:
        """Label of each true pair (M,), ascending within a note."""
        return np.asarray(self.truth.indices, dtype=np.int64)

    @cached_property
    def true_scores(self) -> NDArray[np.float32]:
        """Score of each true pair (M,)."""
        found: NDArray[np.float32] = self.scores[self.rows, self.columns]
        return found

    @cached_property
    def label_positives(self) -> NDArray[np.int64]:
        """True notes of each label (L,)."""
        return np.bincount(self.columns, minlength=self.labels)

    @cached_property
    def note_positives(self) -> NDArray[np.int64]:
        """True labels of each note (N,)."""
        return np.asarray(np.diff(self.truth.indptr), dtype=np.int64)

    @cached_property
    def probabilities(self) -> bool:
        """Whether all scores that predict anything lie in 0..1."""
        for part in blocks(self.n, self.labels):
            cells = self.scores[part]
            if (cells > 1).any() or ((cells < 0) & (cells != NEVER)).any():
                return False
        return True


def blocks(rows: int, columns: int) -> list[slice]:
    """Slices over `rows` so that a block of rows x columns holds about BLOCK cells."""
    step = max(1, BLOCK // max(1, columns))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def make(
    split: str,
    codes: Sequence[str],
    truth: Any,
    scores: NDArray[np.floating[Any]],
    *,
    patients: NDArray[Any],
    n_codes: NDArray[Any] | None = None,
    beyond: Beyond | None = None,
) -> Cohort:
    """A cohort from plain arrays; `n_codes` defaults to the labels of the note (all gold codes are labels).

    Raises DataError when shapes disagree, a score is NaN or +inf, or a note has fewer gold codes than labels.
    """
    truth = csr_array(truth, dtype=np.int8)
    truth.eliminate_zeros()
    truth.sort_indices()
    if scores.shape != truth.shape or len(codes) != truth.shape[1]:
        raise DataError(f"{split}: scores and labels differ in shape; run `dvc repro`")
    if truth.nnz and not (truth.data == 1).all():
        raise DataError(f"{split}: labels must be 0 or 1; run `dvc repro gold`")
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    for part in blocks(*scores.shape):
        if np.isnan(scores[part]).any() or np.isposinf(scores[part]).any():
            raise DataError(f"{split}: scores hold NaN or +inf; train the coder again")
    own = np.diff(truth.indptr)
    total = own if n_codes is None else np.asarray(n_codes)
    if (total < own).any():
        raise DataError(f"{split}: n_codes is smaller than the labels of a note; run `dvc repro gold`")
    _, index = np.unique(patients, return_inverse=True)
    if beyond is not None and not np.isfinite(beyond.scores.data).all():
        raise DataError(f"{split}: scores hold NaN or infinity; train the coder again")
    return Cohort(split, tuple(codes), truth, scores, index.astype(np.int64), total.astype(np.int64), beyond)


def read_cohort(gold: Gold, scores: Artifact, split: str) -> Cohort:
    """The notes of `split` with the coder's scores in gold's label order.

    Raises DataError when the split is empty, when the score rows are not gold's admissions in gold's order, or when a
    code column stands twice.
    """
    rows = gold.rows(split)
    name = f"{split}.npz"
    place = f"{scores.folder}/{name}"
    arrays = scores.npz(name)
    for key in ("hadm_ids", "codes"):
        if key not in arrays:
            raise DataError(f"{place}: array {key} is missing; run the coder's stage again")
    if not np.array_equal(arrays["hadm_ids"], gold.hadm_id[rows]):
        raise DataError(f"{place}: hadm_ids are not the {split} rows of {gold.folder}; run the coder's stage again")
    known = [str(code) for code in arrays["codes"]]
    if len(set(known)) != len(known):
        raise DataError(f"{place}: codes: a code stands twice; run the coder's stage again")
    said = _scores(arrays, len(rows), len(known), place)
    try:
        return make(
            split,
            gold.codes,
            gold.truth[rows],
            _align(said, known, gold.codes),
            patients=gold.subject_id[rows],
            n_codes=gold.n_codes[rows],
            beyond=_beyond(said, known, gold, rows),
        )
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def _scores(arrays: dict[str, NDArray[Any]], notes: int, codes: int, place: str) -> Any:
    """Scores (notes, codes) float32, dense or CSR."""
    if "scores" in arrays:
        if arrays["scores"].dtype.itemsize < np.dtype(np.float32).itemsize:
            raise DataError(f"{place}: scores: half precision makes ties; store float32, run the coder's stage again")
        dense = np.asarray(arrays["scores"], dtype=np.float32)
        if dense.shape != (notes, codes):
            raise DataError(f"{place}: scores: shape is not (hadm_ids, codes); run the coder's stage again")
        return dense
    for key in ("data", "indices", "indptr", "shape"):
        if key not in arrays:
            raise DataError(f"{place}: neither scores nor CSR array {key}; run the coder's stage again")
    shape = tuple(int(size) for size in arrays["shape"])
    if shape != (notes, codes):
        raise DataError(f"{place}: shape is not (hadm_ids, codes); run the coder's stage again")
    return csr_array((arrays["data"].astype(np.float32), arrays["indices"], arrays["indptr"]), shape=shape)


def _align(scores: Any, known: Sequence[str], wanted: Sequence[str]) -> NDArray[np.float32]:
    """Columns of `scores` (codes `known`) in the order of `wanted`; unknown ones and cells left out are -inf."""
    if isinstance(scores, np.ndarray) and list(known) == list(wanted):
        return scores
    place = {code: column for column, code in enumerate(known)}
    pairs = [(new, place[code]) for new, code in enumerate(wanted) if code in place]
    aligned = np.full((scores.shape[0], len(wanted)), NEVER, dtype=np.float32)
    if pairs:
        new, old = np.asarray(pairs).T
        if isinstance(scores, np.ndarray):
            aligned[:, new] = scores[:, old]
        else:
            cells = scores[:, old].tocoo()
            aligned[cells.row, new[cells.col]] = cells.data
    return aligned


def _beyond(scores: Any, known: Sequence[str], gold: Gold, rows: NDArray[np.int64]) -> Beyond | None:
    """What the coder says of codes that are no labels; None where it knows none."""
    labels = set(gold.codes)
    own = [column for column, code in enumerate(known) if code not in labels]
    if not own:
        return None
    place = {code: column for column, code in enumerate(gold.other_codes)}
    pairs = [(new, place[known[column]]) for new, column in enumerate(own) if known[column] in place]
    new, old = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    said = csr_array(scores[:, own])
    cells = gold.others[rows][:, old].tocoo()
    ones = np.ones(len(cells.row), np.int8), (cells.row, new[cells.col])
    return Beyond(tuple(known[column] for column in own), csr_array(ones, shape=said.shape), said)
