"""Sections of notes whose headers are not MIMIC-IV's: `HISTORY OF PRESENT ILLNESS:,`, `Meds on adm -`, `A/P:`.

A header is a short phrase at the beginning of a line (or, as transcriptions have it, behind a comma or full stop in
capitals) that ends with a colon. sections.csv says which section it means; a header it does not hold is normalised,
shortened from both sides and looked up again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files

from chartcode.extraction.drugs import Section
from chartcode.tables.cleaning import HEADERS, PREAMBLE

OTHER = "other"
_AT = re.compile(
    r"(?:^[ \t]*(?:\d{1,2}\.[ \t]+|[#*]+[ \t]*)?(?P<line>[A-Za-z][A-Za-z0-9 /&,.'()\-]{1,58}?)[ \t]*"
    r"(?::|(?=\n)(?<=[A-Z]{3}))"
    r"|(?<=[.,:;])[ \t]*(?P<inner>[A-Z][A-Z0-9 /&'()\-]{2,58}?)[ \t]*:)",
    re.MULTILINE,
)
_EDGE = re.compile(
    r"^(?:the|patient'?s?|brief|pertinent|relevant|current|initial|interval|previous|other|additional|clinical|detailed"
    r"|complete|summary of|details? of|description of|list of|review of the)\s+|\s+(?:in detail|details?|performed"
    r"|summary|section|notes?|data|information|list|at (?:the )?time of \w+|on (?:arrival|transfer)|today)$"
)


@lru_cache(maxsize=1)
def variants() -> dict[str, str]:
    """Normalised header -> section: the headers of cleaning and those of sections.csv."""
    known = {normal(variant): name for name, forms in HEADERS.items() for variant in forms}
    with (files(__package__) / "sections.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known.setdefault(normal(row["header"]), row["section"])
    return known


def normal(header: str) -> str:
    """Lower case, letters and digits alone, `&` and `/` as `and`, numbers and brackets away."""
    low = re.sub(r"\([^)]*\)?", " ", header.lower())
    low = re.sub(r"\s*[&/]\s*", " and ", low.replace("'s", "s").replace("pre-op", "preop").replace("post-op", "postop"))
    return " ".join(re.sub(r"[^a-z0-9]+", " ", low).split()).lstrip("0123456789 ")


@lru_cache(maxsize=65536)
def classify(header: str) -> str:
    """The section a header means; OTHER where no rule knows it."""
    known, name = variants(), normal(header)
    for _ in range(4):
        if name in known:
            return known[name]
        singular = name[:-1] if name.endswith("s") else name + "s"
        if singular in known:
            return known[singular]
        shorter = _EDGE.sub("", name)
        if shorter == name:
            break
        name = shorter
    return OTHER


def headers(text: str) -> Iterator[tuple[str, int, int]]:
    """What looks like a header: its words, where it begins and where its section's text begins."""
    for found in _AT.finditer(text):
        part = "line" if found["line"] else "inner"
        words = found[part].strip()
        if len(words.split()) > 8:
            continue
        end = found.end()
        while end < len(text) and text[end] in ", \t":  # `SUBJECTIVE:,`
            end += 1
        yield words, found.start(part), end


def find_sections(text: str) -> list[Section]:
    """Sections of any note, in order, behind one of PREAMBLE; a header that no rule knows ends none."""
    found = [(PREAMBLE, 0, 0)]
    found += [(name, begin, end) for words, begin, end in headers(text) if (name := classify(words)) != OTHER]
    ends = [begin for _, begin, _ in found[1:]] + [len(text)]
    return [Section(name, start, max(end, start)) for (name, _, start), end in zip(found, ends, strict=True)]
