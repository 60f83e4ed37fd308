"""Sections of notes whose headers are not MIMIC-IV's: `HISTORY OF PRESENT ILLNESS:,`, `Meds on adm -`, `A/P:`.

A header is a short phrase at the beginning of a line (or, as transcriptions have it, behind a comma or full stop in
capitals) that ends with a colon. sections.csv says which section it means; a header it does not hold is normalised,
shortened from both sides and looked up again, and at last likened to the known ones by its words and letters
(logistic regression fitted on sections.csv itself when first needed).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files

from chartcode.extraction.drugs import Section
from chartcode.tables.cleaning import HEADERS, PREAMBLE

OTHER = "other"
SURE = 0.4  # probability below which a header stays OTHER
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
    """The section a header means: by rule, else by likeness; OTHER where neither is sure."""
    name = normal(header)
    found = by_rule(name, variants())
    return found if found != OTHER or not name else likeness().section(name)


def by_rule(name: str, known: Mapping[str, str]) -> str:
    """The section of a normalised header, its edges cut off one by one; OTHER where none is known."""
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


class Likeness:
    """A classifier of headers by their words and letters, fitted on known ones (normalised header -> section)."""

    def __init__(self, known: Mapping[str, str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # heavy: only who meets a new header waits for it
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_union

        names = sorted(known)
        self._union = make_union(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
            TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+"),
        )
        self._model = LogisticRegression(C=30.0, max_iter=500).fit(
            self._union.fit_transform(names), [known[name] for name in names]
        )

    def section(self, name: str, sure: float = SURE) -> str:
        """The likeliest section of a normalised header, OTHER where its probability is below `sure`."""
        chances = self._model.predict_proba(self._union.transform([name]))[0]
        best = int(chances.argmax())
        return str(self._model.classes_[best]) if chances[best] >= sure else OTHER


@lru_cache(maxsize=1)
def likeness() -> Likeness:
    """The classifier of all known headers."""
    return Likeness(variants())


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
