"""The official Neoplasm table, read aloud: a site, and six columns of what the growth there does.

`hepatic > flexure (colon)` with the codes of its columns becomes cancer of hepatic flexure, metastasis to hepatic
flexure, carcinoma in situ of hepatic flexure ... A site of the second level and below is named with and without those
above it (`upper-outer quadrant of breast`, `breast upper-outer quadrant`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from chartcode.icd import ICD10_CM
from chartcode.linking.terminology.forms import alternatives, bare
from chartcode.linking.terminology.index import LICENCE, place, undashed
from chartcode.linking.terminology.rows import Found, damaged, records, release, unique

# What is said of a site, by the column of its code. {} is the site.
PATTERNS = {
    "MalignantPrimary": (
        "{} cancer",
        "cancer of {}",
        "cancer of the {}",
        "{} carcinoma",
        "carcinoma of {}",
        "carcinoma of the {}",
        "{} malignancy",
        "malignant neoplasm of {}",
        "malignant tumor of {}",
        "malignant {} neoplasm",
        "malignant {} tumor",
        "{} ca",
    ),
    "MalignantSecondary": (
        "{} metastasis",
        "{} mets",
        "metastasis to {}",
        "metastasis to the {}",
        "metastatic disease to {}",
        "metastatic disease to the {}",
        "metastatic to {}",
        "metastatic to the {}",
        "mets to {}",
        "mets to the {}",
        "metastasis of {}",
        "secondary malignant neoplasm of {}",
        "secondary malignancy of {}",
        "{} metastatic disease",
        "metastatic {} lesion",
    ),
    "CaInSitu": ("carcinoma in situ of {}", "carcinoma in situ of the {}", "{} carcinoma in situ"),
    "Benign": ("benign neoplasm of {}", "benign neoplasm of the {}", "benign tumor of {}", "benign {} tumor"),
    "UncertainBehavior": ("neoplasm of uncertain behavior of {}", "tumor of uncertain behavior of {}"),
    "UnspecifiedBehavior": ("{} neoplasm", "neoplasm of {}", "neoplasm of the {}", "{} tumor", "tumor of {}"),
}
# How the index refers to a column: `Neoplasm, bone, malignant`.
BEHAVIOURS = {
    "malignant": "MalignantPrimary",
    "malignant, primary": "MalignantPrimary",
    "malignant, secondary": "MalignantSecondary",
    "secondary": "MalignantSecondary",
    "in situ": "CaInSitu",
    "benign": "Benign",
    "uncertain behavior": "UncertainBehavior",
    "unspecified behavior": "UnspecifiedBehavior",
}
COLUMNS = ("Level", "Term", *PATTERNS)
_CODE = re.compile(ICD10_CM)
_HISTOLOGY = re.compile(r"carcinoma|melanoma|sarcoma|lymphoma", re.I)
_REST = re.compile(r"(?:other )?specified\b|overlapping\b|unspecified\b|contiguous\b", re.I)
_LEVELS = 4


def table(path: Path) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """The rows: the site from the widest down (empty: any site), and the code of each column that has one.

    Raises DataError naming file, column and line.
    """
    rows: list[tuple[tuple[str, ...], dict[str, str]]] = []
    stack: list[str] = []
    for line, row in enumerate(records(path, COLUMNS), start=2):
        if not row["Level"].isdigit() or int(row["Level"]) > len(stack):
            raise damaged(path, "Level", line, "must be a number, at most one above the line before")
        del stack[int(row["Level"]) :]
        stack.append(row["Term"])
        codes = {column: undashed(row[column]) for column in PATTERNS}
        for column, code in codes.items():
            if code and not _CODE.fullmatch(code):
                raise damaged(path, column, line, "not an ICD-10-CM code")
        rows.append((tuple(stack[1:]), {column: code for column, code in codes.items() if code}))
    return rows


def names(path: Path) -> Iterator[Found]:
    """What the growths of every site are called."""
    source = f"ICD-10-CM Neoplasm table ({release(path)})"
    for site, codes in table(path):
        for column, code in codes.items():
            for form in forms(site, column):
                yield Found(code, form, "neoplasm", source, LICENCE)


def forms(site: Sequence[str], column: str) -> list[str]:
    """Names of a growth at `site`; without a site, `cancer`, `metastatic disease` and the like."""
    if any(_REST.match(step) for step in site) or len(site) > _LEVELS:
        return []
    steps = [alternatives(bare(step))[:3] for step in site]
    if not all(steps):
        return []
    if steps and _HISTOLOGY.search(site[-1]):
        if column != "MalignantPrimary" or len(steps) < 2:
            return []
        kinds, places = steps[-1], _places(steps[:-1])
        return unique(form for kind in kinds for place in places for form in (f"{kind} of {place}", f"{place} {kind}"))
    if not steps:
        return unique(_siteless(pattern) for pattern in PATTERNS[column])
    return unique(pattern.format(place) for place in _places(steps) for pattern in PATTERNS[column])


def _places(steps: Sequence[Sequence[str]]) -> list[str]:
    """How a site is called: `flexure` under `hepatic` is hepatic flexure, flexure of hepatic, flexure hepatic."""
    first = [step[0] for step in steps]
    if len(steps) == 1:
        return list(steps[0])
    return unique([" ".join(first), " ".join(reversed(first)), " of ".join(reversed(first))])


def _siteless(pattern: str) -> str:
    return re.sub(r"\s*\b(?:of|to)(?: the)? \{\}|\{\}\s*", "", pattern).strip()


def places(path: Path) -> dict[str, str]:
    """Where references of the index lead: `neoplasm, bone, malignant` -> code."""
    found: dict[str, str] = {}
    for site, codes in table(path):
        for behaviour, column in BEHAVIOURS.items():
            if column in codes:
                for steps in (site, [step.split(",")[0] for step in site]):
                    found.setdefault(place(", ".join(["neoplasm", *steps, behaviour])), codes[column])
    return found
