"""An order is read into its parts, whatever its style, and every part says where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.extraction.orders import Order, read_order, route_code, times_per_day

Parts = dict[str, str]


def parts(step: Order) -> Parts:
    return {name: part.text for name, part in vars(step).items() if part is not None}


LINES: list[tuple[str, str, list[Parts]]] = [
    (
        "Nitroglycerin sl 0.4 mg SL Q5MIN:PRN chest pain ",
        "Nitroglycerin sl",
        [{"dose": "0.4", "unit": "mg", "route": "SL", "frequency": "Q5MIN", "prn": "PRN", "reason": "chest pain"}],
    ),
    (
        "Metoprolol Succinate XL 25 mg PO DAILY",
        "Metoprolol Succinate XL",
        [{"dose": "25", "unit": "mg", "route": "PO", "frequency": "DAILY"}],
    ),
    (
        "Insulin glargine 20 units SC QHS",
        "Insulin glargine",
        [{"dose": "20", "unit": "units", "route": "SC", "frequency": "QHS"}],
    ),
    (
        "oxycodone 5 mg 1 tablet(s) by mouth every 4 hours Disp #*20 Tablet",
        "oxycodone",
        [
            {"strength": "5 mg", "dose": "1", "unit": "tablet(s)", "route": "by mouth", "frequency": "every 4 hours"}
            | {"quantity": "Disp #*20"}
        ],
    ),
    ("cefazolin 2 g IV Q8H", "cefazolin", [{"dose": "2", "unit": "g", "route": "IV", "frequency": "Q8H"}]),
    (
        "Prednisone 60 mg PO DAILY x5 days, then 40 mg daily x 5 days, then 20 mg daily",
        "Prednisone",
        [
            {"dose": "60", "unit": "mg", "route": "PO", "frequency": "DAILY", "duration": "x5 days"},
            {"dose": "40", "unit": "mg", "frequency": "daily", "duration": "x 5 days"},
            {"dose": "20", "unit": "mg", "frequency": "daily"},
        ],
    ),
    (
        "Insulin NPH 20 units SC qam and 10 units qpm",
        "Insulin NPH",
        [
            {"dose": "20", "unit": "units", "route": "SC", "frequency": "qam"},
            {"dose": "10", "unit": "units", "frequency": "qpm"},
        ],
    ),
    (
        "Percocet 1-2 tabs q4-6h prn pain for 5 days",
        "Percocet",
        [
            {"dose": "1-2", "unit": "tabs", "frequency": "q4-6h", "prn": "prn", "reason": "pain"}
            | {"duration": "for 5 days"}
        ],
    ),
    (
        "Vitamin D 1000 UNIT PO DAILY",
        "Vitamin D",
        [{"dose": "1000", "unit": "UNIT", "route": "PO", "frequency": "DAILY"}],
    ),
    (
        "Oxycodone-Acetaminophen (5mg-325mg) 1-2 TAB PO Q6H:PRN Pain - Moderate",
        "Oxycodone-Acetaminophen (",
        [
            {"strength": "5mg-325mg", "dose": "1-2", "unit": "TAB", "route": "PO", "frequency": "Q6H", "prn": "PRN"}
            | {"reason": "Pain - Moderate"}
        ],
    ),
    (
        "Amoxicillin-Clavulanate 875-125 mg PO Q12H Duration: 5 Days",
        "Amoxicillin-Clavulanate",
        [{"dose": "875-125", "unit": "mg", "route": "PO", "frequency": "Q12H", "duration": "Duration: 5 Days"}],
    ),
    (
        "Micardis HCT 80 mg/12.5 mg p.o. q.d.",
        "Micardis HCT",
        [{"dose": "80 mg/12.5", "unit": "mg", "route": "p.o.", "frequency": "q.d."}],
    ),
    (
        "Aspirin 81 mg Tablet, Chewable Sig: One (1) Tablet, Chewable PO DAILY (Daily).",
        "Aspirin",
        [{"strength": "81 mg", "dose": "One (1)", "unit": "Tablet", "route": "PO", "frequency": "DAILY"}],
    ),
    (
        "Tylenol 650 mg by mouth every six hours as needed for pain or fever",
        "Tylenol",
        [
            {"dose": "650", "unit": "mg", "route": "by mouth", "frequency": "every six hours", "prn": "as needed"}
            | {"reason": "pain or fever"}
        ],
    ),
    (
        "Heparin 1000 UNIT/hr IV INFUSION",
        "Heparin",
        [{"dose": "1000", "unit": "UNIT/hr", "route": "IV", "frequency": "INFUSION"}],
    ),
    (
        "Artificial Tears 1 DROP OU PRN dry eyes",
        "Artificial Tears",
        [{"dose": "1", "unit": "DROP", "route": "OU", "prn": "PRN", "reason": "dry eyes"}],
    ),
    (
        "Heparin 5,000 units SC TID",
        "Heparin",
        [{"dose": "5,000", "unit": "units", "route": "SC", "frequency": "TID"}],
    ),
    ("0.9% Sodium Chloride 1000 mL IV ONCE", "0.9% Sodium Chloride",
     [{"dose": "1000", "unit": "mL", "route": "IV", "frequency": "ONCE"}]),
    ("Lasix IV 40 mg BID", "Lasix", [{"dose": "40", "unit": "mg", "route": "IV", "frequency": "BID"}]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "drug", "steps"), LINES, ids=[line[:30] for line, _, _ in LINES])
def test_an_order_is_read_into_its_parts(line: str, drug: str, steps: list[Parts]) -> None:
    reading = read_order(line)
    assert reading is not None
    assert line[: reading.start].strip() == drug
    assert [parts(step) for step in reading.steps] == steps
    assert all(line[part.start : part.end] == part.text for step in reading.steps for part in step.spans())


@pytest.mark.parametrize("line", ["Lisinopril", "", "None", "Glucose 133 mg/dL", "see attached list", "5/10 improved"])
def test_what_orders_nothing_is_no_order(line: str) -> None:
    assert read_order(line) is None


RATES: dict[str, float | None] = {
    "q6h": 4, "Q4H": 6, "q4-6h": 6, "TID": 3, "b.i.d.": 2, "QID": 4, "QHS": 1, "q.h.s.": 1, "QPM": 1, "DAILY": 1,
    "DAILY16": 1, "once a day": 1, "twice daily": 2, "two times a day": 2, "2 (2) times a day": 2, "3X/DAY": 3,
    "every six hours": 4, "every 12 hours": 2, "every 4-6 hours": 6, "q24h": 1, "Q72H": 1 / 3, "QOD": 0.5,
    "every other day": 0.5, "weekly": 1 / 7, "once weekly": 1 / 7, "2X/WEEK (MO,TH)": 2 / 7, "1X/WEEK (TH)": 1 / 7,
    "QMOWEFR": 3 / 7, "QWED": 1 / 7, "monthly": 1 / 30, "Q2W": 1 / 14, "Q5MIN": 288, "hourly": 24, "q1h": 24,
    "TID W/MEALS": 3, "TIDAC": 3, "with meals": 3, "QIDACHS": 4, "at bedtime": 1, "Breakfast": 1, "q.d.": 1,
    "ONCE": None, "X1": None, "INFUSION": None, "as directed": None, "every 3 months": 1 / 90,
}  # fmt: skip


@pytest.mark.parametrize(("said", "rate"), RATES.items(), ids=list(RATES))
def test_a_frequency_is_a_rate(said: str, rate: float | None) -> None:
    assert times_per_day(said) == (None if rate is None else pytest.approx(rate))
    reading = read_order(f"drug 5 mg {said}")
    assert reading is not None
    assert reading.steps[0].frequency is not None, "the grammar reads what the rate knows"
    assert times_per_day(reading.steps[0].frequency.text) == times_per_day(said)


@pytest.mark.parametrize(
    ("said", "code"),
    [("PO", "PO"), ("p.o.", "PO"), ("by mouth", "PO"), ("SubQ", "SC"), ("SQ", "SC"), ("IV push", "IV"),
     ("OU", "BOTH EYES"),
     ("under the tongue", "SL"), ("PO/NG", "PO/NG"), ("inhaled", "IH"), ("in each nostril", "NU"),
     ("per rectum", "PR")],
)  # fmt: skip
def test_a_route_has_the_code_of_order_entry(said: str, code: str) -> None:
    assert route_code(said) == code


@given(
    drug=st.sampled_from(
        ["Lisinopril", "Calcium 500 + D", "Oxycodone (Immediate Release)", "co-trimoxazole", "Vitamin B-12"]
    ),
    dose=st.from_regex(r"[1-9]\d{0,3}(\.\d{1,2})?", fullmatch=True),
    unit=st.sampled_from(["mg", "mcg", "g", "mL", "UNIT", "TAB", "mEq", "PUFF"]),
    route=st.sampled_from(["PO", "IV", "SC", "SL", "by mouth", "IH", ""]),
    frequency=st.sampled_from(["DAILY", "BID", "Q6H", "every 8 hours", "twice a day", "QHS", "1X/WEEK (TH)"]),
    reason=st.sampled_from(["", "pain", "chest pain", "nausea/vomiting"]),
    gap=st.sampled_from([" ", "  ", "\n"]),
)
def test_what_was_put_in_comes_out(
    drug: str, dose: str, unit: str, route: str, frequency: str, reason: str, gap: str
) -> None:
    line = gap.join(part for part in (drug, dose, unit, route, frequency) if part) + (
        f":PRN {reason}" if reason else ""
    )
    reading = read_order(line.replace("\n", " "))
    assert reading is not None
    assert line[: reading.start].strip() == drug
    (step,) = reading.steps
    expected = {"dose": dose, "unit": unit, "route": route, "frequency": frequency, "reason": reason}
    found = parts(step)
    assert {name: found.get(name, "") for name in expected} == expected


@given(st.text(alphabet="0123456789 mgPOQHBIDprn.,-/()xfortablespdaily\n", max_size=80), st.booleans())
def test_no_text_breaks_it_and_every_part_stands_where_it_says(text: str, prose: bool) -> None:
    reading = read_order(text, 7, prose)
    if reading is None:
        return
    assert 0 <= reading.start <= reading.end <= len(text)
    for step in reading.steps:
        for part in step.spans():
            assert text[part.start - 7 : part.end - 7] == part.text
        if step.frequency:
            rate = times_per_day(step.frequency.text)
            assert rate is None or rate > 0
        if step.route:
            route_code(step.route.text)
