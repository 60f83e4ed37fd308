"""Cleans a discharge summary without losing its place: line breaks and sections stay, offsets can be traced back.

De-identification runs become one `___`, runs of blanks one blank, blanks at the end of a line go. Each cleaned note
carries its segments (clean_start, source_start, length): stretches that stand verbatim in the source. Offsets are
code points; `to_source` is the only converter.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

import pyarrow as pa

# What may change: runs of blanks, blanks before a line end, masks of 2 or of more than 3 underscores, the CR of CRLF;
# and, in the rare note that has them, MIMIC-III style [** **] masks with the underscores around them. A plain `___` and
# single blanks match nothing. One alternative for all blanks: most of a note's matches are tried there.
_PLAIN = r"[ \t](?:[ \t]+|(?=[\r\n]|\Z))|_(?:_{3,}|_(?!_)(?<!___))|\r(?=\n)"
_BRACKETED = r"\[\*\*[^\]\r\n]{0,200}\*\*\]"
_EDIT = re.compile(_PLAIN)
_EDIT_BRACKETED = re.compile(rf"_*{_BRACKETED}(?:_|{_BRACKETED})*|{_PLAIN}")
MASK = "___"


class Segment(NamedTuple):
    """`clean[clean_start:clean_start+length] == source[source_start:source_start+length]`, in code points."""

    clean_start: int
    source_start: int
    length: int


class Section(NamedTuple):
    """The body of one section of a cleaned note, in code points of the clean text, end exclusive."""

    name: str
    clean_start: int
    clean_end: int


def clean(source: str) -> tuple[str, list[Segment]]:
    """The clean text of a note and its segments, in order and without gaps but for what was cut or replaced."""
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    text = _trace(source, *columns)
    return text, [Segment(*row) for row in zip(*columns, strict=True)]


def _trace(source: str, clean_starts: list[int], source_starts: list[int], lengths: list[int]) -> str:
    """The clean text; its segments are appended to the three lists."""
    pieces: list[str] = []
    length = start = 0  # of the clean text; of the stretch not yet copied
    mask_end = 0  # of the clean text behind the last replaced mask
    edits = _EDIT_BRACKETED if "[**" in source else _EDIT
    for match in edits.finditer(source):
        begin, end = match.span()
        replacement = ""
        first = source[begin]
        if first == "_" and end - begin > 3 and "[" not in match.group():
            begin += 3  # the first three underscores are the mask
        elif first in "_[":
            replacement = MASK
        elif first in " \t" and end < len(source) and source[end] not in "\r\n":
            begin += 1
        if begin > start:
            pieces.append(source[start:begin])
            clean_starts.append(length)
            source_starts.append(start)
            lengths.append(begin - start)
            length += begin - start
        if replacement:
            pieces.append(replacement)
            length += len(replacement)
            mask_end = length
        start = end
    if start < len(source):
        pieces.append(source[start:])
        clean_starts.append(length)
        source_starts.append(start)
        lengths.append(len(source) - start)
    elif length and mask_end == length:
        clean_starts.append(length)  # a note that ends in a replaced mask: an empty segment says where the source ends
        source_starts.append(len(source))
        lengths.append(0)
    return "".join(pieces)


def to_source(spans: Iterable[tuple[int, int]], segments: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Spans of the clean text as spans of the source note, both in code points and end exclusive.

    A span that begins or ends inside a replaced mask takes the whole mask.
    """
    starts = [segment[0] for segment in segments]
    found = []
    for begin, end in spans:
        found.append((_source_begin(begin, segments, starts), _source_end(end, segments, starts)))
    return found


def _source_begin(position: int, segments: Sequence[Sequence[int]], starts: list[int]) -> int:
    index = bisect.bisect_right(starts, position) - 1
    if index < 0:
        return 0
    clean_start, source_start, length = segments[index]
    return source_start + min(position - clean_start, length)


def _source_end(position: int, segments: Sequence[Sequence[int]], starts: list[int]) -> int:
    """Source offset just behind the character before `position`."""
    index = bisect.bisect_right(starts, position - 1) - 1
    if index < 0:
        return segments[0][1] if segments else 0
    clean_start, source_start, length = segments[index]
    if position - clean_start <= length:
        return source_start + position - clean_start
    return segments[index + 1][1] if index + 1 < len(segments) else source_start + length


