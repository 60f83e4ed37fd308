"""Vectors of names: the mean over their tokens, whatever else is in the batch, and the step that uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chartcode.errors import DataError
from chartcode.linking.candidates import Index, Query
from chartcode.linking.dense import DenseEncoder, read, write
from chartcode.linking.resolver import Resolver
from tests.coders.test_encoders import minilm
from tests.linking.marked import abstracts, terms


@pytest.fixture(scope="module")
def encoder() -> DenseEncoder:
    return DenseEncoder(minilm())


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no snapshot"):
        DenseEncoder(tmp_path)


def test_a_vector_is_the_scaled_mean_of_its_tokens_states(encoder: DenseEncoder) -> None:
    import torch

    ids = encoder._tokenizer.encode("renal failure").ids
    with torch.inference_mode():
        states = encoder._model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    expected = states.mean(0) / np.linalg.norm(states.mean(0))
    alone = encoder.encode(["renal failure"])[0]
    among = encoder.encode(["a", "renal failure", "x" * 5000, ""])
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    np.testing.assert_allclose(among[1], expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(among, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)


def test_a_name_of_other_letters_is_found_by_its_meaning(encoder: DenseEncoder) -> None:
    index = Index(terms(), encoder=encoder, skip=frozenset({"similar"}), near=2)
    (found,) = index.find([Query("high blood pressure")])
    assert "D007" in found.codes
    assert found.steps[found.codes.index("D007")] == "dense"


def test_nobody_need_teach_it_that_meaning_counts(encoder: DenseEncoder) -> None:
    """No name has letters in common with `brain bleed`; `elevated arterial pressure` has some, of other diseases."""
    ((bleed, *_), (pressure, *_)) = Resolver.of(terms(), encoder=encoder).resolve(
        ["brain bleed", "elevated arterial pressure"]
    )
    assert (bleed.code, bleed.method) == ("D011", "dense")
    assert (pressure.code, pressure.method) == ("D007", "dense")
    alone = Resolver.of(terms()).resolve(["brain bleed", "elevated arterial pressure"])
    assert not any(answer.code in ("D007", "D011") for answers in alone for answer in answers)


def test_kept_vectors_are_not_made_again(
    encoder: DenseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Resolver.learn(terms(), abstracts(tmp_path), encoder=encoder)
    made.save(tmp_path / "resolver", terms())
    encoded: list[str] = []
    real = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda texts: (encoded.extend(texts), real(texts))[1])
    again = Resolver.load(tmp_path / "resolver", encoder)
    assert encoded == []
    ours, theirs = made.resolve(["raised blood pressure"])[0], again.resolve(["raised blood pressure"])[0]
    assert [answer.code for answer in ours] == [answer.code for answer in theirs]
    np.testing.assert_allclose([a.score for a in ours], [a.score for a in theirs], atol=0.02)


def test_vectors_are_kept_to_a_thousandth(encoder: DenseEncoder, tmp_path: Path) -> None:
    from chartcode.artifacts import Artifact, writing

    names = ["asthma", "renal failure"]
    with writing(tmp_path / "names", "test") as writer:
        write(names, encoder, writer)
    np.testing.assert_allclose(read(Artifact(tmp_path / "names")), encoder.encode(names), atol=1e-3)
