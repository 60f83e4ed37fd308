"""Train, validation and test as other studies dealt MIMIC-IV's admissions out, read from the files they published.

- Edin et al. 2023 and 2024 (JoakimEdin/medical-coding-reproducibility, .../explainable-medical-coding): Feather with
  `_id`, which is MIMIC-IV's hadm_id (their prepare_mimiciv.py), and `split` in train, val, test.
- Nguyen et al. 2023 (thomasnguyen92/MIMIC-IV-ICD-data-processing): `{train,dev,test}_{full,50}_hadm_ids.csv`, one
  hadm_id a line, no header. Name one of the three, or the folder when it holds one such set.
- Any CSV, Feather or Parquet table with `split` and one of `hadm_id`, `_id`, `note_id`; a note_id (subject-DS-seq) or
  an `_id` of that form is looked up in the hospital's notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq

from chartcode.errors import DataError
from chartcode.tables.raw_csv import read_batches
from chartcode.tables.schemas import ARROW, RAW_TABLES, SPLITS, SPLITS_SCHEMA

ID_COLUMNS = ("hadm_id", "_id", "note_id")
SAME_AS = {"dev": "val", "valid": "val", "validation": "val"} | {name: name for name in SPLITS}
_LISTED = re.compile(r"^(train|dev|test)_(\w+)_hadm_ids\.csv$")
_NOTE_ID = r"^[0-9]+-[A-Z]{2}-[0-9]+$"
T = TypeVar("T")


@dataclass(frozen=True)
class OfficialSplit:
    """`rows` as SPLITS_SCHEMA, sorted, one an admission; `unknown`: admissions of the file this hospital lacks."""

    rows: pa.Table
    unknown: int


def read(path: Path, admissions: Path, discharge: Path | None = None) -> OfficialSplit:
    """The split in `path`; patients are looked up in the hospital's `admissions`, notes in its `discharge`.

    A patient with admissions in two splits is left as published; the split stage moves such a patient, aloud.
    Raises DataError, naming file and column, when the format is none of the above, an admission stands in two splits,
    or no admission of the file is one of this hospital's.
    """
    listed = _listed_files(path)
    key, split = _read_lists(listed) if listed else _read_table(path)
    if pa.types.is_string(key.type):
        key = _from_notes(path, key, discharge)
    named = pa.table({"hadm_id": key, "split": split})
    deal = named.drop_null().group_by(["hadm_id", "split"]).aggregate([])
    if deal.num_rows != len(deal["hadm_id"].unique()):
        raise DataError(f"{path}: split: an admission stands in two splits; mend the file")
    owners = _pairs(admissions, "admissions", "hadm_id", "subject_id", deal["hadm_id"].combine_chunks())
    rows = deal.join(owners, "hadm_id", join_type="inner").select(SPLITS_SCHEMA.names)
    if not rows.num_rows:
        raise DataError(f"{path}: no admission of it stands in hosp/admissions.csv.gz; is it a split of MIMIC-IV?")
    rows = rows.sort_by([("subject_id", "ascending"), ("hadm_id", "ascending")]).cast(SPLITS_SCHEMA)
    return OfficialSplit(rows.combine_chunks(), unknown=named["hadm_id"].null_count + deal.num_rows - rows.num_rows)


def _listed_files(path: Path) -> list[Path]:
    """The three lists of a set like Nguyen's, or nothing when `path` is a table."""
    if path.is_dir():
        kinds = {found[2] for p in path.iterdir() if (found := _LISTED.match(p.name))}
        if len(kinds) != 1:
            what = f"{len(kinds)} sets ({', '.join(sorted(kinds))})" if kinds else "no set"
            raise DataError(f"{path}: holds {what} of train, dev and test _hadm_ids.csv; name one of the files")
        folder, kind = path, kinds.pop()
    elif found := _LISTED.match(path.name):
        folder, kind = path.parent, found[2]
    else:
        return []
    files = [folder / f"{split}_{kind}_hadm_ids.csv" for split in ("train", "dev", "test")]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: missing; the three lists train, dev and test belong together")
    return files


def _read_lists(files: Iterable[Path]) -> tuple[pa.Array, pa.Array]:
    ids: list[int] = []
    split: list[str] = []
    for file in files:
        lines = _quietly(file, lambda file=file: file.read_text(encoding="utf-8-sig").split())  # type: ignore[misc]
        if lines and lines[0] == "hadm_id":
            del lines[0]
        if not all(line.isascii() and line.isdigit() and len(line) < 19 for line in lines):
            raise DataError(f"{file}: expected one hadm_id a line and nothing else")
        ids.extend(int(line) for line in lines)
        split.extend([SAME_AS[file.name.split("_")[0]]] * len(lines))
    return pa.array(ids, pa.int64()), pa.array(split, pa.string())


