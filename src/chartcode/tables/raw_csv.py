"""Reads a hospital's raw CSV files in a stream, each cell as the bytes that stand there.

pyarrow reads ahead on threads of its own, where isal inflates, and parses blocks (multi-line notes, doubled quotes,
several gzip members). Whatever cannot be a table at all is refused in one line naming file and column; a row
with too many or too few cells is handed to the caller, who quarantines it.
"""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
from isal import igzip, isal_zlib

from chartcode.errors import DataError
from chartcode.tables.schemas import RawTable

BLOCK = 1 << 20  # bytes; one record must fit in a block, so a larger one is tried with a larger block. Blocks of 4 MB
# are no faster and hold 150 MB more: the heap keeps them
LARGEST_BLOCK = 256 << 20
_TORN: tuple[Any, ...] = (EOFError, isal_zlib.error, zlib.error, igzip.BadGzipFile)


def _open(path: Path) -> BinaryIO:
    try:
        if path.suffix == ".gz":
            return igzip.open(path, "rb")  # type: ignore[no-any-return,no-untyped-call]
        return path.open("rb")
    except FileNotFoundError:
        kind = "dangling link; run `chartcode link-mimic` again" if path.is_symlink() else "file is missing"
        raise DataError(f"{path}: {kind}") from None


def read_header(path: Path, table: RawTable) -> list[str]:
    """Column names of a file. Raises DataError when the file is absent, empty, not gzip or lacks a column."""
    try:
        with closing(_open(path)) as file:
            first = io.BufferedReader(file).readline(1 << 16)  # type: ignore[type-var]
    except _TORN:
        raise DataError(f"{path}: not a whole gzip file; download it again") from None
    if not first.strip():
        raise DataError(f"{path}: empty; expected at least the header {','.join(table.header)}")
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: header is not UTF-8") from None
    try:
        columns = next(csv.reader([line]))
    except csv.Error:
        raise DataError(f"{path}: header is not one line; write line ends as LF or CRLF") from None
    missing = [name for name in table.header if name not in columns]
    if missing and len(columns) == 1:
        raise DataError(f"{path}: {missing[0]}: column not found; the file must be comma-separated")
    if missing:
        raise DataError(f"{path}: {missing[0]}: column is missing or renamed; expected {','.join(table.header)}")
    twice = [name for name in table.header if columns.count(name) > 1]
    if twice:
        raise DataError(f"{path}: {twice[0]}: column stands twice")
    return columns


def read_batches(path: Path, table: RawTable, malformed: Callable[[str], None]) -> Iterator[pa.RecordBatch]:
    """Batches of the contract's columns, every cell binary, an unquoted empty cell null.

    `malformed` receives the text of each row with a wrong number of cells. Raises DataError on a truncated or damaged
    file, and on a record above 256 MB (an unclosed quote).
    """
    columns = read_header(path, table)
    block = BLOCK
    done = 0  # rows given out before a block proved too small: the retry skips them
    spoiled = 0
    while True:
        seen_bad = 0

        def on_invalid(row: Any) -> str:
            nonlocal seen_bad, spoiled
            seen_bad += 1
            if seen_bad > spoiled:
                spoiled += 1
                malformed(row.text)
            return "skip"

        try:
            with closing(_Watched(_open(path))) as file, _quiet_about_bytes():
                skip = done
                for batch in _parse(file, columns, table, block, on_invalid):
                    if skip >= batch.num_rows:
                        skip -= batch.num_rows
                        continue
                    piece = batch.slice(skip)
                    skip = 0
                    done += piece.num_rows
                    yield piece
                if file.quotes % 2:
                    raise DataError(
                        f"{path}: a quote is opened and never closed; rows behind it are lost, mend the file"
                    )
            return
        except _TORN:
            raise DataError(f"{path}: the file ends early or is damaged; download it again") from None
        except pa.ArrowInvalid as error:
            if "Expected" in str(error):  # pyarrow could not decode the row for `malformed`
                raise DataError(f"{path}: a row with a wrong number of cells is not UTF-8; mend the file") from None
            if "straddling" not in str(error) or block >= LARGEST_BLOCK:
                raise DataError(f"{path}: not a CSV table (an unclosed quote?); mend or download it again") from None
            block = min(8 * block, LARGEST_BLOCK)


class _Watched:
    """A stream that counts quotes as they pass and ends with a line break: pyarrow takes a file that ends inside a
    quote for a whole one, and its last row for a shorter one without the line break.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._last, self.quotes, self.closed = file, b"\n", 0, False
        self._held = b""
        self._found = np.empty(0, bool)  # used again for each block: fresh memory would cost more than the counting

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end, to which a line break is added, and where CR and LF would be parted: pyarrow
        drops an LF that opens a block behind a CR, be it in a cell.
        """
        data = self._held + self._file.read(size - len(self._held))
        self._held, self._last = b"", data[-1:] or self._last
        if len(data) == size > 1 and self._last == b"\r":
            data, self._held = data[:-1], b"\r"
        elif len(data) < size and self._last != b"\n":
            self._last = b"\n"
            data += b"\n"
        if len(self._found) < len(data):
            self._found = np.empty(len(data), bool)
        found = np.equal(np.frombuffer(data, np.uint8), ord('"'), out=self._found[: len(data)])
        self.quotes += int(np.count_nonzero(found))  # four times as fast as data.count
        return data

    def close(self) -> None:
        """Close the stream below."""
        self._file.close()
        self.closed = True


@contextmanager
def _quiet_about_bytes() -> Iterator[None]:
    """pyarrow cannot hand a row that is not UTF-8 to `malformed` and would print a traceback about it."""
    usual = sys.unraisablehook

    def hook(fault: Any) -> None:
        if not isinstance(fault.exc_value, UnicodeDecodeError):
            usual(fault)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = usual


def _parse(
    file: _Watched, columns: list[str], table: RawTable, block: int, on_invalid: Callable[[Any], str]
) -> Iterator[pa.RecordBatch]:
    with pc.open_csv(
        pa.PythonFile(file, mode="r"),
        read_options=pc.ReadOptions(column_names=columns, skip_rows=1, block_size=block),
        parse_options=pc.ParseOptions(newlines_in_values=True, invalid_row_handler=on_invalid),
        convert_options=pc.ConvertOptions(
            column_types={name: pa.binary() for name in columns},
            include_columns=list(table.header),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    ) as reader:
        yield from reader
