"""Invented abstracts in PubTator's form, and a small terminology to link them to."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from chartcode.linking.corpora import Document, read_pubtator
from chartcode.linking.terms import TERMS

NAMES = [
    ("D001", "breast neoplasms", "title"),
    ("D001", "breast cancer", "inclusion"),
    ("D001", "mammary carcinoma", "inclusion"),
    ("D001", "carcinoma of breast", "inclusion"),
    ("D002", "ovarian neoplasms", "title"),
    ("D002", "ovarian cancer", "inclusion"),
    ("D002", "ovarian carcinoma", "inclusion"),
    ("D003", "kidney failure", "title"),
    ("D003", "renal failure", "inclusion"),
    ("D004", "kidney stone", "title"),
    ("D004", "renal stone", "inclusion"),
    ("D005", "type 1 diabetes", "title"),
    ("D006", "type 2 diabetes", "title"),
    ("D007", "hypertension", "title"),
    ("D008", "asthma", "title"),
    ("D009", "renal cyst", "title"),
    ("D010", "hepatitis", "title"),
    ("D011", "intracerebral hemorrhage", "title"),
]
TITLES = {code: name for code, name, kind in NAMES if kind == "title"}


def terms(rows: list[tuple[str, str, str]] = NAMES) -> pa.Table:
    """A table TERMS of (code, name, kind)."""
    return pa.table(
        {
            "code": [row[0] for row in rows],
            "system": ["mesh"] * len(rows),
            "name": [row[1] for row in rows],
            "kind": [row[2] for row in rows],
            "language": ["en"] * len(rows),
            "sections": pa.array([[]] * len(rows), pa.list_(pa.string())),
            "share": pa.array([1.0] * len(rows), pa.float32()),
            "source": ["test"] * len(rows),
            "licence": ["none"] * len(rows),
        },
        schema=TERMS,
    )


def pubtator(number: int, title: str, abstract: str, marks: list[tuple[str, str, str]]) -> str:
    """A document whose every occurrence of each (words, type, concept) is a mention."""
    text = f"{title} {abstract}"
    lines = [f"{number}|t|{title}", f"{number}|a|{abstract}"]
    for words, kind, concept in marks:
        for match in re.finditer(rf"\b{re.escape(words)}\b", text):
            lines.append(f"{number}\t{match.start()}\t{match.end()}\t{words}\t{kind}\t{concept}")
    return "\n".join(lines) + "\n\n"


def abstracts(folder: Path) -> list[Document]:
    """Thirty abstracts in which each disease stands in sentences of like form."""
    codes = sorted(TITLES)
    written = ""
    for number in range(30):
        first, second = codes[number % len(codes)], codes[(number * 5 + 3) % len(codes)]
        drug = ("lithium", "cisplatin", "warfarin")[number % 3]
        title = f"{TITLES[first].capitalize()} after {drug}."
        abstract = (
            f"We report {TITLES[first]} in a patient given {drug} for {TITLES[second]}. The dose was {number + 2} mg. "
            f"Severe {TITLES[second]} was not seen again in the clinic."
        )
        marks = {(TITLES[code], "Disease", code) for code in (first, second)}
        marks |= {(TITLES[first].capitalize(), "Disease", first), (drug, "Chemical", "D900")}
        written += pubtator(1000 + number, title, abstract, sorted(marks))
    path = folder / "train.pubtator"
    path.write_text(written)
    return read_pubtator(path)
