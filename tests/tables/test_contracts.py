"""The contract of a batch is that of its rows: what is quick for a sound batch says the same as a look at each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chartcode.tables.contracts import check
from chartcode.tables.schemas import RAW_TABLES, Column, RawTable

Cells = list[bytes | None]

TEXTS = RawTable("texts", "", (Column("text", "string"),))
NUL = "text: holds a NUL character"
CELLS = st.lists(st.none() | st.text("a\0é€😀", max_size=4).map(str.encode), max_size=6)


def texts(cells: Cells) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array(cells, pa.binary())})


@given(before=CELLS, cells=CELLS, behind=CELLS)
@example(before=[], cells=[b"\0a"], behind=[])  # the first byte of all
@example(before=[], cells=[b"a", b"a\0"], behind=[])  # the last
@example(before=[b"\0"], cells=[b"a"], behind=[b"\0"])  # next to the slice, on both sides
@example(before=[], cells=[None, b"", None], behind=[])  # no byte at all
@example(before=[b"a"], cells=[], behind=[b"\0"])
def test_a_nul_is_found_in_its_row_and_in_no_other(before: Cells, cells: Cells, behind: Cells) -> None:
    checked = check(texts([*before, *cells, *behind]).slice(len(before), len(cells)), TEXTS)
    wrong = [cell is not None and b"\0" in cell for cell in cells]
    assert checked.reasons.tolist() == [NUL if there else "" for there in wrong]
    sound = [cell for cell, there in zip(cells, wrong, strict=True) if not there]
    assert checked.rows.column("text").cast(pa.binary()).to_pylist() == sound


def test_what_a_null_cell_hides_is_no_nul_of_the_text() -> None:
    buffers = [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([0, 1, 3, 4], np.int32)), pa.py_buffer(b"a\0\0b")]
    checked = check(pa.record_batch({"text": pa.Array.from_buffers(pa.binary(), 3, buffers)}), TEXTS)
    assert checked.reasons.tolist() == ["", "", ""]
    assert checked.rows.column("text").to_pylist() == ["a", None, "b"]


def test_the_texts_of_a_sound_batch_are_not_copied() -> None:
    batch = texts([b"one", None, b"three"])
    assert check(batch, TEXTS).rows.column("text").buffers()[2].address == batch.column("text").buffers()[2].address


# Sound and broken cells of each kind. A batch of sound ones takes the quick path; each row alone is the oracle.
WRITTEN: dict[str, list[bytes | None]] = {
    "id": [b"7", b"20000001", b"", None, b"0", b"-1", b"1e3", b"0x10", b" 7", b"1234567890123456789", b"7\0"],
    "integer": [b"9", b"10", b"11", b"", None, b"-3", b"300", b"1.0"],
    "string": [b"WHITE", "caf\xe9".encode(), b"", None, b"caf\xe9", b"a\0"],
    "code": [b"I10", b"E785", b"4019", b"0389", b"389", b"e785", b"E78.5", b"V707", b"", None, b"\xff"],
    "timestamp": [b"2151-03-04 10:00:00", b"2151-03-05", b"", None, b"2151-02-30 10:00:00", b"2151-03-04T10:00:00"],
    "date": [b"2151-03-04", b"", None, b"9999-01-01", b"2151-3-4"],  # guard: invented
}
SOUND = {
    "id": [b"7", b"20000001"],
    "integer": [b"9", b"10"],
    "code": [b"I10", b"4019"],
    "timestamp": [b"2151-03-04 10:00:00"],
}
DICTIONARY = {9: pa.array(["0389", "4019", "V707"]), 10: pa.array(["I10", "E785"])}


@pytest.mark.parametrize("table", ["admissions", "diagnoses_icd", "patients", "procedures_icd"])
@given(draw=st.data())
def test_a_batch_is_checked_as_its_rows_are_one_by_one(table: str, draw: st.DataObject) -> None:
    contract = RAW_TABLES[table]
    rows = draw.draw(st.integers(0, 6), label="rows")
    pools = draw.draw(st.sampled_from([WRITTEN, {**WRITTEN, **SOUND}]), label="pools")
    columns = {
        c.name: pa.array(
            draw.draw(st.lists(st.sampled_from(pools[c.kind]), min_size=rows, max_size=rows), label=c.name), pa.binary()
        )
        for c in contract.columns
    }
    batch = pa.record_batch(columns)
    checked = check(batch, contract, DICTIONARY)
    alone = [check(batch.slice(row, 1), contract, DICTIONARY) for row in range(rows)]
    assert checked.reasons.tolist() == [reason for one in alone for reason in one.reasons.tolist()]
    expected: list[dict[str, Any]] = [row for one in alone for row in one.rows.to_pylist()]
    assert checked.rows.to_pylist() == expected
    assert checked.rows.schema == contract.schema
