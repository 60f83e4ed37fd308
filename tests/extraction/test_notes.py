"""A note leads from its clean text to the source and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chartcode.extraction.notes import Mention, Note, clean_notes
from chartcode.extraction.orders import Span
from chartcode.sources.synthetic.mentions import MASK

STARS = "*" * 2
WORDS = [
    "HTN",
    " ",
    "  ",
    "\n",
    "\r\n",
    MASK,
    f"{MASK}_",
    f"[{STARS}2101{STARS}]",
    "é",
    "𝔸",
    "Allergies:",
    "\t",
    "x",
    "Brief Hospital Course:",
]


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_a_span_of_the_source_comes_back_from_the_clean_text(parts: list[str]) -> None:
    source = "".join(parts) or "x"
    (note,) = clean_notes(["a"], [source])
    for start in range(len(source)):
        for end in range(start + 1, min(start + 6, len(source)) + 1):
            if not source[start:end].isalpha():  # words stand verbatim in the clean text
                continue
            low, high = note.clean(start, end)
            assert note.text[low:high] == source[start:end]
            assert note.source(Span("", low, high)) == (start, end)


def test_many_spans_at_once_are_those_one_by_one() -> None:
    source = f"  Sex:   F \n\n\n {MASK}_ 2 mg   PO"
    (note,) = clean_notes(["a"], [source])
    spans = [Span("", low, high) for low in range(len(note.text)) for high in range(low + 1, len(note.text) + 1)]
    alone = [clean_notes(["a"], [source])[0].source(span) for span in spans[:40]]
    note.locate(spans)
    assert [note.source(span) for span in spans[:40]] == alone


def test_sections_of_other_hospitals_are_found_where_there_are_few_of_mimics() -> None:
    (theirs,) = clean_notes(["a"], ["SUBJECTIVE:,  Well.,MEDICATIONS: , Aspirin 81 mg."])
    assert [section.name for section in theirs.sections] == ["preamble", "subjective", "medications"]
    (mixed,) = clean_notes(["a"], ["Allergies: none\nMeds: aspirin\nA/P:\n# HTN: stable.\n"])
    assert [section.name for section in mixed.sections] == [
        "preamble",
        "allergies",
        "medications",
        "assessment_and_plan",
    ]
    heads = ["Allergies", "Service", "Chief Complaint", "Family History", "Facility", "Discharge Medications"]
    rows = [{"name": head, "clean_start": place, "clean_end": place} for place, head in enumerate(heads)]
    assert [section.name for section in Note.of("a", "A/P: rest", rows, []).sections] == heads, "as silver has them"


def test_the_body_of_a_section_is_the_first_that_says_something() -> None:
    (note,) = clean_notes(
        ["a"], [f"Chief Complaint:\n{MASK}\nReason for Admission: \n  Chest pain \n\nAllergies: none\n"]
    )
    found = note.body("chief_complaint")
    assert found is not None
    assert found[1] == "Chest pain"
    assert note.text[found[0].start : found[0].end] == "Chest pain"
    assert note.body("facility") is None


def test_an_affirmed_mention_is_the_patients_own_and_certain() -> None:
    mention = Mention(0, 3, "HTN", "", "I10", 0.9)
    assert mention.affirmed
    assert not any(
        mention._replace(**{flag: True}).affirmed for flag in ("negated", "uncertain", "hypothetical", "family")
    )
    row = mention._asdict() | {"note_id": "a", "alternatives": []}
    assert Mention.of(row) == mention
