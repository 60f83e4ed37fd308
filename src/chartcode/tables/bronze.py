"""Bronze: every raw table as typed Parquet, nothing lost: rows in = rows out + quarantined + withdrawn.

A row that breaks its contract goes to `quarantine.parquet` with the reason and its cells as they stood; a file that
is no such table at all is refused. Rows of withdrawn patients are counted and kept nowhere. Row order is the file's.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from chartcode.artifacts import Writer
from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.tables.contracts import check
from chartcode.tables.raw_csv import read_batches
from chartcode.tables.schemas import (
    EVIDENCE_FILE,
    EVIDENCE_SCHEMA,
    RAW_TABLES,
    SPLITS,
    SPLITS_FILE,
    SPLITS_HEADER,
    Column,
    RawTable,
)

QUARANTINE_SCHEMA = pa.schema([("table", pa.string()), ("reason", pa.string()), ("row", pa.string())])
SPLITS_TABLE = RawTable(
    "splits",
    SPLITS_FILE,
    tuple(Column(name, "string" if name == "split" else "id", required=True) for name in SPLITS_HEADER),
    key=SPLITS_HEADER,
)
WITHDRAWN_TABLE = RawTable("exclude", "", (Column("subject_id", "id", required=True),))
_PLAIN = frozenset({"text", "note_id"})  # columns whose values hardly repeat: no dictionary
_Hashes = np.ndarray[Any, np.dtype[np.int64]]  # (n,)


class Tally:
    """Counts of one table, and its quarantined rows."""

    def __init__(self, table: RawTable, path: Path) -> None:
        self.table, self.path = table, path
        self.rows_in = self.rows_out = self.withdrawn = 0
        self.reasons: Counter[str] = Counter()
        self.quarantine: list[dict[str, str | None]] = []
        self.withdrawn_admissions: frozenset[str] = frozenset()
        self.withdrawn_ids: frozenset[str] = frozenset()  # patients, and their admissions once these are known

    def reject(self, reason: str, row: str) -> None:
        """Quarantine a row, or count it as withdrawn. With a list of withdrawn patients, a row that names no patient
        could be anyone's: its reason is kept and its cells are not.
        """
        named = {number.lstrip("0") for number in re.findall(r"(?<![0-9])[0-9]{1,18}(?![0-9])", row)}
        if named & self.withdrawn_ids:
            self.withdrawn += 1
            return
        self.reasons[reason] += 1
        unsure = self.withdrawn_ids and reason.startswith(("row:", "subject_id:"))
        self.quarantine.append({"table": self.table.name, "reason": reason, "row": None if unsure else row})

    def malformed(self, row: str) -> None:
        """A row with too many or too few cells."""
        self.rows_in += 1
        self.reject("row: wrong number of cells", row)

    def refuse_if_hopeless(self, least: int) -> None:
        """A table of mostly broken rows is a broken file: refuse it rather than go on with the remains."""
        bad = sum(self.reasons.values())
        if bad >= least and bad * 2 > self.rows_in:
            reason = self.reasons.most_common(1)[0][0]
            raise DataError(f"{self.path}: {reason}; more than half of its rows are so; mend the file")

    def report(self) -> dict[str, Any]:
        """Counts for `report.json`."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "quarantined": dict(sorted(self.reasons.items())),
            "withdrawn": self.withdrawn,
        }


def withdrawn_patients(path: Path) -> pa.Array:
    """subject_ids of `bronze.exclude`, a CSV file with that one column. Any bad row refuses the file."""
    ids: list[pa.Array] = [pa.array([], pa.int64())]
    malformed: list[str] = []
    for batch in read_batches(path, WITHDRAWN_TABLE, malformed.append):
        checked = check(batch, WITHDRAWN_TABLE)
        if checked.rows.num_rows < batch.num_rows:
            raise DataError(f"{path}: subject_id: not a patient number in some row; mend the list")
        ids.append(checked.rows.column("subject_id"))
    if malformed:
        raise DataError(f"{path}: subject_id: a row has more than one cell; mend the list")
    return pa.concat_arrays(ids)


