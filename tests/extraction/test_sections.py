"""A header means a section, in whatever hospital's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.extraction.sections import OTHER, by_rule, classify, find_sections, headers, normal, variants
from chartcode.tables.cleaning import HEADERS

ALL = sorted(set(variants().values()))


@pytest.mark.parametrize("name", HEADERS)
def test_mimics_own_headers_mean_themselves_in_any_writing(name: str) -> None:
    for header in HEADERS[name]:
        for written in (header, header.upper(), f"  {header.lower()} ", header.replace(" ", "  "), f"3. {header}"):
            assert by_rule(normal(written), variants()) == name


@pytest.mark.parametrize(
    ("header", "section"),
    [
        ("HISTORY OF PRESENT ILLNESS", "history_of_present_illness"), ("Meds on Adm", "medications_on_admission"),
        ("A/P", "assessment_and_plan"), ("Assessment & Plan", "assessment_and_plan"), ("PMHx", "past_medical_history"),
        ("REVIEW OF SYSTEMS", "review_of_systems"), ("Description of Procedure in detail", "procedure_description"),
        ("PRE-OP DIAGNOSIS", "preoperative_diagnosis"), ("D/C Meds", "discharge_medications"), ("EBL", "blood_loss"),
        ("Labs (on admission)", "pertinent_results"), ("CURRENT MEDICATIONS", "medications"),
        ("PAST MEDICAL HISTORY/SURGERIES", "past_medical_history"),
        ("Hospital Course and Treatment", "hospital_course"),
    ],
)  # fmt: skip
def test_other_hospitals_headers_are_known_or_likened(header: str, section: str) -> None:
    assert classify(header) == section


@pytest.mark.parametrize("words", ["XYZ", "QUESTION", "zzzz qqqq", "", "12"])
def test_what_is_like_no_header_stays_other(words: str) -> None:
    assert classify(words) == OTHER


def test_every_section_of_the_table_is_written_once_and_no_header_means_two() -> None:
    rows = (Path(__file__).parents[2] / "src/chartcode/extraction/sections.csv").read_text().splitlines()[1:]
    known = [row.rpartition(",")[0] for row in rows]
    assert len(known) == len(set(known))
    assert all(normal(header) == header for header in known), "as they are looked up"
    own = {normal(variant): name for name, forms in HEADERS.items() for variant in forms}
    for row in rows:
        header, _, section = row.rpartition(",")
        assert own.get(header, section) == section, "cleaning and extraction agree"


def test_headers_of_transcriptions_are_found_in_a_line_without_breaks() -> None:
    text = "SUBJECTIVE:,  She is well.  No fever.,MEDICATIONS: , Aspirin.,PLAN:,1.  Rest."
    assert [header.words for header in headers(text)] == ["SUBJECTIVE", "MEDICATIONS", "PLAN"]
    found = {section.name: text[section.start : section.end].strip(" ,") for section in find_sections(text)}
    assert found == {
        "preamble": "",
        "subjective": "She is well.  No fever.",
        "medications": "Aspirin.",
        "plan": "1.  Rest.",
    }


@given(
    st.lists(
        st.sampled_from(["PLAN:", "Allergies:", " none. ", "\n", "He said: no", "HPI", "x", ":", ",", "ROS:,"]),
        max_size=20,
    )
)
def test_sections_lie_in_order_and_inside_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    found = find_sections(text)
    assert found[0].name == "preamble"
    assert all(name in {*ALL, "preamble"} for name, _, _ in found)
    place = 0
    for section in found:
        assert place <= section.start <= section.end <= len(text)
        place = section.end
