"""The ensemble is the sum it says it is, fitted on val, no worse there than any member, and whole in its folder."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from scipy.special import expit, logit

from chartcode.artifacts import MANIFEST, Artifact, writing
from chartcode.coders.base import FloatArray, LabelledNotes, Span
from chartcode.coders.ensemble import (
    EPS,
    MOST_SPANS,
    EnsembleCoder,
    EnsembleParams,
    cross_entropy,
    fit_weights,
    write_combined,
)
from chartcode.coders.known import CODERS, load_coder
from chartcode.coders.laat import LaatCoder
from chartcode.coders.tfidf import TfidfCoder, TfidfParams
from chartcode.errors import ArtifactError, DataError, ParamsError
from chartcode.params import parse
from tests.coders.cases import CODES, cases
from tests.coders.test_laat import PARAMS as LAAT
from tests.coders.test_laat import elsewhere  # noqa: F401 - a fixture that this module uses as well

TFIDF = TfidfParams(
    ngram_range=(1, 2), min_df=2, max_features=2000, sublinear_tf=True, C=1.0, class_weight="balanced", prune=0.0
)
PARAMS = EnsembleParams(members=["tfidf", "laat"])
VAL, TEST = 80, 40


def with_people(notes: LabelledNotes, splits: np.ndarray[Any, Any]) -> LabelledNotes:
    """The notes with age and sex, and these splits."""

    def read(names: Any) -> Any:
        for batch in notes.read(["source", "text", "sections", "edits"]):
            unknown = {"age": pa.int16(), "sex": pa.string(), "year": pa.int16()}
            people = {name: pa.nulls(batch.num_rows, kind) for name, kind in unknown.items()}
            columns = {name: batch.column(name) for name in batch.schema.names} | people
            yield pa.record_batch(columns).select(list(names))

    return dataclasses.replace(notes, read=read, splits=splits)


HELD_OUT = with_people(cases(VAL + TEST, 2), np.repeat(["val", "test"], [VAL, TEST]))


def of_val(notes: LabelledNotes) -> LabelledNotes:
    """Of val's notes, which stand first."""

    def read(names: Any) -> Any:
        yield from pa.Table.from_batches(notes.read(names)).slice(0, VAL).to_batches()

    return dataclasses.replace(
        notes, read=read, labels=notes.labels[:VAL], hadm_ids=notes.hadm_ids[:VAL], splits=notes.splits[:VAL]
    )


def write(folder: Path, scores: FloatArray, codes: Any, hadm_ids: Any) -> None:
    with writing(folder, "test") as writer:
        for split, rows in (("val", slice(None, VAL)), ("test", slice(VAL, None))):
            writer.npz(f"{split}.npz", scores=scores[rows], hadm_ids=hadm_ids[rows], codes=np.array(codes))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, elsewhere: None) -> Path:  # noqa: F811
    """Two fitted coders and their scores, as their stages leave them."""
    folder = tmp_path_factory.mktemp("members")
    laat = LAAT.model_copy(update={"epochs": 3})
    for name, coder, params, count in (("tfidf", TfidfCoder, TFIDF, 160), ("laat", LaatCoder, laat, 400)):
        with writing(folder / "models" / name, "test") as writer:
            coder.fit(params, cases(count, 1), of_val(HELD_OUT), writer)
        fitted: Any = load_coder(Artifact(folder / "models" / name))
        write(folder / "scores" / name, fitted.scores(HELD_OUT.read(fitted.reads)), fitted.codes, HELD_OUT.hadm_ids)
    return folder


def fitted(folder: Path, members: Path, val: LabelledNotes | None = None, **change: Any) -> EnsembleCoder:
    val = of_val(HELD_OUT) if val is None else val
    with writing(folder, "test") as writer:
        EnsembleCoder.fit(
            PARAMS.model_copy(update=change), cases(10, 1), val, writer, members / "scores", members / "models"
        )
    return EnsembleCoder.load(Artifact(folder))


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory, members: Path) -> EnsembleCoder:
    return fitted(tmp_path_factory.mktemp("ensemble") / "model", members)