def write_bronze(raw: Path, exclude: Path, writer: Writer) -> dict[str, Any]:
    """All tables of the raw folder into `writer`; returns the report that is also written as report.json.

    Raises DataError in one line when a file is missing, truncated, not the table it should be, or mostly broken.
    """
    withdrawn = withdrawn_patients(exclude)
    tallies: dict[str, Tally] = {}
    dictionary: dict[int, pa.Array] = {}
    gone = frozenset(withdrawn.cast(pa.string()).to_pylist())
    first = ("d_icd_diagnoses", "admissions")  # the dictionary of codes, and which admissions the withdrawn have
    order = sorted(RAW_TABLES.values(), key=lambda t: first.index(t.name) if t.name in first else len(first))
    for table in [*order, SPLITS_TABLE]:
        tally = tallies[table.name] = Tally(table, raw / table.path)
        tally.withdrawn_ids = gone
        _write_table(table, tally, withdrawn, dictionary, writer)
        gone |= tally.withdrawn_admissions
        if table.name == "d_icd_diagnoses":
            dictionary = _dictionary(writer)
    _check_split_names(raw, writer)
    _copy_evidence(raw / EVIDENCE_FILE, writer, only_kept_notes=bool(len(withdrawn)))
    quarantine = [row for tally in tallies.values() for row in tally.quarantine]
    writer.parquet("quarantine.parquet", pa.Table.from_pylist(quarantine, QUARANTINE_SCHEMA))
    report = {"tables": {name: tally.report() for name, tally in sorted(tallies.items())}}
    writer.json("report.json", report)
    _say(tallies)
    return report


def _write_table(
    table: RawTable, tally: Tally, withdrawn: pa.Array, dictionary: Mapping[int, pa.Array], writer: Writer
) -> None:
    name = f"{table.name}.parquet"
    encoded = [c.name for c in table.columns if c.name not in _PLAIN]
    hashes: list[_Hashes] = []
    writer.parquet(name, _sound_rows(table, tally, withdrawn, dictionary, hashes.append), table.schema, encoded)
    tally.refuse_if_hopeless(least=1)
    repeated = _repeated(hashes)
    if len(repeated):
        writer.filter_parquet(name, _first_of_each(table, tally, repeated), encoded)
    tally.rows_out = writer.rows(name)


def _sound_rows(
    table: RawTable,
    tally: Tally,
    withdrawn: pa.Array,
    dictionary: Mapping[int, pa.Array],
    hashed: Callable[[_Hashes], None],
) -> Iterator[pa.RecordBatch]:
    """What goes into the table; `hashed` receives the hashes of its keys, so that they need not be read again."""
    with tqdm(desc=f"bronze {table.name}", unit=" rows", disable=None, leave=False) as bar:
        for batch in _gathered(read_batches(tally.path, table, tally.malformed)):
            tally.rows_in += batch.num_rows
            checked = check(batch, table, dictionary)
            for row in np.flatnonzero(checked.reasons):
                cells = [batch.column(c.name)[int(row)].as_py() for c in table.columns]
                tally.reject(checked.reasons[row], _cells_as_json(cells))
            tally.refuse_if_hopeless(least=10_000)
            bar.update(batch.num_rows)
            kept = _without(checked.rows, withdrawn, tally)
            if table.key:
                hashed(_hash_keys(kept, table))
            yield kept


def _gathered(batches: Iterator[pa.RecordBatch], rows: int = 512) -> Iterator[pa.RecordBatch]:
    """The same rows, at least `rows` in every batch but the last: half of a check's time goes by the batch."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= rows:
            yield from pa.Table.from_batches(held).combine_chunks().to_batches()
            held = []
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _without(rows: pa.RecordBatch, withdrawn: pa.Array, tally: Tally) -> pa.RecordBatch:
    """The sound rows less those of withdrawn patients, whose admissions are noted."""
    if not len(withdrawn) or "subject_id" not in rows.schema.names:
        return rows
    gone = pc.is_in(rows.column("subject_id"), withdrawn)
    if "hadm_id" in rows.schema.names:
        stays = rows.filter(gone).column("hadm_id").drop_null().cast(pa.string())
        tally.withdrawn_admissions |= frozenset(stays.to_pylist())
    kept = rows.filter(pc.invert(gone))
    tally.withdrawn += rows.num_rows - kept.num_rows
    return kept


def _cells_as_json(cells: list[bytes | None]) -> str:
    """The cells of a row, whatever their bytes: undecodable ones become \\xNN escapes, so nothing is lost."""
    return json.dumps([None if c is None else c.decode("utf-8", "backslashreplace") for c in cells], ensure_ascii=False)


def _hash_keys(rows: pa.RecordBatch, table: RawTable) -> _Hashes:
    """One number a row, the same for the same key."""
    keys = zip(*(rows.column(name).to_pylist() for name in table.key), strict=True)
    return np.fromiter(map(hash, keys), np.int64, rows.num_rows)


def _repeated(hashes: list[_Hashes]) -> _Hashes:
    """Hashes that stand on more than one row, sorted: 8 bytes a row is all that a table's keys take in memory."""
    every = np.concatenate([*hashes, np.array([], np.int64)])
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


