"""What every coder can do: learn from labelled notes, score every code of its label space, and point to its evidence.

Notes are batches of an Arrow table with silver's schema; scores are float32 (N, L) with columns named by `codes`.
A new coder is one file, one stage and one params section; nothing downstream changes.
Legend: N notes, L labels, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import ArtifactError
from chartcode.tables.labels import read_gold

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
NOTE_COLUMNS = ("note_id", "text", "sections", "edits", "age", "sex")


class Span(NamedTuple):
    """Where a note speaks for a code: code points of the source note, end exclusive; larger weight, stronger."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class LabelledNotes:
    """One split: notes that can be read again and again, in row order, and their labels."""

    read: Callable[[], Iterator[pa.RecordBatch]]
    labels: sp.csr_matrix  # int8 (N, L)
    codes: Sequence[str]  # (L,)
    hadm_ids: np.ndarray[Any, Any]  # (N,) int64

    def texts(self) -> Iterator[str]:
        """The clean texts, one note at a time."""
        for batch in self.read():
            yield from batch.column("text").to_pylist()


class Coder(ABC):
    """A model that codes notes."""

    name: ClassVar[str]
    codes: Sequence[str]  # (L,) its label space, in the order of the columns of `scores`

    @abstractmethod
    def fit(self, train: LabelledNotes, val: LabelledNotes) -> None:
        """Learn from train; val serves early stopping and never the weights."""

    @abstractmethod
    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Probability-like scores, float32 (N, L), rows in the order of the notes."""

    @abstractmethod
    def evidence(self, notes: Iterable[pa.RecordBatch], code: str) -> list[list[Span]]:
        """For each note the spans that speak for `code`, strongest first."""

    @abstractmethod
    def save(self, writer: Writer) -> None:
        """Write the model's files; nothing is pickled."""

    @classmethod
    @abstractmethod
    def load(cls, artifact: Artifact) -> Self:
        """Read a verified model folder."""


def labelled_notes(silver: Artifact, gold: Artifact, split: str) -> LabelledNotes:
    """One split of the cohort. Raises DataError when it is empty, ArtifactError when gold is not of this silver."""
    labels = read_gold(gold)
    if not np.array_equal(labels.hadm_id, silver.table("notes.parquet", ["hadm_id"])["hadm_id"].to_numpy()):
        raise ArtifactError(f"{gold.folder}: its rows are not those of {silver.folder}; run `dvc repro`")
    rows = labels.rows(split)
    mask = labels.split == split

    def read() -> Iterator[pa.RecordBatch]:
        row = 0
        for batch in silver.batches("notes.parquet", NOTE_COLUMNS):
            wanted = mask[row : row + batch.num_rows]
            row += batch.num_rows
            if wanted.any():
                yield batch.filter(pa.array(wanted))

    return LabelledNotes(read, sp.csr_matrix(labels.truth[rows]), labels.codes, labels.hadm_id[rows])


def write_scores(writer: Writer, split: str, notes: LabelledNotes, coder: Coder, scores: FloatArray) -> None:
    """`<split>.npz`: scores float32 (N, L), hadm_ids (N,), codes (L,)."""
    if scores.shape != (len(notes.hadm_ids), len(coder.codes)) or scores.dtype != np.float32:
        raise TypeError(f"{coder.name}: scores must be float32 {(len(notes.hadm_ids), len(coder.codes))}")
    codes = np.array(list(coder.codes), dtype=str)
    writer.npz(f"{split}.npz", rows=len(scores), scores=scores, hadm_ids=notes.hadm_ids, codes=codes)
