"""Reads gold: which codes each note truly has, in which split it is, and which row is whose.

Shapes: N notes of the cohort, L labels, K codes that are no labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact
from chartcode.errors import DataError


@dataclass(frozen=True)
class Gold:
    """Gold of all splits: codes, truth (N, L) CSR and the row index, aligned; and what else the notes were coded with:
    others (N, K) CSR of ones, other_codes (K,).
    """

    folder: str
    codes: tuple[str, ...]
    truth: Any
    subject_id: NDArray[np.int64]
    hadm_id: NDArray[np.int64]
    n_codes: NDArray[np.int64]
    split: NDArray[np.str_]
    others: Any
    other_codes: tuple[str, ...]

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of a split. Raises DataError when it has no note."""
        rows = np.flatnonzero(self.split == split)
        if not rows.size:
            raise DataError(
                f"{self.folder}/splits.parquet: split {split} has no notes; "
                f"raise split.{split} or data.max_patients in params.yaml"
            )
        return rows


def read_gold(gold: Artifact) -> Gold:
    """The gold artifact as arrays. Raises DataError when its files are not aligned or a label is listed twice."""
    arrays = gold.npz("labels.npz")
    codes = [str(code) for code in gold.json("label_names.json")]
    index = gold.table("hadm_ids.parquet", ["subject_id", "hadm_id", "n_codes"])
    split = np.asarray(gold.table("splits.parquet", ["split"])["split"].to_pylist(), dtype=np.str_)
    shape = tuple(int(size) for size in arrays["shape"])
    if shape != (index.num_rows, len(codes)) or len(split) != index.num_rows:
        raise DataError(
            f"{gold.folder}: labels, hadm_ids, splits and label_names are not aligned; run `dvc repro gold`"
        )
    if len(set(codes)) != len(codes):
        raise DataError(f"{gold.folder}/label_names.json: a code is listed twice; run `dvc repro gold`")
    truth = csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    subject, hadm, n_codes = (index[name].to_numpy() for name in ("subject_id", "hadm_id", "n_codes"))
    others, other_codes = _read_others(gold, index.num_rows)
    if set(other_codes) & set(codes):
        raise DataError(f"{gold.folder}/others.npz: holds a label; run `dvc repro gold`")
    return Gold(gold.folder.as_posix(), tuple(codes), truth, subject, hadm, n_codes, split, others, other_codes)


def _read_others(gold: Artifact, notes: int) -> tuple[csr_array, tuple[str, ...]]:
    held = gold.npz("others.npz")
    codes, indices, indptr = tuple(held["codes"].tolist()), held["indices"], held["indptr"]
    if len(indptr) != notes + 1:
        raise DataError(f"{gold.folder}/others.npz: not of these notes; run `dvc repro gold`")
    return csr_array((np.ones(len(indices), np.int8), indices, indptr), shape=(notes, len(codes))), codes
