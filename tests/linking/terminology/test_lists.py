"""Our own lists hold what they promise: codes that exist, shares that add up, sections that silver knows."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.linking.terminology import abbreviations, editions, tabular, user
from chartcode.linking.terminology.rows import Found
from chartcode.linking.tokens import key_of
from chartcode.tables.cleaning import HEADERS


@pytest.fixture(scope="module")
def billable() -> set[str]:
    return {entry.code for entry in editions.tabular() if entry.billable}


def test_every_code_of_our_lists_can_be_billed(billable: set[str]) -> None:
    rows = [*tabular.aliases(), *abbreviations.own()]
    assert {row.code for row in rows if row.code} <= billable
    mini = [row for row in user.names(user.MINI) if row.system == "icd10cm"]
    assert {row.code for row in mini} <= billable


def test_no_alias_has_two_codes() -> None:
    codes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in tabular.aliases():
        codes[row.language, key_of(row.name, row.language)].add(row.code)
    assert [key for key, found in codes.items() if len(found) > 1] == []


def test_the_senses_of_an_abbreviation_share_its_uses() -> None:
    shares: dict[tuple[object, ...], float] = defaultdict(float)
    for row in abbreviations.own():
        assert set(row.sections) <= HEADERS.keys()
        shares[row.name, row.language, row.sections] += row.share
    assert {key: share for key, share in shares.items() if abs(share - 1) > 1e-6} == {}


def senses(name: str) -> dict[tuple[str, ...], dict[str, float]]:
    found: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for row in abbreviations.own():
        if row.name == name:
            for section in row.sections or ("",):
                found[(section,)][row.code] = row.share
    return found


def test_an_abbreviation_means_what_its_section_says() -> None:
    assert senses("AF")["physical_exam",] == {"": 1.0}, "afebrile"
    assert senses("AF")["",] == {"I4891": 1.0}
    assert senses("PE")["physical_exam",] == {"": 1.0}, "physical exam"
    assert senses("PE")["hospital_course",] == {"I2699": 1.0}
    assert senses("MS")["past_medical_history",] == {"G35D": 1.0}
    assert len(senses("MS")["",]) > 1
    assert senses("RA")["physical_exam",] == {"": 1.0}, "room air"


def test_codes_named_in_our_lists_are_named_for_status_too() -> None:
    names = {row.name.lower(): row.code for row in tabular.aliases()}
    assert names["former smoker"] == "Z87891"
    assert names["dnr/dni"] == "Z66"
    assert names["on warfarin"] == "Z7901"
    assert names["s/p cabg"] == "Z951"
    assert names["dvt prophylaxis"] == "", "no thrombosis"


HEADER = "abbreviation\tsense\tvariation\tCUI\tfrequency\n"


def meaning(words: str) -> str:
    return {"ventricular tachycardia": "I4720", "tachycardia, ventricular": "I4720"}.get(words, "")


def vanderbilt(folder: Path, **texts: str) -> list[Found]:
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"vanderbilt_{name}.txt")
        paths[-1].write_text(HEADER + text)
    return list(abbreviations.vanderbilt(paths, ["PE"], meaning))


def test_published_senses_keep_their_frequencies(tmp_path: Path) -> None:
    rows = vanderbilt(
        tmp_path,
        discharge_sums="vt\tventricular tachycardia\tVT_9|vt_2\tc1\t0.5\n"
        "vt\ttachycardia, ventricular\tVT_3\tc1\t0.25\nvt\tvermont\tVT_1\tc2\t0.25\n",
        clinic_notes="vt\tvermont\tVT_1\tc2\t1\npe\tphysical education\tPE_1\tc3\t1\nzz\tnothing\tZZ_1\tnull\t1\n",
    )
    assert {(row.name, row.code): row.share for row in rows} == {("VT", "I4720"): 0.75, ("VT", ""): 0.25, ("ZZ", ""): 1}
    assert {row.licence for row in rows} == {abbreviations.LICENCE}


def test_a_damaged_list_of_senses_names_file_and_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vanderbilt_discharge\.txt: column frequency, line 3"):
        vanderbilt(tmp_path, discharge="a\tb\tA_1\tc\t1\nvt\tvermont\tVT_1\tc\tmany\n")


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "ours.csv"
    path.write_text("name,code\nsugar disease,e11.9\n")
    (row,) = user.names(path)
    assert (row.name, row.code, row.kind, row.system) == ("sugar disease", "E119", "user", "icd10cm")


@pytest.mark.parametrize(
    ("text", "column"),
    [("name\nx\n", "code"), ("name,code,language\nx,E119,fr\n", "language"), ("name,code\n,E119\n", "name")],
)
def test_a_damaged_list_of_ones_own_names_file_and_column(tmp_path: Path, text: str, column: str) -> None:
    path = tmp_path / "ours.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"ours\.csv: column {column}\b"):
        list(user.names(path))


def test_the_mini_list_has_both_codes_for_each_name() -> None:
    systems: dict[str, set[str]] = defaultdict(set)
    for row in user.names(user.MINI):
        systems[row.name].add(row.system)
    assert len(systems) >= 50
    assert set(map(frozenset, systems.values())) == {frozenset({"snomed", "icd10cm"})}
    with user.MINI.open(newline="") as file:
        assert next(csv.reader(file)) == ["name", "code", "system"]
