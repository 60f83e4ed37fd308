"""What kind of note a note is: document types and specialties, by a linear classifier of its words.

Fitted on MTSamples, where the same text stands in several rows, once under each of its types. Texts are taken once
(equal but for blanks) and carry all their types: a text may be at once `Surgery` and `Orthopedic`. Words and pairs of
words weighed by TF-IDF, one logistic regression a type, one threshold for all types found by cross-validation.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from chartcode.artifacts import Artifact, Writer, writing
from chartcode.errors import DataError
from chartcode.lineage import code_digest

Array = np.ndarray[Any, Any]
RAREST = 20  # texts that a type must have
FOLDS, SEED = 5, 7
C = 30.0


class Labelled(NamedTuple):
    """Different texts, the names of types, and which text has which (N, K)."""

    texts: list[str]
    types: list[str]
    truth: Array


class Fitted(NamedTuple):
    """How much was learned from."""

    texts: int
    types: int


def read_labelled(path: Path, rarest: int = RAREST) -> Labelled:
    """MTSamples' table (columns transcription and medical_specialty), each text once with all its types.

    Types of fewer than `rarest` texts are left out, and texts that have no other. Raises DataError where the columns
    are not there or nothing is left.
    """
    csv.field_size_limit(1 << 24)
    opened = gzip.open if path.suffix == ".gz" else open
    found: dict[str, set[str]] = {}
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                text = " ".join(row["transcription"].split())
                if text:
                    found.setdefault(text, set()).add(row["medical_specialty"].strip())
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (KeyError, AttributeError, TypeError, OSError, UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: not a CSV with the columns transcription and medical_specialty") from None
    counts: dict[str, int] = {}
    for kinds in found.values():
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
    types = sorted(kind for kind, count in counts.items() if kind and count >= rarest)
    texts = sorted(text for text, kinds in found.items() if kinds & set(types))
    if len(texts) < FOLDS or len(types) < 2:
        raise DataError(f"{path}: fewer than two types with {rarest} texts; nothing to learn from")
    truth = np.array([[kind in found[text] for kind in types] for text in texts], np.int8)
    return Labelled(texts, types, truth)


@dataclass(frozen=True)
class NoteTypes:
    """A fitted classifier: words (V,), their idf (V,), weights (V, K), bias (K,), the threshold of a type's score."""

    names: list[str]
    vectorizer: TfidfVectorizer
    weights: Array
    bias: Array
    threshold: float

    @classmethod
    def fit(cls, labelled: Labelled) -> NoteTypes:
        """Fit on all texts; the threshold is the best by micro-F1 of cross-validated scores."""
        scores = cross_validated(labelled)
        vectorizer, weights, bias = _fit(labelled.texts, labelled.truth)
        return cls(labelled.types, vectorizer, weights, bias, best_threshold(scores, labelled.truth))

    def scores(self, texts: Sequence[str]) -> Array:
        """Probability of each type (N, K)."""
        return _sigmoid(self.vectorizer.transform(texts) @ self.weights + self.bias)

    def types(self, texts: Sequence[str]) -> list[list[str]]:
        """The types of each text, likeliest first; at least one."""
        found = []
        for row in self.scores(texts):
            order = np.argsort(-row, kind="stable")
            found.append(
                [self.names[place] for rank, place in enumerate(order) if not rank or row[place] >= self.threshold]
            )
        return found

    def write(self, writer: Writer) -> None:
        """note_types.json (names, words, threshold) and note_types.npz (idf, weights, bias)."""
        words = sorted(self.vectorizer.vocabulary_, key=self.vectorizer.vocabulary_.__getitem__)
        writer.json("note_types.json", {"names": self.names, "words": words, "threshold": self.threshold})
        writer.npz("note_types.npz", idf=self.vectorizer.idf_, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, artifact: Artifact) -> NoteTypes:
        """What `write` wrote."""
        known, arrays = artifact.json("note_types.json"), artifact.npz("note_types.npz")
        vectorizer = _vectorizer(vocabulary={word: place for place, word in enumerate(known["words"])})
        vectorizer.idf_ = arrays["idf"]
        return cls(known["names"], vectorizer, arrays["weights"], arrays["bias"], known["threshold"])


def fit_file(path: Path, out: Path) -> Fitted:
    """Fit on the table `path`, write the classifier to the new folder `out`."""
    if out.exists():
        raise DataError(f"{out}: exists; name a new folder")
    labelled = read_labelled(path)
    with writing(out, path.name, code=code_digest("src/chartcode/extraction/note_types.py")) as writer:
        NoteTypes.fit(labelled).write(writer)
    return Fitted(len(labelled.texts), len(labelled.types))


def cross_validated(labelled: Labelled, folds: int = FOLDS) -> Array:
    """Scores (N, K) of each text by a classifier that has not seen it."""
    scores = np.zeros(labelled.truth.shape)
    for learn, judge in KFold(folds, shuffle=True, random_state=SEED).split(labelled.texts):
        vectorizer, weights, bias = _fit([labelled.texts[place] for place in learn], labelled.truth[learn])
        seen = vectorizer.transform([labelled.texts[place] for place in judge])
        scores[judge] = _sigmoid(seen @ weights + bias)
    return scores


def called(scores: Array, truth: Array, folds: int = FOLDS) -> Array:
    """Which types cross-validated scores (N, K) call, the threshold of a fold being the best of the others."""
    found = np.zeros(truth.shape, bool)
    for rest, judge in KFold(folds, shuffle=True, random_state=SEED).split(scores):
        found[judge] = scores[judge] >= best_threshold(scores[rest], truth[rest])
    return found


def best_threshold(scores: Array, truth: Array) -> float:
    """The threshold of 0.05, 0.06 ... 0.95 with the best micro-F1, the lowest of equals."""
    grid = np.arange(5, 96) / 100
    found = [2 * (truth * (scores >= tau)).sum() / ((scores >= tau).sum() + truth.sum()) for tau in grid]
    return float(grid[int(np.argmax(found))])


def _vectorizer(**more: Any) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", dtype=np.float64, **more)


def _fit(texts: Sequence[str], truth: Array) -> tuple[TfidfVectorizer, Array, Array]:
    vectorizer = _vectorizer(min_df=3, max_features=40_000)
    seen: csr_matrix = vectorizer.fit_transform(texts)
    weights, bias = np.zeros((seen.shape[1], truth.shape[1]), np.float32), np.zeros(truth.shape[1])
    for place in range(truth.shape[1]):
        if truth[:, place].min() == truth[:, place].max():
            bias[place] = -20.0 if truth[0, place] == 0 else 20.0  # a fold may hold one kind alone
            continue
        model = LogisticRegression(C=C, solver="liblinear", random_state=SEED).fit(seen, truth[:, place])
        weights[:, place], bias[place] = model.coef_[0], model.intercept_[0]
    return vectorizer, weights, bias


def _sigmoid(values: Any) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))
