"""Gold: the label vocabulary, chosen from train patients, and the multi-hot matrix every coder is judged by.

labels.npz          CSR int8 (N, L); row n is row n of silver's notes.parquet, column l is label_names.json[l]
others.npz          CSR of ones (N, K), codes (K,), sorted: the other codes of a note, no labels; a coder with a label
                    space of its own may name them, and learn from train's
hadm_ids.parquet    per row: subject_id, hadm_id, note_id, n_codes (distinct codes of the note, in or out of the labels)
splits.parquet      per row: split
facts.parquet       per row: n_tokens, age, sex, race, year; by these `evaluate` slices, which does not read silver
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.params import GoldParams
from chartcode.tables import engine
from chartcode.tables.codes import label_codes

FACTS = ("n_tokens", "age", "sex", "race", "year")


def note_counts(labelled: Any, splits: Any, params: GoldParams) -> Any:
    """(icd_code, notes): in how many notes a code stands, of train, or with `select_on: cohort` of all splits."""
    dealt = splits.filter(splits.split == "train" if params.select_on == "train" else splits.split != "unused")
    return labelled.semi_join(dealt, "hadm_id").group_by("icd_code").aggregate(notes=ibis._.count())


def positives(labelled: Any, labels: list[str]) -> Any:
    """(hadm_id, label) of every true pair, `label` the code's column in the label matrix."""
    columns = ibis.memtable(pa.table({"icd_code": pa.array(labels, pa.string()), "label": range(len(labels))}))
    return labelled.inner_join(columns, "icd_code").select("hadm_id", "label")


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
    if not (splits == "train").any():
        raise DataError("gold: no train note; raise split.train or give more patients")
    with engine.engine() as connection:
        # Once each: a code that stands in two label tables is one label.
        coded = label_codes(engine.table(connection, silver, "codes.parquet"), params)
        labelled = coded.select("hadm_id", "icd_code").distinct()
        counted = note_counts(labelled, engine.table(connection, split, "splits.parquet"), params).to_pyarrow()
        counts = dict(zip(counted["icd_code"].to_pylist(), counted["notes"].to_pylist(), strict=True))
        labels = choose_labels(counts, params)
        if not labels:
            raise DataError("gold: no code is common enough; lower gold.min_count or set gold.top_k")
        others = sorted(set(labelled.select("icd_code").distinct().to_pyarrow()["icd_code"].to_pylist()) - set(labels))
        pairs, others_pairs = (positives(labelled, codes).to_pyarrow() for codes in (labels, others))
        sizes = labelled.group_by("hadm_id").aggregate(codes=ibis._.count()).to_pyarrow()
    row_of = {hadm: row for row, hadm in enumerate(notes["hadm_id"].to_pylist())}
    matrix = _matrix(pairs, row_of, len(labels))
    n_codes = np.zeros(len(splits), np.int32)
    n_codes[[row_of[h] for h in sizes["hadm_id"].to_pylist()]] = sizes["codes"].to_numpy()
    _save(writer, matrix, labels, notes, n_codes, splits)
    outside = _matrix(others_pairs, row_of, len(others))
    writer.npz(
        "others.npz",
        rows=outside.shape[0],
        indices=outside.indices.astype(np.int32),
        indptr=outside.indptr.astype(np.int64),
        codes=np.array(others, dtype=str),
    )
    writer.parquet("facts.parquet", silver.table("notes.parquet", FACTS))
    log("gold").info("labels chosen", notes=matrix.shape[0], labels=len(labels), positives=int(matrix.nnz))


def _matrix(pairs: pa.Table, row_of: Mapping[int, int], columns: int) -> sp.csr_matrix:
    """(hadm_id, label) as ones int8 (N, `columns`)."""
    rows = np.fromiter((row_of[h] for h in pairs["hadm_id"].to_pylist()), np.int64, pairs.num_rows)
    cells = np.ones(pairs.num_rows, np.int8), (rows, pairs["label"].to_numpy())
    matrix = sp.csr_matrix(cells, (len(row_of), columns), dtype=np.int8)
    matrix.sort_indices()
    return matrix


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
