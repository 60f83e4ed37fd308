"""Cleans a discharge summary without losing its place: line breaks and sections stay, offsets can be traced back.

De-identification runs become one `___`, runs of blanks one blank, blanks at the end of a line go, as does the CR of
CRLF. A run is underscores, two or more, or MIMIC-III style [** **] masks with the underscores around them. Each cleaned
note carries its segments (clean_start, source_start, length): stretches that stand verbatim in the source, in order and
without gaps but for what was cut or replaced. Offsets are code points; `to_source` is the only converter.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

Array = np.ndarray[Any, Any]


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
HEADERS: dict[str, tuple[str, ...]] = {
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
_VARIANTS = [(variant.lower(), name) for name, variants in HEADERS.items() for variant in variants]
# As the kernel takes them: one behind the other, and where each ends; the name behind the last is the preamble's.
_HEADER_BYTES = np.frombuffer("".join(variant for variant, _ in _VARIANTS).encode(), np.uint8)
_HEADER_ENDS = np.cumsum([len(variant) for variant, _ in _VARIANTS])
_NAMES = pa.array([*(name for _, name in _VARIANTS), PREAMBLE])

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


def clean_batch(texts: pa.Array | pa.ChunkedArray) -> pa.StructArray:
    """Clean a column of notes: struct of text, whitespace tokens, sections, segments, digest (CLEANED_TYPE)."""
    from chartcode.tables.cleaning_kernel import trace  # numba is slow to import: only who cleans waits for it

    text, bounds = _bytes_of(texts)
    size, notes = int(bounds[-1] - bounds[0]), len(texts)
    # At the most: masks of two underscores become three, an edit cuts a byte and leaves one, a header is longer.
    clean, words = (np.empty(size + size // 2, np.uint8) for _ in range(2))
    edits, sections = (np.empty((size // 2 + 2 * notes, 3), np.int32) for _ in range(2))
    totals = np.zeros((5, notes + 1), np.int64)
    trace(text, bounds, _HEADER_BYTES, _HEADER_ENDS, clean, words, edits, sections, totals)
    clean_ends, word_ends, counted, edit_ends, section_ends = totals
    digests = [sha256(words.data[start:end]).hexdigest() for start, end in itertools.pairwise(word_ends.tolist())]
    headers, starts, ends = (pa.array(column) for column in sections[: section_ends[-1]].T.copy())
    segments = [pa.array(column) for column in edits[: edit_ends[-1]].T.copy()]
    return pa.StructArray.from_arrays(
        [
            pa.StringArray.from_buffers(notes, _int32(clean_ends).buffers()[1], pa.py_buffer(clean[: clean_ends[-1]])),
            _int32(np.diff(counted)),
            _list_of(SECTIONS_TYPE, section_ends, [_NAMES.take(headers), starts, ends]),
            _list_of(EDITS_TYPE, edit_ends, segments),
            pa.array(digests, pa.string()),
        ],
        fields=list(CLEANED_TYPE),
    )


def _bytes_of(texts: pa.Array | pa.ChunkedArray) -> tuple[Array, Array]:
    """The bytes of a column of text, uint8, and where each text lies in them, int64 (N + 1,)."""
    texts = (texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts).cast(pa.string())
    _, bounds, text = texts.buffers()
    if not len(texts):  # then there may be no buffers
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    ends = np.frombuffer(bounds, np.int32, len(texts) + 1, 4 * texts.offset)
    return np.frombuffer(text or b"", np.uint8), ends.astype(np.int64)


def _list_of(kind: pa.ListType, ends: Array, columns: Sequence[pa.Array]) -> pa.ListArray:
    rows = pa.StructArray.from_arrays(columns, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(_int32(ends), rows, type=kind)


def _int32(numbers: Array) -> pa.Array:
    """As Arrow wants them. Raises ArrowInvalid above 2 GB of notes, which no batch holds."""
    return pa.array(numbers, pa.int32())
