"""`extract`: a note in, its structured summary out, offline; and the same for columns of notes.

Linking is another's work: `link` is any callable from a source text to the mentions in it. Without one the diagnoses
stay empty, and of the problem-treatment pairs those remain whose problem is the reason of an order as needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chartcode.extraction.drugs import Medication
from chartcode.extraction.medications import medications
from chartcode.extraction.notes import Mention, Note, clean_notes
from chartcode.extraction.relations import Relation, relations
from chartcode.extraction.summary import Summary, summarise

Linker = Callable[[str], Sequence[Mention]]
Typist = Callable[[Sequence[str]], list[list[str]]]  # the types of each of some notes


class Extracted(NamedTuple):
    """What one note holds; medications and pairs are in the coordinates of the clean text."""

    medications: list[Medication]
    pairs: list[Relation]
    summary: Summary


def extract(text: str, link: Linker | None = None, note_types: Typist | None = None, note_id: str = "") -> Summary:
    """The summary of one note; every offset is a code point of `text`."""
    (note,) = clean_notes([note_id], [text])
    types = note_types([note.text])[0] if note_types is not None else None
    return extract_note(note, link(text) if link is not None else (), types).summary


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
