"""Eight words of a note are found wherever they stand, and nothing else is: against a slow, obvious search."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.guard import shingles
from chartcode.guard.shingles import WIDTH, Suspects, words

MASK = "_" * 3
NOTE = "Pt is a 63F w/ h/o COPD,\nadmitted for dyspnea; improved on steroids.\n\nD/c home in stable condition."


def found(text: str, *notes: str | bytes) -> list[tuple[int, int]]:
    return Suspects([text]).found_in(note if isinstance(note, bytes) else note.encode() for note in notes)


def slowly(texts: list[str], notes: list[str]) -> list[tuple[int, int]]:
    """The same by tuples of words in a set."""
    known = {tuple(w[k : k + WIDTH]) for w in map(words, notes) for k in range(len(w) - WIDTH + 1)}
    places = set()
    for number, text in enumerate(texts):
        here = [(word, line) for line, part in enumerate(text.split("\n"), 1) for word in words(part)]
        for k in range(len(here) - WIDTH + 1):
            if tuple(word for word, _ in here[k : k + WIDTH]) in known:
                places.add((number, here[k][1]))
    return sorted(places)


@st.composite
def prose(draw: st.DrawFn) -> str:
    """Few words and many separators, so that windows repeat and almost repeat."""
    word = st.sampled_from(
        ["a", "A", "b", "ab", "İ", "ΟΔΟΣ", "straße", "é", "e\u0301", "9", "x_y", "𝟘", "\x01", "\x00"]
    )
    gap = st.sampled_from([" ", "\n", ", ", f" {MASK} ", "-", "\r\n", "\u00a0", "\x01", " \x01 ", "."])
    return "".join(a + b for a, b in draw(st.lists(st.tuples(word, gap), max_size=30)))


@given(st.lists(prose(), max_size=3), st.lists(prose(), max_size=4), st.sampled_from([1, 40, 1 << 18]))
def test_finds_what_a_slow_search_finds(texts: list[str], notes: list[str], block: int) -> None:
    usual, shingles.BLOCK = shingles.BLOCK, block
    try:
        assert Suspects(texts).found_in(note.encode() for note in notes) == slowly(texts, notes)
    finally:
        shingles.BLOCK = usual


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_any_text_of_eight_words_is_found_in_itself(texts: list[str]) -> None:
    assert Suspects(texts).found_in(text.encode() for text in texts) == slowly(texts, texts)


@pytest.mark.parametrize(
    "text",
    [
        NOTE,
        NOTE.upper(),
        "# admitted for dyspnea improved\n# on steroids D c home",
        'id,text\n1,"copd, admitted -- for (dyspnea) improved on steroids, d/c"\n',
        r'{"note": "COPD,\nadmitted for dyspnea;\timproved on steroids.\n\nD/c"}',
        f"w {MASK} h o copd {MASK} admitted for dyspnea improved",
    ],
    ids=["whole", "capitals", "comment", "csv", "json", "masked"],
)
def test_a_note_is_found_in_other_clothes(text: str) -> None:
    assert found(text, "another note", NOTE)


def test_seven_words_or_another_order_are_not_the_note() -> None:
    assert found("admitted for dyspnea improved on steroids d", NOTE) == []
    assert found("admitted for dyspnea on improved steroids d c home in", NOTE) == []


def test_no_window_joins_two_notes_or_two_files() -> None:
    assert found("one two three four five six seven eight", "one two three four", "five six seven eight") == []
    suspects = Suspects(["one two three four", "five six seven eight"])
    assert suspects.found_in([b"one two three four five six seven eight"]) == []


def test_the_line_named_is_where_the_words_begin() -> None:
    text = "first line\nsecond line of mine\nadmitted for dyspnea; improved\non steroids.\nD/c home\n"
    assert found(text, NOTE) == [(0, 3)]


def test_a_text_without_eight_words_reads_no_note() -> None:
    def notes() -> Iterator[bytes]:
        raise AssertionError("read")
        yield b""

    assert Suspects(["x = 1\n", "", "{}"]).found_in(notes()) == []


def test_equal_hashes_of_other_words_are_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a constant for every hash each window is a candidate: the words decide."""
    real = shingles._windows

    def blind(stream: bytes) -> tuple[object, ...]:
        packed, hashes, starts, ends = real(stream)
        return packed, hashes * 0, starts, ends

    monkeypatch.setattr(shingles, "_windows", blind)
    assert found("one two three four five six seven nine\n" + NOTE, "one two three four five six seven eight") == []
    assert found("z " + NOTE, "one two three four five six seven eight", NOTE) == [(0, 1), (0, 2)]


def test_a_note_that_is_not_utf_8_is_still_read() -> None:
    assert found(NOTE, b"\xff\xfe " + NOTE.encode())
