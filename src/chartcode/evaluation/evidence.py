"""A coder's evidence in the notes of a split, word by word, beside what people marked.

The words of a note are runs of letters and digits of its clean text. A word's share is the weight of the coder's spans
that cover it, over that of all words. What people marked (bronze's evidence.parquet) counts for the codes that a note
truly has.
Legend: N notes, T words of a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chartcode.artifacts import Artifact
from chartcode.coders.base import Coder, Span, cells, listed
from chartcode.evaluation.plausibility import Marks, Shares
from chartcode.evaluation.recalibration import Calibrator
from chartcode.privacy import small
from chartcode.tables.cleaning import to_source
from chartcode.tables.labels import Gold

WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Words:
    """The words of a note: start and end (T, 2) in the clean text, and in the source note."""

    clean: NDArray[np.int64]
    source: NDArray[np.int64]

    @classmethod
    def of(cls, text: str, edits: Sequence[Mapping[str, int]]) -> Words:
        """Of a clean text and its edits, both from silver."""
        found = [match.span() for match in WORD.finditer(text)]
        places = to_source(found, [(e["clean_start"], e["source_start"], e["length"]) for e in edits])
        return cls(*(np.array(spans, np.int64).reshape(-1, 2) for spans in (found, places)))

    def covered(self, start: int, end: int) -> slice:
        """The words that a span of the source touches."""
        first = int(np.searchsorted(self.source[:, 1], start, "right"))
        return slice(first, max(first, int(np.searchsorted(self.source[:, 0], end, "left"))))

    def shares(self, spans: Sequence[Span]) -> Shares:
        """How much of the evidence each word carries (T,)."""
        weight = np.zeros(len(self.source))
        for span in spans:
            weight[self.covered(span.start, span.end)] += span.weight
        total = weight.sum()
        return weight / total if total > 0 else weight

    def marks(self, spans: Sequence[tuple[int, int]]) -> Marks:
        """Which words a marked span touches (T,)."""
        marked = np.zeros(len(self.source), bool)
        for start, end in spans:
            marked[self.covered(start, end)] = True
        return marked


@dataclass(frozen=True)
class Pair:
    """One code of one note, true or called; `gold` is None where nobody marked evidence."""

    row: int
    code: str
    score: float
    true: bool
    called: bool
    spans: Sequence[Span]
    shares: Shares
    gold: Marks | None


@dataclass(frozen=True)
class Looked:
    """What was looked at in one split: notes (a batch of silver), their words, whose they are (N,), and the pairs."""

    split: str
    notes: pa.RecordBatch
    words: Sequence[Words]
    patients: NDArray[np.int64]
    pairs: Sequence[Pair]
    positives: int  # true pairs of these notes, known to the coder or not


def look(
    coder: Coder[Any],
    silver: Artifact,
    bronze: Artifact,
    labels: Gold,
    split: str,
    threshold: NDArray[np.float32],
    calibrator: Calibrator | None,
    most: int | None,
) -> Looked:
    """Scores, words and evidence of at most `most` notes of a split, for every code that is true or called.

    `threshold` of each code (L,) is one of calibrated scores where there is a `calibrator`; the scores of the pairs are
    the coder's own.
    """
    notes = _sampled(silver, labels.rows(split), sorted({*coder.reads, "note_id", "subject_id", "text", "edits"}), most)
    rows = np.flatnonzero(np.isin(labels.hadm_id, notes.column("hadm_id").to_numpy()))
    truth = labels.truth[rows]
    scores = coder.scores([notes.select(list(coder.reads))])
    known = {code: column for column, code in enumerate(coder.codes)}
    true = [[labels.codes[column] for column in truth[[row]].indices.tolist()] for row in range(len(rows))]
    judged = scores if calibrator is None else calibrator.apply(scores)
    called = [
        [coder.codes[column] for column in columns[(row >= threshold[columns]) & (own > 0)].tolist()]
        for (columns, row), (_, own) in zip(listed(judged), listed(scores), strict=True)
    ]
    asked = [sorted({*t, *c} & known.keys()) for t, c in zip(true, called, strict=True)]
    found = coder.evidence([notes], asked)
    words = [
        Words.of(text, edits)
        for text, edits in zip(notes.column("text").to_pylist(), notes.column("edits").to_pylist(), strict=True)
    ]
    marked = _marked(bronze, notes.column("note_id"))
    pairs = []
    for row, (codes, note) in enumerate(zip(asked, notes.column("note_id").to_pylist(), strict=True)):
        own = cells(scores, np.full(len(codes), row), [known[code] for code in codes])
        for place, code in enumerate(codes):
            is_true = code in true[row]
            marks = words[row].marks(marked.get((note, code), [])) if is_true else np.zeros(0, bool)
            spans = found[row][place]
            pairs.append(
                Pair(
                    row,
                    code,
                    float(own[place]),
                    is_true,
                    code in called[row],
                    spans,
                    words[row].shares(spans),
                    marks if marks.any() else None,
                )
            )
    _, patients = np.unique(notes.column("subject_id").to_numpy(), return_inverse=True)
    return Looked(split, notes, words, patients, pairs, int(truth.nnz))


def by_key(names: Sequence[str], most: int | None) -> list[int]:
    """Places of at most `most` of these names, in their order: those of smallest keyed hash, the same on every machine.

    All of them where few would be left out: numbers of all less those of the sample would tell of these few.
    """
    if most is None or len(names) <= most or small(len(names) - most):
        return list(range(len(names)))
    keyed = sorted(range(len(names)), key=lambda place: sha256(f"explain:{names[place]}".encode()).digest())
    return sorted(keyed[:most])


def _sampled(silver: Artifact, rows: NDArray[np.int64], columns: Sequence[str], most: int | None) -> pa.RecordBatch:
    """These notes of silver, at most `most` of them, by key."""
    ids = silver.table("notes.parquet", ["note_id"])["note_id"].to_pylist()
    chosen = np.zeros(len(ids), bool)
    chosen[rows[by_key([ids[row] for row in rows.tolist()], most)]] = True
    kept, first = [], 0
    for batch in silver.batches("notes.parquet", [*dict.fromkeys([*columns, "hadm_id"])]):
        wanted = chosen[first : first + batch.num_rows]
        first += batch.num_rows
        kept.append(batch.filter(pa.array(wanted)))
    return pa.Table.from_batches(kept).combine_chunks().to_batches()[0]


def _marked(bronze: Artifact, note_ids: pa.Array) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """What people marked in these notes, by note and code."""
    table = bronze.table("evidence.parquet", ["note_id", "icd_code", "start", "end"])
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in table.filter(pc.is_in(table["note_id"], note_ids)).to_pylist():
        found.setdefault((row["note_id"], row["icd_code"]), []).append((row["start"], row["end"]))
    return found
