"""Abstracts whose mentions people have marked: BC5CDR (PubTator) and the NCBI Disease corpus (the same, untidier).

    227508|t|Naloxone reverses the antihypertensive effect of clonidine.
    227508|a|In unanesthetized, spontaneously hypertensive rats ...
    227508<TAB>93<TAB>105<TAB>hypertensive<TAB>Disease<TAB>D006973
    227508<TAB>CID<TAB>D008750<TAB>D007022

- The text is title, a blank, abstract; offsets are code points of it.
- A mention may name several concepts: `D001943|D010051` (breast and ovarian cancer: each of them) or `A+B` (one thing
  that only both together describe). Which sign joined them is kept. `-1` is no concept.
- NCBI's train file holds document 8528200 twice, with the same mentions: the first is kept.
Readers may be given a .gz. Every fault is a DataError of one line that names file and line, never a value.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from chartcode.errors import DataError
from chartcode.linking.terms import TERMS
from chartcode.linking.tokens import digits, key_of

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
NCBI_TYPES = dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "Disease")


class Mention(NamedTuple):
    """A marked span of a document: code points, type, its concepts and what joined several (`|`, `+` or nothing)."""

    start: int
    end: int
    kind: str
    concepts: tuple[str, ...]
    joint: str = ""


class Relation(NamedTuple):
    """Two concepts that the document relates: CID is chemical (first) induces disease (second)."""

    kind: str
    first: str
    second: str


class Document(NamedTuple):
    """An abstract, its mentions in order of place, its relations as written."""

    number: str
    text: str
    mentions: tuple[Mention, ...]
    relations: tuple[Relation, ...]


def read_pubtator(path: Path, kinds: Mapping[str, str] | None = None) -> list[Document]:
    """The documents of a PubTator file in order.

    `kinds` renames types, and mentions of a type it does not hold are left out (`NCBI_TYPES` makes all one). None
    keeps every mention as it is.
    """
    documents: dict[str, Document] = {}
    for first, lines in _blocks(path):
        document = _document(path, first, lines, kinds)
        documents.setdefault(document.number, document)
    if not documents:
        raise DataError(f"{path}: no document; PubTator has lines `id|t|title` and `id|a|abstract`")
    return list(documents.values())


def read_medic(path: Path) -> tuple[pa.Table, dict[str, str]]:
    """CTD's MEDIC names as BioSyn gives them (tab-separated: id, name, other ids): table TERMS and other id -> id.

    In that file digits are spelled out (`chromosome ten`); they are written back.
    """
    codes: list[str] = []
    names: list[str] = []
    other: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        cells = line.split("\t")
        if len(cells) not in (2, 3) or not cells[0].strip() or not cells[1].strip():
            raise DataError(f"{path}: line {number}: expected id, name and perhaps other ids between tabs")
        # `D|D`: one name of two concepts
        for code in cells[0].split("|"):
            codes.append(code)
            names.append(digits(cells[1]))
        for alias in cells[2].split("|") if len(cells) == 3 else ():
            if alias.strip():
                other[_concept(alias)] = cells[0].split("|")[0]
    rows = len(codes)
    table = pa.table(
        {
            "code": codes,
            "system": ["mesh"] * rows,
            "name": names,
            "kind": ["ontology"] * rows,
            "language": ["en"] * rows,
            "sections": pa.array([[]] * rows, pa.list_(pa.string())),
            "share": pa.array([1.0] * rows, pa.float32()),
            "source": ["CTD MEDIC"] * rows,
            "licence": ["CTD, free for research"] * rows,
        },
        schema=TERMS,
    )
    known = set(codes)
    return table, {alias: code for alias, code in other.items() if alias not in known}


def without_mentions(medic: pa.Table, documents: Iterable[Document]) -> pa.Table:
    """MEDIC without the names that this copy of it took over from a corpus.

    BioSyn's file holds 86% of the different mentions of NCBI's train (47% of BC5CDR's, as any list of names would), put
    in after each concept's first name. Trained on those documents, a model would learn that the dictionary is always
    right. So, for each concept, the names after the first are dropped as long as they are mentions of `documents`;
    what MEDIC itself has stands again further down.
    """
    mentions = {key_of(document.text[m.start : m.end]) for document in documents for m in document.mentions}
    keep: list[bool] = []
    last, leading = "", False
    for code, name in zip(medic["code"].to_pylist(), medic["name"].to_pylist(), strict=True):
        taken = code == last and leading and key_of(name) in mentions
        leading = code != last or taken
        last = code
        keep.append(not taken)
    return medic.filter(pa.array(keep))


def renamed(documents: Iterable[Document], other: Mapping[str, str]) -> list[Document]:
    """The documents with every concept id that `other` knows written as the id it stands for (OMIM as MEDIC's)."""
    out: list[Document] = []
    for document in documents:
        mentions = tuple(
            m._replace(concepts=tuple(dict.fromkeys(other.get(c, c) for c in m.concepts))) for m in document.mentions
        )
        out.append(document._replace(mentions=mentions))
    return out


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except FileNotFoundError:
        raise DataError(f"{path}: not found") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        raise DataError(f"{path}: cannot be read as UTF-8 text") from None


def _blocks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines between blank ones, each with the number of its first line."""
    first, held = 1, list[str]()
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            if not held:
                first = number
            held.append(line)
        elif held:
            yield first, held
            held = []
    if held:
        yield first, held


def _document(path: Path, first: int, lines: list[str], kinds: Mapping[str, str] | None) -> Document:
    parts: dict[str, str] = {}
    number, text = "", ""
    mentions: list[Mention] = []
    relations: list[Relation] = []
    for at, line in enumerate(lines, first):
        match = _TEXT.fullmatch(line)
        if match:
            number = number or match[1]
            if match[1] != number or match[2] in parts:
                raise DataError(
                    f"{path}: line {at}: a second title or abstract, or another document's; blank line lost?"
                )
            parts[match[2]] = match[3]
            text = f"{parts.get('t', '')} {parts.get('a', '')}"
            continue
        cells = line.split("\t")
        if set(parts) != {"t", "a"} or cells[0].strip() != number:
            raise DataError(f"{path}: line {at}: belongs to no document; title and abstract come first")
        if len(cells) == 4:
            relations.append(Relation(cells[1], _concept(cells[2]), _concept(cells[3])))
        elif len(cells) in (6, 7):
            mention = _mention(path, at, cells, text)
            if kinds is None:
                mentions.append(mention)
            elif mention.kind in kinds:
                mentions.append(mention._replace(kind=kinds[mention.kind]))
        else:
            raise DataError(f"{path}: line {at}: {len(cells)} cells; a mention has 6 or 7, a relation 4")
    if set(parts) != {"t", "a"}:
        raise DataError(f"{path}: line {first}: a document without title or abstract")
    return Document(number, text, tuple(sorted(mentions)), tuple(relations))


def _mention(path: Path, at: int, cells: list[str], text: str) -> Mention:
    try:
        start, end = int(cells[1]), int(cells[2])
    except ValueError:
        raise DataError(f"{path}: line {at}: start and end must be numbers") from None
    # NCBI's file has one mention with blanks that its text lacks.
    if not 0 <= start < end <= len(text) or text[start:end].split() != cells[3].split():
        raise DataError(f"{path}: line {at}: the text at these offsets is not the mention's")
    joint = "+" if "+" in cells[5] else "|" if "|" in cells[5] else ""
    found = (_concept(part) for part in re.split(r"[|+]", cells[5]))
    return Mention(start, end, cells[4], tuple(dict.fromkeys(c for c in found if c and c != "-1")), joint)


def _concept(written: str) -> str:
    return "".join(written.split()).removeprefix("MESH:")
