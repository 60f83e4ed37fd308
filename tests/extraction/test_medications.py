"""The medications of a note: its two lists line by line, and what its course says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.extraction.drugs import Medication, drug_key
from chartcode.extraction.lists import names_a_drug
from chartcode.extraction.medications import medications
from chartcode.extraction.notes import clean_notes
from chartcode.sources.synthetic.mentions import MASK
from tests.extraction import styles
from tests.extraction.pharmacy import Chart, charts
from tests.extraction.scoring import FIELDS, as_ordered, score

LISTS = """Medications on Admission:
The Preadmission Medication list is accurate and complete.
1. OxyCODONE (Immediate Release) 5 mg PO Q4H:PRN Pain - Moderate \n\
RX *oxycodone 5 mg 1 tablet(s) by mouth every 4 hours Disp #*20 Tablet \n\
Refills:*0
2. PredniSONE 60 mg PO DAILY Duration: 3 Doses, then 40 mg daily
3. Glargine 20 Units Bedtime
Humalog 8 Units Breakfast
4. Metoprolol Succinate XL 25 mg
PO DAILY
5. Zolpidem

Discharge Medications:
- Aspirin 81
- warfarin 2.5 mg PO 2X/WEEK (MO,TH)
"""


def read(text: str) -> list[Medication]:
    (note,) = clean_notes(["note"], [text])
    found = medications(note.text, note.sections)
    for drug in found:
        for part in (drug.drug, *drug.order.spans()):
            assert note.text[part.start : part.end].replace("\n", " ") == part.text
            assert drug.start <= part.start <= part.end <= drug.end
    return found


def told(found: Sequence[Medication]) -> list[tuple[str, str, str]]:
    return [(drug.form, drug.drug.text, drug.order.dose.text if drug.order.dose else "") for drug in found]


def test_lists_are_read_line_by_line_with_what_belongs_to_a_line() -> None:
    found = read(LISTS)
    assert told([drug for drug in found if drug.list == "admission"]) == [
        ("entry", "OxyCODONE (Immediate Release)", "5"),
        ("rx", "oxycodone", "1"),
        ("entry", "PredniSONE", "60"),
        ("entry", "PredniSONE", "40"),
        ("entry", "Glargine", "20"),
        ("entry", "Humalog", "8"),
        ("entry", "Metoprolol Succinate XL", "25"),
        ("entry", "Zolpidem", ""),
    ]
    assert [drug.entry for drug in found] == [0, 0, 1, 1, 2, 2, 3, 4, 5, 6]
    assert [drug.step for drug in found if drug.key == "prednisone"] == [0, 1]
    assert told([drug for drug in found if drug.list == "discharge"]) == [
        ("entry", "Aspirin", "81"),
        ("entry", "warfarin", "2.5"),
    ]
    wrapped = next(drug for drug in found if drug.key == "metoprolol succinate xl")
    assert wrapped.order.frequency is not None, "an order goes on in the next line"


@pytest.mark.parametrize(
    ("line", "drugs"),
    [
        ("Aspirin 81 mg daily, Lipitor 40 mg q.h.s., metoprolol 25 mg b.i.d., and fish oil.",
         ["Aspirin", "Lipitor", "metoprolol", "fish oil"]),
        ("Metformin, lisinopril 10 daily, and Plavix 75.", ["Metformin", "lisinopril", "Plavix"]),
        ("Reglan 10 mg p.o. and heparin 3,000 units IV push.", ["Reglan", "heparin"]),
        ("1. Gabapentin 300 mg q.8h.,2. Seroquel 100 mg p.o. q.h.s.,3. Phenergan 12.5 mg IV q.4h. p.r.n.",
         ["Gabapentin", "Seroquel", "Phenergan"]),
        ("None", []), ("N/A", []), (MASK, []), ("The Preadmission Medication list is accurate and complete.", []),
        ("Patient was not taking any medications.", []), ("See discharge list", []), ("Home medications:", []),
    ],
)  # fmt: skip
def test_a_list_in_one_line_and_a_list_of_nothing(line: str, drugs: list[str]) -> None:
    found = read(f"MEDICATIONS:\n{line}\n")
    assert [drug.drug.text for drug in found] == drugs
    assert all(drug.list == "admission" for drug in found)


@pytest.mark.parametrize(
    ("sentence", "drugs"),
    [
        ("He was given 40 mg IV Lasix and 2 g of ceftriaxone.", [("Lasix", None), ("ceftriaxone", None)]),
        ("Then started on vancomycin 1 g IV q12h for pneumonia.", [("vancomycin", "start")]),
        ("Increased lasix to 80 mg daily.", [("lasix", "change")]),
        ("Coumadin was decreased from 5 mg to 2.5 mg daily.", [("Coumadin", "change")]),
        ("CHANGES: START cefazolin 2 g IV Q8H, STOP ibuprofen.", [("cefazolin", "start"), ("ibuprofen", "stop")]),
        (
            "- Changed: miconazole powder dose\n- Stopped: fish oil",
            [("miconazole powder", "change"), ("fish oil", "stop")],
        ),
        ("Her symptoms resolved with heparin sc 5000 UNIT SC BID.", [("heparin sc", None)]),
        ("Glucose 133 mg/dL, bicarb 22 mEq/L, EBL 200 mL, transfused 2 units PRBCs.", []),
        ("Weight 70 kg; walked 20 minutes; given 500 mL of fluid; 2 units of packed cells.", []),
        ("Patient was started on a diet and treated with surgery.", []),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_running_text_names_a_drug_by_its_dose_or_by_what_was_done(
    sentence: str, drugs: list[tuple[str, str | None]]
) -> None:
    found = read(f"Brief Hospital Course:\n{sentence}\n")
    assert [(drug.drug.text, drug.change) for drug in found] == drugs
    assert all(drug.list == "course" for drug in found)


def test_the_lists_teach_names_that_the_course_uses_without_a_dose() -> None:
    course = (
        "Brief Hospital Course:\nHome lisinopril was held. He disliked amlodipine. Lisinoprilate is no drug of his.\n"
    )
    found = read(course + "Medications on Admission:\n1. Lisinopril 5 mg PO DAILY\n")
    assert [(drug.form, drug.drug.text, drug.change) for drug in found if drug.list == "course"] == [
        ("name", "lisinopril", "hold")
    ]


def test_a_bullet_ends_a_reason() -> None:
    found = read(f"Brief Hospital Course:\n- New medications: morphine 2 mg IV Q4H:PRN pain\n- Contact: {MASK}\n")
    assert found[0].order.reason is not None
    assert found[0].order.reason.text == "pain"


def test_what_stands_in_brackets_is_no_part_of_the_key() -> None:
    assert drug_key("OxyCODONE (Immediate Release)") == "oxycodone"
    assert names_a_drug("1. Aspirin")
    assert not names_a_drug("2. None")


@given(st.text(alphabet=st.sampled_from("1234567890.,:;()-*# \n\nabcdefgmghPOqdSTARTRX%İß"), max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    read(f"Brief Hospital Course:\n{text}\nDischarge Medications:\n{text}\n")


@pytest.fixture(scope="module")
def made() -> list[Chart]:
    """The notes of forty invented patients, with what the generator ordered."""
    return charts(40)


def test_the_lists_of_the_synthetic_hospital_are_read_whole(made: list[Chart]) -> None:
    for name in ("admission", "discharge"):
        pairs = []
        for chart in made:
            found = [drug for drug in read(chart.text) if drug.list == name and drug.form == "entry"]
            pairs.append(([as_ordered(drug) for drug in found], getattr(chart, name)))
        scores = score(pairs)
        assert scores["line"].meant > 200
        assert all(scores[field].f1 >= 0.99 for field in ("line", *FIELDS))


def test_the_course_of_the_synthetic_hospital_is_read_but_for_slips_of_the_pen(made: list[Chart]) -> None:
    pairs = []
    for chart in made:
        found = [drug for drug in read(chart.text) if drug.form == "dose"]
        pairs.append(([as_ordered(drug) for drug in found], chart.told))
    scores = score(pairs)
    assert scores["line"].meant > 100
    assert scores["line"].f1 > 0.95


@pytest.mark.parametrize("style", styles.STYLES)
def test_the_same_orders_are_read_in_other_hospitals_styles(made: list[Chart], style: str) -> None:
    right = total = 0
    for chart in made:
        orders = [order for order in chart.admission if order.dose]
        if orders:
            found = [styles.found(drug) for drug in read(styles.note(orders, style)) if drug.form == "entry"]
            meant = [styles.meant(order) for order in orders]
            right += sum(a == b for a, b in zip(found, meant, strict=False))
            total += max(len(found), len(meant))
    assert total > 200
    assert right / total > 0.98


def test_listening_to_the_generator_changes_no_note(made: list[Chart]) -> None:
    from chartcode.params import load
    from chartcode.sources.synthetic import generate
    from chartcode.sources.synthetic.hospital import Hospital, Rows
    from chartcode.sources.synthetic.params import SyntheticParams

    rows = Rows()
    hospital = Hospital(generate.blueprint(load(SyntheticParams).model_copy(update={"patients": 40})))
    for number in range(3):
        hospital.patient(number, rows)
    texts = [row[7] for row in rows.tables["discharge"]]
    assert texts == [chart.text for chart in made[: len(texts)]]
