"""A publisher's wording becomes what stands in notes; words too general are not looked for."""

from __future__ import annotations

import pytest

from chartcode.linking.terminology.forms import Generic, alternatives, plain_forms, same_stem
from chartcode.linking.tokens import key_of


@pytest.mark.parametrize(
    ("title", "form"),
    [
        ("Pneumonia, unspecified organism", "Pneumonia"),
        ("Essential (primary) hypertension", "Essential hypertension"),
        ("Essential (primary) hypertension", "Essential primary hypertension"),
        ("Fever NOS", "Fever"),
        ("Unspecified atrial fibrillation", "atrial fibrillation"),
        ("Diabetes Mellitus, Insulin-Dependent", "Insulin-Dependent Diabetes Mellitus"),
        ("Human immunodeficiency virus [HIV] disease", "Human immunodeficiency virus disease"),
        ("Malignant neoplasm of unspecified part of unspecified lung", "Malignant neoplasm of lung"),
    ],
)
def test_titles_lose_their_rest_words(title: str, form: str) -> None:
    assert form in plain_forms(title)


def test_a_modifier_with_a_connective_is_not_turned_round() -> None:
    assert plain_forms("Cellulitis, with abscess") == ["Cellulitis, with abscess", "Cellulitis with abscess"]


@pytest.mark.parametrize(
    ("term", "readings"),
    [
        ("Satiety, early", ["early Satiety", "Satiety early"]),
        ("Hypertension, hypertensive", ["Hypertension", "hypertensive"]),
        ("Tabes, tabetic", ["Tabes", "tabetic"]),
        ("Anus, anal", ["Anus", "anal"]),
        ("Mottled, mottling, teeth", ["teeth Mottled", "Mottled teeth", "teeth mottling", "mottling teeth"]),
        ("Crabs, meaning pubic lice", ["Crabs"]),
        ("Abasia", ["Abasia"]),
    ],
)
def test_a_comma_is_an_inversion_unless_the_parts_share_a_stem(term: str, readings: list[str]) -> None:
    assert alternatives(term) == readings


def test_stems_of_other_words_differ() -> None:
    assert not same_stem("Satiety", "early")
    assert not same_stem("Acidity", "gastric")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Early", "quality"),
        ("Disease", "class of conditions"),
        ("Disorders", "class of conditions"),
        ("AF", "short"),
        ("WAS-1", "short"),
        ("'Growth' NOS", None),
        ("'Growth'", "class of conditions"),
        ("12 34", "no word"),
        ("Other specified anemias", "rest class"),
        ("one two three four five six seven eight nine", "long"),
        ("Chronic kidney disease", None),
        ("Gout", None),
    ],
)
def test_general_names_are_dropped_with_a_reason(name: str, reason: str | None) -> None:
    assert Generic(8).reason(key_of(name)) == reason


def test_an_encounter_is_no_inversion() -> None:
    title = "Fracture of neck of right femur, subsequent encounter for closed fracture"
    assert plain_forms(title) == [title]
