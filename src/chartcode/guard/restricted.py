"""The notes on this machine that may never be shown: every hospital's but the open ones (synthetic, CodiEsp).

Read in a stream from the user's own files under data/raw, or, where a source was pulled and its raw files are not here,
from bronze or silver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chartcode.artifacts import MANIFEST, Artifact
from chartcode.tables.raw_csv import read_batches
from chartcode.tables.schemas import RAW_TABLES

OPEN = frozenset({"synthetic", "codiesp"})
_DISCHARGE = RAW_TABLES["discharge"]
_ARTIFACTS = (("data/bronze", "discharge.parquet"), ("data/silver", "notes.parquet"))


def places(root: Path) -> list[Path]:
    """Files with restricted notes below `root`: raw first; bronze, else silver, of a source without raw rows.

    A file with a header alone, or a link to a disk that is not there, holds none.
    """
    raw = {path.parents[1].name: path for path in sorted((root / "data/raw").glob(f"*/{_DISCHARGE.path}"))}
    found = [
        path for source, path in raw.items() if source not in OPEN and path.is_file() and any(True for _ in notes(path))
    ]
    covered = {path.parents[1].name for path in found} | OPEN
    for folder, name in _ARTIFACTS:
        if (root / folder / MANIFEST).is_file():
            artifact = Artifact(root / folder, verify=False)
            if artifact.source not in covered:
                covered |= {artifact.source}
                found.append(artifact.path(name))
    return found


def notes(path: Path) -> Iterator[bytes]:
    """The notes of a file, UTF-8. A row that is no sound row is given whole. Raises DataError on a damaged file."""
    if path.suffix == ".parquet":
        for batch in Artifact(path.parent, verify=False).batches(path.name, ["text"], rows=256):
            yield from (text.encode() for text in batch["text"].to_pylist() if text is not None)
        return
    odd: list[str] = []
    for batch in read_batches(path, _DISCHARGE, odd.append):
        yield from (text for text in batch["text"].to_pylist() if text is not None)
        while odd:
            yield odd.pop().encode()
    yield from (row.encode() for row in odd)
