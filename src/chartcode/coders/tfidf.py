"""The linear baseline: TF-IDF word n-grams and one logistic regression a code, as the field's reference has it.

Recipe: scikit-learn `TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=200000, sublinear_tf=True,
strip_accents="unicode")` and `OneVsRestClassifier(LogisticRegression(C=1, class_weight="balanced",
solver="liblinear"))`. Stored as terms, idf and weights; evidence is the n-grams that speak for a code.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field, model_validator
from safetensors.numpy import load_file, save
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import Coder, FloatArray, LabelledNotes, Span
from chartcode.errors import DataError
from chartcode.params import Positive, Section
from chartcode.tables.cleaning import to_source

TOKEN = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default: words of two characters or more
_CERTAIN = np.float32(30)  # a logit whose sigmoid is 0 or 1 in float32
MOST_SPANS = 50  # evidence spans a note and code


class TfidfParams(Section):
    """Knobs of the linear baseline."""

    section: ClassVar[str] = "tfidf"
    ngram_range: Annotated[tuple[Positive, Positive], Field(strict=False)]
    min_df: Positive
    max_features: Positive | None
    sublinear_tf: bool
    C: Annotated[float, Field(gt=0)]
    class_weight: Literal["balanced"] | None

    @model_validator(mode="after")
    def _shortest_first(self) -> Self:
        if self.ngram_range[0] > self.ngram_range[1]:
            raise ValueError("ngram_range must name the shortest n-gram first")
        return self


class TfidfCoder(Coder):
    """TF-IDF and one-vs-rest logistic regression."""

    name: ClassVar[str] = "tfidf"

    def __init__(self, params: TfidfParams) -> None:
        self.params = params
        self.codes: list[str] = []
        self.vectorizer = self._new_vectorizer([])
        self.weights = np.zeros((0, 0), np.float32)  # (L, F)
        self.bias = np.zeros(0, np.float32)  # (L,)

    def _new_vectorizer(self, vocabulary: list[str]) -> TfidfVectorizer:
        return TfidfVectorizer(
            ngram_range=self.params.ngram_range,
            vocabulary=vocabulary,
            sublinear_tf=self.params.sublinear_tf,
            lowercase=True,
            strip_accents="unicode",
        )

    def fit(self, train: LabelledNotes, val: LabelledNotes) -> None:  # noqa: ARG002 - a linear model needs no val
        """Fit vocabulary, idf and weights on train. A label with one class in train gets that class's score."""
        features = self._fit_features(train)  # (N, F)
        self.codes = list(train.codes)
        self.weights = np.zeros((len(self.codes), features.shape[1]), np.float32)
        self.bias = np.zeros(len(self.codes), np.float32)
        labels = train.labels.tocsc()

        def fit_label(column: int) -> None:
            truth = labels[:, [column]].toarray().ravel()
            if truth.min() == truth.max():
                self.bias[column] = _CERTAIN if truth.max() else -_CERTAIN
                return
            # OneVsRestClassifier fits just this, label by label; here each label's weights become float32 at once.
            model = LogisticRegression(C=self.params.C, class_weight=self.params.class_weight, solver="liblinear")
            model.fit(features, truth)
            self.weights[column], self.bias[column] = model.coef_[0], model.intercept_[0]

        # Labels do not depend on each other and liblinear runs without the GIL. BLAS gets one thread: how it splits a
        # sum over the threads that are free changes weights near the tolerance, and costs time.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            every = pool.map(fit_label, range(len(self.codes)))
            list(tqdm(every, total=len(self.codes), desc="tfidf labels", disable=None, leave=False))

    def _fit_features(self, train: LabelledNotes) -> sp.csr_matrix:
        """TF-IDF of the train notes, vocabulary and idf fitted. Sorted and read-only, for labels are fitted at once:
        scikit-learn sorts an unsorted matrix in place, under the hands of the other threads.
        """
        p = self.params
        counter = CountVectorizer(
            ngram_range=p.ngram_range, min_df=p.min_df, lowercase=True, strip_accents="unicode", dtype=np.float64
        )
        try:
            counts = counter.fit_transform(train.texts())
        except ValueError:
            raise DataError("tfidf.min_df: no word is in so many train notes; lower it") from None
        terms = counter.get_feature_names_out()
        if p.max_features is not None and len(terms) > p.max_features:
            # By count, then name: scikit-learn's max_features breaks ties by an unstable sort that depends on the CPU.
            total = np.asarray(counts.sum(axis=0)).ravel()
            kept = np.sort(np.lexsort((terms, -total))[: p.max_features])
            counts, terms = counts[:, kept], terms[kept]
        weighting = TfidfTransformer(sublinear_tf=p.sublinear_tf)
        features = weighting.fit_transform(counts)
        self.vectorizer = self._new_vectorizer(terms.tolist())
        self.vectorizer.idf_ = weighting.idf_
        features.sort_indices()
        for array in (features.data, features.indices, features.indptr):
            array.flags.writeable = False
        return features

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Sigmoid of the linear scores, float32 (N, L)."""
        weights = self.weights.T.astype(np.float64)
        parts = [np.zeros((0, len(self.codes)), np.float32)]
        for batch in notes:
            features = self.vectorizer.transform(batch.column("text").to_pylist())
            logits = features @ weights + self.bias
            parts.append((1 / (1 + np.exp(-logits))).astype(np.float32))
        return np.concatenate(parts)

    def evidence(self, notes: Iterable[pa.RecordBatch], code: str) -> list[list[Span]]:
        """The n-grams with the largest positive contribution to `code`, as spans of the source note."""
        if code not in self.codes:
            raise DataError("code: not in this coder's label space")
        weights = self.weights[self.codes.index(code)]
        return [list(spans) for batch in notes for spans in self._batch_evidence(batch, weights)]

    def _batch_evidence(self, batch: pa.RecordBatch, weights: FloatArray) -> Iterator[list[Span]]:
        vocabulary = self.vectorizer.vocabulary_
        texts, edits = batch.column("text").to_pylist(), batch.column("edits").to_pylist()
        features = self.vectorizer.transform(texts)
        for row, (text, edit) in enumerate(zip(texts, edits, strict=True)):
            value = dict(zip(features[row].indices, features[row].data, strict=True))
            found = []
            for start, end, term in ngrams(text, self.params.ngram_range):
                feature = vocabulary.get(term)
                if feature in value and weights[feature] > 0:
                    found.append(Span(start, end, float(value[feature] * weights[feature])))
            best = sorted(found, key=lambda s: (-s.weight, s.start, s.end))[:MOST_SPANS]
            segments = [(e["clean_start"], e["source_start"], e["length"]) for e in edit]
            places = to_source([(s.start, s.end) for s in best], segments)
            yield [Span(start, end, span.weight) for (start, end), span in zip(places, best, strict=True)]

    def save(self, writer: Writer) -> None:
        """terms.json (in column order), weights.safetensors (weights (L, F), bias (L,), idf (F,)), coder.json."""
        writer.json("terms.json", self.vectorizer.get_feature_names_out().tolist())
        tensors = {"weights": self.weights, "bias": self.bias, "idf": self.vectorizer.idf_.astype(np.float64)}
        writer.path("weights.safetensors").write_bytes(save(tensors))
        writer.json("coder.json", {"codes": self.codes, "params": self.params.model_dump(mode="json")})

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        described = artifact.json("coder.json")
        coder = cls(TfidfParams.model_validate(described["params"]))
        tensors = load_file(artifact.path("weights.safetensors"))
        coder.codes = list(described["codes"])
        coder.weights, coder.bias = tensors["weights"], tensors["bias"]
        coder.vectorizer = coder._new_vectorizer(artifact.json("terms.json"))
        coder.vectorizer.idf_ = tensors["idf"]
        return coder


def ngrams(text: str, ngram_range: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
    """Every word n-gram as scikit-learn's analyser forms it, with its code-point span in `text`.

    Accents and case are folded character by character, so that a folded token can be traced to where it stands.
    """
    folded: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        plain = character.lower()
        if not plain.isascii():
            plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
        folded.append(plain)
        origin.extend([place] * len(plain))
    words = [(origin[m.start()], origin[m.end() - 1] + 1, m.group()) for m in TOKEN.finditer("".join(folded))]
    low, high = ngram_range
    for size in range(low, high + 1):
        for first in range(len(words) - size + 1):
            run = words[first : first + size]
            yield run[0][0], run[-1][1], " ".join(word for _, _, word in run)
