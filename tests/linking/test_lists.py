"""Names of a list, of a terminology and of a fitted linker are the same names."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chartcode.artifacts import writing
from chartcode.errors import ArtifactError, DataError
from chartcode.linking.lists import read_list, terms_of
from chartcode.linking.terms import TERMS
from tests.linking.marked import terms
from tests.linking.test_linker import NAMES, linker

TERMINOLOGY = Path(__file__).resolve().parents[2] / "data/terminology"


def test_icd_is_linked_to_where_a_list_has_it_and_brings_its_abbreviations(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("name,code,system\nhigh blood pressure,I10,icd10cm\nhypertension,1234,snomed\n")
    assert read_list(path).system == "icd10cm"
    table = terms_of(path)
    assert table.schema == TERMS
    assert set(table["code"].to_pylist()) == {"I10"}
    assert {"high blood pressure", "HTN"} <= set(table["name"].to_pylist())


def test_a_terminology_is_read_in_one_language_and_one_system(tmp_path: Path) -> None:
    rows = terms().to_pylist()
    rows += [rows[0] | {"system": "icd10cm", "code": code} for code in ("C50919", "")]
    rows += [rows[0] | {"system": "icd10cm", "code": "C50919", "language": "es", "name": "mama"}]
    with writing(tmp_path / "t", "test") as writer:
        writer.parquet("terms.parquet", pa.Table.from_pylist(rows, schema=TERMS))
    assert terms_of(tmp_path / "t")["code"].to_pylist() == ["C50919"]
    assert terms_of(tmp_path / "t", "es")["name"].to_pylist() == ["mama"]


def test_a_linker_gives_its_names_but_those_in_capitals(tmp_path: Path) -> None:
    linker(tmp_path / "l")
    table = terms_of(tmp_path / "l")
    assert table.schema == TERMS
    found = dict(zip(table["name"].to_pylist(), table["code"].to_pylist(), strict=True))
    assert found.items() >= {"pneumonia": "J189", "hypertension": "I10"}.items()
    assert "htn" not in found
    assert len(NAMES) > len(set(found.values()))


def test_another_folder_has_no_names(tmp_path: Path) -> None:
    with writing(tmp_path / "other", "test") as writer:
        writer.json("a.json", {})
    with pytest.raises(ArtifactError, match="no names"):
        terms_of(tmp_path / "other")
    with pytest.raises(DataError):
        terms_of(tmp_path / "nowhere.csv")


def test_the_terminology_of_the_pipeline_has_names(tmp_path: Path) -> None:
    if not TERMINOLOGY.is_dir():
        pytest.skip("no data/terminology here")
    table = terms_of(TERMINOLOGY)
    assert len(table) > 10_000
    assert set(table["system"].to_pylist()) == {"icd10cm"}
    assert len(table) <= pq.read_metadata(TERMINOLOGY / "terms.parquet").num_rows
