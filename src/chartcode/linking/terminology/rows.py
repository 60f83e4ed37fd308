"""One found name on its way into the table of names, and how the publishers' CSV files are read."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from chartcode.errors import DataError
from chartcode.linking.terms import Kind

ICD10CM = "icd10cm"


class Found(NamedTuple):
    """A name as a source gives it; the columns of TERMS, the code not yet resolved to the latest edition."""

    code: str
    name: str
    kind: Kind
    source: str
    licence: str
    system: str = ICD10CM
    language: str = "en"
    sections: tuple[str, ...] = ()
    share: float = 1.0


def lines_of(path: Path, newline: str | None = "") -> Iterator[str]:
    """The lines of a UTF-8 file, unpacked if it is gzip. Raises DataError naming the file when it cannot be read."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as binary:
            yield from io.TextIOWrapper(binary, encoding="utf-8-sig", newline=newline)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        raise DataError(f"{path}: cannot be read as UTF-8 text, plain or gzip; fetch it again") from None


def records(path: Path, columns: Sequence[str], delimiter: str = ",", quoted: bool = True) -> Iterator[dict[str, str]]:
    """The rows of a CSV file as dicts of at least `columns`. Raises DataError naming file and column."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        reader = csv.DictReader(lines_of(path), delimiter=delimiter, quoting=quoting)
        header = reader.fieldnames or []
        for column in columns:
            if column not in header:
                raise DataError(f"{path}: column {column} is missing; fetch the file again")
        for row in reader:
            for column in columns:
                if row[column] is None:
                    raise DataError(f"{path}: line {reader.line_num} ends before column {column}; fetch the file again")
            yield row
    except csv.Error:
        raise DataError(f"{path}: not a table (a quote is not closed, or a line is endless); fetch it again") from None


def damaged(path: Path, column: str, line: int, wanted: str) -> DataError:
    """The error of a cell that breaks its column's contract; never the cell itself."""
    return DataError(f"{path}: column {column}, line {line}: {wanted}")


def release(path: Path) -> str:
    """What tells one release of a file from another: its name without folders and endings."""
    return path.name.split(".")[0]


def unique(names: Iterable[str]) -> list[str]:
    """Names without repetition, in order."""
    return list(dict.fromkeys(names))
