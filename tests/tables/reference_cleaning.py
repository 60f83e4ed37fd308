"""Cleaning as Python's regular expressions say it, note by note: short, slow, and what the kernel is held against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import pyarrow as pa

from chartcode.tables.cleaning import CLEANED_TYPE, EDITS_TYPE, HEADERS, PREAMBLE, SECTIONS_TYPE

# What may change: runs of blanks, blanks before a line end, masks of 2 or of more than 3 underscores, the CR of CRLF;
# and, in the rare note that has them, masks in the square brackets of MIMIC-III with the underscores around them. Three
# underscores and single blanks match nothing. One alternative for all blanks: most of a note's matches are tried there.
_PLAIN = r"[ \t](?:[ \t]+|(?=[\r\n]|\Z))|_(?:_{3,}|_(?!_)(?<!_{3}))|\r(?=\n)"
_BRACKETED = r"\[\*\*[^\]\r\n]{0,200}\*\*\]"
_EDIT = re.compile(_PLAIN)
_EDIT_BRACKETED = re.compile(rf"_*{_BRACKETED}(?:_|{_BRACKETED})*|{_PLAIN}")
MASK = "_" * 3


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


_NAMES = {variant.lower(): name for name, variants in HEADERS.items() for variant in variants}
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
