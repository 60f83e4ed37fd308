"""Notes with the coder's evidence beside what people marked: of invented or openly licensed notes, never of patients.

A few true codes of test notes are chosen by keyed hash, not by how well they look, half of them called and half missed.
An excerpt is a window around what was marked; blanks and line ends in it are drawn together. Below it stand the codes
of its note, each with the words that name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact
from chartcode.coders.linked_mentions import FILE
from chartcode.errors import DataError
from chartcode.icd import dotted
from chartcode.report.document import Excerpt, Table
from chartcode.report.mentions import note_codes

OPEN = frozenset({"synthetic", "codiesp"})  # sources whose notes may be shown
EACH = 3  # examples of called codes, and of missed ones
WINDOW = 260  # characters on either side of the first mark
FAINT = 0.1  # of the strongest span; what weighs less is not coloured
Mark = tuple[int, int]


class Chosen(NamedTuple):
    """One true code of a test note: whether it was called, the coder's spans with weights, what people marked."""

    note: str
    code: str
    called: bool
    score: float
    spans: Sequence[tuple[int, int, float]]
    marks: Sequence[Mark]


def examples(
    explained: Artifact, bronze: Artifact, mentions: Artifact, titles: Mapping[str, str]
) -> list[Excerpt | Table]:
    """Excerpts of notes of an open source, each with the codes of its note. Raises DataError for any other source."""
    for artifact in (explained, bronze, mentions):
        if artifact.source not in OPEN:
            raise DataError(f"{artifact.folder}: notes of {artifact.source} are shown in no report")
    chosen = _choose(explained, bronze)
    notes = [each.note for each in chosen]
    texts, said = _texts(bronze, notes), _by_note(mentions.batches(FILE), notes)
    codes, boundary = (
        _by_note(explained.batches("codes.parquet"), notes),
        explained.json("explained.json")["mentions_from"],
    )
    scores = {(row["note_id"], row["code"]): row["score"] for rows in codes.values() for row in rows}
    chosen = [each._replace(score=scores[each.note, each.code]) for each in chosen]  # spans have it before calibration
    return [
        block
        for each in chosen
        for block in (
            _excerpt(each, texts[each.note], titles.get(each.code, "")),
            note_codes(codes[each.note], said[each.note], boundary, titles),
        )
    ]


def _by_note(batches: Iterable[pa.RecordBatch], notes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of these notes."""
    wanted = pa.array(sorted(set(notes)), pa.string())
    found: dict[str, list[dict[str, Any]]] = {note: [] for note in notes}
    for batch in batches:
        for row in batch.filter(pc.is_in(batch["note_id"], wanted)).to_pylist():
            found[row["note_id"]].append(row)
    return found


def _choose(explained: Artifact, bronze: Artifact) -> list[Chosen]:
    """Called and missed true codes of test notes for which people marked evidence."""
    table = explained.table("spans.parquet")
    table = table.filter(pc.and_(pc.equal(table["split"], "test"), table["true"]))
    spans: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        spans.setdefault((row["note_id"], row["code"]), []).append(row)
    marks: dict[tuple[str, str], list[Mark]] = {}
    marked = bronze.table("evidence.parquet", ["note_id", "icd_code", "start", "end"])
    of_these = pc.is_in(marked["note_id"], pa.array(sorted({note for note, _ in spans}), pa.string()))
    for row in marked.filter(of_these).to_pylist():
        marks.setdefault((row["note_id"], row["icd_code"]), []).append((row["start"], row["end"]))
    keyed = sorted(spans.keys() & marks.keys(), key=lambda key: sha256(f"example:{key}".encode()).digest())
    found: list[Chosen] = []
    codes: set[str] = set()
    for called in (True, False):
        left = EACH
        for key in keyed:
            if left and spans[key][0]["called"] == called and key[1] not in codes:
                rows = [(row["start"], row["end"], row["weight"]) for row in spans[key]]
                found.append(Chosen(*key, called, spans[key][0]["score"], rows, sorted(marks[key])))
                codes.add(key[1])
                left -= 1
    return found


def _texts(bronze: Artifact, notes: Sequence[str]) -> dict[str, str]:
    """The source notes, to whose code points spans and marks point."""
    wanted = pa.array(sorted(set(notes)), pa.string())
    found: dict[str, str] = {}
    for batch in bronze.batches("discharge.parquet", ["note_id", "text"]):
        kept = batch.filter(pc.is_in(batch["note_id"], wanted))
        found |= dict(zip(kept["note_id"].to_pylist(), kept["text"].to_pylist(), strict=True))
    return found


def _excerpt(chosen: Chosen, text: str, named: str) -> Excerpt:
    first, last = chosen.marks[0]
    start, end = max(0, first - WINDOW), min(len(text), last + WINDOW)
    start = text.rfind(" ", 0, start) + 1 if start else 0
    end = text.find(" ", end) if text.find(" ", end) > 0 else len(text)
    strongest = max((weight for _, _, weight in chosen.spans), default=1.0)
    depth = [0.0] * (end - start)
    marked = [False] * (end - start)
    for left, right, weight in chosen.spans:
        if weight < FAINT * strongest:
            continue
        for at in range(max(left, start), min(right, end)):
            depth[at - start] = max(depth[at - start], weight / strongest)
    for left, right in chosen.marks:
        for at in range(max(left, start), min(right, end)):
            marked[at - start] = True
    how = "called" if chosen.called else "missed"
    title = f"{dotted(chosen.code)} {named}".strip() + f", {how} at score {chosen.score:.2f}"
    return Excerpt(title, _pieces(text[start:end], depth, marked))


def _pieces(text: str, depth: Sequence[float], marked: Sequence[bool]) -> list[tuple[str, float, bool]]:
    """Stretches of like marks, with blanks drawn together."""
    pieces: list[tuple[str, float, bool]] = [("… ", 0.0, False)]
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or (depth[at], marked[at]) != (depth[start], marked[start]):
            pieces.append((re.sub(r"\s+", " ", text[start:at]), depth[start], marked[start]))
            start = at
    return [*pieces, (" …", 0.0, False)]
