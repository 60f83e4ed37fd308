"""The Alphabetic Index and the Neoplasm table, read aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.linking.terminology import index, neoplasms
from chartcode.linking.terminology.index import forms

HEADER = "RowID,Letter,Level,Term,See,SeeAlso,NonEssModif,Code\n"
LINES = """1,A,0,Abdominalgia,"Pain, abdominal",,,
2,F,0,"Failure, failed",,,,
3,F,1,heart,,,(acute) (senile),I50.9
4,F,2,diastolic,,,(congestive),I50.30
5,F,3,acute,,,,I50.31
6,H,0,"Hypertension, hypertensive",,,(benign) (systemic),I10
7,P,0,"Pain, painful",,,,R52
8,P,1,"abdominal, abdomen",,,,R10.9
9,S,0,"Satiety, early",,,,R68.81
10,A,0,Angina,,,(attack),I20.9
11,A,1,specified NEC,,,,I20.89
12,E,0,Ewing's tumor,"Neoplasm, bone, malignant",,,
13,D,0,"Diabetes, diabetic",,,(mellitus),E11.9
14,D,1,with,,,,
15,D,2,coma due to,,,,
16,D,3,ketoacidosis,,,,E11.11
17,F,0,Fracture,,,,T14.8-
18,A,0,Abdominodynia,,"Pain, abdominal",,
"""
TABLE = f"""RowID,Level,Term,SeeAlso,NonEssModif,{",".join(neoplasms.PATTERNS)}
1,0,"Neoplasm, neoplastic",,,C80.1,C79.9,D09.9,D36.9,D48.9,D49.9
2,1,bone,,(periosteum),C41.9,C79.51,-,D16.9,D48.0,D49.2
3,1,breast,,,C50.9-,C79.81,D05.9-,D24.-,D48.6-,D49.3
4,2,specified NEC,,,C50.8-,C79.81,D05.8-,D24.-,D48.6-,D49.3
5,1,hepatic,,,C22.9,C78.7,D01.5,D13.4,D37.6,D49.0
6,2,flexure,,(colon),C18.3,C78.5,D01.0,D12.3,D37.4,D49.0
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "index_2025.csv", tmp_path / "neoplasms_2025.csv"
    one.write_text(HEADER + LINES)
    other.write_text(TABLE)
    return one, other


@pytest.fixture
def names(files: tuple[Path, Path]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in [*index.names(files[0], neoplasms.places(files[1])), *neoplasms.names(files[1])]:
        found.setdefault(row.code, set()).add(row.name.lower())
    return found


def test_an_inverted_term_is_turned_round_and_never_cut(names: dict[str, set[str]]) -> None:
    assert names["R6881"] == {"early satiety", "satiety early"}


def test_a_path_is_read_from_its_end(names: dict[str, set[str]]) -> None:
    assert "acute diastolic heart failure" in names["I5031"]
    assert "diastolic heart failure" in names["I5030"]


def test_nonessential_modifiers_may_stand(names: dict[str, set[str]]) -> None:
    assert {"hypertension", "benign hypertension", "systemic hypertension"} <= names["I10"]
    assert "senile heart failure" in names["I509"]
    assert "diabetes mellitus" in names["E119"]


def test_an_adjective_alone_is_no_name(names: dict[str, set[str]]) -> None:
    assert "hypertensive" not in names["I10"]
    assert "diabetic" not in names["E119"]


def test_what_stands_below_a_connective_follows_the_noun(names: dict[str, set[str]]) -> None:
    assert "diabetes with coma due to ketoacidosis" in names["E1111"]


def test_a_rest_class_is_not_called_by_its_heading(names: dict[str, set[str]]) -> None:
    assert "I2089" not in names
    assert not any("specified" in name for found in names.values() for name in found)


def test_references_lead_to_the_code_of_the_path(names: dict[str, set[str]]) -> None:
    assert {"abdominalgia", "abdominodynia"} <= names["R109"]
    assert "ewing's tumor" in names["C419"], "into the Neoplasm table"


def test_growths_are_named_by_site_and_behaviour(names: dict[str, set[str]]) -> None:
    assert {"breast cancer", "carcinoma of the breast", "malignant neoplasm of breast"} <= names["C509"]
    assert {"metastasis to bone", "bone metastasis", "mets to the bone"} <= names["C7951"]
    assert {"cancer of hepatic flexure", "cancer of flexure of hepatic"} <= names["C183"]
    assert "metastatic disease" in names["C799"]
    assert "cancer" in names["C801"]
    assert "C508" not in names


def test_a_single_word_counts_only_at_the_top() -> None:
    assert forms(["Pain", "chronic"]) == ["chronic Pain"]
    assert forms(["Sudamen, sudamina"]) == ["Sudamen", "sudamina"]
    assert forms(["Dropsy", "NEC"]) == []


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("Level,Term", "Depth,Term", "Level"),
        (",R68.81\n", ",early satiety\n", "Code"),
        ("9,S,0", "9,S,zero", "Level"),
        ("9,S,0", "9,S,7", "Level"),
    ],
)
def test_a_damaged_index_names_file_and_column(files: tuple[Path, Path], old: str, new: str, column: str) -> None:
    text = files[0].read_text()
    assert old in text
    files[0].write_text(text.replace(old, new))
    with pytest.raises(DataError, match=rf"index_2025\.csv: column {column}\b") as error:
        list(index.names(files[0], {}))
    assert "early" not in str(error.value)


def test_a_damaged_neoplasm_table_names_file_and_column(files: tuple[Path, Path]) -> None:
    files[1].write_text(TABLE.replace("C79.51", "bone?"))
    with pytest.raises(DataError, match=r"neoplasms_2025\.csv: column MalignantSecondary, line 3"):
        list(neoplasms.names(files[1]))


def test_a_line_that_ends_early_names_file_and_column(files: tuple[Path, Path]) -> None:
    files[0].write_text(HEADER + "1,A,0,Abasia\n")
    with pytest.raises(DataError, match=r"index_2025\.csv: line 2 ends before column See"):
        list(index.names(files[0], {}))


def test_the_whole_official_index_is_read(shared_data: Path) -> None:
    folder = shared_data / "icd10cm"
    places = neoplasms.places(folder / "neoplasms_2025.csv.gz")
    rows = list(index.names(folder / "index_2025.csv.gz", places))
    names = {(row.name.lower(), row.code) for row in rows}
    assert ("early satiety", "R6881") in names
    assert ("unstable angina", "I200") in names
    assert ("progressive angina", "I200") in names, "a reference"
    assert not {"early", "failed", "specified", ""} & {row.name.lower() for row in rows}
