"""Codes live in years: what could not be billed in a year becomes what could."""

from __future__ import annotations

import datetime
import random
from itertools import pairwise

import pytest

from chartcode.linking.terminology import editions
from chartcode.linking.terminology.editions import Codes


@pytest.fixture(scope="module")
def codes() -> Codes:
    headings = {entry.code: entry.title for entry in editions.tabular() if not entry.billable}
    return Codes(editions.codes_table(editions.known_editions({}), headings))


@pytest.mark.parametrize(
    ("code", "year", "expected"),
    [
        ("N183", 2018, "N183"),  # stage 3, split in October 2020
        ("N183", 2021, "N1830"),
        ("N1830", 2018, "N183"),
        ("N1832", 2020, "N183"),
        ("N1832", 2021, "N1832"),
        ("E872", 2022, "E872"),  # acidosis, split in October 2022
        ("E872", 2023, "E8720"),
        ("E8720", 2022, "E872"),
        ("F32A", 2021, "F329"),  # depression, unspecified, new in October 2021
        ("F32A", 2022, "F32A"),
        ("I2721", 2017, "I272"),
        ("I481", 2019, "I481"),
        ("U071", 2026, "U071"),
        ("G35", 2020, "G35"),
        ("G35", 2026, "G35D"),
        ("G35D", 2020, "G35"),
        ("B20", 2018, "B20"),  # a block and its only category bear one name
        ("Z66", 2026, "Z66"),
        ("E785", 2010, "E785"),  # before the first edition: as in the first
        ("XYZ", 2020, "XYZ"),  # not ICD-10-CM
    ],
)
def test_a_code_becomes_what_could_be_billed_in_that_year(codes: Codes, code: str, year: int, expected: str) -> None:
    assert codes.resolve(code, year) == expected


@pytest.mark.parametrize(
    ("heading", "leaf"),
    [
        ("E11", "E119"),  # without complications, not `with unspecified complications`
        ("K50", "K5090"),
        ("I48", "I4891"),
        ("I50", "I509"),
        ("M545", "M5450"),  # not M5459, other low back pain
        ("K21", "K219"),
        ("J45", "J45909"),
        ("N18", "N189"),
        ("S720", "S72009A"),  # an initial encounter
        ("C349", "C3490"),
    ],
)
def test_a_heading_stands_for_its_unspecified_leaf(codes: Codes, heading: str, leaf: str) -> None:
    assert codes.default_leaf(heading) == leaf
    assert codes.resolve(heading) == leaf


def test_every_known_code_resolves_to_one_that_could_be_billed(codes: Codes) -> None:
    sample = random.Random(7).sample(sorted(codes.titles), 3000)
    for year in (2016, 2018, 2021, 2024, 2026):
        for code in sample:
            resolved = codes.resolve(code, year)
            if codes.billable(code, year):
                assert resolved == code
            elif resolved == code:
                assert codes.default_leaf(code[:3], year) is None, "its whole category is of another year"
            else:
                assert codes.billable(resolved, year), (code, year)
                assert resolved[:3] == code[:3]
            assert codes.resolve(resolved, year) == resolved


def test_a_lasting_code_is_itself_whatever_the_year(codes: Codes) -> None:
    years = [0, *range(codes.earliest - 1, codes.latest + 2)]
    for code in [*random.Random(7).sample(sorted(codes.titles), 2000), "unknown", ""]:
        assert not codes.lasting(code) or {codes.of_year(code, year) for year in years} == {code}
    assert not any(map(codes.lasting, ("N183", "N1830", "E872", "F32A")))
    assert sum(map(codes.lasting, codes.titles)) > 0.9 * len(codes.titles)


def test_each_dated_change_explains_one_between_two_editions() -> None:
    known = editions.known_editions({})
    years = sorted(known)
    come_between = {pair: known[pair[1]].keys() - known[pair[0]].keys() for pair in pairwise(years)}
    for prefix, year in editions.dated_changes().items():
        older, newer = next(pair for pair in come_between if pair[0] < year <= pair[1])
        come = {code for code in come_between[older, newer] if code.startswith(prefix)}
        assert come, f"{prefix}: nothing came below it between {older} and {newer}"


def test_an_order_file_dates_what_the_packages_leave_open() -> None:
    known = {2016: {"A01": "Old"}, 2020: {"A01": "Old"}, 2024: {"A010": "New", "A019": "New, unspecified"}}
    codes = Codes(editions.codes_table(known, {"A01": "Old"}))
    assert codes.resolve("A010", 2019) == "A01"
    assert codes.resolve("A01", 2023) == "A01", "the older edition holds until a newer one says otherwise"
    assert codes.resolve("A01", 2024) == "A019"
    without = Codes(editions.codes_table({year: known[year] for year in (2016, 2024)}, {"A01": "Old"}))
    assert without.resolve("A01", 2023) == "A01"


def test_fiscal_years_begin_in_october() -> None:
    assert editions.fiscal_year(datetime.date(2020, 9, 30)) == 2020
    assert editions.fiscal_year(datetime.date(2020, 10, 1)) == 2021


def test_codes_are_sorted_undotted_and_titled() -> None:
    headings = {entry.code: entry.title for entry in editions.tabular() if not entry.billable}
    table = editions.codes_table(editions.known_editions({}), headings)
    columns = table.to_pydict()
    assert columns["code"] == sorted(set(columns["code"]))
    assert not any("." in code for code in columns["code"])
    assert all(columns["title"])
    assert sum(columns["billable"]) > 74000
