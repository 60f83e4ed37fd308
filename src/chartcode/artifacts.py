"""Artifact folders: written atomically, sealed by a manifest, verified before they are read.

The only module that touches files of the pipeline. A folder is written under a temporary sibling, every file synced,
`manifest.json` last, then renamed: it is there whole or not at all. The manifest lists sha256, bytes and rows of each
file, the source and what the data were made from; never a time, host, path or revision, which would change every hash.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError

from chartcode import __version__
from chartcode.errors import ArtifactError

MANIFEST = "manifest.json"
ORIGIN = "origin.json"  # the Git revision of a copy that left DVC (registry.py); no part of the artifact
ROW_GROUP = 4096  # rows; about 40 MB of discharge summaries
_CHUNK = 1 << 20


def digest_file(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dump_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Writer:
    """Collects the files of one artifact. Use through `writing`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, int] = {}

    def path(self, name: str, rows: int | None = None) -> Path:
        """Where to write the file `name` (may lie in sub-folders); it is hashed when the artifact is sealed."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if rows is not None:
            self._rows[name] = rows
        return target

    def count(self, name: str, rows: int) -> None:
        """Say how many rows a file written by hand holds."""
        self._rows[name] = rows

    def parquet(
        self,
        name: str,
        data: pa.Table | Iterable[pa.RecordBatch],
        schema: pa.Schema | None = None,
        dictionary: Sequence[str] | bool = True,
        row_group: int = ROW_GROUP,
        encoding: Mapping[str, str] | None = None,
    ) -> int:
        """Write Parquet with page checksums, in row groups of `row_group`; returns the number of rows.

        `schema` is needed when `data` are batches. `dictionary` names the columns worth dictionary encoding; where it
        is False, `encoding` may name Parquet encodings of columns.
        """
        if isinstance(data, pa.Table):
            schema, batches = data.schema, iter(data.to_batches(max_chunksize=row_group))
        elif schema is None:
            raise TypeError("schema is needed for batches")
        else:
            batches = iter(data)
        rows = 0
        # Row groups do not follow the producer's batch size, which may depend on threads: re-cut, then write.
        with parquet_writer(self.path(name), schema, dictionary, encoding) as writer:
            for table in _recut(batches, schema, row_group):
                writer.write_table(table, row_group_size=row_group)
                rows += table.num_rows
        self._rows[name] = rows
        return rows

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read back a Parquet file of this unfinished artifact, every page checked."""
        return pq.read_table(self.path(name), columns=columns, page_checksum_verification=True)

    def rows(self, name: str) -> int:
        """Rows of a file written so far."""
        return self._rows[name]

    def filter_parquet(
        self, name: str, keep: Callable[[pa.RecordBatch], pa.Array], dictionary: Sequence[str] | bool = True
    ) -> None:
        """Write a Parquet file again with the rows for which `keep`, given each batch in order, is true."""
        whole = self.path(name).rename(self.path(f"{name}.whole"))
        with pq.ParquetFile(whole, page_checksum_verification=True) as file:
            kept = (batch.filter(keep(batch)) for batch in file.iter_batches(ROW_GROUP))
            self.parquet(name, kept, file.schema_arrow, dictionary)
        whole.unlink()

    def json(self, name: str, value: Any) -> None:
        """Write JSON with sorted keys; NaN is refused."""
        self.path(name).write_text(_dump_json(value), encoding="utf-8")

    def npz(self, name: str, rows: int | None = None, **arrays: np.ndarray[Any, Any]) -> None:
        """Write arrays as `np.savez` does; object arrays are refused, so nothing is pickled.

        Not by `np.savez` itself: its headers differ between Python 3.11.2 and 3.11.7. And not compressed: deflate's
        bytes depend on the zlib that Python was built with.
        """
        with zipfile.ZipFile(self.path(name, rows), "w", zipfile.ZIP_STORED) as archive:
            for key, array in arrays.items():
                if np.asarray(array).dtype.hasobject:
                    raise TypeError(f"{name}: {key} is an object array")
                member = io.BytesIO()
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{key}.npy"), member.getbuffer())

    @contextmanager
    def gzip(self, name: str) -> Iterator[BinaryIO]:
        """A binary stream into `name`, gzip-compressed with mtime 0 and no file name, so equal bytes hash equal."""
        with self.path(name).open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            yield file  # type: ignore[misc]

    def take(self, artifact: Artifact, folder: str) -> None:
        """Copy a verified artifact whole, its manifest too, into sub-folder `folder`: `Artifact` opens it there."""
        for name in (*artifact.names(), MANIFEST):
            shutil.copyfile(artifact.folder / name, self.path(f"{folder}/{name}"))

    def seal(self, source: str, inputs: dict[str, str], code: str) -> None:
        """Sync every file and write the manifest, last."""
        names = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        files: dict[str, dict[str, Any]] = {}
        for name in names:
            path = self.folder / name
            _sync(path)
            entry: dict[str, Any] = {"sha256": digest_file(path), "bytes": path.stat().st_size}
            if name in self._rows:
                entry["rows"] = self._rows[name]
            files[name] = entry
        manifest = {
            "chartcode": __version__,
            "code": code,
            "files": files,
            "inputs": dict(sorted(inputs.items())),
            "source": source,
        }
        target = self.folder / MANIFEST
        target.write_text(_dump_json(manifest), encoding="utf-8")
        _sync(target)


@contextmanager
def parquet_writer(
    path: Path, schema: pa.Schema, dictionary: Sequence[str] | bool = True, encoding: Mapping[str, str] | None = None
) -> Iterator[pq.ParquetWriter]:
    """The house's Parquet settings: zstd 1, page checksums, no statistics on columns without a dictionary."""
    columns = list(dictionary) if not isinstance(dictionary, bool) else dictionary
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=columns,
        column_encoding=encoding,
        write_statistics=columns if isinstance(columns, list) else True,
        write_page_checksum=True,
        version="2.6",
    ) as writer:
        yield writer


