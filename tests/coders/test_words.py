"""Words stand where they say, are learned from the notes given, and words of like company have like vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.coders import words
from chartcode.coders.batches import Documents
from chartcode.coders.words import _WORD, UNKNOWN, Vocabulary, vectors, words_of
from chartcode.errors import DataError


def test_a_word_begins_with_a_letter_and_statements_end() -> None:
    words, places = words_of("Denies CHF; Cr 1.4, b12 low. ___ café")  # guard: invented
    assert words == ["denies", "chf", ";", "cr", ".", "b12", "low", ".", "cafe"]
    assert places[-1].tolist() == [33, 37]
    assert words_of("") == ([], pytest.approx(np.zeros((0, 2))))


@given(st.text(max_size=80))
def test_places_hold_their_words(text: str) -> None:
    words, places = words_of(text)
    assert places.shape == (len(words), 2)
    assert all(start < end for start, end in places.tolist())
    assert (np.diff(places.ravel()) >= 0).all()


@given(st.text(st.characters(max_codepoint=127), max_size=60) | st.text("ab1. _;A\n", max_size=30))
def test_the_fast_way_through_ascii_finds_what_the_plain_one_does(text: str) -> None:
    words, places = words_of(text)
    assert places.tolist() == [list(match.span()) for match in _WORD.finditer(text)]
    assert words == [match.group().lower() for match in _WORD.finditer(text)]


def test_rare_words_are_one() -> None:
    vocabulary = Vocabulary.learn(["fever cough", "Fever rash", "fever cough"], 2)
    assert vocabulary.words == ["fever", "cough"]
    assert len(vocabulary) == 3
    assert vocabulary.numbers(["cough", "rash", "fever"]).tolist() == [2, UNKNOWN, 1]
    with pytest.raises(DataError, match=r"laat\.min_df"):
        Vocabulary.learn(["a b"], 2)


def test_words_of_like_company_have_like_vectors() -> None:
    rng = np.random.default_rng(0)
    notes = []
    for _ in range(300):
        kind = rng.integers(2)
        company = rng.integers(10 + 10 * kind, 20 + 10 * kind, 20)
        company[::4] = 2 * kind + rng.integers(1, 3, 5)  # 1 and 2 stand with the one kind, 3 and 4 with the other
        notes.append(company)
    found = vectors(Documents.of(notes), 30, 8, 0)
    assert found.shape == (30, 8)
    assert found.dtype == np.float32
    unit = found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-6)
    like, unlike = unit[1] @ unit[2], unit[1] @ unit[3]
    assert like > 0.8
    assert unlike < 0.3
    np.testing.assert_allclose(np.square(found[1:5]).mean(1), 1, rtol=1e-4)
    assert vectors(Documents.of(notes), 30, 8, 0).tobytes() == found.tobytes()
    assert vectors(Documents.of(notes), 30, 50, 0).shape == (30, 50), "more numbers than words"


@pytest.mark.parametrize("together", [1, 3, 4096])
def test_company_is_counted_within_a_note_however_many_are_counted_at_once(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "TOGETHER", together)
    rng = np.random.default_rng(5)
    notes = [rng.integers(0, 6, length) for length in (9, 0, 1, 4, 30, 3)]
    expected = np.zeros((6, 6))
    for note in notes:
        for one in range(len(note)):
            for other in range(one + 1, min(one + words.WINDOW + 1, len(note))):
                expected[note[one], note[other]] += 1 / (other - one)
    counted = words._together(Documents.of(notes), 6).toarray()
    np.testing.assert_allclose(counted, expected + expected.T)