# Section headers of MIMIC-IV discharge summaries, with the variants that stand in other hospitals' notes.
_HEADERS: dict[str, tuple[str, ...]] = {
    "name": ("Name",),
    "admission_date": ("Admission Date",),
    "date_of_birth": ("Date of Birth",),
    "service": ("Service",),
    "allergies": ("Allergies",),
    "attending": ("Attending",),
    "chief_complaint": ("Chief Complaint", "Reason for Admission"),
    "procedures": ("Major Surgical or Invasive Procedure", "Procedures", "Procedure"),
    "history_of_present_illness": ("History of Present Illness", "HPI"),
    "past_medical_history": ("Past Medical History", "PMH", "PMHx", "Past Medical and Surgical History"),
    "past_surgical_history": ("Past Surgical History", "PSH"),
    "social_history": ("Social History", "SH"),
    "family_history": ("Family History", "FH"),
    "physical_exam": ("Physical Exam", "Physical Examination", "Admission Physical Exam", "Discharge Physical Exam"),
    "pertinent_results": ("Pertinent Results", "Labs", "Imaging", "Admission Labs", "Discharge Labs"),
    "hospital_course": ("Brief Hospital Course", "Hospital Course"),
    "medications_on_admission": ("Medications on Admission", "Home Medications", "Admission Medications"),
    "discharge_medications": ("Discharge Medications",),
    "discharge_disposition": ("Discharge Disposition", "Disposition"),
    "facility": ("Facility",),
    "discharge_diagnosis": ("Discharge Diagnosis", "Discharge Diagnoses", "Final Diagnosis", "Final Diagnoses"),
    "discharge_condition": ("Discharge Condition", "Condition on Discharge"),
    "discharge_instructions": ("Discharge Instructions", "Patient Instructions"),
    "followup_instructions": ("Followup Instructions", "Follow-up Instructions", "Follow up Instructions", "Followup"),
}
PREAMBLE = "preamble"  # what stands before the first header; the whole of a note without headers
_NAMES = {variant.lower(): name for name, variants in _HEADERS.items() for variant in variants}
_HEADER = re.compile(
    r"^(" + "|".join(sorted((re.escape(v) for v in _NAMES), key=len, reverse=True)) + r")[ ]?:", re.M | re.I | re.A
)


def locate_sections(text: str) -> list[Section]:
    """Sections of a clean note in order: bodies, from behind the header's colon to the next header."""
    found: list[Section] = []
    name, start = PREAMBLE, 0
    for match in _HEADER.finditer(text):
        if match.start() > start or name != PREAMBLE:
            found.append(Section(name, start, match.start()))
        name, start = _NAMES[match.group(1).lower()], match.end()
    found.append(Section(name, start, len(text)))
    return found


SECTIONS_TYPE = pa.list_(pa.struct([("name", pa.string()), ("clean_start", pa.int32()), ("clean_end", pa.int32())]))
EDITS_TYPE = pa.list_(pa.struct([("clean_start", pa.int32()), ("source_start", pa.int32()), ("length", pa.int32())]))
CLEANED_TYPE = pa.struct(
    [
        ("text", pa.string()),
        ("n_tokens", pa.int32()),
        ("sections", SECTIONS_TYPE),
        ("edits", EDITS_TYPE),
        ("words", pa.string()),  # digest of the words, whatever stands between them: equal for equal notes
    ]
)


def clean_batch(texts: pa.Array) -> pa.StructArray:
    """Clean a column of notes: struct of text, whitespace tokens, sections, segments, digest (CLEANED_TYPE)."""
    cleaned: list[str] = []
    tokens: list[int] = []
    digests: list[str] = []
    names: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    segments: tuple[list[int], list[int], list[int]] = ([], [], [])
    section_ends, segment_ends = [0], [0]
    for source in texts.to_pylist():
        text = _trace(source, *segments)
        cleaned.append(text)
        words = text.split()
        tokens.append(len(words))
        digests.append(sha256(" ".join(words).encode()).hexdigest())
        for section in locate_sections(text):
            names.append(section.name)
            starts.append(section.clean_start)
            ends.append(section.clean_end)
        section_ends.append(len(names))
        segment_ends.append(len(segments[0]))
    return pa.StructArray.from_arrays(
        [
            pa.array(cleaned, pa.string()),
            pa.array(tokens, pa.int32()),
            _list_of(SECTIONS_TYPE, section_ends, (names, starts, ends)),
            _list_of(EDITS_TYPE, segment_ends, segments),
            pa.array(digests, pa.string()),
        ],
        fields=list(CLEANED_TYPE),
    )


def _list_of(kind: pa.ListType, ends: list[int], columns: Sequence[list[int] | list[str]]) -> pa.ListArray:
    fields = list(kind.value_type)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
    rows = pa.StructArray.from_arrays(arrays, fields=fields)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), rows, type=kind)
