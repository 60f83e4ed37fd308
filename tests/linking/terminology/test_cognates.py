"""Spanish spelling of medicine's Greek and Latin."""

import pytest

from chartcode.linking.terminology.cognates import names, spelled
from chartcode.linking.terminology.rows import Found
from chartcode.linking.tokens import key_of


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("hydronephrosis", "hidronefrosis"),
        ("osteomyelitis", "osteomielitis"),
        ("scoliosis", "escoliosis"),
        ("cholecystitis", "colecistitis"),
        ("leukopenia", "leucopenia"),
        ("hyperthyroidism", "hipertiroidismo"),
        ("acute pyelonephritis", "pielonefritis aguda"),
        ("chronic pancreatitis", "pancreatitis crónica"),
        ("pulmonary edema", "edema pulmonar"),
        ("heart failure", "insuficiencia cardíaca"),
        ("renal carcinoma", "carcinoma renal"),
        ("benign melanoma", "melanoma benigno"),
        ("splenomegaly", "esplenomegalia"),
    ],
)
def test_a_name_is_spelled_as_in_spanish(english: str, spanish: str) -> None:
    assert key_of(spanish, "es") in [key_of(name, "es") for name in spelled(english)]


def test_adjectives_follow_in_either_order_and_take_the_gender_of_the_noun() -> None:
    assert spelled("acute viral hepatitis") == ["hepatitis aguda viral", "hepatitis viral aguda"]
    assert spelled("chronic gastric carcinoma") == ["carcinoma cronico gastrico", "carcinoma gastrico cronico"]


@pytest.mark.parametrize("name", ["knee pain", "cancer of lung", "type 2 diabetes", "flu", "mass", "", "hearing loss"])
def test_what_has_no_rule_is_left_out(name: str) -> None:
    assert spelled(name) == []


def test_only_english_names_with_a_code_of_kinds_that_stand_alone_are_taken() -> None:
    row = Found("N1330", "hydronephrosis", "lead", "s", "l")
    rows = [row, row._replace(language="es"), row._replace(code=""), row._replace(kind="abbreviation")]
    (made,) = names(rows)
    assert (made.code, made.name, made.kind, made.language) == ("N1330", "hidronefrosis", "cognate", "es")
