"""What looks like a leak and is none, file by file with its reason; a test holds that each entry is still needed.

A single invented line is marked where it stands, with `guard: invented`; rules about secrets, files and restricted text
heed no such mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

MARK = "guard: invented"


@dataclass(frozen=True)
class Allowed:
    """Files (a glob over the whole path) to which one rule does not apply, and why."""

    files: str
    rule: str
    why: str


_TEMPLATE = "templates of the synthetic hospital print masks"
_CLEANING = "cleaning recognises masks"
_SHAPE = "notes of invented patients carry masks"
_DEMO = "two ids of the open MIMIC-IV demo"

ALLOWED = (
    Allowed("src/chartcode/guard/*.py", "masks", "names what it looks for"),
    Allowed("src/chartcode/linking/terminology/mini.csv", "ids", "SNOMED CT ids, which have eight digits and more"),
    Allowed("src/chartcode/sources/synthetic/*.py", "masks", _TEMPLATE),
    Allowed("src/chartcode/sources/synthetic/phrases.txt", "masks", _TEMPLATE),
    Allowed("src/chartcode/sources/synthetic/phrases.txt", "text", "stock sentences that any summary may hold"),
    Allowed("src/chartcode/sources/synthetic/notes.py", "text", "stock sentences that any summary may hold"),
    Allowed("src/chartcode/tables/cleaning.py", "masks", _CLEANING),
    Allowed("benchmarks/twin.py", "masks", "counts masks in synthetic notes"),
    Allowed("tests/coders/test_tfidf.py", "masks", _SHAPE),
    Allowed("tests/hospital.py", "masks", _SHAPE),
    Allowed("tests/sources/synthetic/test_*.py", "masks", _SHAPE),
    Allowed("tests/tables/test_cleaning.py", "masks", _CLEANING),
    Allowed("tests/tables/test_silver.py", "masks", _SHAPE),
    Allowed("tests/test_artifacts.py", "masks", _SHAPE),
    Allowed("tests/tables/test_split.py", "ids", _DEMO),
    Allowed("tests/test_logs.py", "ids", _DEMO),
)


def reason(path: str, rule: str, table: tuple[Allowed, ...] = ALLOWED) -> Allowed | None:
    """The entry that exempts a file from a rule, or None."""
    return next((entry for entry in table if entry.rule == rule and fnmatchcase(path, entry.files)), None)
