"""A user's own MIMIC-IV download, or any hospital in its layout, linked to where the pipeline reads.

PhysioNet's files stay where they are: `data/raw/mimic-iv/{note,hosp}` are real folders with one link per file, and a
header-only file for each table the download lacks, so that no path of a machine enters Git or dvc.lock.
Releases are told apart by row counts, published in MIT-LCP/mimic-code (mimic-iv/buildmimic/*/validate.sql).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from isal import igzip, igzip_threaded, isal_zlib

from chartcode.artifacts import atomic_file, parquet_writer
from chartcode.errors import DataError
from chartcode.sources import published_splits
from chartcode.tables.raw_csv import read_header
from chartcode.tables.schemas import (
    EVIDENCE_FILE,
    EVIDENCE_SCHEMA,
    RAW_TABLES,
    SPLITS_FILE,
    SPLITS_HEADER,
    RawTable,
)

FOLDER = Path("data/raw/mimic-iv")
NEEDED = ("patients", "admissions")  # without these two nothing can be said about any note
DEPTH = 5  # folders below the one named: physionet.org/files/mimiciv/3.1/hosp
_PATIENT = re.compile(r"p\d+")  # one folder a patient, in the image and waveform databases beside MIMIC-IV
MOST_FOLDERS = 20_000
_TORN: Any = (EOFError, isal_zlib.error, igzip.BadGzipFile)  # Any: isal types its error as an instance

COUNTED = ("patients", "admissions", "diagnoses_icd")
RELEASES = {
    "MIMIC-IV 2.2": (299_712, 431_231, 4_756_326),
    "MIMIC-IV 3.0": (364_627, 546_028, 6_364_520),
    "MIMIC-IV 3.1": (364_627, 546_028, 6_364_488),
    "MIMIC-IV demo 2.2": (100, 275, 4_506),
}


@dataclass(frozen=True)
class Linked:
    """What `link` did. `rows` counts patients, admissions and diagnoses_icd (lines less header)."""

    tables: tuple[str, ...]
    absent: tuple[str, ...]
    rows: Mapping[str, int]
    release: str
    split_admissions: int | None  # None: no official split
    split_unknown: int  # admissions of the split file that this hospital lacks
    split_kept: bool  # an earlier split stays in force

    def lines(self) -> list[str]:
        """The same, for people."""
        said = [f"release: {self.release}", f"linked: {', '.join(self.tables)}"]
        if self.absent:
            said.append(f"absent (header-only files stand in): {', '.join(self.absent)}")
        if "discharge" in self.absent:
            said.append("no notes: bronze takes the tables, but no coder can be trained; link notes with --note")
        if self.split_admissions is not None:
            kept = " (kept from before; remove splits.csv to drop it)" if self.split_kept else ""
            said.append(f"official split: {self.split_admissions:,} admissions{kept}")
        if self.split_unknown:
            said.append(f"official split: {self.split_unknown:,} of its admissions are not in this hospital")
        return said


def link(note: Path | None, hosp: Path, splits: Path | None = None, target: Path = FOLDER) -> Linked:
    """Link the tables found under `note` and `hosp` into `target`; running it again replaces its own links only.

    Everything is checked before the first link is made. Raises DataError, naming file or column, when a folder holds
    no or two versions, a needed table or column is missing, a table is plain CSV, or `target` holds a foreign file.
    """
    found = _find(hosp, "hosp", target)
    if note is not None:
        found |= _find(note, "note", target)
    for name in NEEDED:
        if name not in found:
            raise DataError(f"{hosp}: {RAW_TABLES[name].path}: missing; download it from PhysioNet beside the others")
    for name, path in found.items():
        read_header(path, RAW_TABLES[name])
    for table in RAW_TABLES.values():
        _refuse_foreign(target / table.path, table)
    rows = {name: _lines(found[name]) - 1 for name in COUNTED if name in found}
    official = published_splits.read(splits, found["admissions"], found.get("discharge")) if splits else None
    for name, table in RAW_TABLES.items():
        path = target / table.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in found:
            _link(path, found[name].resolve())
        else:
            _write(path, header_only(table))
    _evidence(target / EVIDENCE_FILE)
    count, kept = _splits(target / SPLITS_FILE, official)
    present = tuple(name for name in RAW_TABLES if name in found)
    absent = tuple(name for name in RAW_TABLES if name not in found)
    return Linked(present, absent, rows, release(rows), count, official.unknown if official else 0, kept)


def count_rows(folder: Path = FOLDER) -> dict[str, int]:
    """Rows (lines less header) of the tables by which `release` knows a download, of a linked folder."""
    return {name: _lines(folder / RAW_TABLES[name].path) - 1 for name in COUNTED}


def release(rows: Mapping[str, int]) -> str:
    """Name of the published release with these row counts, or what it resembles."""
    patients, admissions, diagnoses = (rows.get(name) for name in COUNTED)
    near = [name for name, known in RELEASES.items() if (patients, admissions) == known[:2]]
    exact = [name for name in near if RELEASES[name][2] == diagnoses]
    if exact:
        return exact[0]
    if near:
        seen = "absent" if diagnoses is None else f"of {diagnoses:,} rows, not the published number"
        return f"{' or '.join(near)} (diagnoses_icd is {seen})"
    return f"none of PhysioNet's ({patients:,} patients, {admissions:,} admissions): taken as a hospital of its own"


def header_only(table: RawTable) -> bytes:
    """The file that stands for an absent table: its header, compressed, the same bytes every time."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, stream, mtime=0) as file:
        file.write((",".join(table.header) + "\n").encode())
    return stream.getvalue()


