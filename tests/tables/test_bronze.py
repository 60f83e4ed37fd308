"""Keys and batches of bronze: the first row of each key is kept, the others counted, however the batches fall."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.tables import bronze as stage
from chartcode.tables.schemas import RAW_TABLES, RawTable
from tests.hospital import Hospital
from tests.tables.made import bronze

Hash = Callable[[pa.RecordBatch, RawTable], np.ndarray[tuple[int], np.dtype[np.int64]]]


def all_alike(rows: pa.RecordBatch, table: RawTable) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(rows.num_rows, np.int64)


@pytest.mark.parametrize("hashed", [stage._hash_keys, all_alike], ids=["hashes differ", "every hash collides"])
def test_the_first_row_of_each_key_is_kept_and_the_others_are_quarantined(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: Hash
) -> None:
    monkeypatch.setattr(stage, "_hash_keys", hashed)
    again = {
        "discharge": [2, 2, 5],
        "diagnoses_icd": [0],
        "admissions": [1, 3],
        "patients": [4],
        "d_icd_diagnoses": [0],
    }
    for name, rows in again.items():
        hospital.tables[name] += [dict(hospital.tables[name][row]) for row in rows]
    # The same code at another place of the list is another row, not the same one twice.
    hospital.tables["diagnoses_icd"].append({**hospital.tables["diagnoses_icd"][0], "seq_num": 77})
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    report = made.json("report.json")["tables"]
    for name, table in RAW_TABLES.items():
        first = {tuple(str(row.get(k)) for k in table.key): row for row in reversed(hospital.tables[name])}
        assert report[name]["rows_out"] == (len(first) if table.key else len(hospital.tables[name])), name
        assert sum(report[name]["quarantined"].values()) == len(again.get(name, [])), name
        if table.key:
            kept = made.table(f"{name}.parquet").select(table.key).to_pylist()
            expected = [tuple(str(row.get(k)) for k in table.key) for row in hospital.tables[name]]
            assert [tuple(map(str, row.values())) for row in kept] == list(dict.fromkeys(expected)), name


KEYS = st.tuples(st.integers(0, 3), st.sampled_from(["", "I10", "é"]))


@given(keys=st.lists(KEYS, max_size=12), cut=st.integers(0, 12))
def test_a_hash_stands_twice_where_its_key_does(keys: list[tuple[int, str]], cut: int) -> None:
    table = RawTable("codes", "", (), key=("seq_num", "icd_code"))
    schema = pa.schema([("seq_num", pa.int64()), ("icd_code", pa.string())])
    rows = pa.RecordBatch.from_pylist([{"seq_num": n, "icd_code": code} for n, code in keys], schema)
    halves = [stage._hash_keys(rows.slice(0, cut), table), stage._hash_keys(rows.slice(cut), table)]
    repeated = np.isin(np.concatenate(halves), stage._repeated(halves))
    assert repeated.tolist() == [keys.count(key) > 1 for key in keys]


@given(sizes=st.lists(st.integers(0, 5), max_size=8), rows=st.integers(1, 6))
def test_gathering_batches_moves_no_row(sizes: list[int], rows: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    batches = [
        pa.record_batch({"n": pa.array(range(a, a + n), pa.int64())}) for a, n in zip(starts, sizes, strict=False)
    ]
    gathered = list(stage._gathered(batches, rows))
    assert [n for batch in gathered for n in batch.column("n").to_pylist()] == list(range(sum(sizes)))
    assert all(batch.num_rows >= rows for batch in gathered[:-1])
