"""A raw file is read as Python's own csv module reads it, whatever the blocks, the gzip members and the cells."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chartcode.errors import DataError
from chartcode.tables import raw_csv
from chartcode.tables.schemas import Column, RawTable

TABLE = RawTable("notes", "", (Column("note_id", "string"), Column("text", "string")))


@given(content=st.text('a"\r\né', max_size=40).map(str.encode), size=st.integers(1, 9))
@example(content=b"ab", size=2)  # the file ends with its block
@example(content=b"", size=1)
@example(content=b"a\r\nb", size=2)
@example(content=b"a\r", size=2)
def test_the_stream_ends_with_a_line_break_and_knows_its_quotes(content: bytes, size: int) -> None:
    stream = raw_csv._Watched(io.BufferedReader(io.BytesIO(content), 4))  # type: ignore[type-var]
    blocks = list(iter(lambda: stream.read(size), b""))
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    assert b"".join(blocks) == whole
    assert all(len(block) <= size or block == blocks[-1] for block in blocks)
    assert size == 1 or not any(a[-1:] + b[:1] == b"\r\n" for a, b in itertools.pairwise(blocks))
    assert stream.quotes == content.count(b'"')
    assert stream.read(size) == b"", "the end stays the end"


CELL = st.text('ab",\r\né€😀', max_size=12)
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, block=st.sampled_from([32, 64, 1 << 20]), member=st.integers(1, 60), gzipped=st.booleans())
def test_every_cell_is_read_as_it_was_written(
    rows: list[tuple[str, str]],
    block: int,
    member: int,
    gzipped: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raw_csv, "BLOCK", block)
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([TABLE.header, *rows])
    content = written.getvalue().encode()
    path = tmp_path / ("notes.csv.gz" if gzipped else "notes.csv")
    members = [content[i : i + member] for i in range(0, len(content), member)]
    path.write_bytes(b"".join(map(gzip.compress, members)) if gzipped else content)
    malformed: list[str] = []
    batches = list(raw_csv.read_batches(path, TABLE, malformed.append))
    read = [tuple(cell.decode() for cell in row.values()) for batch in batches for row in batch.to_pylist()]
    assert read == rows
    assert malformed == []


@pytest.mark.parametrize("shift", range(-2, 3))
def test_a_line_end_that_a_block_would_part_stays_whole(shift: int, tmp_path: Path) -> None:
    head = b'note_id,text\r\na,"'
    text = b"x" * (raw_csv.BLOCK - len(head) + shift) + b"\r\nsecond line"
    (tmp_path / "notes.csv").write_bytes(head + text + b'"\r\nb,c\r\n')
    rows = [row for batch in raw_csv.read_batches(tmp_path / "notes.csv", TABLE, print) for row in batch.to_pylist()]
    assert rows == [{"note_id": b"a", "text": text}, {"note_id": b"b", "text": b"c"}]


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99], ids=str)
def test_a_file_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path, keep: float) -> None:
    lines = [f'{n},"line {n}\nof ""many"""' for n in range(2000)]
    whole = gzip.compress("\n".join(["note_id,text", *lines]).encode())
    path = tmp_path / "notes.csv.gz"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"notes\.csv\.gz: .*download it again"):
        list(raw_csv.read_batches(path, TABLE, lambda _: None))
