"""`extract`: a note in, its structured summary out, offline; and the same for batches of notes.

Linking is another's work: `link` takes a batch of clean notes to their mentions, as `linking.linker.Linker.mentions`
does. Without one the diagnoses stay empty, and of the problem-treatment pairs those remain whose problem is the reason
of an order as needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from chartcode.extraction.drugs import Medication
from chartcode.extraction.medications import medications
from chartcode.extraction.notes import Mention, Note, notes_of
from chartcode.extraction.relations import Relation, relations
from chartcode.extraction.summary import Summary, summarise
from chartcode.tables.source_notes import cleaned

MIN_P = 0.05  # of a mention that enters a summary; for the pipeline params.yaml has it
Link = Callable[[pa.RecordBatch], pa.Table]  # clean notes with silver's columns to MENTIONS
Typist = Callable[[Sequence[str]], list[list[str]]]  # the types of each of some notes


class Extracted(NamedTuple):
    """What one note holds; medications and pairs are in the coordinates of the clean text."""

    medications: list[Medication]
    pairs: list[Relation]
    summary: Summary


def extract(text: str, link: Link | None = None, note_types: Typist | None = None, note_id: str = "") -> Summary:
    """The summary of one note; every offset is a code point of `text`."""
    return extract_batch([note_id], pa.array([text], pa.string()), link, note_types)[0]


def extract_batch(
    ids: Sequence[str], texts: pa.Array, link: Link | None, note_types: Typist | None, min_p: float = MIN_P
) -> list[Summary]:
    """The summaries of some notes, given as they were written; of mentions, those of at least `min_p`."""
    batch = cleaned(pa.array(ids, pa.string()), texts)
    notes = notes_of(batch)
    types = note_types([note.text for note in notes]) if note_types is not None else [None] * len(notes)
    linked = _by_note(link(batch), min_p) if link is not None else {}
    return [
        extract_note(note, linked.get(note.note_id, ()), kinds).summary
        for note, kinds in zip(notes, types, strict=True)
    ]


def _by_note(mentions: pa.Table, min_p: float) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = defaultdict(list)
    kept = mentions.filter(pc.greater_equal(mentions["p"], min_p)).select(["note_id", *Mention._fields])
    for row in kept.to_pylist():
        found[row["note_id"]].append(Mention.of(row))
    return found


def extract_note(note: Note, mentions: Sequence[Mention], note_types: Sequence[str] | None = None) -> Extracted:
    """All of one note. `mentions` are in the coordinates of its source."""
    inside = []
    for mention in mentions:
        start, end = note.clean(mention.start, mention.end)
        inside.append(mention._replace(start=start, end=end))
    found = medications(note.text, note.sections)
    pairs = relations(note.text, inside, found)
    note.locate(span for drug in found for span in (drug.drug, *drug.order.spans()))
    note.locate(span for pair in pairs for span in (pair.problem, pair.treatment, pair.trigger))
    return Extracted(found, pairs, summarise(note, mentions, found, pairs, note_types))
