"""A note becomes a record whose every quote stands where it says."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.extraction.extract import extract
from chartcode.extraction.notes import notes_of
from chartcode.extraction.orders import Span
from chartcode.extraction.summary import Quote, Summary
from chartcode.sources.synthetic.mentions import MASK
from tests.extraction.pharmacy import charts

NOTE = """Name:  @        Unit No: @

Sex:   F

Allergies: \n\
Penicillins / Sulfa (Sulfonamide Antibiotics)

Chief Complaint:
Chest   pain

Major Surgical or Invasive Procedure:
Central venous line placement; Transfusion of packed red \n\
cells

History of Present Illness:
67 year old woman with HTN.

Brief Hospital Course:
# HTN: given lisinopril 10 mg PO DAILY.

Medications on Admission:
1. Lisinopril 5 mg PO DAILY
2. Aspirin 81 mg PO DAILY
3. Warfarin 2 mg PO DAILY16

Discharge Medications:
1. Lisinopril 10 mg PO DAILY
2. Aspirin 81 mg by mouth once a day
3. Acetaminophen 500 mg PO Q6H:PRN pain

Discharge Disposition:
Home With Service

Followup Instructions:
@
""".replace("@", MASK)


def linked(batch: pa.RecordBatch) -> pa.Table:
    """Every HTN of clean notes, each with a second code that is not likely enough."""
    rows = []
    flags = dict.fromkeys(("negated", "uncertain", "historical", "hypothetical", "family"), False)
    for note in notes_of(batch):
        place = note.text.find("HTN")
        while place >= 0:
            start, end = note.source(Span("HTN", place, place + 3))
            for code, p in (("I10", 0.9), ("I159", 0.01)):
                found = {"note_id": note.note_id, "start": start, "end": end, "text": "HTN", "section": ""}
                rows.append(found | {"code": code, "p": p} | flags)
            place = note.text.find("HTN", place + 1)
    return pa.Table.from_pylist(rows)


def quotes(value: Any) -> list[Quote]:
    if isinstance(value, Quote):
        return [value]
    if isinstance(value, list):
        return [quote for one in value for quote in quotes(one)]
    if hasattr(value, "__class__") and hasattr(type(value), "model_fields"):
        return [quote for name in type(value).model_fields for quote in quotes(getattr(value, name))]
    return []


def test_the_record_of_a_note() -> None:
    summary = extract(NOTE, linked, lambda texts: [["Discharge Summary"] for _ in texts], "n1")
    assert (summary.note_id, summary.note_types) == ("n1", ["Discharge Summary"])
    assert (summary.patient.sex, summary.patient.age) == ("F", 67)
    assert summary.admission_reason is not None
    assert summary.admission_reason.text == "Chest pain"
    assert [one.text for one in summary.allergies] == ["Penicillins", "Sulfa (Sulfonamide Antibiotics)"]
    assert not summary.no_known_allergies
    assert [one.text for one in summary.procedures] == [
        "Central venous line placement",
        "Transfusion of packed red cells",
    ]
    assert [(one.text, one.code, one.p) for one in summary.diagnoses] == [("HTN", "I10", 0.9)] * 2
    assert [one.drug.text for one in summary.medications_on_admission] == ["Lisinopril", "Aspirin", "Warfarin"]
    assert [one.per_day for one in summary.medications_at_discharge] == [1, 1, 4]
    assert {one.drug: one.change for one in summary.medication_changes} == {
        "lisinopril": "change",
        "aspirin": "continue",
        "warfarin": "stop",
        "acetaminophen": "start",
    }
    assert [(one.rule, one.code, one.treatment.text) for one in summary.treatments] == [
        ("item", "I10", "lisinopril"),
        ("prn", None, "Acetaminophen"),
    ]
    assert summary.disposition is not None
    assert summary.disposition.text == "Home With Service"
    assert summary.followup is None, "a mask says nothing"


def test_every_quote_stands_in_the_source() -> None:
    for text in (NOTE, NOTE.replace("\n", "\r\n"), NOTE.replace(" ", "  "), "é𝔸 " + NOTE):
        found = quotes(extract(text, linked))
        assert len(found) > 30
        for quote in found:
            assert text[quote.start : quote.end].split() == quote.text.split()


def test_the_schema_is_versioned_and_refuses_what_it_does_not_know() -> None:
    schema = Summary.model_json_schema()
    assert schema["properties"]["version"]["const"] == "1"
    summary = extract(NOTE)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    with pytest.raises(ValueError, match="extra"):
        Summary.model_validate(json.loads(summary.model_dump_json()) | {"opinion": "x"})


@pytest.mark.parametrize(
    ("said", "sex", "age"),
    [
        ("Sex:   M", "M", None), ("@ yo F with fever", "F", None), ("72 y/o M p/w cough", "M", 72),
        ("The patient is a 45-year-old white female.", "F", 45), ("Mr. @ is a 50 yr old gentleman", "M", 50),
        ("67M with HTN", "M", 67), ("Ms. @ was well", "F", None), ("No such words, 30 mL.", None, None),
        ("200 year old man", "M", None),
    ],
)  # fmt: skip
def test_sex_and_age_stand_in_the_note(said: str, sex: str | None, age: int | None) -> None:
    patient = extract(said.replace("@", MASK) + "\n").patient
    assert (patient.sex, patient.age) == (sex, age)


@pytest.mark.parametrize(
    ("said", "none"),
    [("No Known Allergies / Adverse Drug Reactions", True), ("NKDA", True), ("latex", False), (MASK, False)],
)
def test_no_known_allergy_is_no_allergy(said: str, none: bool) -> None:
    summary = extract(f"Allergies: \n{said}\n\nAttending: {MASK}.\n")
    assert summary.no_known_allergies is none
    assert [one.text for one in summary.allergies] == ([said] if said == "latex" else [])


@given(st.text(max_size=300))
def test_any_text_has_a_summary(text: str) -> None:
    assert extract(text).version == "1"


def test_sex_is_that_of_the_synthetic_patients_record() -> None:
    made = charts(15)
    for chart in made:
        assert extract(chart.text).patient.sex == ("M" if "Sex:   M" in chart.text else "F")
