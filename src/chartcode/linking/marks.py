"""What people marked in train notes: the words that made them give a code, as names, and where they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.linking.terms import TERMS
from chartcode.tables.labels import Gold


class Mark(NamedTuple):
    """Fragments of the source note, in reading order (code points, end exclusive), that speak for a code."""

    code: str
    fragments: tuple[tuple[int, int], ...]

    @property
    def span(self) -> tuple[int, int]:
        """From the first to the last of its characters."""
        return min(start for start, _ in self.fragments), max(end for _, end in self.fragments)

    def said(self, text: str) -> str:
        """Its words."""
        return " ".join(" ".join(text[start:end] for start, end in self.fragments).split())


class Marked(NamedTuple):
    """A note in which something is marked, as bronze has it."""

    hadm_id: int
    text: str
    marks: list[Mark]


def marked_train(gold: Gold, bronze: Artifact, truth: pa.Table) -> dict[str, Marked]:
    """The train notes with marks of codes in `truth` (silver's codes), by note_id, sorted.

    Raises DataError when the source marks no evidence in train.
    """
    table = bronze.table("evidence.parquet", ["note_id", "icd_code", "mention", "start", "end"])
    train = set(gold.hadm_id[gold.split == "train"].tolist())
    texts = bronze.table("discharge.parquet", ["note_id", "hadm_id", "text"])
    texts = texts.filter(pc.is_in(texts["hadm_id"], pa.array(sorted(train))))
    table = table.filter(pc.is_in(table["note_id"], texts["note_id"].combine_chunks()))
    table = table.filter(pc.is_in(table["icd_code"], truth["icd_code"].combine_chunks()))
    if not len(table):
        raise DataError(f"{bronze.folder}/evidence.parquet: marks nothing in train notes; set link.learn_from to codes")
    fragments: dict[tuple[str, int, str], list[tuple[int, int]]] = defaultdict(list)
    for row in table.to_pylist():
        fragments[row["note_id"], row["mention"], row["icd_code"]].append((row["start"], row["end"]))
    of_note: dict[str, list[Mark]] = defaultdict(list)
    for (note_id, _, code), spans in fragments.items():
        of_note[note_id].append(Mark(code, tuple(spans)))
    texts = texts.filter(pc.is_in(texts["note_id"], pa.array(sorted(of_note))))
    rows = sorted(zip(*(texts[name].to_pylist() for name in ("note_id", "hadm_id", "text")), strict=True))
    return {note_id: Marked(hadm_id, text, of_note[note_id]) for note_id, hadm_id, text in rows}


def mark_terms(notes: Mapping[str, Marked], source: str, language: str) -> pa.Table:
    """TERMS of the words that people marked: what this hospital calls its codes."""
    counted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for note in notes.values():
        for mark in note.marks:
            counted[mark.said(note.text)][mark.code] += 1
    made: list[tuple[Any, ...]] = [
        (code, "icd10cm", name, "mention", language, [], count / sum(codes.values()), source, "as the notes")
        for name, codes in sorted(counted.items())
        for code, count in sorted(codes.items())
    ]
    columns = [pa.array(column, field.type) for column, field in zip(zip(*made, strict=True), TERMS, strict=True)]
    return pa.table(columns, schema=TERMS)
