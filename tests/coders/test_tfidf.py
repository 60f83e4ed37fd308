"""The linear coder is scikit-learn's reference, survives its own storage, and points at words that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import FloatArray, LabelledNotes, Span
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from chartcode.coders.tfidf import MOST_SPANS, TfidfCoder, TfidfParams
from chartcode.errors import DataError
from chartcode.tables.cleaning import clean_batch
from tests.coders.cases import labelled

PARAMS = TfidfParams(
    ngram_range=(1, 2), min_df=2, max_features=2000, sublinear_tf=True, C=1.0, class_weight="balanced", prune=0.0
)
WORDS = ["hypertension", "HTN", "diabétes", "metformin", "afebrile", "denies", "chest", "pain", "CKD", "creatinine"]
CODES = ("I10", "E119", "N189")


def notes(count: int, seed: int) -> LabelledNotes:
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < [0.5, 0.3, 0.1]).astype(np.int8)
    texts = []
    for row in labels:
        words = list(rng.choice(WORDS, 30))
        words += ["Hypertension", "high BP"] * int(row[0]) + ["metformin dose"] * int(row[1])
        rng.shuffle(words)
        texts.append("  \n" + " ".join(words) + "  ______ .\n")
    cleaned = clean_batch(pa.array(texts))
    batch = pa.RecordBatch.from_arrays(
        [pa.array(texts), cleaned.field("text"), cleaned.field("edits")], names=["source", "text", "edits"]
    )

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, count, 37):
            yield batch.slice(start, 37).select(list(columns))

    return labelled(read, labels, CODES)


def fitted(folder: Path, train: LabelledNotes, **change: Any) -> TfidfCoder:
    """A coder from its folder."""
    with writing(folder, "test") as writer:
        TfidfCoder.fit(PARAMS.model_copy(update=change), train, notes(20, 2), writer)
    return TfidfCoder.load(Artifact(folder))


def evidence(coder: TfidfCoder, cohort: LabelledNotes, code: str) -> list[list[Span]]:
    """Of one code, asked of every note."""
    return [spans for (spans,) in coder.evidence(cohort.read(["text", "edits"]), [[code]] * len(cohort.hadm_ids))]


def scores(coder: TfidfCoder, cohort: LabelledNotes) -> FloatArray:
    """Of its notes, codes in the order of CODES."""
    return coder.scores(cohort.read(coder.reads))[:, [coder.codes.index(code) for code in CODES]]


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> TfidfCoder:
    return fitted(tmp_path_factory.mktemp("coder") / "model", notes(200, 1))


def test_weights_and_scores_are_those_of_the_reference(coder: TfidfCoder) -> None:
    train, test = notes(200, 1), notes(60, 3)
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_features=2000, sublinear_tf=True, lowercase=True, strip_accents="unicode"
    )
    model = OneVsRestClassifier(LogisticRegression(C=1, class_weight="balanced", solver="liblinear"))
    model.fit(vectorizer.fit_transform(train.texts()), train.labels.toarray())
    assert coder.terms.terms_ == vectorizer.get_feature_names_out().tolist()
    assert coder.codes == sorted(CODES, key=lambda code: -train.labels.sum(axis=0).A1[CODES.index(code)])
    weights = np.hstack(list(coder.weights()))[:, [coder.codes.index(code) for code in CODES]]
    np.testing.assert_allclose(weights.T, np.vstack([e.coef_[0] for e in model.estimators_]), atol=1e-3)
    expected = model.predict_proba(vectorizer.transform(test.texts()))
    np.testing.assert_allclose(scores(coder, test), expected, atol=1e-4)


def test_fitting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        fitted(tmp_path / name, notes(200, 1))
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


def many_codes(count: int) -> LabelledNotes:
    """Notes with more codes than a block holds, most of them rare."""
    train = notes(200, 1)
    labels = (np.random.default_rng(7).random((200, count)) < np.linspace(0.5, 0.01, count)).astype(np.int8)
    codes = [f"Z{number:03}" for number in range(count)]
    return dataclasses.replace(train, labels=sp.csr_matrix(labels), codes=codes)


def test_more_codes_than_a_block_come_back_in_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = many_codes(75), notes(30, 3)
    coder = fitted(tmp_path / "model", train)
    assert sorted(coder.codes) == list(train.codes)
    counts = dict(zip(train.codes, train.labels.sum(axis=0).A1.tolist(), strict=True))
    assert [counts[code] for code in coder.codes] == sorted(counts.values(), reverse=True)
    features = coder.terms.transform(batch.column("text") for batch in train.read(["text"]))
    solver = OneVsRestLogistic(class_weight="balanced").fit(features, train.labels)
    of_test = coder.terms.transform(batch.column("text") for batch in test.read(["text"]))
    expected = solver.predict_proba(of_test)[:, [train.codes.index(code) for code in coder.codes]]
    held = coder.scores(test.read(coder.reads))
    np.testing.assert_allclose(held, expected, atol=1e-6)
    monkeypatch.setattr("chartcode.coders.tfidf.HELD", 0)
    streamed = TfidfCoder.load(Artifact(tmp_path / "model")).scores(test.read(coder.reads))
    assert streamed.tobytes() == held.tobytes()


def test_a_weight_that_is_not_stored_is_smaller_than_prune(tmp_path: Path) -> None:
    train, test = many_codes(40), notes(30, 3)
    whole, part = (fitted(tmp_path / f"{prune}", train, prune=prune) for prune in (0.0, 0.05))
    before, after = (np.hstack(list(coder.weights())) for coder in (whole, part))
    assert np.array_equal(after, np.where(np.abs(before) < 0.05, 0, before))
    assert 0 < np.count_nonzero(after) < np.count_nonzero(before)
    logits = [np.log(s / (1 - s)) for s in (coder.scores(test.read(coder.reads)) for coder in (whole, part))]
    sizes = np.abs(whole.terms.transform(b.column("text") for b in test.read(["text"]))).sum(axis=1)
    assert (np.abs(logits[0] - logits[1]) <= 0.05 * sizes[:, None] + 1e-4).all()
    best, other = (evidence(coder, test, "Z039") for coder in (whole, part))
    assert [spans[0].start for spans in other if spans] == [b[0].start for b, o in zip(best, other, strict=True) if o]


def test_scores_do_not_depend_on_batches_or_order(coder: TfidfCoder) -> None:
    whole = pa.Table.from_batches(notes(60, 3).read(["text"])).combine_chunks().to_batches()[0]
    found = coder.scores([whole])
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    one_by_one = coder.scores(whole.slice(i, 1) for i in range(60))
    np.testing.assert_allclose(one_by_one, found, atol=1e-6)
    turned = coder.scores([whole.take(pa.array(range(59, -1, -1)))])
    np.testing.assert_allclose(turned[::-1], found, atol=1e-6)


def test_evidence_points_at_words_of_the_source_note_that_speak_for_the_code(coder: TfidfCoder) -> None:
    test = notes(30, 4)
    sources = [s for b in test.read(["source"]) for s in b.column("source").to_pylist()]
    found = evidence(coder, test, "I10")
    assert len(found) == 30
    best = []
    for source, spans in zip(sources, found, strict=True):
        weights = [s.weight for s in spans]
        assert weights == sorted(weights, reverse=True)
        assert all(0 <= s.start < s.end <= len(source) and s.weight > 0 for s in spans)
        assert all(source[s.start : s.end] == source[s.start : s.end].strip() for s in spans)
        best += [source[s.start : s.end].lower() for s in spans[:1]]
    assert sum("hypertension" in b or "bp" in b or "high" in b for b in best) > len(best) / 2


def test_evidence_of_many_codes_is_the_evidence_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More codes than a block, other codes of every note, some twice, some notes with none: in their places."""
    coder, test = fitted(tmp_path / "model", many_codes(75)), notes(30, 4)
    rng = np.random.default_rng(1)
    asked = [rng.choice(coder.codes, rng.integers(0, 6)).tolist() for _ in range(30)]
    found = coder.evidence(test.read(["text", "edits"]), asked)
    alone = {code: evidence(coder, test, code) for code in sorted({code for codes in asked for code in codes})}
    assert found == [[alone[code][row] for code in codes] for row, codes in enumerate(asked)]
    monkeypatch.setattr("chartcode.coders.tfidf.HELD", 0)
    assert TfidfCoder.load(Artifact(tmp_path / "model")).evidence(test.read(["text", "edits"]), asked) == found


