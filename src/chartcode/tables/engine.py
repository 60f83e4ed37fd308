"""The engine behind table expressions: Ibis on an embedded DuckDB, with bounded memory.

Expressions are planned as `table -> table` and run here by default; the same expressions run on other Ibis backends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ibis

from chartcode.artifacts import Artifact

MEMORY_LIMIT = "2GB"  # DuckDB spills to a temporary folder beyond this


@contextmanager
def engine(memory_limit: str = MEMORY_LIMIT) -> Iterator[Any]:
    """An Ibis connection to a fresh in-memory DuckDB; its spill folder goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="chartcode-") as spill:
        connection = ibis.duckdb.connect(temp_directory=spill, memory_limit=memory_limit)
        try:
            yield connection
        finally:
            connection.disconnect()


def table(connection: Any, artifact: Artifact, name: str) -> Any:
    """A Parquet file of a verified artifact as an Ibis table."""
    return connection.read_parquet(artifact.path(name).as_posix())