def _recut(batches: Iterator[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch.cast(schema) if batch.schema != schema else batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(held, schema).combine_chunks()
            held = table.slice(rows).to_batches()  # before the yield, or the small batches live as long as the copy
            count -= rows
            yield table.slice(0, rows)
    yield pa.Table.from_batches(
        held, schema
    ).combine_chunks()  # the rest; an empty table still makes a file with a schema


@contextmanager
def writing(folder: Path, source: str, inputs: Iterable[Artifact] = (), code: str = "") -> Iterator[Writer]:
    """Write the artifact `folder` as a whole: on any error nothing of it is left and an older one stays as it was.

    `inputs` are the artifacts it was made from (their manifests' digests are recorded), `code` the digest of the
    code that made it (`lineage.code_digest`).
    """
    folder = Path(folder)
    # Of several processes (`accelerate launch`) the first alone ends what it began.
    temporary = folder.with_name(f".{folder.name}.tmp{os.environ.get('RANK', '0').removeprefix('0')}")
    aside = folder.with_name(f".{folder.name}.old")
    try:
        if aside.exists() and not folder.exists():
            aside.rename(folder)  # an earlier run was killed between its two renames
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        writer = Writer(temporary)
        yield writer
        writer.seal(source, {i.folder.as_posix(): i.fingerprint for i in inputs}, code)
        _replace(temporary, folder, aside)
    except (OSError, SafetensorError) as error:
        if getattr(error, "errno", None) in _UNWRITABLE or re.search(_UNWRITABLE_TEXT, str(error)):
            raise ArtifactError(f"{folder}: cannot be written; free disk space or change permissions") from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_UNWRITABLE = {errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT}
_UNWRITABLE_TEXT = rf"(?:errno|os error) ({'|'.join(str(number) for number in _UNWRITABLE)})\b"  # pyarrow, safetensors


def _replace(temporary: Path, folder: Path, aside: Path) -> None:
    """Rename `temporary` to `folder`; an older folder is moved aside first and removed afterwards."""
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    temporary.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


class Artifact:
    """A sealed folder, its files verified against the manifest when it is opened.

    Raises ArtifactError, naming the file, when the folder or its manifest is missing, when a listed file is missing,
    extra or has other bytes, or when a listed name leads out of the folder.
    """

    def __init__(self, folder: Path | str, verify: bool = True) -> None:
        self.folder = Path(folder)
        path = self.folder / MANIFEST
        try:
            raw = path.read_bytes()
            self.manifest: dict[str, Any] = json.loads(raw)
            self._files: dict[str, dict[str, Any]] = self.manifest["files"]
        except FileNotFoundError:
            raise ArtifactError(f"{self.folder}: no {MANIFEST}; run `dvc repro` or `make pull`") from None
        except (ValueError, KeyError, TypeError):
            raise ArtifactError(f"{path}: damaged; run `dvc checkout` or `dvc repro --force`") from None
        self.fingerprint = hashlib.sha256(raw).hexdigest()
        if verify:
            self._verify()

    @property
    def source(self) -> str:
        """Name of the source the data came from."""
        return str(self.manifest["source"])

    def rows(self, name: str) -> int:
        """Rows of a file, as its writer counted them."""
        return int(self._files[name]["rows"])

    def names(self) -> list[str]:
        """Names of the files, sorted."""
        return sorted(self._files)

    def path(self, name: str) -> Path:
        """Path of a listed file."""
        if name not in self._files:
            raise ArtifactError(f"{self.folder}/{name}: not part of this artifact; run `dvc repro`")
        return self.folder / name

    def _verify(self) -> None:
        root = self.folder.resolve()
        present = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}
        present -= {MANIFEST, ORIGIN}
        for name, entry in self._files.items():
            path = self.folder / name
            if not path.resolve().is_relative_to(root):
                raise ArtifactError(f"{self.folder}/{MANIFEST}: lists a file outside the folder")
            if name not in present:
                raise ArtifactError(f"{path}: missing; run `dvc checkout`")
            if path.stat().st_size != entry["bytes"] or digest_file(path) != entry["sha256"]:
                raise ArtifactError(f"{path}: not the bytes its manifest promises; run `dvc checkout`")
        for name in sorted(present - set(self._files)):
            raise ArtifactError(f"{self.folder / name}: not listed in the manifest; remove it or run `dvc checkout`")

    def parquet(self, name: str) -> pq.ParquetFile:
        """An open Parquet file that checks every page it reads."""
        return pq.ParquetFile(self.path(name), page_checksum_verification=True)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole Parquet file, or some columns of it."""
        with self.parquet(name) as file:
            return file.read(columns=list(columns) if columns is not None else None)

    def batches(
        self, name: str, columns: Sequence[str] | None = None, rows: int = ROW_GROUP
    ) -> Iterator[pa.RecordBatch]:
        """A Parquet file as record batches of at most `rows` rows."""
        with self.parquet(name) as file:
            yield from file.iter_batches(rows, columns=list(columns) if columns is not None else None)

    def json(self, name: str) -> Any:
        """A JSON file."""
        return json.loads(self.path(name).read_text(encoding="utf-8"))

    def npz(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Arrays of an npz file; pickled content is refused."""
        try:
            with np.load(self.path(name), allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (ValueError, zipfile.BadZipFile):
            raise ArtifactError(f"{self.path(name)}: not plain arrays") from None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write one file outside any artifact: yields a temporary sibling, renamed when the block ends without error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