def made(seed: int, useful: float) -> tuple[list[FloatArray], Any]:
    """Scores of three members (the second knows nothing) and truth, of 300 notes and 5 labels."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((300, 5)) < 0.3).astype(np.int8)
    logits = [useful * (2 * truth - 1) + rng.normal(size=truth.shape) * scale for scale in (2, 0, 1.5)]
    logits[1] = rng.normal(size=truth.shape)
    return [expit(found).astype(np.float32) for found in logits], sp.csr_matrix(truth)


def test_cross_entropy_and_its_gradient_are_those_of_the_definition() -> None:
    scores, truth = made(1, 1.0)
    x = np.array([0.3, 0.5, 0.2, 1.1])
    y = truth.toarray()

    def plain(x: Any) -> float:
        p = expit(x[0] + sum(w * np.log(s / (1 - s.astype(float))) for w, s in zip(x[1:], scores, strict=True)))
        return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())

    loss, gradient = cross_entropy(x, scores, truth)
    assert loss == pytest.approx(plain(x), abs=1e-6)
    for place in range(len(x)):
        step = np.eye(len(x))[place] * 1e-5
        assert gradient[place] == pytest.approx((plain(x + step) - plain(x - step)) / 2e-5, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_weights_are_better_and_a_member_that_knows_nothing_counts_for_nothing(seed: int) -> None:
    scores, truth = made(seed, 1.0)
    found = fit_weights(scores, truth)
    assert (found[1:] >= 0).all()
    assert found[2] < 0.12 < found[1] < found[3], "the more a member's noise, the less its weight"
    best = cross_entropy(found, scores, truth)[0]
    rng = np.random.default_rng(seed)
    for size in (1e-4, 1e-2, 0.3, 1):
        for other in found + size * rng.normal(size=(200, 4)):
            other[1:] = np.maximum(other[1:], 0)
            assert cross_entropy(other, scores, truth)[0] >= best - 1e-10
    for member in range(3):
        alone = np.array([0.0, *np.eye(3)[member]])
        assert best < cross_entropy(alone, scores, truth)[0]


def test_a_member_that_speaks_against_the_truth_gets_exactly_nothing() -> None:
    scores, truth = made(3, 1.0)
    scores[1] = expit(logit(scores[1].astype(float)) - 2 * (2 * truth.toarray() - 1)).astype(np.float32)
    together, without = fit_weights(scores, truth), fit_weights([scores[0], scores[2]], truth)
    assert together[2] == 0
    np.testing.assert_allclose(together[[0, 1, 3]], without, atol=1e-4)


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_scores_of_zero_and_one_and_notes_that_are_told_apart_at_once_stay_finite(sure: float) -> None:
    truth = np.array([[0, 1], [1, 0], [0, 0]], np.int8)
    perfect = np.where(truth, sure, 1 - sure).astype(np.float32)
    found = fit_weights([perfect], sp.csr_matrix(truth))
    assert np.isfinite(found).all()
    assert found[1] == 0 if sure == 0 else found[1] > 0
    assert np.isfinite(fit_weights([perfect], sp.csr_matrix(np.zeros_like(truth)))).all(), "val without any code"


def test_scores_are_the_members_logits_weighed_and_summed(coder: EnsembleCoder, members: Path) -> None:
    assert set(coder.members) == {"tfidf", "laat"}
    z = coder.bias
    for name in coder.members:
        held = Artifact(members / "scores" / name).npz("test.npz")
        places = [held["codes"].tolist().index(code) for code in CODES]
        p = np.clip(held["scores"][:, places].astype(float), EPS, 1 - EPS)
        z = z + coder.weights[name] * np.log(p / (1 - p))
    found = coder.scores(HELD_OUT.read(coder.reads))
    assert found.dtype == np.float32
    assert coder.codes == list(CODES)
    np.testing.assert_allclose(found[VAL:], 1 / (1 + np.exp(-z)), atol=1e-6)
    assert coder.scores([]).shape == (0, 3)


def test_what_the_stage_stores_is_what_the_loaded_coder_says(
    tmp_path: Path, coder: EnsembleCoder, members: Path
) -> None:
    with writing(tmp_path / "scores", "test") as writer:
        write_combined(writer, coder, HELD_OUT, members / "scores")
    said = coder.scores(HELD_OUT.read(coder.reads))
    for split, rows in (("val", slice(None, VAL)), ("test", slice(VAL, None))):
        held = Artifact(tmp_path / "scores").npz(f"{split}.npz")
        assert held["scores"].dtype == np.float32
        assert held["codes"].tolist() == list(CODES)
        assert held["hadm_ids"].tolist() == HELD_OUT.hadm_ids[rows].tolist()
        np.testing.assert_allclose(held["scores"], said[rows], atol=1e-6)


def test_fitting_twice_gives_the_same_bytes_and_the_folder_needs_no_other(tmp_path: Path, members: Path) -> None:
    before, moved = fitted(tmp_path / "a", members), tmp_path / "elsewhere/model"
    fitted(tmp_path / "b", members)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()
    said = before.scores(HELD_OUT.read(before.reads))
    moved.parent.mkdir()
    (tmp_path / "b").rename(moved)
    again = load_coder(Artifact(moved))
    assert isinstance(again, EnsembleCoder)
    assert again.scores(HELD_OUT.read(again.reads)).tobytes() == said.tobytes()


def test_label_order_permutes_scores(tmp_path: Path, coder: EnsembleCoder, members: Path) -> None:
    turned, val = [2, 0, 1], of_val(HELD_OUT)
    other = dataclasses.replace(val, labels=val.labels[:, turned], codes=[CODES[place] for place in turned])
    again = fitted(tmp_path / "model", members, other)
    assert list(again.codes) == [CODES[place] for place in turned]
    found, expected = (c.scores(HELD_OUT.read(c.reads)) for c in (again, coder))
    np.testing.assert_allclose(found, expected[:, turned], atol=1e-5)


def test_a_member_without_weight_is_neither_stored_nor_asked(tmp_path: Path, members: Path) -> None:
    """laat's scores are made to say the opposite of what it found."""
    held = {split: Artifact(members / "scores/laat").npz(f"{split}.npz") for split in ("val", "test")}
    against = 1 - np.concatenate([held[split]["scores"] for split in held])
    write(tmp_path / "scores/laat", against.astype(np.float32), held["val"]["codes"], HELD_OUT.hadm_ids)
    (tmp_path / "scores/tfidf").symlink_to(members / "scores/tfidf")
    (tmp_path / "models").symlink_to(members / "models")
    coder = fitted(tmp_path / "model", tmp_path)
    assert coder.weights["laat"] == 0
    assert set(coder.members) == {"tfidf"}
    assert not any("laat" in name for name in Artifact(tmp_path / "model").names())


