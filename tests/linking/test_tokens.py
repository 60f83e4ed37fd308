"""Words of a note: every letter and digit is in one word, at its place; the forms clinicians vary fold together."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.tokens import is_word, key_of, words_of

TEXT = st.text(st.sampled_from("abcXYZ éñß'’-–_.,;:/()\n\t 0189½²#*İﬁ\u0301"), max_size=60)


@given(TEXT, st.sampled_from(["en", "es"]))
def test_words_lie_in_order_and_leave_out_nothing_but_blanks_and_hyphens(text: str, language: str) -> None:
    words = words_of(text, language)
    assert len(words.folded) == len(words.starts) == len(words.ends)
    ends = 0
    for start, end in zip(words.starts, words.ends, strict=True):
        assert ends <= start < end <= len(text)
        assert not any(sign.isalnum() for sign in text[ends:start])
        ends = end
    assert not any(sign.isalnum() for sign in text[ends:])


@given(TEXT, st.sampled_from(["en", "es"]))
def test_no_folded_word_holds_a_blank(text: str, language: str) -> None:
    """Keys are folded words with blanks between: one inside a word would shift every place behind it."""
    assert all(
        word and (word == "\n" or not any(sign.isspace() for sign in word)) for word in words_of(text, language).folded
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("T2DM", "t 2 dm"),
        ("A-fib", "a fib"),
        ("gastro-esophageal reflux", "Gastro esophageal reflux"),
        ("anaemias", "anemia"),
        ("pleural oedema", "pleural edema"),
        ("brain tumours", "brain tumor"),
        ("Crohn’s disease", "crohn disease"),
        ("Parkinson's", "parkinson"),
        ("type II diabetes", "type 2 diabetes"),
        ("biopsies", "biopsy"),
    ],
)
def test_forms_of_one_name_fold_together(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"), [("hypertension", "hypertensive"), ("IV", "4"), ("pus", "pu"), ("ascites", "asci"), ("US", "U")]
)
def test_what_is_coded_differently_stays_apart(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


def test_spanish_plurals_and_accents() -> None:
    assert key_of("Náuseas y vómitos", "es") == key_of("nausea y vomito", "es")
    assert key_of("infecciones", "es") == key_of("infeccion", "es")


def test_a_wrapped_line_is_a_blank_and_a_new_item_is_not() -> None:
    assert words_of("heart\nfailure").folded == ["heart", "failure"]
    for item in ("heart\n- failure", "heart\n\nfailure", "heart\n2. failure", "heart\n# failure"):
        assert "\n" in words_of(item).folded


def test_decomposed_and_composed_accents_are_one_word() -> None:
    decomposed = unicodedata.normalize("NFD", "síndrome")
    assert words_of(decomposed).folded[0] == "sindrome"
    assert words_of(decomposed).ends[0] == len(decomposed)
    assert is_word("sindrome")
    assert not is_word(",")
