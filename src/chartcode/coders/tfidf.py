"""The linear baseline: TF-IDF word n-grams and one logistic regression a code, as the field's reference has it.

Recipe: scikit-learn `TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=200000, sublinear_tf=True,
strip_accents="unicode")` and `OneVsRestClassifier(LogisticRegression(C=1, class_weight="balanced",
solver="liblinear"))`, both made anew for speed (`terms.py`, `logistic.py`) and held to the originals by tests.
Evidence is the n-grams that speak for a code.

A folder holds coder.json (params), terms.parquet (term, idf; in the order of the features) and weights.parquet: a row a
code, the commonest first, with its weights of PRUNE or more and their features; row groups of BLOCK codes are written
as they are fitted and read as they are needed, so neither takes the memory of a whole label space.
Legend: N notes, L labels, F features, B labels of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from scipy.special import expit

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import MOST_SPANS, Coder, FloatArray, LabelledNotes, Span
from chartcode.coders.terms import TfidfTerms
from chartcode.errors import ArtifactError, ParamsError
from chartcode.logs import log
from chartcode.parallel import in_order
from chartcode.params import Positive, Section, parse
from chartcode.tables.cleaning import to_source

BLOCK = 32  # codes fitted, stored and scored together
HELD = 1 << 26  # weights kept between calls of `scores` at most, 256 MB
WEIGHTS = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("bias", pa.float32(), nullable=False),
        pa.field("features", pa.large_list(pa.int32()), nullable=False),
        pa.field("weights", pa.large_list(pa.float32()), nullable=False),
        pa.field("gap", pa.float64(), nullable=False),  # bound of the duality gap, relative to the objective
        pa.field("sweeps", pa.int64(), nullable=False),
    ]
)
# Neighbouring numbers, and bytes of like place, together: two thirds of the size, and quicker to read.
PACKED = {"features.list.element": "DELTA_BINARY_PACKED", "weights.list.element": "BYTE_STREAM_SPLIT"}


class TfidfParams(Section):
    """Knobs of the linear baseline."""

    section: ClassVar[str] = "tfidf"
    ngram_range: Annotated[tuple[Positive, Positive], Field(strict=False)]
    min_df: Positive
    max_features: Positive | None
    sublinear_tf: bool
    C: Annotated[float, Field(gt=0)]
    class_weight: Literal["balanced"] | None
    prune: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _shortest_first(self) -> Self:
        if self.ngram_range[0] > self.ngram_range[1]:
            raise ValueError("ngram_range must name the shortest n-gram first")
        return self


class TfidfCoder(Coder[TfidfParams]):
    """TF-IDF and one-vs-rest logistic regression."""

    name: ClassVar[str] = "tfidf"
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, artifact: Artifact) -> None:
        described = artifact.json("coder.json")["params"]
        try:
            params = parse(TfidfParams, described, artifact.path("coder.json"))
        except ParamsError as error:
            raise ArtifactError(f"{error} (fitted by another version?); fit the coder anew") from None
        terms = artifact.table("terms.parquet")
        self.terms = TfidfTerms.restore(
            terms["term"].to_pylist(), terms["idf"].to_numpy(), params.ngram_range, params.sublinear_tf
        )
        fitted = artifact.table("weights.parquet", ["code", "bias"])
        self.codes = fitted["code"].to_pylist()
        self.bias = fitted["bias"].to_numpy()  # (L,)
        self._artifact = artifact

    @classmethod
    def fit(cls, params: TfidfParams, train: LabelledNotes, val: LabelledNotes, writer: Writer) -> None:  # noqa: ARG003 - a linear model needs no val
        """Fit terms, idf and weights on train. A label with one class in train gets that class's score."""
        from chartcode.coders.logistic import Solver  # scoring needs none

        terms = TfidfTerms(params.ngram_range, params.min_df, params.max_features, params.sublinear_tf)
        features = terms.fit_transform(batch.column("text") for batch in train.read(["text"]))  # (N, F)
        writer.json("coder.json", {"coder": cls.name, "params": params.model_dump(mode="json")})
        writer.parquet("terms.parquet", pa.table({"term": terms.terms_, "idf": terms.idf_}), dictionary=False)
        solver = Solver(C=params.C, class_weight=params.class_weight, block=BLOCK, progress=True)
        blocks = solver.blocks(features, train.labels, overwrite_X=True)
        rows = (_stored(block, train.codes, params.prune) for block in blocks)
        writer.parquet("weights.parquet", rows, WEIGHTS, dictionary=False, row_group=BLOCK, encoding=PACKED)
        fitted = writer.table("weights.parquet", ["gap", "sweeps"])
        worst, most = (pc.max(fitted[name]).as_py() for name in ("gap", "sweeps"))
        level = log("tfidf").info if worst <= solver.tol else log("tfidf").warning  # C may be too large to get there
        level("fitted", codes=fitted.num_rows, terms=len(terms.terms_), largest_gap=worst, most_sweeps=most)

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        return cls(artifact)

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Sigmoid of the linear scores, float32 (N, L)."""
        features = self.terms.transform(batch.column("text") for batch in notes)
        scores = np.empty((features.shape[0], len(self.codes)), np.float32)
        starts = range(0, len(self.codes), BLOCK)
        logits = in_order(self.terms.threads, lambda weights: features @ weights, self.weights())
        for start, found in zip(starts, logits, strict=True):
            part = slice(start, start + BLOCK)
            expit(found + self.bias[part], out=scores[:, part])
        return scores

    def weights(self) -> Iterator[FloatArray]:
        """The weights (F, B) of BLOCK codes at a time, in the order of `codes`."""
        if len(self.codes) * len(self.terms.terms_) <= HELD:
            yield from self._held
        else:
            yield from self._read()

    @cached_property
    def _held(self) -> list[FloatArray]:
        return list(self._read())

    def _read(self) -> Iterator[FloatArray]:
        for rows in self._artifact.batches("weights.parquet", ["features", "weights"], BLOCK):
            yield _dense(rows, len(self.terms.terms_))

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The n-grams with the largest positive contribution to each code, as spans of the source note."""
        columns = self.columns_of(asked)
        read = [note for batch in notes for note in self._occurrences(batch)]
        wanted: dict[int, list[tuple[int, int]]] = {}  # (note, place among its codes) by label
        for row, labels in enumerate(columns):
            for place, label in enumerate(labels):
                wanted.setdefault(label, []).append((row, place))
        found: list[list[list[Span]]] = [[[] for _ in codes] for codes in asked]
        for block, weights in enumerate(self.weights() if wanted else ()):
            for column in range(weights.shape[1]):
                for row, place in wanted.get(block * BLOCK + column, ()):
                    found[row][place] = read[row].strongest(weights[:, column])
        return found

    def _occurrences(self, batch: pa.RecordBatch) -> Iterator[_Occurrences]:
        features = self.terms.transform([batch.column("text")])
        texts, edits = batch.column("text").to_pylist(), batch.column("edits").to_pylist()
        for row, (text, edit) in enumerate(zip(texts, edits, strict=True)):
            entries = slice(features.indptr[row], features.indptr[row + 1])
            places = np.array(list(self.terms.occurrences(text)), np.int32).reshape(-1, 3)
            values = features.data[entries][np.searchsorted(features.indices[entries], places[:, 2])]
            yield _Occurrences(places, values, [(e["clean_start"], e["source_start"], e["length"]) for e in edit])


