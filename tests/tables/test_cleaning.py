"""Cleaning loses no place: every clean span leads back to the same characters of the source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chartcode.sources.synthetic.generate import blueprint
from chartcode.sources.synthetic.hospital import Hospital, Rows
from chartcode.tables.cleaning import CLEANED_TYPE, HEADERS, PREAMBLE, clean_batch, to_source
from tests.conftest import ROOT
from tests.sources.synthetic.settings import settings
from tests.tables import reference_cleaning
from tests.tables.reference_cleaning import Section, Segment

PIECES = ["_", "__", "___", "____", " ", "  ", "\t", "\n", "\r\n", "\r", "[**", "**]", "[**Name**]", "a", "word", "é",
          "e\u0301", "😀", "\u00a0", ":", "Allergies:", "Discharge Diagnosis:", "\u2028", "x", "*", "[", "]", "\x85",
          "\x1c", "\x0b", "\u1680", "\u2007", "\u200b", "\u205f", "\u3000", "\ufeff", "\nHPI :", "\nsh:",
          "\nFollow-up  Instructions:"]  # fmt: skip
notes = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=200)
LONG = "é" * 197


def clean(source: str) -> tuple[str, list[Segment]]:
    (row,) = clean_batch(pa.array([source], pa.string())).to_pylist()
    return row["text"], [Segment(*edit.values()) for edit in row["edits"]]


def locate_sections(source: str) -> list[Section]:
    (row,) = clean_batch(pa.array([source], pa.string())).to_pylist()
    return [Section(*section.values()) for section in row["sections"]]


def same_as_the_reference(sources: pa.Array) -> None:
    made = clean_batch(sources)
    made.validate(full=True)
    assert made.type == CLEANED_TYPE
    assert made.equals(reference_cleaning.clean_batch(sources))


@given(st.lists(notes, max_size=8))
@example([f"[**{LONG}{mask}**] x" for mask in ("", "a", "aa", "aaa", "aaaa", "😀😀😀", "😀😀😀😀")])
@example(["[****]", "[***]", "__[****]", "[****]__[****]_", "_[****", "[**a\n**]", "[**[**a**]", "a[**]b**]", "[**a**"])
@example(["", "_", "__", "___", "____", "_____", " ", "\r", "\r\n", " \r\n", "é\u0301 \n", "\u00a0 \u00a0", "\u2028"])
def test_a_column_of_notes_is_cleaned_as_the_reference_cleans_each(sources: list[str]) -> None:
    same_as_the_reference(pa.array(sources, pa.string()))
    same_as_the_reference(pa.array(["before", *sources, "behind"], pa.string()).slice(1, len(sources)))


def test_every_variant_of_a_header_is_found_in_any_case() -> None:
    variants = [variant for same in HEADERS.values() for variant in same]
    forms = [form for v in variants for form in (v, v.upper(), v.lower(), f"{v}s", v[:-1], f"a{v}")]
    ends, blanks = ("", "\n", " \n", "\r", " ", "\u2028"), ("", " ", "  ", "\t")
    sources = [f"{end}{form}{blank}:\nx" for form in forms for blank in blanks for end in ends]
    same_as_the_reference(pa.array(sources))


def test_notes_of_the_synthetic_hospital_are_cleaned_as_the_reference_cleans_them() -> None:
    hospital, rows = Hospital(blueprint(settings(60))), Rows()
    for patient in range(60):
        hospital.patient(patient, rows)
    texts = [note[-1] for note in rows.tables["discharge"]]
    assert len(texts) > 60
    assert "__" in texts[0]
    same_as_the_reference(pa.array(texts))


def test_real_cases_in_two_languages_are_cleaned_as_the_reference_cleans_them(shared_data: Path) -> None:
    cases = [path.read_bytes().decode() for path in sorted(shared_data.glob("codiesp/*/text_files*/*.txt"))]
    assert len(cases) == 1500
    same_as_the_reference(pa.array(cases))


def test_where_compiled_code_cannot_be_kept_notes_are_cleaned_all_the_same(tmp_path: Path) -> None:
    package = tmp_path / "src/chartcode"
    shutil.copytree(ROOT / "src/chartcode", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "tables/__pycache__").touch()  # no folder can be made there, nor in this home
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    environment.pop("NUMBA_CACHE_DIR", None)
    code = (
        "import sys, pyarrow as pa; from chartcode.tables.cleaning import clean_batch; "
        "assert 'numba' not in sys.modules; assert clean_batch(pa.array(['a  b']))[0]['text'].as_py() == 'a b'"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
    for section in locate_sections(source):
        assert place <= section.clean_start <= section.clean_end <= len(text)
        place = section.clean_end
    assert place == len(text)