def test_evidence_is_the_terms_that_raise_the_score_by_as_much(coder: TfidfCoder) -> None:
    """Against the plain definition: value of the term in its note times weight, for every place it stands at."""
    test = notes(10, 4)
    features = coder.terms.transform(batch.column("text") for batch in test.read(["text"])).toarray()
    weights = np.hstack(list(coder.weights()))[:, coder.codes.index("E119")]
    sources = [s for b in test.read(["source"]) for s in b.column("source").to_pylist()]
    for row, (text, spans) in enumerate(zip(test.texts(), evidence(coder, test, "E119"), strict=True)):
        added = [features[row, t] * weights[t] for _, _, t in coder.terms.occurrences(text) if weights[t] > 0]
        np.testing.assert_allclose([s.weight for s in spans], sorted(added, reverse=True)[:MOST_SPANS], rtol=1e-6)
        for span in spans:
            term = " ".join(sources[row][span.start : span.end].lower().replace("é", "e").split())
            column = coder.terms.terms_.index(term)
            assert span.weight == pytest.approx(features[row, column] * weights[column])


def test_evidence_for_an_unknown_code_is_refused(coder: TfidfCoder) -> None:
    with pytest.raises(DataError, match="not in this coder's label space"):
        evidence(coder, notes(3, 4), "Z99")


def test_a_label_with_one_class_in_train_gets_that_class(tmp_path: Path) -> None:
    train = notes(50, 5)
    labels = train.labels.toarray()
    labels[:, 1], labels[:, 2] = 0, 1
    coder = fitted(tmp_path / "model", dataclasses.replace(train, labels=sp.csr_matrix(labels)))
    found = scores(coder, notes(10, 6))
    assert (found[:, 1] < 1e-6).all()
    assert (found[:, 2] > 1 - 1e-6).all()


def test_no_common_word_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tfidf\.min_df"):
        fitted(tmp_path / "model", notes(20, 1), min_df=10_000)
    assert not (tmp_path / "model").exists()
