"""A treatment is paired with its problem where the note says so, and nowhere else."""

from __future__ import annotations

import pytest

from chartcode.extraction.medications import medications
from chartcode.extraction.notes import Mention, clean_notes
from chartcode.extraction.relations import Relation, relations

PROBLEMS = ("HTN", "pneumonia", "CHF", "pain", "insomnia", "AF")
COURSE = "Brief Hospital Course:\n"


def pairs(text: str, **flags: bool) -> list[Relation]:
    (note,) = clean_notes(["a"], [text])
    mentions = []
    for name in PROBLEMS:
        place = note.text.find(name)
        while place >= 0:
            mentions.append(Mention(place, place + len(name), name, "", name.upper(), 0.9, **flags))
            place = note.text.find(name, place + 1)
    found = relations(note.text, mentions, medications(note.text, note.sections))
    for pair in found:
        for part in (pair.problem, pair.treatment, pair.trigger):
            assert note.text[part.start : part.end].replace("\n", " ") == part.text
    return found


def said(found: list[Relation]) -> list[tuple[str, str, str, str]]:
    return [(pair.rule, pair.problem.text, pair.trigger.text, pair.treatment.text) for pair in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (COURSE + "# HTN: continued lisinopril 5 mg PO DAILY.\n\n# CHF: stable, given furosemide 40 mg IV.\n",
         [("item", "HTN", "#", "lisinopril"), ("item", "CHF", "#", "furosemide")]),
        (COURSE + "She received vancomycin 1 g IV Q12H for pneumonia. Home on aspirin 81 mg.",
         [("for", "pneumonia", "for", "vancomycin")]),
        (COURSE + "Her pneumonia was treated with vancomycin 1 g IV Q12H.",
         [("with", "pneumonia", "treated with", "vancomycin")]),
        (COURSE + "Her pneumonia, treated\nwith vancomycin 1 g IV Q12H.",
         [("with", "pneumonia", "treated with", "vancomycin")]),
        (COURSE + "AF, on metoprolol 25 mg PO BID.", [("with", "AF", "on", "metoprolol")]),
        ("Discharge Medications:\n1. Oxycodone 5 mg PO Q4H:PRN pain\n", [("prn", "pain", "PRN", "Oxycodone")]),
        ("Discharge Medications:\n1. Senna 1 TAB PO BID:PRN hard stool\n", [("prn", "hard stool", "PRN", "Senna")]),
        ("Discharge Medications:\n1. Trazodone 50 mg PO QHS for insomnia\n2. Aspirin 81 mg PO DAILY\n",
         [("for", "insomnia", "for", "Trazodone")]),
        # and what is no pair
        (COURSE + "She has HTN. Started aspirin 81 mg PO DAILY for 5 days. CHF is stable.", []),
        (COURSE + "# HTN: stable.\n\nGiven aspirin 81 mg PO DAILY.", []),
        ("Discharge Medications:\n1. Aspirin 81 mg PO DAILY\n2. CHF\n", []),
    ],
    ids=lambda value: None if isinstance(value, list) else value.split("\n")[1][:26],
)  # fmt: skip
def test_a_pair_is_shown_with_the_words_that_say_so(text: str, expected: list[tuple[str, str, str, str]]) -> None:
    assert said(pairs(text)) == expected


@pytest.mark.parametrize("flag", ["negated", "family"])
def test_what_the_patient_has_not_is_not_treated(flag: str) -> None:
    text = COURSE + "# HTN: given lisinopril 5 mg PO DAILY.\n\nVancomycin 1 g IV for pneumonia."
    assert len(pairs(text)) == 2
    assert pairs(text, **{flag: True}) == []


def test_a_pair_that_two_rules_find_stands_once() -> None:
    found = pairs(COURSE + "# CHF: CHF was treated with furosemide 40 mg IV for CHF.")
    places = [(pair.problem.start, pair.treatment.start) for pair in found]
    assert len(places) == len(set(places))
