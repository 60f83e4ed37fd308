"""Boosted trees are scikit-learn's, stopped by val; vectors depend on their note alone; what is unknown is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier

from chartcode import cli
from chartcode.artifacts import MANIFEST, Artifact, writing
from chartcode.coders.base import LabelledNotes
from chartcode.coders.boosted import FACTS, BoostedCoder, BoostedParams, facts, features
from chartcode.coders.embeddings import STRETCH, Embedder
from chartcode.coders.encoders import EncoderParams, write_encoder
from chartcode.coders.known import load_coder
from chartcode.coders.neural import MOST_SPANS
from chartcode.errors import ArtifactError, DataError
from chartcode.trees import TreeParams, Trees, fit_trees
from tests.coders.test_transformer import CODES, notes
from tests.coders.test_transformer import PARAMS as ENCODER

PARAMS = BoostedParams(
    max_tokens=96, chunk_tokens=16, trees=30, leaves=4, min_leaf=5, learning_rate=0.3, patience=5,
    class_weight=None, min_positives=5, seed=1,
)  # fmt: skip


def people(notes: LabelledNotes, seed: int) -> LabelledNotes:
    """The notes with ages and sexes, some unknown; the second code is a matter of age."""
    rng, count = np.random.default_rng(seed), len(notes.hadm_ids)
    old = notes.labels.toarray()[:, 1] > 0
    age = pa.array(np.where(old, 70, 40) + rng.integers(0, 9, count), pa.int16(), mask=rng.random(count) < 0.1)
    known = {"age": age, "sex": pa.array(rng.choice(["F", "M", ""], count).tolist())}

    def read(names: Any) -> Any:
        start = 0
        for batch in notes.read(["source", "text", "sections", "edits"]):
            stop = start + batch.num_rows
            columns = {n: batch.column(n) for n in batch.schema.names}
            yield pa.record_batch(columns | {n: c[start:stop] for n, c in known.items()}).select(list(names))
            start = stop

    return dataclasses.replace(notes, read=read)


TRAIN, VAL, TEST = (people(notes(count, seed), seed) for count, seed in ((160, 1), (60, 2), (60, 3)))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    with writing(folder, "test") as writer:
        write_encoder(EncoderParams.model_validate(ENCODER.model_dump()), notes(80, 1).texts, writer)
    return folder


def fitted(folder: Path, encoder: Path, train: LabelledNotes = TRAIN, **change: Any) -> BoostedCoder:
    with writing(folder, "test") as writer:
        BoostedCoder.fit(PARAMS.model_copy(update=change), train, VAL, writer, encoder)
    return BoostedCoder.load(Artifact(folder))


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> BoostedCoder:
    return fitted(tmp_path_factory.mktemp("boosted") / "model", encoder)


def whole(cohort: LabelledNotes) -> pa.RecordBatch:
    names = ["source", "text", "sections", "edits", "age", "sex"]
    return pa.Table.from_batches(cohort.read(names)).combine_chunks().to_batches()[0]


def data(seed: int, count: int) -> tuple[np.ndarray, sp.csr_matrix]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6))
    x[rng.random(x.shape) < 0.1] = np.nan
    signal = np.nan_to_num(x[:, [0]]) * [1, 2, 0] + np.nan_to_num(x[:, [1]], nan=1) * [1, 0, 0]
    return x, sp.csr_matrix((signal + rng.normal(size=(count, 3)) > 0.5).astype(np.int8))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_trees_are_those_of_scikit_learn_up_to_the_best_of_val(class_weight: Any) -> None:
    params = TreeParams(
        learning_rate=0.2,
        trees=60,
        leaves=6,
        min_leaf=10,
        patience=4,
        class_weight=class_weight,
        min_positives=5,
        seed=1,
    )
    (x, truth), (x_val, val), (x_test, _) = data(1, 400), data(2, 200), data(3, 300)
    trees = fit_trees(params, x, truth, x_val, val)
    found = trees.logits(x_test, np.arange(3))
    for label in range(3):
        y, y_val = (m.toarray()[:, label] for m in (truth, val))
        own = {c: len(y) / (2 * (y == c).sum()) if class_weight else 1.0 for c in (0, 1)}

        def fit(most: int, y: Any = y, own: Any = own) -> HistGradientBoostingClassifier:
            return HistGradientBoostingClassifier(
                learning_rate=0.2, max_iter=most, max_leaf_nodes=6, min_samples_leaf=10, early_stopping=False,
                class_weight=own,
            ).fit(x, y)  # fmt: skip

        kept = int(np.diff(trees.first_tree)[label])
        weights = np.array([own[c] for c in y_val])
        p = list(fit(60).staged_predict_proba(x_val))
        losses = [-np.average(np.log(np.where(y_val, stage[:, 1], stage[:, 0])), weights=weights) for stage in p]
        stop = next((n for n in range(4, 60) if min(losses[n - 3 : n + 1]) > min(losses[: n - 3])), 59)
        if kept:
            assert losses[kept - 1] == pytest.approx(min(losses[: stop + 1]))
            expected = fit(kept).predict_proba(x_test)[:, 1]
            np.testing.assert_allclose(found[:, label], logit(expected), atol=1e-9)
    assert np.diff(trees.first_tree)[:2].min() > 2
    np.testing.assert_array_equal(trees.logits(x_test, np.array([2, 0])), found[:, [2, 0]])


def test_a_feature_that_no_train_note_has_is_never_asked() -> None:
    """CodiEsp knows neither age nor sex."""
    params = TreeParams.model_validate({n: getattr(PARAMS, n) for n in TreeParams.model_fields})
    (x, truth), (x_val, val) = data(1, 300), data(2, 200)
    x[:, 3] = np.nan
    trees = fit_trees(params, x, truth, x_val, val)
    assert len(trees.root) and not (trees.feature == 3).any()
    filled = np.where(np.arange(6) == 3, 7.0, x_val)
    np.testing.assert_array_equal(trees.logits(filled, np.arange(3)), trees.logits(x_val, np.arange(3)))


def test_trees_that_are_none_are_refused(tmp_path: Path) -> None:
    (x, truth), (x_val, val) = data(1, 300), data(2, 200)
    params = TreeParams.model_validate({n: getattr(PARAMS, n) for n in TreeParams.model_fields})
    trees = fit_trees(params, x, truth, x_val, val)
    endless = trees.left.copy()
    endless[trees.root[0]] = trees.root[0]

    def stored(name: str, **arrays: Any) -> Artifact:
        with writing(tmp_path / name, "test") as writer:
            writer.npz("trees.npz", **arrays)
        return Artifact(tmp_path / name)

    held = stored("whole", **trees._asdict())
    again = Trees.load(held, 3, 6)
    assert all(np.array_equal(one, other) for one, other in zip(again, trees, strict=True))
    for labels, width in ((2, 6), (3, 1)):
        with pytest.raises(ArtifactError, match="of other codes or features"):
            Trees.load(held, labels, width)
    with pytest.raises(ArtifactError, match="no trees"):
        Trees.load(stored("endless", **trees._replace(left=endless)._asdict()), 3, 6)
    behind = {
        "root": np.append(trees.root[:-1], len(trees.feature)),
        "first_tree": np.append(trees.first_tree[:-1], len(trees.root) + 1),
    }
    for name, numbers in behind.items():
        with pytest.raises(ArtifactError, match="no trees"):
            Trees.load(stored(name, **trees._asdict() | {name: numbers}), 3, 6)
    cut = trees._replace(value=trees.value[:-1])
    for name, arrays in (("older", {"prior": trees.prior}), ("cut", cut._asdict())):
        with pytest.raises(ArtifactError, match="another version"):
            Trees.load(stored(name, **arrays), 3, 6)


def test_it_learns_from_facts_and_words_and_scores_have_the_form_that_every_coder_gives(coder: BoostedCoder) -> None:
    found, truth = coder.scores(TEST.read(coder.reads)), TEST.labels.toarray() > 0
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    assert coder.codes == list(CODES)
    assert coder.scores([]).shape == (0, 3)
    assert found[truth[:, 1], 1].mean() > found[~truth[:, 1], 1].mean() + 0.5, "age tells"


def test_company_and_order_move_no_bit_of_a_score(coder: BoostedCoder) -> None:
    batch = whole(TEST)
    found = coder.scores([batch])
    assert coder.scores(batch.slice(i, 1) for i in range(60)).tobytes() == found.tobytes()
    turned = coder.scores([batch.take(pa.array(range(59, -1, -1)))])
    assert np.ascontiguousarray(turned[::-1]).tobytes() == found.tobytes()


def test_a_vector_is_the_mean_of_the_encoders_states(coder: BoostedCoder) -> None:
    import torch

    batch = whole(TEST).slice(0, 8)
    for row, (embedded, left_out) in enumerate(coder.embedder.read(batch)):
        one = batch.slice(row, 1)
        ((document, _),) = coder.embedder.reader.read(
            one.column("text").to_pylist(), one.column("sections").to_pylist()
        )
        states = []
        for start in range(0, len(document.ids), 16):
            ids = torch.from_numpy(document.ids[start : start + 16]).long()[None]
            with torch.no_grad():
                states.append(coder.embedder.network.encoder(input_ids=ids).last_hidden_state[0].numpy())
        states = np.concatenate(states)
        np.testing.assert_allclose(embedded.mean(), states.mean(axis=0), atol=1e-5)
        without = embedded.without()
        for number, start in enumerate(range(0, len(states), STRETCH)):
            rest = np.delete(states, np.s_[start : start + STRETCH], axis=0)
            if len(rest):
                np.testing.assert_allclose(without[number], rest.mean(axis=0), atol=1e-5)
            else:
                assert np.isnan(without[number]).all()
        assert left_out == 0 or len(document.ids) > 80


def test_fitting_twice_gives_the_same_bytes_and_the_folder_needs_no_other(
    tmp_path: Path, encoder: Path, coder: BoostedCoder
) -> None:
    for name in "ab":
        fitted(tmp_path / name, encoder)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()
    again = load_coder(Artifact(tmp_path / "a"))
    assert again.scores(TEST.read(coder.reads)).tobytes() == coder.scores(TEST.read(coder.reads)).tobytes()


def test_label_order_permutes_scores(tmp_path: Path, encoder: Path, coder: BoostedCoder) -> None:
    turned = [2, 0, 1]
    names = [CODES[place] for place in turned]
    train, val = (dataclasses.replace(n, labels=n.labels[:, turned], codes=names) for n in (TRAIN, VAL))
    with writing(tmp_path / "model", "test") as writer:
        BoostedCoder.fit(PARAMS, train, val, writer, encoder)
    again = BoostedCoder.load(Artifact(tmp_path / "model"))
    assert again.codes == names
    np.testing.assert_array_equal(again.scores(TEST.read(coder.reads)), coder.scores(TEST.read(coder.reads))[:, turned])


def test_a_rare_code_has_its_share_as_its_score(tmp_path: Path, encoder: Path) -> None:
    labels = TRAIN.labels.toarray()
    labels[:, 0], labels[:, 2] = 0, 1
    labels[:4, 0] = 1
    coder = fitted(tmp_path / "model", encoder, dataclasses.replace(TRAIN, labels=sp.csr_matrix(labels)))
    found = coder.scores(TEST.read(coder.reads))
    np.testing.assert_allclose(found[:, 0], 4.5 / 161, rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], 160.5 / 161, rtol=1e-5)


def test_codes_that_are_all_rare_make_a_coder_without_trees(tmp_path: Path, encoder: Path) -> None:
    found = fitted(tmp_path / "model", encoder, min_positives=1000).scores(TEST.read(BoostedCoder.reads))
    shares = (TRAIN.labels.toarray().sum(axis=0) + 0.5) / 161
    np.testing.assert_allclose(found, np.tile(shares, (60, 1)), rtol=1e-5)


def test_facts_are_counted_in_the_note_and_unknown_ones_are_missing() -> None:
    text = "Discharge Medications:\n1. aspirin 81 mg\n\n2. metoprolol 12.5 mg\nDischarge Diagnosis:\nhypertension\n"
    middle = text.index("Discharge Diagnosis")
    sections = [
        {"name": "discharge_medications", "clean_start": text.index("1."), "clean_end": middle},
        {"name": "discharge_diagnosis", "clean_start": text.index("hyper"), "clean_end": len(text)},
    ]
    batch = pa.record_batch(
        {"text": [text, " "], "sections": [sections, []], "age": pa.array([71, None], pa.int16()), "sex": ["F", None]}
    )
    found = dict(zip(FACTS, facts(batch).T.tolist(), strict=True))
    assert found == {
        "age": [71, pytest.approx(np.nan, nan_ok=True)], "female": [1, pytest.approx(np.nan, nan_ok=True)],
        "words": [13, 0], "sections": [2, 0], "numbers": [4, 0], "medications": [2, 0], "diagnoses": [1, 0],
    }  # fmt: skip


def test_a_file_of_notes_has_no_ages_and_is_scored_without(tmp_path: Path, encoder: Path, coder: BoostedCoder) -> None:
    fitted(tmp_path / "model", encoder)
    batch = whole(TEST)
    pq.write_table(
        pa.table({"note_id": [f"{n}" for n in range(60)], "text": batch.column("source")}), tmp_path / "notes.parquet"
    )
    arguments = [
        str(tmp_path / "notes.parquet"),
        "--model",
        str(tmp_path / "model"),
        "--out",
        str(tmp_path / "o.parquet"),
    ]
    assert cli.main(["predict", *arguments]) == 0
    rows = pq.read_table(tmp_path / "o.parquet").to_pylist()
    unknown = {"age": pa.nulls(60, pa.int16()), "sex": pa.nulls(60, pa.string())}
    bare = pa.record_batch({"text": batch.column("text"), "sections": batch.column("sections")} | unknown)
    expected = coder.scores([bare])
    assert all(row["score"] == expected[int(row["note_id"]), CODES.index(row["code"])] for row in rows)
    assert len(rows) == 180
    assert not np.array_equal(expected, coder.scores([batch]))


def test_evidence_is_what_the_score_loses_without_a_stretch_of_the_note(coder: BoostedCoder) -> None:
    batch = whole(TEST)
    found = coder.evidence([batch.slice(0, 25), batch.slice(25)], [list(CODES), ["N189"]] * 30)
    some = 0
    for row, spans_of in enumerate(found):
        one = batch.slice(row, 1)
        source, ((embedded, _),) = one.column("source")[0].as_py(), tuple(coder.embedder.read(one))
        known, codes = facts(one), (list(CODES), ["N189"])[row % 2]
        for code, spans in zip(codes, spans_of, strict=True):
            label = np.array([CODES.index(code)])
            before = coder.trees.logits(np.hstack([known, embedded.mean()[None]]), label)[0, 0]
            after = [coder.trees.logits(np.hstack([known, vector[None]]), label)[0, 0] for vector in embedded.without()]
            lost = sorted((before - a for a in after if before > a), reverse=True)
            assert sorted({s.weight for s in spans}, reverse=True) == pytest.approx(sorted(set(lost), reverse=True))
            assert [s.weight for s in spans] == sorted((s.weight for s in spans), reverse=True)
            assert len(spans) <= MOST_SPANS
            assert all(source[s.start : s.end].strip() == source[s.start : s.end] != "" for s in spans)
            some += len(spans) > 0
    assert some > 5
    with pytest.raises(DataError, match="not in this coder's label space"):
        coder.evidence([batch], [["Z99"]] * 60)


def test_spans_leave_out_what_is_not_read(coder: BoostedCoder) -> None:
    text = (
        "Chief Complaint:\nchest pain\nPhysical Exam:\n"
        + "walked " * 300
        + "\nDischarge Diagnosis:\nhypertension CKD\n"
    )
    exam, end = text.index("walked"), text.index("\nDischarge Diagnosis")
    sections = [
        {"name": "chief_complaint", "clean_start": 17, "clean_end": text.index("Physical")},
        {"name": "physical_exam", "clean_start": exam, "clean_end": end},
        {"name": "discharge_diagnosis", "clean_start": text.index("hyper"), "clean_end": len(text)},
    ]
    ((embedded, left_out),) = coder.embedder.read(pa.record_batch({"text": [text], "sections": [sections]}))
    assert left_out > 0
    spans = [span for spans in embedded.spans(text) for span in spans]
    assert len(embedded.spans(text)) == len(embedded.sizes)
    covered = "".join(text[a:b] for a, b in spans)
    assert "hypertension CKD" in covered and covered.count("walked") < 60
    assert sum(b - a for a, b in spans) < 450


def test_a_note_without_words_is_scored_and_has_no_evidence(coder: BoostedCoder) -> None:
    batch = whole(TEST).slice(0, 1)
    empty = batch.set_column(batch.schema.get_field_index("text"), "text", pa.array([" "]))
    empty = empty.set_column(
        empty.schema.get_field_index("sections"), "sections", pa.array([[]], batch.column("sections").type)
    )
    assert np.isfinite(coder.scores([empty])).all()
    assert coder.evidence([empty], [["I10"]]) == [[[]]]


def test_a_damaged_or_foreign_folder_is_refused(tmp_path: Path, encoder: Path) -> None:
    fitted(tmp_path / "model", encoder)
    file = tmp_path / "model/encoder/config.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ArtifactError, match=r"encoder/config\.json: not the bytes"):
        Artifact(tmp_path / "model")
    with writing(tmp_path / "older", "test") as writer:
        writer.json("coder.json", {"coder": "boosted", "codes": [], "params": {"depth": 3}})
    with pytest.raises(ArtifactError, match="another version"):
        load_coder(Artifact(tmp_path / "older"))


def test_chunks_longer_than_the_encoder_reads_are_refused_by_their_key(encoder: Path) -> None:
    with pytest.raises(DataError, match=r"boosted\.chunk_tokens: this encoder reads at most \d+"):
        Embedder(Artifact(encoder), None, 100_000)


def test_features_of_no_notes_have_the_width_of_all(coder: BoostedCoder) -> None:
    assert features(coder.embedder, []).shape == (0, len(FACTS) + 32)
