"""What is spotted in a note: places, surfaces, sections, and what the note itself says of its short forms."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.dictionary import compile_terms
from chartcode.linking.mentions import Spotter, bag_names
from chartcode.linking.tokens import key_of
from chartcode.tables.cleaning import PREAMBLE
from tests.linking.test_dictionary import terms

TABLE = terms(
    {"code": "I10", "name": "hypertension"},
    {"code": "J189", "name": "pneumonia"},
    {"code": "J690", "name": "aspiration pneumonia"},
    {"code": "I509", "name": "congestive heart failure"},
    {"code": "K219", "name": "gastroesophageal reflux disease"},
    {"code": "C50919", "name": "carcinoma of breast"},
    {"code": "I2699", "name": "PE", "kind": "abbreviation"},
    {"code": "", "name": "PE", "kind": "abbreviation", "sections": ["physical_exam"]},
    {"code": "M069", "name": "RA", "kind": "abbreviation"},
)
DICTIONARY = compile_terms(TABLE, ["en"], 8)
SPOTTER = Spotter(DICTIONARY.surfaces, "en")
KEYS = DICTIONARY.surfaces["key"].to_pylist()


def spotted(text: str, *sections: tuple[str, int, int]) -> list[tuple[str, str, str]]:
    """(words, name, method) of every mention."""
    parts = [{"name": name, "clean_start": start, "clean_end": end} for name, start, end in sections]
    return [(text[m.start : m.end], KEYS[m.surface], m.method) for m in SPOTTER.spot(text, parts)]


def test_the_longest_name_counts_and_another_order_is_a_bag() -> None:
    assert spotted("Aspiration pneumonia, breast carcinoma.") == [
        ("Aspiration pneumonia", "aspiration pneumonia", "exact"),
        ("breast carcinoma", "carcinoma of breast", "bag"),
    ]


def test_a_short_form_that_the_note_spells_out_stands_for_its_long_form() -> None:
    text = "Congestive heart failure (CHF). CHF worse; CHFX is no CHF-like thing. RA sat 90."
    chf = ("CHF", "congestive heart failure", "abbreviation")
    assert spotted(text) == [
        ("Congestive heart failure", "congestive heart failure", "exact"), chf, chf, chf, ("RA", "ra", "exact"),
    ]  # fmt: skip


def test_a_short_form_that_the_note_uses_for_something_else_says_nothing() -> None:
    assert spotted("The right atrium (RA) is large. RA pressure 8.") == []
    assert spotted("RA on methotrexate.") == [("RA", "ra", "exact")]


@pytest.mark.parametrize(("text", "found"), [("PE: obese", []), ("No PE: CT clean", ["PE"]), ("  PE: obese", [])])
def test_a_heading_is_no_disease(text: str, found: list[str]) -> None:
    assert [words for words, _, _ in spotted(text)] == found


def test_sections_choose_the_sense_and_what_stands_before_them_is_the_preamble() -> None:
    text = "PE. PE. PE."
    exam, course = ([{"name": name, "clean_start": 4, "clean_end": 7}] for name in ("physical_exam", "hospital_course"))
    assert [m.start for m in SPOTTER.spot(text, exam)] == [0, 8]
    assert [m.section for m in SPOTTER.spot(text, course)] == [PREAMBLE, "hospital_course", PREAMBLE]


def test_one_word_a_cased_form_and_a_form_of_some_sections_have_no_other_order() -> None:
    assert set(bag_names(DICTIONARY.surfaces)) == {key for key in KEYS if " " in key}


PIECES = st.sampled_from(
    ["hypertension", "Pneumonia", "aspiration", "breast", "carcinoma", "PE", "PE:", "RA", "(RA)", "(CHF)", "CHF",
     "heart", "congestive heart failure", "no", ",", ".", "\n", "rheumatoid arthritis",
     "GERD (gastroesophageal reflux disease)"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(" ".join))
def test_mentions_stand_in_order_none_over_another_and_hold_what_their_surface_says(text: str) -> None:
    found = SPOTTER.spot(text, [])
    assert all(one.end <= other.start for one, other in pairwise(found))
    for one in found:
        assert 0 <= one.start < one.end <= len(text)
        assert text[one.start : one.end].strip() == text[one.start : one.end]
        if one.method == "exact":
            assert key_of(text[one.start : one.end]) == KEYS[one.surface]
