"""Gold: the label vocabulary, chosen from train patients, and the multi-hot matrix every coder is judged by.

labels.npz          CSR int8 (N, L); row n is row n of silver's notes.parquet, column l is label_names.json[l]
hadm_ids.parquet    per row: subject_id, hadm_id, note_id, n_codes (distinct codes of the note, in or out of the labels)
splits.parquet      per row: split
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.params import GoldParams


def label_codes(codes: pa.Table, params: GoldParams) -> pa.Table:
    """The codes of silver that can be labels: the chosen ICD version and tables."""
    tables = pc.is_in(codes["table"], pa.array(list(params.tables)))
    return codes.filter(pc.and_(tables, pc.equal(codes["icd_version"], params.icd_version)))


def choose_labels(counts: Mapping[str, int], params: GoldParams) -> list[str]:
    """The label vocabulary from the number of notes of each code: the `top_k` commonest (count descending, then name),
    or, with top_k null, every code with at least `min_count` notes, sorted by name.
    """
    if params.top_k is None:
        return sorted(code for code, count in counts.items() if count >= params.min_count)
    return sorted(counts, key=lambda code: (-counts[code], code))[: params.top_k]


def write_gold(silver: Artifact, split: Artifact, writer: Writer, params: GoldParams) -> None:
    """Write the gold artifact. Raises DataError when train is empty, no code is common enough or rows do not align."""
    notes = silver.table("notes.parquet", ["subject_id", "hadm_id", "note_id"])
    splits = _aligned_splits(notes, split.table("splits.parquet"))
    codes = label_codes(silver.table("codes.parquet"), params)
    row_of = {hadm: row for row, hadm in enumerate(notes["hadm_id"].to_pylist())}
    rows = np.fromiter((row_of[h] for h in codes["hadm_id"].to_pylist()), np.int64, codes.num_rows)
    encoded = codes["icd_code"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    # One row per (note, code): the same code in two label tables counts once.
    pairs = sp.csr_matrix(
        (np.ones(codes.num_rows, np.int64), (rows, encoded.indices.to_numpy())), (len(splits), len(names))
    )
    pairs.data[:] = 1
    chosen_from = splits == "train" if params.select_on == "train" else splits != "unused"
    if not chosen_from.any():
        raise DataError("gold: no train note; raise split.train or give more patients")
    counts = np.asarray(pairs[chosen_from].sum(axis=0)).ravel()
    labels = choose_labels({n: int(c) for n, c in zip(names, counts, strict=True) if c}, params)
    if not labels:
        raise DataError("gold: no code is common enough; lower gold.min_count or set gold.top_k")
    column = {name: index for index, name in enumerate(names)}
    matrix = sp.csr_matrix(pairs[:, [column[label] for label in labels]], dtype=np.int8)
    matrix.sort_indices()
    _save(writer, matrix, labels, notes, np.diff(pairs.indptr), splits)
    log("gold").info("labels chosen", notes=matrix.shape[0], labels=len(labels), positives=int(matrix.nnz))


def _aligned_splits(notes: pa.Table, splits: pa.Table) -> np.ndarray[Any, Any]:
    """The split of each note of silver, (N,) str. Raises DataError when an admission has none."""
    named = dict(zip(splits["hadm_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    try:
        return np.array([named[hadm] for hadm in notes["hadm_id"].to_pylist()], dtype=str)
    except KeyError:
        raise DataError(
            "data/split/splits.parquet: hadm_id: an admission of silver has no split; run `dvc repro`"
        ) from None


def _save(
    writer: Writer,
    matrix: sp.csr_matrix,
    labels: list[str],
    notes: pa.Table,
    n_codes: np.ndarray[Any, Any],
    splits: np.ndarray[Any, Any],
) -> None:
    writer.npz(
        "labels.npz",
        rows=matrix.shape[0],
        data=matrix.data,
        indices=matrix.indices.astype(np.int32),
        indptr=matrix.indptr.astype(np.int64),
        shape=np.array(matrix.shape, np.int64),
    )
    writer.json("label_names.json", labels)
    index = notes.select(["subject_id", "hadm_id", "note_id"]).append_column("n_codes", pa.array(n_codes, pa.int32()))
    writer.parquet("hadm_ids.parquet", index)
    writer.parquet("splits.parquet", pa.table({"split": pa.array(splits, pa.string())}))
