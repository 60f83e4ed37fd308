"""Sections of notes whose headers are not MIMIC-IV's: `HISTORY OF PRESENT ILLNESS:,`, `Meds on adm -`, `A/P:`.

A header is a short phrase at the beginning of a line (or, as transcriptions have it, behind a comma or full stop in
capitals) that ends with a colon; the problems of a list (`# HTN:`) are none. sections.csv says which section it means;
a header it does not hold is normalised, shortened from both sides and looked up again, and at last likened to the known
ones by its words and letters (logistic regression fitted on sections.csv itself when first needed).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

from chartcode.extraction.drugs import Section
from chartcode.tables.cleaning import HEADERS, PREAMBLE

OTHER = "other"
SHORT = 5  # letters below which a header is known or none: too many abbreviations look alike
SURE = 0.4  # probability below which a header stays OTHER
_AT = re.compile(
    r"^[ \t]*(?:\d{1,2}\.[ \t]+)?(?P<line>[A-Z][A-Za-z0-9 /&,'()\-]{0,58}?)[ \t]*:(?=[\s,]|$)"
    r"|^[ \t]*(?P<bare>[A-Z][A-Z /&'()\-]{4,58}?)[ \t]*$"
    r"|(?<=[.,:;])[ \t]*(?P<inner>[A-Z][A-Z0-9 /&'()\-]{1,58}?)[ \t]*:",
    re.MULTILINE,
)
_TAIL = re.compile(
    r"\s+(?:in detail|details?|performed|summary|section|notes?|data|information|list|at (?:the )?time of \w+"
    r"|on (?:arrival|transfer)|today)$"
)
_HEAD = re.compile(
    r"^(?:the|patient'?s?|brief|pertinent|relevant|current|initial|interval|previous|other|additional|clinical|detailed"
    r"|complete|summary of|details? of|description of|list of|review of the)\s+"
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
    return found if found != OTHER or len(name) < SHORT else likeness().section(name)


def by_rule(name: str, known: Mapping[str, str]) -> str:
    """The section of a normalised header, its edges cut off one by one; OTHER where none is known."""
    while name:
        if name in known:
            return known[name]
        other = name[:-1] if name.endswith("s") else name + "s"
        if other in known:
            return known[other]
        shorter = _TAIL.sub("", name)
        name, before = shorter if shorter != name else _HEAD.sub("", name), name
        if name == before:
            break
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
            TfidfVectorizer(ngram_range=(1, 2), tokenizer=str.split, token_pattern=None),
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


class Header(NamedTuple):
    """What looks like a header: its words, where it begins, where its section's text begins, and how it stands.

    `how`: head (in capitals, or alone in its line), bare (so, and without a colon), plain (in small letters with text
    behind it in its line, as findings and problems stand too).
    """

    words: str
    start: int
    end: int
    how: Literal["head", "bare", "plain"]


def headers(text: str) -> Iterator[Header]:
    """Everything in a text that looks like a header, in order."""
    for found in _AT.finditer(text):
        part = found.lastgroup or ""
        words = found[part].strip()
        if len(words.split()) > 8:
            continue
        end = found.end()
        while end < len(text) and text[end] in ", \t":  # `SUBJECTIVE:,`
            end += 1
        plain = not words.isupper() and text[end : end + 1] not in ("\n", "")
        yield Header(words, found.start(part), end, "bare" if part == "bare" else "plain" if plain else "head")


def section_of(header: Header) -> str:
    """The section a header begins, OTHER for none.

    Nothing is guessed of words without a colon or with text behind them, and an organ's finding among the latter is
    none either: `Mental Status: clear` begins no examination.
    """
    if header.how == "head":
        return classify(header.words)
    name = normal(header.words)
    found = by_rule(name, variants())
    finding = header.how == "plain" and not re.search(r"\b(?:exam|examination|pe|physical)\b", name)
    return OTHER if found == "physical_exam" and finding else found


def find_sections(text: str) -> list[Section]:
    """Sections of any note, in order, behind one of PREAMBLE; a header that no rule knows ends none."""
    found = [(PREAMBLE, 0, 0)]
    for header in headers(text):
        if (name := section_of(header)) != OTHER:
            found.append((name, header.start, header.end))
    ends = [begin for _, begin, _ in found[1:]] + [len(text)]
    return [Section(name, start, max(end, start)) for (name, _, start), end in zip(found, ends, strict=True)]
