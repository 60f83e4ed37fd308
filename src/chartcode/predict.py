"""Codes for a file of notes: a fitted coder by itself, without the pipeline, its data or its solver.

In    CSV, CSV.gz or Parquet with the columns note_id and text (MIMIC-IV's discharge.csv.gz is one); raw text, cleaned
      here as silver cleans it
Out   CSV or Parquet: note_id, rank (1 = the likeliest code), code, score, and `called` where thresholds are given (the
      scores are then calibrated, if that evaluation was); notes in the order of the file. It speaks of patients: keep
      it where you keep the notes
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tqdm import tqdm

from chartcode.artifacts import Artifact, atomic_file, parquet_writer
from chartcode.coders.base import Coder, FloatArray, Scores, listed
from chartcode.coders.known import load_coder
from chartcode.errors import DataError
from chartcode.tables.contracts import check
from chartcode.tables.raw_csv import read_batches
from chartcode.tables.schemas import Column, RawTable
from chartcode.tables.source_notes import cleaned

if TYPE_CHECKING:
    from chartcode.evaluation.recalibration import Calibrator

NOTES = RawTable("notes", "", (Column("note_id", "string", required=True), Column("text", "string", required=True)))
UNKNOWN = {"age": pa.int16(), "sex": pa.string(), "year": pa.int16()}  # columns of silver that a file of notes has not
TOGETHER = 8192  # notes scored at once: one reading of a large model's weights
ROWS = 1 << 20  # notes x codes put in order at once


class Predicted(NamedTuple):
    """How much was scored."""

    notes: int
    codes: int


def predict(notes: Path, model: Path, out: Path, top: int | None = None, thresholds: Path | None = None) -> Predicted:
    """Score every note and write its `top` likeliest codes (None: all) to `out`, which must not exist.

    `thresholds` is the folder of an evaluation (data/evaluation/<coder>). Raises DataError for notes that are not to be
    read, and ArtifactError for a model or thresholds that are not whole.
    """
    if out.exists():
        raise DataError(f"{out}: exists; name a new file")
    if not out.name.endswith((".csv", ".parquet")):
        raise DataError(f"{out}: name it .csv or .parquet")
    coder = load_coder(Artifact(model))
    tau, calibrator = (None, None) if thresholds is None else _judgement(Artifact(thresholds), coder)
    schema = pa.schema([("note_id", pa.string()), ("rank", pa.int32()), ("code", pa.string()), ("score", pa.float32())])
    if tau is not None:
        schema = schema.append(pa.field("called", pa.bool_()))
    seen = 0
    with atomic_file(out) as file, _writer(file, out, schema) as writer:
        bar = tqdm(desc="predict", unit=" notes", disable=None, leave=False)
        for batches in _together(_read(notes)):
            scores = coder.scores(batch.select(list(coder.reads)) for batch in batches)
            scores = scores if calibrator is None else calibrator.apply(scores)
            ids = pa.concat_arrays([batch.column("note_id") for batch in batches])
            some = max(1, ROWS // len(coder.codes))
            for start in range(0, len(ids), some):
                rows = _rows(ids.slice(start, some), scores[start : start + some], coder, top, tau)
                writer.write_table(rows.cast(schema))
            seen += len(ids)
            bar.update(len(ids))
        bar.close()
    return Predicted(seen, len(coder.codes))


def _judgement(evaluation: Artifact, coder: Coder[Any]) -> tuple[FloatArray, Calibrator | None]:
    """The threshold of each code (L,), of the kind that `evaluate.threshold` chose, and the calibration before it."""
    from chartcode.evaluation.recalibration import Calibrator  # and with it SciPy's optimizers
    from chartcode.evaluation.thresholds import thresholds_of

    return thresholds_of(evaluation, coder.codes), Calibrator.of(evaluation, coder.codes)


def _rows(ids: pa.Array, scores: Scores, coder: Coder[Any], top: int | None, tau: FloatArray | None) -> pa.Table:
    """The likeliest codes of each note, a row each; of a coder with a label space of its own, those it considered."""
    names = pa.array(list(coder.codes), pa.string())
    codes, found = [], []
    for columns, said in listed(scores):
        best = np.argsort(-said, kind="stable")[:top]
        codes.append(columns[best])
        found.append(said[best])
    sizes = [len(said) for said in found]
    best, score = np.concatenate(codes), np.concatenate(found)
    rows = {
        "note_id": ids.take(pa.array(np.repeat(np.arange(len(ids)), sizes))),
        "rank": np.concatenate([np.arange(1, size + 1) for size in sizes]),
        "code": names.take(pa.array(best)),
        "score": score,
    }
    return pa.table(rows if tau is None else rows | {"called": score >= tau[best]})


def read_notes(path: Path) -> Iterator[pa.RecordBatch]:
    """note_id and text as they stand in a file of notes, a few hundred at a time.

    Raises DataError where the file cannot be read, a cell is missing or a note stands twice.
    """
    seen: set[str] = set()
    for cells in _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path):
        checked = check(cells, NOTES)
        for reason in checked.reasons[checked.reasons != ""][:1]:
            raise DataError(f"{path}: {reason}; mend the file or leave such rows out")
        before = len(seen)
        seen.update(checked.rows.column("note_id").to_pylist())
        if len(seen) < before + cells.num_rows:
            raise DataError(f"{path}: note_id: stands twice in some row; name every note once")
        if cells.num_rows:
            yield pa.record_batch(
                [checked.rows.column(name) for name in ("note_id", "text")], names=["note_id", "text"]
            )


def read_note(path: Path) -> str:
    """One note in a text file, to the byte. Raises DataError where it is no UTF-8 text."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as a UTF-8 text file") from None


def _read(path: Path) -> Iterator[pa.RecordBatch]:
    """note_id, cleaned text, its sections and edits, and age, sex and year unknown, a few hundred notes at a time."""
    for notes in read_notes(path):
        batch = cleaned(notes.column("note_id"), notes.column("text"))
        for name, kind in UNKNOWN.items():
            batch = batch.append_column(name, pa.nulls(batch.num_rows, kind))
        yield batch


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    """The cells as bytes."""
    cells = pa.schema([("note_id", pa.binary()), ("text", pa.binary())])
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(512, columns=cells.names):
                yield pa.record_batch([_as_bytes(batch.column(name)) for name in cells.names], schema=cells)
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (pa.ArrowException, KeyError, ValueError, OSError):
        raise DataError(f"{path}: not Parquet with the columns note_id and text") from None


def _as_bytes(column: pa.Array) -> pa.Array:
    """Cells as they would stand in a CSV file: numbers as digits, bytes as they are, UTF-8 or not."""
    kind = column.type
    plain = column if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else column.cast(pa.string())
    return plain.cast(pa.binary())


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    """The cells as bytes. A row of another number of cells ends it."""
    malformed: list[str] = []
    for cells in read_batches(path, NOTES, malformed.append):
        if malformed:
            break
        yield cells
    if malformed:
        raise DataError(f"{path}: a row has a wrong number of cells; mend the file")


def _together(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches in lists of at most about TOGETHER notes."""
    for first in batches:
        held, notes = [first], first.num_rows
        while notes < TOGETHER and (following := next(batches, None)) is not None:
            held.append(following)
            notes += following.num_rows
        yield held


def _writer(file: Path, out: Path, schema: pa.Schema) -> Any:
    if out.suffix == ".csv":
        return pyarrow.csv.CSVWriter(file, schema)
    return parquet_writer(file, schema, dictionary=["code"])