def _read_table(path: Path) -> tuple[pa.Array, pa.Array]:
    """(hadm_id or note_id, split) of a table; ids integer, or string when they are note ids."""
    readers: dict[str, Callable[[], pa.Table]] = {
        ".feather": lambda: pa_feather.read_table(path, memory_map=False),
        ".parquet": lambda: pq.read_table(path),
        ".csv": lambda: pa_csv.read_csv(path),
    }
    kind = ".csv" if path.name.endswith(".csv.gz") else path.suffix
    if kind not in readers:
        raise DataError(f"{path}: not a split file; known are .feather, .parquet, .csv and .csv.gz")
    table = _quietly(path, readers[kind])
    named = [name for name in ID_COLUMNS if name in table.column_names]
    if not named:
        raise DataError(f"{path}: hadm_id: column is missing; one of {', '.join(ID_COLUMNS)} is needed")
    if "split" not in table.column_names:
        raise DataError(f"{path}: split: column is missing")
    key = _key(path, named[0], table[named[0]].combine_chunks())
    words = table["split"].combine_chunks()
    if pa.types.is_dictionary(words.type):
        words = words.dictionary_decode()
    try:
        words = pc.utf8_lower(words.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"{path}: split: must hold {', '.join(SPLITS)}") from None
    known = pa.array(list(SAME_AS), pa.string())
    place = pc.index_in(words, known)
    if place.null_count:
        raise DataError(f"{path}: split: {place.null_count} rows hold none of {', '.join(sorted(SAME_AS))}")
    return key, pa.array(list(SAME_AS.values()), pa.string()).take(place)


def _key(path: Path, name: str, values: pa.Array) -> pa.Array:
    if values.null_count:
        raise DataError(f"{path}: {name}: {values.null_count} rows are empty")
    try:
        return values.cast(pa.int64())  # integers, whole floats, digits
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    try:
        text = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"{path}: {name}: must hold hadm_id or note_id") from None
    if name == "hadm_id" or not pc.all(pc.match_substring_regex(text, _NOTE_ID)).as_py():
        raise DataError(f"{path}: {name}: must hold whole numbers (hadm_id), or note ids like subject-DS-seq")
    return text


def _quietly(path: Path, reader: Callable[[], T]) -> T:
    """Run a reader; its own errors may quote a cell, so they become one line."""
    try:
        return reader()
    except FileNotFoundError:
        raise DataError(f"{path}: not found") from None
    except (pa.ArrowException, OSError, ValueError):
        raise DataError(f"{path}: cannot be read as {path.suffix.lstrip('.') or 'a table'}; fetch it again") from None


def _from_notes(path: Path, note_ids: pa.Array, discharge: Path | None) -> pa.Array:
    """hadm_id of each note; null where the hospital has no such note or the note no admission."""
    pairs = None if discharge is None else _pairs(discharge, "discharge", "note_id", "hadm_id", note_ids)
    if pairs is None or not pairs.num_rows:
        raise DataError(f"{path}: no note of it stands in note/discharge.csv.gz; link the notes with --note")
    place = pc.index_in(note_ids, pairs["note_id"].combine_chunks())
    return pairs["hadm_id"].combine_chunks().take(place)


def _pairs(file: Path, name: str, key: str, value: str, wanted: pa.Array) -> pa.Table:
    """Two columns of a raw table, for the wanted keys alone, no pair twice; broken rows are left to bronze."""
    raw = RAW_TABLES[name]
    kinds = {column.name: ARROW[column.kind] for column in raw.columns}
    schema = pa.schema([(key, kinds[key]), (value, kinds[value])])
    pieces = []
    for batch in read_batches(file, raw, lambda _: None):
        piece = pa.table([_typed(batch.column(column), kinds[column]) for column in (key, value)], schema=schema)
        pieces.append(piece.filter(pc.is_in(piece[key], value_set=wanted)))
    return pa.concat_tables([schema.empty_table(), *pieces]).drop_null().group_by([key, value]).aggregate([])


def _typed(cells: pa.Array, kind: pa.DataType) -> pa.Array:
    """Binary cells as text or whole numbers, null where they are neither."""
    try:
        text = cells.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.nulls(len(cells), kind)
    if kind != pa.int64():
        return text
    return pc.if_else(pc.match_substring_regex(text, "^[0-9]{1,18}$"), text, None).cast(kind)
