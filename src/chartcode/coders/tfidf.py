"""The linear baseline: TF-IDF word n-grams and one logistic regression a code, as the field's reference has it.

Recipe: scikit-learn `TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=200000, sublinear_tf=True,
strip_accents="unicode")` and `OneVsRestClassifier(LogisticRegression(C=1, class_weight="balanced",
solver="liblinear"))`, both made anew for speed (`terms.py`, `logistic.py`) and held to the originals by tests. Stored
as terms, idf and weights; evidence is the n-grams that speak for a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator
from safetensors.numpy import load_file, save
from scipy.special import expit

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import Coder, FloatArray, LabelledNotes, Span
from chartcode.coders.terms import TfidfTerms
from chartcode.errors import DataError
from chartcode.params import Positive, Section
from chartcode.tables.cleaning import to_source

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
        self.terms = TfidfTerms(params.ngram_range, params.min_df, params.max_features, params.sublinear_tf)
        self.weights = np.zeros((0, 0), np.float32)  # (L, F)
        self.bias = np.zeros(0, np.float32)  # (L,)

    def fit(self, train: LabelledNotes, val: LabelledNotes) -> None:  # noqa: ARG002 - a linear model needs no val
        """Fit terms, idf and weights on train. A label with one class in train gets that class's score."""
        from chartcode.coders.logistic import OneVsRestLogistic  # scoring needs no solver

        features = self.terms.fit_transform(batch.column("text") for batch in train.read())  # (N, F)
        model = OneVsRestLogistic(C=self.params.C, class_weight=self.params.class_weight, progress=True)
        model.fit(features, train.labels)
        self.codes, self.weights, self.bias = list(train.codes), model.coef_, model.intercept_

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Sigmoid of the linear scores, float32 (N, L)."""
        features = self.terms.transform(batch.column("text") for batch in notes)
        scores: FloatArray = expit(features @ self.weights.T + self.bias)
        return scores

    def evidence(self, notes: Iterable[pa.RecordBatch], code: str) -> list[list[Span]]:
        """The n-grams with the largest positive contribution to `code`, as spans of the source note."""
        if code not in self.codes:
            raise DataError("code: not in this coder's label space")
        weights = self.weights[self.codes.index(code)]
        return [list(spans) for batch in notes for spans in self._batch_evidence(batch, weights)]

    def _batch_evidence(self, batch: pa.RecordBatch, weights: FloatArray) -> Iterator[list[Span]]:
        features = self.terms.transform([batch.column("text")])
        texts, edits = batch.column("text").to_pylist(), batch.column("edits").to_pylist()
        for row, (text, edit) in enumerate(zip(texts, edits, strict=True)):
            entries = slice(features.indptr[row], features.indptr[row + 1])
            value = dict(zip(features.indices[entries].tolist(), features.data[entries].tolist(), strict=True))
            found = [
                Span(start, end, value[term] * float(weights[term]))
                for start, end, term in self.terms.occurrences(text)
                if weights[term] > 0
            ]
            best = sorted(found, key=lambda s: (-s.weight, s.start, s.end))[:MOST_SPANS]
            segments = [(e["clean_start"], e["source_start"], e["length"]) for e in edit]
            places = to_source([(s.start, s.end) for s in best], segments)
            yield [Span(start, end, span.weight) for (start, end), span in zip(places, best, strict=True)]

    def save(self, writer: Writer) -> None:
        """terms.json (in column order), weights.safetensors (weights (L, F), bias (L,), idf (F,)), coder.json."""
        writer.json("terms.json", self.terms.terms_)
        tensors = {"weights": self.weights, "bias": self.bias, "idf": self.terms.idf_}
        writer.path("weights.safetensors").write_bytes(save(tensors))
        writer.json("coder.json", {"codes": self.codes, "params": self.params.model_dump(mode="json")})

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        described = artifact.json("coder.json")
        params = TfidfParams.model_validate(described["params"])
        coder = cls(params)
        tensors = load_file(artifact.path("weights.safetensors"))
        coder.codes = list(described["codes"])
        coder.weights, coder.bias = tensors["weights"], tensors["bias"]
        terms = artifact.json("terms.json")
        coder.terms = TfidfTerms.restore(terms, tensors["idf"], params.ngram_range, params.sublinear_tf)
        return coder
