"""Published splits: each admission of a study's file lands in its split with its patient, or the file is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as pa_feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.errors import DataError
from chartcode.sources import published_splits
from chartcode.tables.schemas import RAW_TABLES, SPLITS_SCHEMA

PATIENT_OF = {101: 1, 102: 1, 201: 2, 301: 3, 401: 4}
DEAL = {101: "train", 102: "train", 201: "val", 301: "test"}
EXPECTED = [(1, 101, "train"), (1, 102, "train"), (2, 201, "val"), (3, 301, "test")]


def admissions(folder: Path, owner: dict[int, int] = PATIENT_OF) -> Path:
    rows = [f"{subject},{hadm},2180-01-01 00:00:00" + "," * 13 for hadm, subject in owner.items()]
    path = folder / "admissions.csv.gz"
    path.write_bytes(gzip.compress("\n".join([",".join(RAW_TABLES["admissions"].header), *rows, ""]).encode()))
    return path


def discharge(folder: Path) -> Path:
    rows = [f'{subject}-DS-{hadm},{subject},{hadm},DS,1,,,"two\nlines"' for hadm, subject in PATIENT_OF.items()]
    path = folder / "discharge.csv.gz"
    path.write_bytes(gzip.compress("\n".join([",".join(RAW_TABLES["discharge"].header), *rows, ""]).encode()))
    return path


def rows(split: published_splits.OfficialSplit) -> list[tuple[int, int, str]]:
    assert split.rows.schema == SPLITS_SCHEMA
    return list(zip(*(column.to_pylist() for column in split.rows.columns), strict=True))


def frame(ids: str = "_id") -> pd.DataFrame:
    return pd.DataFrame({ids: list(DEAL)[::-1], "split": list(DEAL.values())[::-1]})


@pytest.mark.parametrize("kind", ["feather", "parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("ids", ["_id", "hadm_id"])
def test_a_table_of_admissions_is_read_in_every_format(tmp_path: Path, kind: str, ids: str) -> None:
    path = tmp_path / f"mimiciv_icd10_split.{kind}"
    table = frame(ids)
    writer = {"feather": table.to_feather, "parquet": table.to_parquet}.get(kind)
    writer(path) if writer else table.to_csv(path, index=False)
    assert rows(published_splits.read(path, admissions(tmp_path))) == EXPECTED


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.large_string()])
def test_ids_may_be_stored_as_any_number_or_as_digits(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"_id": pa.array(list(DEAL), pa.int64()).cast(kind), "split": list(DEAL.values())})
    pa_feather.write_feather(table, tmp_path / "split.feather")
    assert rows(published_splits.read(tmp_path / "split.feather", admissions(tmp_path))) == EXPECTED


def test_split_names_of_other_studies_and_categories_are_understood(tmp_path: Path) -> None:
    table = frame()
    table["split"] = pd.Categorical(table["split"].replace({"val": "dev", "train": "Train"}))
    table.to_feather(tmp_path / "split.feather")
    assert rows(published_splits.read(tmp_path / "split.feather", admissions(tmp_path))) == EXPECTED


@pytest.mark.parametrize("ids", ["_id", "note_id"])
def test_notes_are_looked_up_in_the_hospitals_notes(tmp_path: Path, ids: str) -> None:
    notes = [f"{PATIENT_OF[hadm]}-DS-{hadm}" for hadm in DEAL] + ["9-DS-9"]
    table = pd.DataFrame({ids: notes, "split": [*DEAL.values(), "test"]})
    table.to_feather(tmp_path / "split.feather")
    split = published_splits.read(tmp_path / "split.feather", admissions(tmp_path), discharge(tmp_path))
    assert rows(split) == EXPECTED
    assert split.unknown == 1
    with pytest.raises(DataError, match="link the notes with --note"):
        published_splits.read(tmp_path / "split.feather", admissions(tmp_path))


def lists(folder: Path, kind: str = "full") -> Path:
    for name, ids in {"train": [101, 102], "dev": [201], "test": [301]}.items():
        (folder / f"{name}_{kind}_hadm_ids.csv").write_text("".join(f"{i}\n" for i in ids))
    return folder


def test_nguyens_three_lists_are_read_from_any_of_them_or_their_folder(tmp_path: Path) -> None:
    known = admissions(tmp_path)
    folder = tmp_path / "mimic4_icd10"
    folder.mkdir()
    lists(folder)
    for path in (folder, folder / "train_full_hadm_ids.csv", folder / "test_full_hadm_ids.csv"):
        assert rows(published_splits.read(path, known)) == EXPECTED
    lists(folder, "50")
    with pytest.raises(DataError, match=r"holds 2 sets \(50, full\)"):
        published_splits.read(folder, known)
    assert rows(published_splits.read(folder / "dev_50_hadm_ids.csv", known)) == EXPECTED
    (folder / "test_50_hadm_ids.csv").unlink()
    with pytest.raises(DataError, match=r"test_50_hadm_ids\.csv: missing"):
        published_splits.read(folder / "dev_50_hadm_ids.csv", known)
    (folder / "dev_full_hadm_ids.csv").write_text("201,extra\n")
    with pytest.raises(DataError, match=r"dev_full_hadm_ids\.csv: expected one hadm_id a line"):
        published_splits.read(folder / "dev_full_hadm_ids.csv", known)


def test_admissions_the_hospital_lacks_are_counted(tmp_path: Path) -> None:
    table = pd.concat([frame(), pd.DataFrame({"_id": [777, 888], "split": ["train", "test"]})])
    table.to_csv(tmp_path / "split.csv", index=False)
    split = published_splits.read(tmp_path / "split.csv", admissions(tmp_path))
    assert (rows(split), split.unknown) == (EXPECTED, 2)


def test_a_repeated_row_counts_once(tmp_path: Path) -> None:
    pd.concat([frame(), frame()]).to_csv(tmp_path / "split.csv", index=False)
    split = published_splits.read(tmp_path / "split.csv", admissions(tmp_path))
    assert (rows(split), split.unknown) == (EXPECTED, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hadm_id,split\n101,train\n101,test\n", r"split: an admission stands in two splits"),
        ("hadm_id,split\n101,train\n201,\n", r"split: 1 rows hold none of"),
        ("hadm_id,split\n101,fold7\n", r"split: 1 rows hold none of"),
        ("hadm_id,split\n101,1\n", r"split: 1 rows hold none of"),
        ("hadm_id,split\n,train\n101,train\n", r"hadm_id: 1 rows are empty"),
        ("hadm_id,split\n101.5,train\n", r"hadm_id: must hold whole numbers"),
        ("_id,split\nJohn Doe,train\n", r"_id: must hold whole numbers"),
        ("subject_id,split\n1,train\n", r"hadm_id: column is missing"),
        ("hadm_id,fold\n101,train\n", r"split: column is missing"),
        ("hadm_id,split\n999,train\n", r"no admission of it stands in hosp/admissions"),
        ("hadm_id,split\n101,train,extra\n", r"cannot be read as csv"),
    ],
)
def test_a_bad_table_is_refused_by_file_and_column_without_a_cell(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        published_splits.read(path, admissions(tmp_path))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert not any(cell in str(error.value) for cell in ("John", "fold7", "999", "101.5"))


@pytest.mark.parametrize(("name", "message"), [("a.xlsx", "known are"), ("a.feather", "cannot be read as feather")])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 not a table")
    with pytest.raises(DataError, match=message):
        published_splits.read(tmp_path / name, admissions(tmp_path))
    with pytest.raises(DataError, match="not found"):
        published_splits.read(tmp_path / "none.parquet", admissions(tmp_path))


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(1, 12), st.tuples(st.integers(1, 4), st.sampled_from(["train", "val", "test"]))))
def test_agrees_with_a_loop_over_admissions(tmp_path_factory: pytest.TempPathFactory, deal: dict) -> None:
    """Slow oracle: each known admission keeps its patient and its split, as published."""
    folder = tmp_path_factory.mktemp("split")
    owner = {hadm: subject for hadm, (subject, _) in deal.items() if hadm % 3}  # every third is unknown here
    path = folder / "split.csv"
    path.write_text("hadm_id,split\n" + "".join(f"{hadm},{split}\n" for hadm, (_, split) in deal.items()))
    if not owner:
        with pytest.raises(DataError):
            published_splits.read(path, admissions(folder, owner))
        return
    split = published_splits.read(path, admissions(folder, owner))
    assert rows(split) == sorted((subject, hadm, deal[hadm][1]) for hadm, subject in owner.items())
    assert split.unknown == len(deal) - len(owner)
