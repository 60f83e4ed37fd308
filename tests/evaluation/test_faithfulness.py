"""Taking words away: the note keeps every offset, and the measures are their definition, word by word."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.evaluation import faithfulness
from chartcode.evaluation.evidence import WORD
from chartcode.evaluation.faithfulness import CHANGES, WORDS, Question, alone, curves, measures, without

TEXT = st.text(st.sampled_from("ab é😀7_.\n\t-"), max_size=40)


def places(text: str) -> np.ndarray:
    return np.array([m.span() for m in WORD.finditer(text)], np.int64).reshape(-1, 2)


@given(TEXT, st.data())
def test_words_taken_away_leave_every_other_character_in_its_place(text: str, data: st.DataObject) -> None:
    words = places(text)
    chosen = data.draw(st.lists(st.integers(0, len(words) - 1), unique=True)) if len(words) else []
    inside = {at for word in chosen for at in range(*words[word])}
    assert without(text, words[chosen]) == "".join(" " if at in inside else c for at, c in enumerate(text))
    kept = "".join(c if at in inside or c == "\n" else " " for at, c in enumerate(text))
    assert alone(text, words[chosen]) == kept
    assert re.findall(WORD, kept) == [text[slice(*words[w])] for w in sorted(chosen)]


class Counting:
    """A coder of two codes: the share of words that are `a`, and of words that are `b`."""

    reads = ("text",)
    codes = ("A", "B")

    def scores(self, notes: list[pa.RecordBatch]) -> np.ndarray:
        found = [text.split() for batch in notes for text in batch.column("text").to_pylist()]
        rows = [[sum(w == c for w in text) / max(len(text), 1) for c in "ab"] for text in found]
        return np.array(rows, np.float32)


def test_measures_are_their_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a b b c a c c c", "b b b", "c a"]
    notes = pa.record_batch([pa.array(texts)], names=["text"])
    strongest = [[4, 0], [2, 1, 0], [1]]
    questions = [
        Question(row, column, places(texts[row]), np.array(strongest[row])) for row, column in ((0, 0), (1, 1), (2, 0))
    ]
    before = [2 / 8, 1.0, 1 / 2]
    after = curves(Counting(), notes, questions, seed=1)  # type: ignore[arg-type]
    found = measures(before, after)
    for pair, question in enumerate(questions):
        letter, words = "ab"[question.column], texts[question.row].split()
        gone, kept = [], []
        for count in WORDS:
            taken = question.strongest[:count].tolist()
            left = [w for at, w in enumerate(words) if at not in taken]
            only = [w for at, w in enumerate(words) if at in taken]
            gone.append((before[pair] - left.count(letter) / max(len(left), 1)) / before[pair])
            kept.append(max(0, before[pair] - only.count(letter) / max(len(only), 1)) / before[pair])
        assert found["comprehensiveness"][pair] == pytest.approx(np.mean(gone), abs=1e-6)
        assert found["sufficiency"][pair] == pytest.approx(np.mean(kept), abs=1e-6)
    for name in ("comprehensiveness", "sufficiency"):  # in the second note every word is alike, so any will do
        assert found[f"{name}_random"][1] == pytest.approx(found[name][1])
    assert found["comprehensiveness_random"].shape == found["sufficiency_random"].shape == (3,)
    monkeypatch.setattr(faithfulness, "TOGETHER", 1)
    np.testing.assert_array_equal(curves(Counting(), notes, questions, seed=1), after)  # type: ignore[arg-type]
    assert curves(Counting(), notes, [], seed=1).shape == (0, len(WORDS), CHANGES)  # type: ignore[arg-type]


def test_a_version_of_a_note_is_scored_once() -> None:
    text, read = "c a b", list[pa.RecordBatch]()
    notes = pa.record_batch([pa.array([text, text])], names=["text"])
    questions = [Question(row, column, places(text), np.array([1])) for row, column in ((0, 0), (0, 1), (1, 0))]

    class Reading(Counting):
        def scores(self, notes: list[pa.RecordBatch]) -> np.ndarray:
            read.extend(notes)
            return super().scores(notes)

    after = curves(Reading(), notes, questions, seed=1)  # type: ignore[arg-type]
    (batch,) = read
    assert batch.num_rows <= 12, "one word carries evidence: the same four changes for every number of words"
    assert len(set(batch.column("text").to_pylist())) >= 2
    assert (after == after[:, :1]).all()
    assert after[:2, 0, :2].tolist() == [[0.0, 1.0], [0.5, 0.0]]
