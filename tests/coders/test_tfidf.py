"""The linear coder is scikit-learn's reference, survives its own storage, and points at words that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import LabelledNotes
from chartcode.coders.tfidf import TfidfCoder, TfidfParams
from chartcode.errors import DataError
from chartcode.tables.cleaning import clean_batch

PARAMS = TfidfParams(ngram_range=(1, 2), min_df=2, max_features=2000, sublinear_tf=True, C=1.0, class_weight="balanced")
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

    def read() -> Iterator[pa.RecordBatch]:
        for start in range(0, count, 37):
            yield batch.slice(start, 37)

    return LabelledNotes(read, sp.csr_matrix(labels), CODES, np.arange(count))


@pytest.fixture(scope="module")
def coder() -> TfidfCoder:
    fitted = TfidfCoder(PARAMS)
    fitted.fit(notes(200, 1), notes(20, 2))
    return fitted


def test_weights_and_scores_are_those_of_the_reference(coder: TfidfCoder) -> None:
    train, test = notes(200, 1), notes(60, 3)
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_features=2000, sublinear_tf=True, lowercase=True, strip_accents="unicode"
    )
    model = OneVsRestClassifier(LogisticRegression(C=1, class_weight="balanced", solver="liblinear"))
    model.fit(vectorizer.fit_transform(train.texts()), train.labels.toarray())
    assert coder.terms.terms_ == vectorizer.get_feature_names_out().tolist()
    np.testing.assert_allclose(coder.weights, np.vstack([e.coef_[0] for e in model.estimators_]), atol=1e-3)
    expected = model.predict_proba(vectorizer.transform(test.texts()))
    np.testing.assert_allclose(coder.scores(test.read()), expected, atol=1e-4)


def test_fitting_twice_gives_the_same_weights() -> None:
    weights = set()
    for _ in range(4):
        fitted = TfidfCoder(PARAMS)
        fitted.fit(notes(200, 1), notes(20, 2))
        weights.add(fitted.weights.tobytes())
    assert len(weights) == 1


def test_a_coder_comes_back_from_its_folder_the_same(coder: TfidfCoder, tmp_path: Path) -> None:
    with writing(tmp_path / "model", "test") as writer:
        coder.save(writer)
    again = TfidfCoder.load(Artifact(tmp_path / "model"))
    test = notes(60, 3)
    assert list(again.codes) == list(CODES)
    np.testing.assert_array_equal(again.scores(test.read()), coder.scores(test.read()))


def test_scores_do_not_depend_on_batches_or_order(coder: TfidfCoder) -> None:
    whole = pa.Table.from_batches(notes(60, 3).read()).combine_chunks().to_batches()[0]
    scores = coder.scores([whole])
    assert scores.dtype == np.float32
    assert scores.shape == (60, 3)
    one_by_one = coder.scores(whole.slice(i, 1) for i in range(60))
    np.testing.assert_allclose(one_by_one, scores, atol=1e-6)
    turned = coder.scores([whole.take(pa.array(range(59, -1, -1)))])
    np.testing.assert_allclose(turned[::-1], scores, atol=1e-6)


def test_evidence_points_at_words_of_the_source_note_that_speak_for_the_code(coder: TfidfCoder) -> None:
    test = notes(30, 4)
    sources = [s for b in test.read() for s in b.column("source").to_pylist()]
    found = coder.evidence(test.read(), "I10")
    assert len(found) == 30
    best = []
    for source, spans in zip(sources, found, strict=True):
        weights = [s.weight for s in spans]
        assert weights == sorted(weights, reverse=True)
        assert all(0 <= s.start < s.end <= len(source) and s.weight > 0 for s in spans)
        assert all(source[s.start : s.end] == source[s.start : s.end].strip() for s in spans)
        best += [source[s.start : s.end].lower() for s in spans[:1]]
    assert sum("hypertension" in b or "bp" in b or "high" in b for b in best) > len(best) / 2


def test_evidence_for_an_unknown_code_is_refused(coder: TfidfCoder) -> None:
    with pytest.raises(DataError, match="not in this coder's label space"):
        coder.evidence(notes(3, 4).read(), "Z99")


def test_a_label_with_one_class_in_train_gets_that_class(tmp_path: Path) -> None:
    train = notes(50, 5)
    labels = train.labels.toarray()
    labels[:, 1], labels[:, 2] = 0, 1
    fitted = TfidfCoder(PARAMS)
    fitted.fit(LabelledNotes(train.read, sp.csr_matrix(labels), CODES, train.hadm_ids), train)
    scores = fitted.scores(notes(10, 6).read())
    assert (scores[:, 1] < 1e-6).all()
    assert (scores[:, 2] > 1 - 1e-6).all()


def test_no_common_word_is_named() -> None:
    rare = TfidfCoder(PARAMS.model_copy(update={"min_df": 10_000}))
    with pytest.raises(DataError, match=r"tfidf\.min_df"):
        rare.fit(notes(20, 1), notes(5, 1))