@pytest.mark.parametrize(
    ("codes", "shift", "message"),
    [(("I10", "E119", "Z00"), 0, "codes other than gold's"), (CODES, 1, "notes other than gold's")],
)
def test_scores_of_other_codes_or_notes_are_refused(
    tmp_path: Path, members: Path, codes: tuple[str, ...], shift: int, message: str
) -> None:
    (tmp_path / "models").symlink_to(members / "models")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/tfidf").symlink_to(members / "scores/tfidf")
    scores = np.full((VAL + TEST, 3), 0.5, np.float32)
    write(tmp_path / "scores/laat", scores, codes, HELD_OUT.hadm_ids + shift)
    with pytest.raises(DataError, match=rf"laat/val\.npz: {message}.*dvc repro laat"):
        fitted(tmp_path / "model", tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_damaged_or_foreign_folder_is_refused(tmp_path: Path, members: Path) -> None:
    fitted(tmp_path / "model", members)
    file = tmp_path / "model/members/laat/model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"model\.safetensors: not the bytes"):
        Artifact(tmp_path / "model")
    with writing(tmp_path / "older", "test") as writer:
        writer.json("coder.json", {"coder": "ensemble", "codes": list(CODES)})
    with pytest.raises(ArtifactError, match="another version"):
        load_coder(Artifact(tmp_path / "older"))
    with writing(tmp_path / "mixed", "test") as writer:
        held = Artifact(members / "models/tfidf")
        parts = {"weights": {"tfidf": 1.0}, "parts": {"tfidf": 1.0}, "left_out": {"tfidf": 0.1}, "bias": 0.0}
        writer.json("coder.json", {"coder": "ensemble", "codes": ["I10", "Z99"]} | parts)
        writer.take(held, "members/tfidf")
    with pytest.raises(ArtifactError, match=r"tfidf: codes other than coder\.json's"):
        load_coder(Artifact(tmp_path / "mixed"))


def test_evidence_is_the_members_shared_out_by_their_parts(coder: EnsembleCoder) -> None:
    asked = [list(CODES), [], ["N189", "I10"]] * ((VAL + TEST) // 3)
    columns = [*coder.reads]
    found = coder.evidence(HELD_OUT.read(columns), asked)
    own = {name: member.evidence(HELD_OUT.read(columns), asked) for name, member in coder.members.items()}
    sources = [source for batch in HELD_OUT.read(["source"]) for source in batch.column("source").to_pylist()]
    assert sum(coder.parts.values()) == pytest.approx(1, abs=1e-5)
    for row, source in enumerate(sources):
        for place in range(len(asked[row])):
            expected: dict[tuple[int, int], float] = {}
            for name, spans_of in own.items():
                spans = spans_of[row][place]
                for span in spans:
                    weight = coder.parts[name] * span.weight / sum(s.weight for s in spans)
                    expected[span[:2]] = expected.get(span[:2], 0) + weight
            spans = found[row][place]
            assert len(spans) == min(MOST_SPANS, len(expected))
            assert [s.weight for s in spans] == pytest.approx(sorted(expected.values(), reverse=True)[: len(spans)])
            assert all(s.weight == pytest.approx(expected[s[:2]]) for s in spans)
            assert all(0 <= s.start < s.end <= len(source) and isinstance(s, Span) for s in spans)
    with pytest.raises(DataError, match="not in this coder's label space"):
        coder.evidence(HELD_OUT.read(columns), [["Z99"]] * (VAL + TEST))


def test_params_name_each_member_once_and_none_that_is_no_member() -> None:
    for members in (["tfidf", "tfidf"], ["ensemble"], []):
        with pytest.raises(ParamsError, match=r"ensemble\.members"):
            parse(EnsembleParams, {"members": members})


def test_it_reads_what_any_coder_reads_and_loads_what_its_members_need() -> None:
    for module, name in CODERS.items():
        assert set(getattr(importlib.import_module(f"chartcode.coders.{module}"), name).reads) <= set(
            EnsembleCoder.reads
        )
    code = "import sys, chartcode.coders.ensemble; sys.exit(' '.join({'torch', 'sklearn'} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)
