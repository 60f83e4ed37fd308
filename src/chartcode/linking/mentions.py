"""Mentions: where a note names a concept, in which context, and how likely it is to be coded.

First spotted (place, surface, section, context), then judged (codes and their p): what train teaches comes in between.
Offsets of what is spotted are those of the clean text; MENTIONS has code points of the source note.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from chartcode.linking.abbreviations import definitions
from chartcode.linking.bags import SMALL, Bags, Window, longest
from chartcode.linking.context import Context, flags
from chartcode.linking.dictionary import Senses, is_cased
from chartcode.linking.flags import FLAGS
from chartcode.linking.matcher import Matcher
from chartcode.linking.terms import PREFERENCE
from chartcode.linking.tokens import is_word, words_of
from chartcode.tables.cleaning import PREAMBLE, to_source

ALTERNATIVE = pa.struct(
    [
        ("code", pa.string()),
        ("p", pa.float32()),
        ("seen", pa.int32()),  # train notes that hold this surface (calibration.py)
        ("together", pa.int32()),  # of them, those with the code
        ("dictionary", pa.bool_()),  # a name says so; else train alone does
        ("best", pa.bool_()),  # the code that the names prefer
    ]
)
MENTIONS = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the source note, end exclusive
        pa.field("end", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),  # as the clean note has it
        pa.field("section", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),  # the folded name
        pa.field("code", pa.string(), nullable=False),  # the likeliest of the categories that the name stands for
        pa.field("p", pa.float32(), nullable=False),  # that the note is coded so
        pa.field("alternatives", pa.list_(ALTERNATIVE), nullable=False),  # `code` first, then by falling p
        pa.field("source", pa.string(), nullable=False),  # kind of the name (terms.Kind), learned where train taught it
        pa.field(
            "method", pa.string(), nullable=False
        ),  # exact | bag (other order or endings) | abbreviation (spelled out in the note)
        *(pa.field(flag, pa.bool_(), nullable=False) for flag in FLAGS),
        pa.field("trigger", pa.string(), nullable=False),  # what decided the flags
    ]
)


# A mention before anybody says how likely its codes are: MENTIONS without what is judged, and the surface.
_JUDGED = ("code", "p", "alternatives", "source", "key")
SPOTTED = pa.schema([pa.field("surface", pa.int32(), nullable=False), *(f for f in MENTIONS if f.name not in _JUDGED)])
READS = ("note_id", "text", "sections", "edits")  # columns of silver


class Spotted(NamedTuple):
    """Where a clean note names something; offsets of the clean text."""

    start: int
    end: int
    surface: int
    section: str
    method: str
    context: Context


class Spotter:
    """Finds the surfaces of a dictionary in clean notes."""

    def __init__(self, surfaces: pa.Table, language: str) -> None:
        self._senses = Senses(surfaces)
        self._matcher = Matcher(self._senses.keys)
        self._language = language
        self._bags = Bags(bag_names(surfaces), language)
        keys = (key.split(" ") for key in self._senses.keys)
        self._stems = [sum(is_word(word) and word not in SMALL[language] for word in key) for key in keys]

    def spot(self, text: str, sections: Sequence[Mapping[str, Any]]) -> list[Spotted]:
        """The mentions of one clean note, in order, none over another. `sections` are silver's."""
        bounds = [(s["clean_start"], s["clean_end"], s["name"]) for s in sections]
        words = words_of(text, self._language)
        matches = self._matcher.find(words)
        windows = longest([Window(*match, self._stems[match.key]) for match in matches], self._bags.find(words))
        places: list[tuple[int, int, int]] = []  # start, end, key; or -2 - surface of a window
        for window in windows:
            places.append((words.starts[window.first], words.ends[window.end - 1], -2 - window.surface))
        covered = {word for window in windows for word in range(window.first, window.end)}
        for first, end, key in matches:
            if covered.isdisjoint(range(first, end)):
                places.append((words.starts[first], words.ends[end - 1], key))
        places.sort()
        named = self._short_forms(text, places) if "(" in text else {}
        starts = [start for start, _, _ in bounds]
        found: list[tuple[int, int, int, str, str]] = []
        for start, end, key in places:
            at = bisect.bisect_right(starts, start) - 1
            section = bounds[at][2] if at >= 0 and start < bounds[at][1] else PREAMBLE
            written = text[start:end]
            if written in named:
                surface = named[written]
                method = "abbreviation"
            elif key < -1:
                surface, method = -2 - key, "bag"
            elif self._senses.may_head(key) and _heads(text, start, end):
                continue  # PE: and the findings of the physical exam
            else:
                surface, method = self._senses.surface(key, written, section), "exact"
            if surface >= 0:
                found.append((start, end, surface, section, method))
        contexts = flags(text, [(f[0], f[1]) for f in found], [(n, a, b) for a, b, n in bounds], self._language)
        return [Spotted(*f, context) for f, context in zip(found, contexts, strict=True)]

    def _short_forms(self, text: str, places: list[tuple[int, int, int]]) -> dict[str, int]:
        """Short forms that this note spells out, with the surface of the long form.

        Where that is no name we know, forms of up to three letters say nothing (-1): they mean something else here.
        Places of short forms that no name covers are added.
        """
        defined: dict[str, int] = {}
        ending = {end: (start, key) for start, end, key in places}
        for definition in definitions(text):
            long = text[definition.long_start : definition.long_end]
            start, key = ending.get(definition.long_end, (-1, -1))
            if start >= definition.long_start and key >= 0:
                defined[definition.short] = self._senses.surface(key, long, PREAMBLE)
            elif is_cased(definition.short):
                defined[definition.short] = -1
        taken = bytearray(len(text))
        for start, end, _ in places:
            taken[start:end] = b"\1" * (end - start)
        for form, surface in defined.items():
            if surface < 0:
                continue
            for start in _occurrences(text, form):
                end = start + len(form)
                if not any(taken[start:end]):
                    places.append((start, end, -1))
                    taken[start:end] = b"\1" * (end - start)
        places.sort()
        return defined

    def table(self, notes: pa.RecordBatch) -> pa.Table:
        """SPOTTED of notes with the columns READS, in order."""
        made: list[tuple[Any, ...]] = []
        for note_id, text, sections, edits in zip(*(notes.column(name).to_pylist() for name in READS), strict=True):
            found = self.spot(text, sections)
            segments = [(e["clean_start"], e["source_start"], e["length"]) for e in edits]
            places = to_source([(spotted.start, spotted.end) for spotted in found], segments)
            for spotted, place in zip(found, places, strict=True):
                context = spotted.context
                said = (spotted.surface, note_id, *place, text[spotted.start : spotted.end], spotted.section)
                made.append((*said, spotted.method, *(getattr(context, flag) for flag in FLAGS), context.trigger))
        columns = list(zip(*made, strict=True)) if made else [()] * len(SPOTTED)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, SPOTTED, strict=True)], schema=SPOTTED)


def _heads(text: str, start: int, end: int) -> bool:
    """Whether a line begins with these words and a colon, as under a heading."""
    return text[end : end + 1] == ":" and not text[text.rfind("\n", 0, start) + 1 : start].strip()


def bag_names(surfaces: pa.Table) -> dict[str, int]:
    """The keys that may stand in another order, with their surfaces: the most trusted kind of name first."""
    columns = (surfaces[name].to_pylist() for name in ("key", "kind", "cased", "silent", "sections"))
    rows = [
        (PREFERENCE.index(kind), len(key), key, row)
        for row, (key, kind, cased, silent, sections) in enumerate(zip(*columns, strict=True))
        if " " in key and not cased and not silent and not sections
    ]
    return {key: row for _, _, key, row in sorted(rows)}


def _occurrences(text: str, form: str) -> Iterable[int]:
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        if not (at and text[at - 1].isalnum()) and not text[end : end + 1].isalnum():
            yield at
        at = text.find(form, at + 1)