class _Occurrences(NamedTuple):
    """Where the terms of a note stand: start and end in the clean text, column of the term (T, 3), its value (T,)."""

    places: np.ndarray[Any, Any]
    values: FloatArray
    segments: list[tuple[int, int, int]]

    def strongest(self, weights: FloatArray) -> list[Span]:
        """The MOST_SPANS occurrences that add most to a logit, those that lower it aside; weights (F,)."""
        added = self.values * weights[self.places[:, 2]]
        order = np.lexsort((self.places[:, 1], self.places[:, 0], -added))[:MOST_SPANS]
        best = order[added[order] > 0]
        places = to_source(self.places[best, :2].tolist(), self.segments)
        return [Span(start, end, float(added[row])) for (start, end), row in zip(places, best, strict=True)]


def _stored(block: Any, codes: Sequence[str], prune: float) -> pa.RecordBatch:
    """Fitted labels as rows of weights.parquet. A weight left out moves a logit by less than `prune` x its feature."""
    kept = (np.abs(block.coef) >= prune) & (block.coef != 0)  # (B, F)
    ends = np.append(0, np.cumsum(np.count_nonzero(kept, axis=1)))
    features = pa.LargeListArray.from_arrays(ends, np.nonzero(kept)[1].astype(np.int32))
    weights = pa.LargeListArray.from_arrays(ends, block.coef[kept])
    names = [codes[label] for label in block.labels]
    return pa.record_batch([names, block.intercept, features, weights, block.gap, block.sweeps], schema=WEIGHTS)


def _dense(rows: pa.RecordBatch, features: int) -> FloatArray:
    """Weights (F, B) of rows of weights.parquet."""
    dense = np.zeros((features, rows.num_rows), np.float32)
    lists = rows.column("features")
    code = np.repeat(np.arange(rows.num_rows), lists.value_lengths().to_numpy())
    dense[lists.flatten().to_numpy(), code] = rows.column("weights").flatten().to_numpy()
    return dense