def _find(root: Path, module: str, target: Path) -> dict[str, Path]:
    """Tables of a module by name, from the one folder at or below `root` that holds any."""
    if not root.is_dir():
        raise DataError(f"{root}: not a folder; --{module} names where PhysioNet's files are")
    names = {
        table.path.removeprefix(f"{module}/"): name
        for name, table in RAW_TABLES.items()
        if table.path.startswith(module)
    }
    own = (target / module).resolve()
    folders = []
    for folder in _folders(root):
        files = {p.name for p in folder.iterdir() if p.name in names or f"{p.name}.gz" in names}
        if files and folder.resolve() != own:
            folders.append((folder, files))
    if not folders:
        raise DataError(f"{root}: no {' or '.join(sorted(names)[:3])} at or below it; --{module} names where they are")
    if len(folders) > 1:
        where = " and ".join(f.relative_to(root).as_posix() for f, _ in sorted(folders)[:2])
        raise DataError(f"{root}: two versions found, {where}; name one of them with --{module}")
    folder, files = folders[0]
    for file in sorted(files):
        if f"{file}.gz" in names and f"{file}.gz" not in files:
            raise DataError(f"{folder / file}: plain CSV; compress it first: gzip {module}/*.csv")
    return {names[file]: folder / file for file in files if file in names}


def _folders(root: Path) -> Iterator[Path]:
    """`root` and the folders below it, nearest first, hidden ones left out, no folder twice."""
    level, seen = [root], {root.resolve()}
    for depth in range(DEPTH + 1):
        yield from level
        below = []
        for folder in level if depth < DEPTH else ():
            with contextlib.suppress(PermissionError):
                for path in sorted(folder.iterdir()):
                    if path.name.startswith(".") or _PATIENT.fullmatch(path.name) or not path.is_dir():
                        continue
                    if path.resolve() not in seen and os.access(path, os.R_OK | os.X_OK):
                        seen.add(path.resolve())
                        below.append(path)
            if len(seen) > MOST_FOLDERS:
                raise DataError(f"{root}: more than {MOST_FOLDERS:,} folders; name the one that holds the files")
        level = below


def _lines(path: Path) -> int:
    """Lines of a gzip file, the last one counted with or without its line end."""
    count, last = 0, b"\n"
    try:
        with igzip_threaded.open(path, "rb", threads=1, block_size=1 << 22) as file:  # type: ignore[no-untyped-call]
            while block := file.read(1 << 22):
                count += block.count(b"\n")
                last = block[-1:]
    except _TORN:
        raise DataError(f"{path}: the file ends early or is damaged; download it again") from None
    return count + (last != b"\n")


def _refuse_foreign(path: Path, table: RawTable) -> None:
    """A link, or the header-only file, is ours to replace; any other file is the user's."""
    if path.is_symlink() or not path.exists():
        return
    if not path.is_file() or path.read_bytes() != header_only(table):
        raise DataError(f"{path}: is a file of its own, not a link made here; move it away first")


def _link(path: Path, source: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(source)
    temporary.replace(path)


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _evidence(path: Path) -> None:
    """An empty evidence table, unless one with rows lies there."""
    with contextlib.suppress(OSError, pa.ArrowException):
        if pq.read_metadata(path).num_rows:
            return
    with atomic_file(path) as temporary, parquet_writer(temporary, EVIDENCE_SCHEMA) as writer:
        writer.write_table(EVIDENCE_SCHEMA.empty_table())


def _splits(path: Path, official: published_splits.OfficialSplit | None) -> tuple[int | None, bool]:
    """Write splits.csv; returns how many admissions it deals out (None: it is empty), and whether it was kept."""
    header = (",".join(SPLITS_HEADER) + "\n").encode()
    if official is None:
        if path.is_file() and (kept := path.read_bytes().strip().count(b"\n")):
            return kept, True
        _write(path, header)
        return None, False
    body = io.BytesIO()
    pa_csv.write_csv(official.rows, body, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    _write(path, header + body.getvalue())
    return official.rows.num_rows, False
