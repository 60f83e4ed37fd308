"""LAAT reads context, scores a note by itself, survives its own storage, and points at words that are there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from structlog.testing import capture_logs

from chartcode.artifacts import MANIFEST, Artifact, writing
from chartcode.coders.base import FloatArray, Span
from chartcode.coders.known import load_coder
from chartcode.coders.laat import LaatCoder, LaatParams
from chartcode.coders.neural import MOST_SPANS
from chartcode.coders.watching import judged
from chartcode.errors import ArtifactError, DataError
from tests.coders.cases import CODES, NAMES, cases
from tests.coders.tiny import PARAMS as LOOP

PARAMS = LaatParams.model_validate(
    LOOP | {
        "max_words": 60, "min_df": 2, "embedding": 12, "hidden": 16, "projection": 12, "dropout": 0.0,
        "batch_size": 8, "batch_tokens": 400, "lr": 0.02, "epochs": 6,
    }
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Checkpoints and curves go to a folder of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.delenv("DVC_ROOT", raising=False)
        yield


def fitted(folder: Path, count: int = 40, **change: Any) -> LaatCoder:
    with writing(folder, "test") as writer:
        LaatCoder.fit(PARAMS.model_copy(update=change), cases(count, 1), cases(40, 2), writer)
    return LaatCoder.load(Artifact(folder))


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory, elsewhere: None) -> LaatCoder:
    return fitted(tmp_path_factory.mktemp("laat") / "model", 400, epochs=5, select_on="micro_f1")


def scores(coder: LaatCoder, count: int = 60, seed: int = 3) -> FloatArray:
    return coder.scores(cases(count, seed).read(coder.reads))


def test_it_tells_who_has_an_illness_from_who_has_not_where_all_are_named(coder: LaatCoder) -> None:
    """Every note holds the same illnesses: only the words around them tell."""
    assert judged(scores(coder), cases(60, 3).labels.toarray() > 0)["micro_f1"] > 0.97


def test_scores_are_of_the_form_that_every_coder_gives(coder: LaatCoder) -> None:
    found = scores(coder)
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    assert coder.scores([]).shape == (0, 3)
    assert coder.codes == list(CODES)


def test_padding_batches_and_order_move_no_score(coder: LaatCoder) -> None:
    whole = pa.Table.from_batches(cases(60, 3).read(coder.reads)).combine_chunks().to_batches()[0]
    found = coder.scores([whole])
    np.testing.assert_allclose(coder.scores(whole.slice(i, 1) for i in range(60)), found, atol=1e-5)
    turned = coder.scores([whole.take(pa.array(range(59, -1, -1)))])
    np.testing.assert_allclose(turned[::-1], found, atol=1e-5)
    documents = coder.documents(whole.slice(0, 1))
    ids = torch.from_numpy(documents[0].ids.astype(np.int64))[None]
    padded = torch.nn.functional.pad(ids, (0, 30), value=1)
    with torch.inference_mode():
        alone = coder.network(ids, torch.ones_like(ids, dtype=torch.bool))
        with_pads = coder.network(padded, torch.arange(padded.shape[1])[None] < ids.shape[1])
    torch.testing.assert_close(with_pads, alone, atol=1e-5, rtol=0)


def test_states_know_both_sides(coder: LaatCoder) -> None:
    """The state of the first word changes with the last one, and the other way round; pads change none."""
    mask = torch.ones(1, 12, dtype=torch.bool)
    ids = torch.randint(1, 20, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, -1] = 21
    with torch.inference_mode():
        before, after = (coder.network.encode(coder.network.embed(i), mask) for i in (ids, changed))
    assert (before[0, 0] != after[0, 0]).any()
    assert (before[0, -1] != after[0, -1]).any()
    half = coder.params.hidden // 2
    assert torch.equal(before[0, 0, :half], after[0, 0, :half]), "the forward half has read nothing but what is before"


def test_fitting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        fitted(tmp_path / name, epochs=2)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()


def test_the_folder_is_read_by_name(coder: LaatCoder, tmp_path: Path) -> None:
    fitted(tmp_path / "model", epochs=1)
    assert type(load_coder(Artifact(tmp_path / "model"))) is LaatCoder
    history = Artifact(tmp_path / "model").json("history.json")
    assert [sorted(entry) for entry in history] == [["loss", "map", "micro_f1"]]
    modes = {path.stat().st_mode for path in (tmp_path / "model").iterdir()}
    assert len(modes) == 1, "who may read one file of a model may read all"


@pytest.mark.parametrize("damage", ["hidden", "codes", "words", "weights"])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, damage: str) -> None:
    fitted(tmp_path / "model", epochs=1)
    artifact = Artifact(tmp_path / "model")
    with writing(tmp_path / "other", "test") as writer:
        for name in artifact.names():
            shutil.copy(artifact.path(name), writer.path(name))
        described = artifact.json("coder.json")
        if damage == "hidden":
            described["params"]["hidden"] = 8
        elif damage == "codes":
            described["codes"] = described["codes"][:2]
        elif damage == "words":
            writer.parquet("words.parquet", artifact.table("words.parquet").slice(3))
        else:
            weights = load_file(artifact.path("model.safetensors"))
            save_file({f"other.{name}": value for name, value in weights.items()}, writer.path("model.safetensors"))
        writer.json("coder.json", described)
    with pytest.raises(ArtifactError, match=r"weights of another network than coder\.json says; fit the coder anew"):
        LaatCoder.load(Artifact(tmp_path / "other"))


def test_a_coder_that_was_never_fitted_or_by_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no manifest"):
        LaatCoder.load(Artifact(tmp_path / "nothing"))
    fitted(tmp_path / "model", epochs=1)
    with writing(tmp_path / "older", "test") as writer:
        described = Artifact(tmp_path / "model").json("coder.json")
        del described["params"]["dropout"]
        writer.json("coder.json", described)
    with pytest.raises(ArtifactError, match=r"laat\.dropout: key is missing"):
        LaatCoder.load(Artifact(tmp_path / "older"))


def test_a_note_without_words_is_scored_and_has_no_evidence(coder: LaatCoder) -> None:
    batch = next(iter(cases(2, 3).read(["text", "sections", "edits"])))
    empty = batch.set_column(0, "text", pa.array([" ", "12 .. 3"]))
    assert np.isfinite(coder.scores([empty])).all()
    assert coder.evidence([empty.slice(0, 1)], [["I10"]]) == [[[]]]


def test_words_beyond_the_budget_are_not_read_and_sections_of_diagnoses_go_first(coder: LaatCoder) -> None:
    text = "Name: somebody\nBrief Hospital Course:\n" + "slept well " * 40 + "\nDischarge Diagnosis:\nhypertension\n"
    start = text.index("Discharge")
    sections = [{"name": "preamble", "clean_start": 0, "clean_end": 14}]
    sections += [{"name": "hospital_course", "clean_start": 15, "clean_end": start}]
    sections += [{"name": "discharge_diagnosis", "clean_start": start, "clean_end": len(text)}]
    (document,) = coder.documents(pa.record_batch({"text": [text], "sections": [sections]}))
    read = [text[a:b] for a, b in document.places.tolist()]
    assert len(read) == coder.params.max_words
    assert read[-1] == "hypertension"
    assert "Name" not in read
    with capture_logs() as said:
        fresh = LaatCoder(coder.params, coder.codes, coder.words)
        fresh.scores([pa.record_batch({"text": [text, "slept well"], "sections": [sections, []]})])
    (entry,) = [entry for entry in said if entry["event"] == "notes were longer than the coder reads"]
    assert (entry["log_level"], entry["cut"], entry["of"]) == ("warning", 1, 2)


def evidence(coder: LaatCoder, count: int, asked: list[list[str]]) -> list[list[list[Span]]]:
    return coder.evidence(cases(count, 4).read(["text", "sections", "edits"]), asked)


@pytest.mark.parametrize("shows", ["attention", "attention_gradient"])
def test_evidence_points_at_the_words_that_tell(coder: LaatCoder, monkeypatch: pytest.MonkeyPatch, shows: str) -> None:
    monkeypatch.setattr(LaatCoder, "shows", shows)
    notes = cases(40, 4)
    sources = [source for batch in notes.read(["source"]) for source in batch.column("source").to_pylist()]
    truth = notes.labels.toarray() > 0
    found = evidence(coder, 40, [list(CODES)] * 40)
    hits = []
    for source, spans_of, labels in zip(sources, found, truth, strict=True):
        for name, spans, label in zip(NAMES, spans_of, labels, strict=True):
            assert 0 < len(spans) <= MOST_SPANS
            weights = [span.weight for span in spans]
            assert weights == sorted(weights, reverse=True)
            assert weights[-1] > 0
            assert all(source[s.start : s.end].strip() == source[s.start : s.end] for s in spans)
            if label:
                place = source.index(name)
                hits.append(place - 15 <= spans[0].start <= place + len(name) + 3)  # its sentence
    assert np.mean(hits) > 0.8


def test_evidence_of_many_codes_is_the_evidence_of_each(coder: LaatCoder) -> None:
    rng = np.random.default_rng(1)
    asked = [rng.choice(CODES, rng.integers(0, 4)).tolist() for _ in range(30)]
    together = evidence(coder, 30, asked)
    alone = {code: evidence(coder, 30, [[code]] * 30) for code in CODES}
    for row, (codes, spans_of) in enumerate(zip(asked, together, strict=True)):
        for code, spans in zip(codes, spans_of, strict=True):
            expected = alone[code][row][0]
            assert {s[:2] for s in spans[:5]} == {s[:2] for s in expected[:5]}
            np.testing.assert_allclose([s.weight for s in spans], [s.weight for s in expected], rtol=1e-3, atol=1e-6)


def test_evidence_for_an_unknown_code_is_refused(coder: LaatCoder) -> None:
    with pytest.raises(DataError, match="not in this coder's label space"):
        evidence(coder, 3, [["Z99"]] * 3)


def test_no_common_word_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"laat\.min_df"):
        fitted(tmp_path / "model", 20, min_df=10_000)
    assert not (tmp_path / "model").exists()
