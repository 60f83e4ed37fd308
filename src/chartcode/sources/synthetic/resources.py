"""The tables that were written by hand: small CSV and text files that lie beside the modules that read them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """The whole of a file of this package."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def rows(name: str) -> list[dict[str, str]]:
    """A CSV file of this package, one dict a row; lines that begin with `#` are comments."""
    lines = [line for line in io.StringIO(text(name), newline="") if not line.startswith("#")]
    return list(csv.DictReader(lines))
