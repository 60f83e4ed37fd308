"""What every coder can do: learn from labelled notes, score every code of its label space, and point to its evidence.

Notes are batches of an Arrow table with silver's schema; scores are float32 (N, L) with columns named by `codes`, dense
or, of a coder with tens of thousands of codes, CSR: `cells`, `listed` and `dense` read either.
A coder that can score is one that was read from its folder: `fit` writes the model's files as they come, so a model may
be larger than memory, and what is judged is what is stored.
A new coder is one file, one stage and one params section; nothing downstream changes.
Legend: N notes, L labels, K codes that are no labels, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import ArtifactError, DataError
from chartcode.params import Section
from chartcode.tables.labels import Gold, read_gold

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
# FloatArray, or sp.csr_matrix (which has no types) where a coder has a label space of its own: a cell that is left out
# is a code that it did not consider for a note.
Scores: TypeAlias = Any
ParamsT = TypeVar("ParamsT", bound=Section)
BATCH = 512  # notes; 5 MB of discharge summaries
MOST_SPANS = 50  # evidence spans a note and code


class Span(NamedTuple):
    """Where a note speaks for a code: code points of the source note, end exclusive; larger weight, stronger."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class LabelledNotes:
    """Notes of one split or several, in silver's order, and their labels."""

    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]  # these columns of silver, from the first note on
    labels: sp.csr_matrix  # int8 (N, L)
    codes: Sequence[str]  # (L,)
    hadm_ids: np.ndarray[Any, Any]  # (N,) int64
    splits: np.ndarray[Any, Any]  # (N,) names
    subject_ids: np.ndarray[Any, Any]  # (N,) int64
    others: sp.csr_matrix  # int8 (N, K), for coders with a label space of their own
    other_codes: Sequence[str]  # (K,)

    def texts(self) -> Iterator[str]:
        """The clean texts, one note at a time."""
        for batch in self.read(["text"]):
            yield from batch.column("text").to_pylist()

    def some(self, chosen: np.ndarray[Any, Any]) -> LabelledNotes:
        """Those of them that are chosen (N,) bool, in their order."""

        def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
            row = 0
            for batch in self.read(columns):
                wanted = chosen[row : row + batch.num_rows]
                row += batch.num_rows
                if wanted.any():
                    yield batch.filter(pa.array(wanted))

        rows = np.flatnonzero(chosen)
        ids, splits, subjects = (found[rows] for found in (self.hadm_ids, self.splits, self.subject_ids))
        labels, others = self.labels[rows], self.others[rows]
        return LabelledNotes(read, labels, self.codes, ids, splits, subjects, others, self.other_codes)


class Coder(ABC, Generic[ParamsT]):
    """A fitted model that codes notes."""

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]  # columns of silver that `scores` looks at
    codes: Sequence[str]  # (L,) its label space, in the order of the columns of `scores`
    # Of a coder trained by epochs, an entry each: loss, and map and micro_f1 on val.
    history: Sequence[Mapping[str, float]] = ()

    @classmethod
    @abstractmethod
    def fit(cls, params: ParamsT, train: LabelledNotes, val: LabelledNotes, writer: Writer) -> None:
        """Learn from train and write the model; val serves early stopping and never the weights. Nothing is pickled."""

    @classmethod
    @abstractmethod
    def load(cls, artifact: Artifact) -> Self:
        """The coder of a verified model folder."""

    @abstractmethod
    def scores(self, notes: Iterable[pa.RecordBatch]) -> Scores:
        """Probability-like scores, float32 (N, L), rows in the order of the notes."""

    @abstractmethod
    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """For each note, and each of the codes asked of it, the spans that speak for the code, strongest first.

        Notes have the columns that `scores` looks at, and `edits`. They are read once, however many codes are asked.
        Raises DataError for a code outside the label space.
        """

    def columns_of(self, asked: Sequence[Sequence[str]]) -> list[list[int]]:
        """The columns of the codes asked of each note. Raises DataError for a code outside the label space."""
        column = {code: number for number, code in enumerate(self.codes)}
        if any(code not in column for codes in asked for code in codes):
            raise DataError("asked: a code is not in this coder's label space")
        return [[column[code] for code in codes] for codes in asked]


