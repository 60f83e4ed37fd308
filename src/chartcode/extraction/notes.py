"""A note as extraction reads it: the clean text with its sections, and mentions brought to its coordinates.

Everything here is found on the clean text; `Note.source` says where that stands in the source note, code points, as
tables and summaries have it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from chartcode.extraction.drugs import Section
from chartcode.extraction.orders import Span
from chartcode.extraction.sections import find_sections
from chartcode.tables.cleaning import PREAMBLE, to_source
from chartcode.tables.source_notes import cleaned

OWN = 6  # sections that a discharge summary in MIMIC-IV's form has at least; one `Allergies:` stands in any note


class Mention(NamedTuple):
    """A concept that the note names (schema MENTIONS of linking): where, its code, how sure, in what context."""

    start: int
    end: int
    text: str
    section: str
    code: str
    p: float
    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    family: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Mention:
        """One row of the table of mentions."""
        return cls(**{name: row[name] for name in cls._fields})

    @property
    def affirmed(self) -> bool:
        """The patient's own, and neither denied, doubted nor only thought of."""
        return not (self.negated or self.uncertain or self.hypothetical or self.family)


@dataclass(frozen=True)
class Note:
    """The clean text of a note, its sections in it, and the segments that lead back to the source."""

    note_id: str
    text: str
    sections: tuple[Section, ...]
    edits: tuple[tuple[int, int, int], ...]
    _located: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls, note_id: str, text: str, sections: Iterable[Mapping[str, Any]], edits: Iterable[Mapping[str, Any]]
    ) -> Note:
        """A row of silver, or of `cleaned`. With fewer than OWN of its headers it is another hospital's."""
        known = tuple(Section(part["name"], part["clean_start"], part["clean_end"]) for part in sections)
        if len({section.name for section in known} - {PREAMBLE}) < OWN:
            known = tuple(find_sections(text))
        moves = tuple((part["clean_start"], part["source_start"], part["length"]) for part in edits)
        return cls(note_id, text, known, moves)

    def locate(self, spans: Iterable[Span]) -> None:
        """Look up many spans of the clean text at once: `source` then knows them."""
        wanted = [(span.start, span.end) for span in spans]
        self._located.update(zip(wanted, to_source(wanted, self.edits), strict=True))

    def source(self, span: Span) -> tuple[int, int]:
        """Where a span of the clean text stands in the source note."""
        place = (span.start, span.end)
        if place not in self._located:
            self.locate([span])
        return self._located[place]

    def clean(self, start: int, end: int) -> tuple[int, int]:
        """A span of the source note in the clean text: the smallest whose source holds it."""
        return self._place(start), max(self._place(end - 1) + 1, self._place(start))

    def _place(self, position: int) -> int:
        index = bisect.bisect_right(self.edits, position, key=lambda move: move[1]) - 1
        if index < 0:
            return 0
        clean_start, source_start, length = self.edits[index]
        return clean_start + min(position - source_start, length)

    def body(self, *names: str) -> tuple[Section, str] | None:
        """The first section of one of these names that says something, and its text without blanks around it."""
        for section in self.sections:
            said = self.text[section.start : section.end]
            if section.name in names and said.strip(" \n_.-"):
                start = section.start + len(said) - len(said.lstrip())
                return Section(section.name, start, start + len(said.strip())), said.strip()
        return None


def notes_of(batch: pa.RecordBatch) -> list[Note]:
    """Rows of silver, or of `cleaned`, as notes."""
    return [Note.of(row["note_id"], row["text"], row["sections"], row["edits"]) for row in batch.to_pylist()]


def clean_notes(ids: Sequence[str], texts: Sequence[str]) -> list[Note]:
    """Source texts as notes."""
    return notes_of(cleaned(pa.array(ids, pa.string()), pa.array(texts, pa.string())))
