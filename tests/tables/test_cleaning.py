"""Cleaning loses no place: every clean span leads back to the same characters of the source."""

from __future__ import annotations

from hashlib import sha256

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chartcode.tables.cleaning import (
    CLEANED_TYPE,
    PREAMBLE,
    clean,
    clean_batch,
    locate_sections,
    to_source,
)

PIECES = ["_", "__", "___", "____", " ", "  ", "\t", "\n", "\r\n", "\r", "[**", "**]", "[**Name**]", "a", "word", "é",
          "e\u0301", "😀", "\u00a0", ":", "Allergies:", "Discharge Diagnosis:", "\u2028", "x"]  # fmt: skip
notes = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=200)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (" \nName:  ___   Unit No:   ___\n \n", "\nName: ___ Unit No: ___\n\n"),
        ("a ______ b", "a ___ b"),
        ("a __ b", "a ___ b"),
        ("a_b", "a_b"),
        ("seen by [**Last Name (un) 123**] today", "seen by ___ today"),
        ("one\r\ntwo  \r\nthree", "one\ntwo\nthree"),
        ("tab\t\tend \t", "tab\tend"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_what_cleaning_changes_and_what_it_keeps(source: str, expected: str) -> None:
    assert clean(source)[0] == expected


@given(notes)
@example("__ __")
@example("[** **] ")
def test_segments_are_verbatim_in_order_and_cover_the_clean_text_but_for_masks(source: str) -> None:
    text, segments = clean(source)
    clean_end = source_end = 0
    for place, segment in enumerate(segments, start=1):
        assert segment.length > 0 or place == len(segments), "only the last, behind a mask at the end, may be empty"
        assert segment.source_start >= source_end
        gap = text[clean_end : segment.clean_start]
        assert gap.replace("___", "") == ""
        assert (
            text[segment.clean_start : segment.clean_start + segment.length]
            == source[segment.source_start : segment.source_start + segment.length]
        )
        clean_end, source_end = segment.clean_start + segment.length, segment.source_start + segment.length
    assert text[clean_end:].replace("___", "") == ""


@given(notes, st.data())
def test_a_span_of_the_clean_text_leads_to_the_same_words_in_the_source(source: str, data: st.DataObject) -> None:
    text, segments = clean(source)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    if begin == end:
        return
    ((start, stop),) = to_source([(begin, end)], segments)
    assert 0 <= start <= stop <= len(source)
    # Cleaning the source stretch again gives the span, up to what surrounds it (blanks at a line end, cut masks).
    assert "".join(clean(source[start:stop])[0].split()).strip("_") == "".join(text[begin:end].split()).strip("_")


@given(notes)
@example("stable [**Name**]")
@example("__")
def test_the_whole_clean_text_leads_to_all_words_of_the_source(source: str) -> None:
    text, segments = clean(source)
    if text:
        ((start, stop),) = to_source([(0, len(text))], segments)
        assert not source[:start].strip()
        assert not source[stop:].strip().strip("_")  # a mask's further underscores were cut


@pytest.mark.parametrize("mask", ["__", "[**Name**]", "______"])
def test_a_mask_is_found_wherever_it_stands(mask: str) -> None:
    for source in (f"{mask} seen", f"seen by {mask} today", f"seen by {mask}", f"seen by {mask} \n", mask):
        text, segments = clean(source)
        place = text.index("___")
        ((start, stop),) = to_source([(place, place + 3)], segments)
        assert source[start:stop].strip() in (mask, "___"), source


def test_only_ascii_headers_are_headers() -> None:
    """`ſ` and `ı` equal `s` and `i` when case is ignored; no dictionary knows such a header."""
    for text in ("Hoſpital Course:\nx", "Brief Hospıtal Course:\nx", "FACİLITY: x"):
        assert [s.name for s in locate_sections(text)] == [PREAMBLE]


@given(notes)
def test_line_breaks_stay_and_words_stay(source: str) -> None:
    text, _ = clean(source)
    assert text.count("\n") == source.count("\n")
    assert "  " not in text
    assert " \n" not in text
    assert "____" not in text


@given(notes)
def test_cleaning_twice_changes_nothing_more(source: str) -> None:
    text, _ = clean(source)
    again, segments = clean(text)
    if "[**" not in source and "\r" not in source:  # a mask may be born from a broken one
        assert again == text
        assert len(segments) <= 1


def test_sections_are_found_by_their_headers() -> None:
    text = "\nName: ___\nAllergies:\nnone\nDischarge Diagnosis:\nHTN: stable\n"
    found = [(s.name, text[s.clean_start : s.clean_end]) for s in locate_sections(text)]
    assert found == [
        (PREAMBLE, "\n"),
        ("name", " ___\n"),
        ("allergies", "\nnone\n"),
        ("discharge_diagnosis", "\nHTN: stable\n"),
    ]


@given(notes)
def test_sections_are_in_order_and_inside_the_note(source: str) -> None:
    text, _ = clean(source)
    place = 0
    for section in locate_sections(text):
        assert place <= section.clean_start <= section.clean_end <= len(text)
        place = section.clean_end
    assert place == len(text)


def test_a_column_of_notes_is_cleaned_as_each_of_them() -> None:
    sources = ["", " \nName:  ___\n", "é 😀  ______ x"]
    batch = clean_batch(pa.array(sources))
    assert batch.type == CLEANED_TYPE
    for row, source in zip(batch.to_pylist(), sources, strict=True):
        text, segments = clean(source)
        assert row["text"] == text
        assert row["n_tokens"] == len(text.split())
        assert row["words"] == sha256(" ".join(text.split()).encode()).hexdigest()
        assert [tuple(e.values()) for e in row["edits"]] == [tuple(s) for s in segments]
        assert [tuple(s.values()) for s in row["sections"]] == [tuple(s) for s in locate_sections(text)]