def _first_of_each(table: RawTable, tally: Tally, repeated: _Hashes) -> Callable[[pa.RecordBatch], pa.Array]:
    """Marks the rows to keep, batch by batch in order: the first of each key; the others are quarantined.

    Two keys may share a hash, so the keys themselves decide, among the rows whose hash is in `repeated`.
    """
    seen: set[tuple[Any, ...]] = set()
    reason = f"{'+'.join(table.key)}: stands twice"

    def keep(batch: pa.RecordBatch) -> pa.Array:
        first = np.ones(batch.num_rows, bool)
        for row in np.flatnonzero(np.isin(_hash_keys(batch, table), repeated)).tolist():
            (cells,) = batch.slice(row, 1).to_pylist()
            key = tuple(cells[name] for name in table.key)
            if key in seen:
                first[row] = False
                tally.reject(reason, _cells_as_json([None if v is None else str(v).encode() for v in cells.values()]))
            seen.add(key)
        return pa.array(first)

    return keep


def _dictionary(writer: Writer) -> dict[int, pa.Array]:
    """Codes of d_icd_diagnoses by ICD version; empty where the source has none."""
    rows = writer.table("d_icd_diagnoses.parquet", ["icd_code", "icd_version"])
    found = {
        version: rows.filter(pc.equal(rows["icd_version"], version))["icd_code"].combine_chunks() for version in (9, 10)
    }
    return {version: codes for version, codes in found.items() if len(codes)}


def _check_split_names(raw: Path, writer: Writer) -> None:
    names = writer.table("splits.parquet", ["split"])["split"].unique().to_pylist()
    if set(names) - set(SPLITS):
        raise DataError(f"{raw / SPLITS_FILE}: split: must be one of {', '.join(SPLITS)}")


def _copy_evidence(path: Path, writer: Writer, only_kept_notes: bool) -> None:
    """Gold evidence spans as they are; where patients withdrew, those of the notes that are in bronze."""
    kept = writer.table("discharge.parquet", ["note_id"])["note_id"].combine_chunks() if only_kept_notes else None

    def spans(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches():
            rows = batch.select(EVIDENCE_SCHEMA.names).cast(EVIDENCE_SCHEMA)
            yield rows if kept is None else rows.filter(pc.is_in(rows.column("note_id"), kept))

    try:
        with pq.ParquetFile(path) as file:
            file.schema_arrow.empty_table().select(EVIDENCE_SCHEMA.names).cast(EVIDENCE_SCHEMA)
            writer.parquet("evidence.parquet", spans(file), EVIDENCE_SCHEMA)
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing; an empty one will do") from None
    except (pa.ArrowInvalid, KeyError, ValueError):
        raise DataError(f"{path}: not evidence; expected columns {', '.join(EVIDENCE_SCHEMA.names)}") from None


def _say(tallies: Mapping[str, Tally]) -> None:
    logger = log("bronze")
    for name, tally in sorted(tallies.items()):
        if tally.rows_in == 0:
            logger.info(f"{name}: absent (header only)")
            continue
        logger.info(name, rows_in=tally.rows_in, rows_out=tally.rows_out, quarantined=sum(tally.reasons.values()))
        for reason, rows in sorted(tally.reasons.items()):
            logger.warning(f"{name}: quarantined", reason=reason, rows=rows)
