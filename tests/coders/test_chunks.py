"""Cutting a note into chunks loses nothing, makes none that is empty, and keeps the place of every piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from chartcode.coders.chunks import Chunking, PieceReader
from chartcode.coders.encoders import _wordpiece
from chartcode.errors import DataError

TEXTS = [
    "Hypertension, well controlled.\nDenies chest pain ___ dyspnoea. 🫀 naïve",  # guard: invented
    "Chest pain. CKD stage 3",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    _wordpiece(lambda: TEXTS, 100).save(str(path))
    return path


def chunkings() -> st.SearchStrategy[Chunking]:
    return st.builds(
        Chunking,
        st.none() | st.integers(5, 12),
        st.just((1001,)) | st.just(()),
        st.just((1002,)) | st.just((1002, 1002)),
    )


@given(chunkings(), st.integers(0, 60))
def test_pieces_come_back_as_they_went_into_chunks(chunking: Chunking, count: int) -> None:
    pieces = np.arange(count, dtype=np.int32)
    tokens = chunking.split(pieces, chunking.prefix, chunking.suffix)
    assert np.array_equal(chunking.merge(tokens), pieces)


@given(chunkings(), st.integers(0, 60))
def test_every_chunk_is_whole_with_its_special_tokens_and_only_the_last_is_short(
    chunking: Chunking, count: int
) -> None:
    tokens = chunking.split(np.arange(count, dtype=np.int32), chunking.prefix, chunking.suffix)
    size = chunking.chunk or len(tokens)
    chunks = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    assert all(len(chunk) == size for chunk in chunks[:-1])
    for chunk in chunks:
        assert tuple(chunk[: len(chunking.prefix)]) == chunking.prefix
        assert tuple(chunk[len(chunk) - len(chunking.suffix) :]) == chunking.suffix
        assert len(chunk) > chunking.around or count == 0


def test_a_note_that_fills_its_last_chunk_has_no_empty_one_behind() -> None:
    chunking = Chunking(6, (1,), (2,))
    assert len(chunking.split(np.zeros(8, np.int32), (1,), (2,))) == 12
    assert len(chunking.split(np.zeros(9, np.int32), (1,), (2,))) == 15
    assert chunking.split(np.zeros(0, np.int32), (1,), (2,)).tolist() == [1, 2]


@given(chunkings(), st.integers(5, 90))
def test_as_many_pieces_are_let_in_as_fit(chunking: Chunking, tokens: int) -> None:
    most = chunking.pieces(tokens)
    assert len(chunking.split(np.zeros(most, np.int32), chunking.prefix, chunking.suffix)) <= tokens
    assert len(chunking.split(np.zeros(most + 1, np.int32), chunking.prefix, chunking.suffix)) > tokens


def read(path: Path, chunk: int | None, most: int, text: str) -> tuple[list[int], list[list[int]], int]:
    reader = PieceReader(path, chunk, most)
    ((document, left_out),) = reader.read([text], [[{"name": "preamble", "clean_end": len(text)}]])
    return document.ids.tolist(), document.places.tolist(), left_out


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("chunk", [None, 5, 7])
def test_every_piece_stands_where_its_place_says(tokenizer: Path, text: str, chunk: int | None) -> None:
    ids, places, left_out = read(tokenizer, chunk, 500, text)
    assert left_out == 0
    trained = Tokenizer.from_file(str(tokenizer))
    seen = []
    for number, (start, end) in zip(ids, places, strict=True):
        piece = trained.id_to_token(number)
        if start == end:
            assert piece in {"[CLS]", "[SEP]"}
        elif piece not in {"[UNK]", "_"}:
            assert text[start:end].lower().replace("ï", "i") == piece.removeprefix("##")
            seen += list(range(start, end))
    assert {text[place] for place in range(len(text))} - {text[place] for place in seen} <= set(" \n_🫀")


def test_a_note_that_is_too_long_is_cut_and_counted(tokenizer: Path) -> None:
    whole, _, _ = read(tokenizer, 8, 500, TEXTS[0])
    ids, places, left_out = read(tokenizer, 8, 20, TEXTS[0])
    assert len(ids) <= 20
    count = sum(start < end for start, end in places)
    assert left_out == PieceReader(tokenizer, 8, 500).chunking.merge(np.array(whole)).size - count
    assert ids[:16] == whole[:16], "without headers a note is read from its beginning"


def test_settings_of_a_snapshots_last_use_do_not_cut_or_pad(tokenizer: Path, tmp_path: Path) -> None:
    """all-MiniLM-L6-v2 comes with truncation at 128 and padding."""
    used = Tokenizer.from_file(str(tokenizer))
    used.enable_truncation(6)
    used.enable_padding(length=64)
    used.save(str(tmp_path / "tokenizer.json"))
    assert read(tmp_path / "tokenizer.json", 8, 500, TEXTS[0]) == read(tokenizer, 8, 500, TEXTS[0])


def test_a_chunk_without_room_and_a_broken_tokenizer_are_refused_in_one_line(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"transformer\.chunk_tokens: no room"):
        PieceReader(tokenizer, 2, 100)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="not a tokenizer"):
        PieceReader(tmp_path / "tokenizer.json", 8, 100)


def test_learning_pieces_twice_gives_the_same_pieces() -> None:
    """The trainer of `tokenizers` alone would not: its hash maps are seeded anew in every run of a program."""
    texts = [f"word{number % 97} and{number % 31}xyz, {number}" for number in range(2000)]
    assert len({_wordpiece(lambda: texts, 300).to_str() for _ in range(6)}) == 1
