"""Spellings of one thing meet; coordinations fall into what they name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.spelling import parts, plain_words, stems_of
from chartcode.linking.tokens import NUMBERS, digits

WORD = st.sampled_from(["breast", "ovarian", "cancer", "of", "the", "and", "or", "and/or", ",", "/", "as well as"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Factor V deficiency", "factor five deficiency"),
        ("Alzheimer's disease", "Alzheimer disease"),
        ("Usher syndrome type II", "Usher syndrome, type 2"),
        ("anaemia", "anemia"),
    ],
)
def test_plain_words_of_two_spellings_are_one(one: str, other: str) -> None:
    assert plain_words(one) == plain_words(other)


def test_a_chromosome_is_no_number() -> None:
    assert plain_words("fragile X") == ["fragile", "x"]
    assert plain_words("s") == ["s"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Carcinoma, breast", "carcinoma of the breast"),
        ("infections of the lung", "lung infection"),
        ("hypertensive", "hypertension"),
    ],
)
def test_bags_of_two_orders_and_endings_are_one(one: str, other: str) -> None:
    assert stems_of(plain_words(one)) == stems_of(plain_words(other))
    assert stems_of(["of", "the"]) == ("of", "the"), "all of them where none carries meaning"


def test_number_words_are_digits_and_nothing_else_changes() -> None:
    assert digits("chromosome ten") == "chromosome 10"
    assert digits("one  Twenty bone") == "1 Twenty bone"
    assert list(NUMBERS.values()) == [str(number) for number in range(21)]


def test_coordinations() -> None:
    assert parts("breast and ovarian cancer")[0] == ["breast cancer", "ovarian cancer"]
    assert ["cancer of the breast", "cancer of the ovary"] in parts("cancer of the breast and ovary")
    assert ["type 1 diabetes", "type 2 diabetes"] not in parts("diabetes")
    assert parts("diabetes") == []
    assert parts(", ".join("abcdefg")) == [], "an enumeration this long is no name"


@given(st.lists(WORD, max_size=8).map(" ".join))
def test_every_way_to_read_a_coordination_names_all_its_parts_and_invents_no_word(mention: str) -> None:
    for way in parts(mention):
        assert len(way) >= 2
        assert all(name.strip() for name in way)
        assert set(" ".join(way).split()) <= set(mention.replace(",", " , ").replace("/", " / ").split()) | {"and/or"}
