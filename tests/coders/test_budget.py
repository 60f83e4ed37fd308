"""A coder with a short budget reads where the diagnoses are, in the order of the note, and never more than allowed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.coders.budget import READ_FIRST, READ_LAST, within
from chartcode.tables.cleaning import HEADERS, clean_batch

NOTE = """
Name:  Nobody

Physical Exam:
alert oriented lungs clear

Brief Hospital Course:
treated for pneumonia with ceftriaxone

Discharge Diagnosis:
pneumonia hypertension

Discharge Instructions:
call your doctor
"""


def words_read(most: int) -> list[str]:
    cleaned = clean_batch(pa.array([NOTE]))
    text, sections = cleaned.field("text")[0].as_py(), cleaned.field("sections")[0].as_py()
    words = text.split()
    starts: list[int] = []
    position = 0
    for word in words:
        position = text.index(word, position)
        starts.append(position)
        position += len(word)
    return [words[i] for i in within(np.array(starts), sections, most).tolist()]


def test_diagnoses_are_read_first_then_the_course_and_instructions_last() -> None:
    assert words_read(4) == ["Discharge", "Diagnosis:", "pneumonia", "hypertension"]
    assert words_read(7) == ["Brief", "Hospital", "Course:", "Discharge", "Diagnosis:", "pneumonia", "hypertension"]
    assert "call" not in words_read(14)
    assert "lungs" not in words_read(14)


def test_a_note_within_the_budget_is_read_whole() -> None:
    assert words_read(100) == NOTE.split()


@given(st.lists(st.integers(0, 9), min_size=0, max_size=60), st.integers(0, 70), st.data())
def test_what_is_read_is_in_order_and_as_much_as_allowed(steps: list[int], most: int, data: st.DataObject) -> None:
    starts = np.cumsum(np.array(steps, np.int64))
    names = data.draw(st.lists(st.sampled_from([*HEADERS, "preamble"]), max_size=6))
    sections = [{"name": name, "clean_end": 30 * place} for place, name in enumerate(names)]
    kept = within(starts, sections, most)
    assert len(kept) == min(most, len(starts))
    assert (np.diff(kept) > 0).all()


def test_without_headers_a_note_is_read_from_its_beginning() -> None:
    assert within(np.arange(10), [{"name": "preamble", "clean_end": 10}], 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", [*READ_FIRST, *READ_LAST])
def test_sections_are_named_as_cleaning_names_them(name: str) -> None:
    assert name in HEADERS