def gold_of(silver: Artifact, gold: Artifact) -> Gold:
    """The labels of silver's notes, row for row. Raises ArtifactError when gold is not of this silver."""
    labels = read_gold(gold)
    if not np.array_equal(labels.hadm_id, silver.table("notes.parquet", ["hadm_id"])["hadm_id"].to_numpy()):
        raise ArtifactError(f"{gold.folder}: its rows are not those of {silver.folder}; run `dvc repro`")
    return labels


def labelled_notes(silver: Artifact, labels: Gold, *splits: str) -> LabelledNotes:
    """The notes of these splits together. Raises DataError when one is empty."""
    rows = np.sort(np.concatenate([labels.rows(split) for split in splits]))
    mask = np.isin(labels.split, splits)

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        row = 0
        for batch in silver.batches("notes.parquet", columns, BATCH):
            wanted = mask[row : row + batch.num_rows]
            row += batch.num_rows
            if wanted.any():
                yield batch.filter(pa.array(wanted))

    ids, names, subjects = (found[rows] for found in (labels.hadm_id, labels.split, labels.subject_id))
    truth, others = (sp.csr_matrix(found[rows]) for found in (labels.truth, labels.others))
    return LabelledNotes(read, truth, labels.codes, ids, names, subjects, others, labels.other_codes)


def cells(scores: Scores, rows: Any, columns: Any) -> FloatArray:
    """The scores of cells (M,), by their rows and columns (M,); 0 where a cell is left out."""
    if not len(rows):  # of no cells SciPy makes a matrix
        return np.zeros(0, np.float32)
    found: FloatArray = np.asarray(scores[rows, columns], np.float32).ravel()
    return found


def listed(scores: Scores) -> Iterator[tuple[np.ndarray[Any, Any], FloatArray]]:
    """Of each note the columns that it has scores for, and the scores."""
    if not sp.issparse(scores):
        every = np.arange(scores.shape[1])
        yield from ((every, row) for row in scores)
        return
    for start, stop in zip(scores.indptr[:-1], scores.indptr[1:], strict=True):
        yield scores.indices[start:stop], scores.data[start:stop]


def dense(scores: Scores, columns: Sequence[int], left_out: float = 0.0) -> FloatArray:
    """These columns (N, M) of scores; a column of -1, and a cell that is left out, is `left_out`."""
    places = np.asarray(columns, np.int64)
    found = np.full((scores.shape[0], len(places)), left_out, np.float32)
    known = np.flatnonzero(places >= 0)
    if not sp.issparse(scores):
        found[:, known] = scores[:, places[known]]
        return found
    held = sp.coo_matrix(scores[:, places[known]])
    found[held.row, known[held.col]] = held.data
    return found


def write_scores(writer: Writer, coder: Coder[Any], notes: LabelledNotes, scores: Scores | None = None) -> None:
    """Score the notes, read once; `<split>.npz` each: scores float32 (N, L), hadm_ids (N,), codes (L,).

    Scores that are CSR stand as data, indices, indptr and shape. `scores` where they are known already.
    A coder trained by epochs leaves history.json too: `evaluate` draws it, and reads no model.
    """
    scores = coder.scores(notes.read(coder.reads)) if scores is None else scores
    if scores.shape != (len(notes.hadm_ids), len(coder.codes)) or scores.dtype != np.float32:
        raise TypeError(f"{coder.name}: scores must be float32 {(len(notes.hadm_ids), len(coder.codes))}")
    if coder.history:
        writer.json("history.json", list(coder.history))
    codes = np.array(list(coder.codes), dtype=str)
    for split in np.unique(notes.splits).tolist():
        rows = notes.splits == split
        hadm_ids = notes.hadm_ids[rows]
        writer.npz(f"{split}.npz", rows=len(hadm_ids), **stored(scores[rows]), hadm_ids=hadm_ids, codes=codes)


def stored(scores: Scores) -> dict[str, np.ndarray[Any, Any]]:
    """Scores as arrays of an npz file."""
    if not sp.issparse(scores):
        return {"scores": scores}
    indices, indptr = scores.indices.astype(np.int32), scores.indptr.astype(np.int64)
    return {"data": scores.data, "indices": indices, "indptr": indptr, "shape": np.array(scores.shape, np.int64)}


def restored(arrays: dict[str, np.ndarray[Any, Any]]) -> Scores:
    """The way back."""
    if "scores" in arrays:
        return arrays["scores"]
    return sp.csr_matrix(tuple(arrays[name] for name in ("data", "indices", "indptr")), shape=tuple(arrays["shape"]))
