"""Places that a person would mark as evidence, each with its code: learned from the places marked in train notes.

One model of trees says how likely each candidate (candidate_places.py) is to be marked: from p of the mention there,
and from how many of the train notes that hold a name have it marked so. It is fitted on the marked notes, with all that
marks teach, and the mentions, taken from the other folds of patients.
A place is right with at most `SLACK` characters more on either side than what was marked, as CodiEsp counts it.

Files of a linker's folder: marked.parquet (names) and trees.npz; beside the mentions: places.parquet, of train notes.
Legend: N marked notes, E entries (a name in a form, with a code), K folds, M candidates, F features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from chartcode.artifacts import Artifact, Writer
from chartcode.linking.apart import Stems
from chartcode.linking.candidate_places import FEATURES, Counts, Names, Note, candidates, names_of
from chartcode.linking.marks import Marked
from chartcode.linking.matcher import Match
from chartcode.pair_trees import PairParams, fit, p_of
from chartcode.tables.cleaning import clean_batch
from chartcode.trees import Trees

Array = np.ndarray[Any, Any]
FILE, TRAIN_FILE = "marked.parquet", "places.parquet"  # of the linker's folder; beside the mentions
SLACK = 10  # characters
NAMES = pa.schema(
    [
        pa.field("form", pa.string(), nullable=False),  # whole | apart (candidate_places.py)
        pa.field("name", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("seen", pa.int32(), nullable=False),  # train notes that hold it
        pa.field("marked", pa.int32(), nullable=False),  # of them, those in which it is marked so
    ]
)
PLACES = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the source note, end exclusive
        pa.field("end", pa.int32(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("p", pa.float32(), nullable=False),  # that a person would mark it so
    ]
)


class Places:
    """What marks teach."""

    def __init__(self, names: pa.Table, trees: Trees, language: str) -> None:
        """`names` are NAMES, sorted."""
        self._table, self._trees, self._language = names, trees, language
        entries = list(zip(*(names[c].to_pylist() for c in ("form", "name", "code")), strict=True))
        self._names = Names(entries, language)
        seen, marked = names["seen"].to_numpy(), names["marked"].to_numpy()
        self._counts = Counts(seen, marked, np.ones(len(entries), bool))

    def find(self, notes: pa.RecordBatch, mentions: pa.Table) -> pa.Table:
        """PLACES of notes with silver's note_id, text and edits, whose MENTIONS a linker found; by note and place."""
        of_note = _by_note(mentions)
        rows: list[tuple[str, int, int, str]] = []
        features: list[list[float]] = []
        columns = (notes.column(c).to_pylist() for c in ("note_id", "text", "edits"))
        for note_id, text, edits in zip(*columns, strict=True):
            note = Note.of(text, edits, self._language)
            made = candidates(note, of_note[note_id], self._names, self._names.find(note), self._counts)
            rows += [(note_id, *note.span(first, end), code) for first, end, code in made]
            features += made.values()
        return _table(rows, p_of(self._trees, np.array(features, np.float64).reshape(len(rows), len(FEATURES))))

    def save(self, writer: Writer) -> None:
        """Into a linker's folder."""
        writer.parquet(FILE, self._table)
        self._trees.save(writer)

    @classmethod
    def load(cls, artifact: Artifact) -> Self | None:
        """From a linker's folder; None where no marks taught it."""
        if not (artifact.folder / FILE).is_file():
            return None
        language = str(artifact.json("linker.json")["language"])
        return cls(artifact.table(FILE), Trees.load(artifact, 1, len(FEATURES)), language)


def learn(
    params: PairParams, marked: Mapping[str, Marked], folds: Mapping[str, int], mentions: pa.Table, language: str
) -> tuple[Places, pa.Table] | None:
    """From marked train notes, the fold of each, and their MENTIONS, out of fold; and PLACES of these, likewise: a note
    without any has one of no code.

    None where every place that the other folds offer is marked, or no place is.
    """
    cleaned = clean_batch(pa.array([note.text for note in marked.values()], pa.string()))
    texts, edits = (cleaned.field(name).to_pylist() for name in ("text", "edits"))
    notes = {note_id: Note.of(text, edit, language) for note_id, text, edit in zip(marked, texts, edits, strict=True)}
    taught = _Taught.by(marked, notes, folds, language)
    of_note = _by_note(mentions)
    rows: list[tuple[str, int, int, str]] = []
    features: list[list[float]] = []
    for note_id, note in notes.items():
        counts = taught.without(folds[note_id])
        made = candidates(note, of_note[note_id], taught.names, taught.found[note_id], counts)
        rows += [(note_id, *note.span(first, end), code) for first, end, code in made]
        features += made.values()
    given, fold = np.array(features), np.array([folds[note_id] for note_id, *_ in rows])
    truth = np.array([_is_marked(marked[note_id], (start, end), code) for note_id, start, end, code in rows], np.int8)
    if not 0 < truth.sum() < len(truth):
        return None
    p = np.full(len(truth), truth.mean(), np.float32)
    for out in np.unique(fold).tolist():
        others = truth[fold != out]
        if 0 < others.sum() < len(others):
            p[fold == out] = p_of(fit(params, given[fold != out], others), given[fold == out])
    nothing = [(note_id, 0, 0, "") for note_id in sorted(notes.keys() - {row[0] for row in rows})]
    of_train = _table([*rows, *nothing], np.append(p, np.zeros(len(nothing), np.float32)))
    columns = [*zip(*taught.entries, strict=True), taught.seen.sum(axis=0), taught.right.sum(axis=0)]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, NAMES, strict=True)], schema=NAMES)
    return Places(table, fit(params, given, truth), language), of_train


class _Taught(NamedTuple):
    """The names that marks gave, where marked notes hold them, and counts of each by fold (K, E)."""

    entries: list[tuple[str, str, str]]
    names: Names
    found: dict[str, dict[str, list[Match]]]
    gave: Array  # notes whose marks gave it
    seen: Array  # notes that hold it
    right: Array  # of them, notes in which it is marked so

    @classmethod
    def by(
        cls, marked: Mapping[str, Marked], notes: Mapping[str, Note], folds: Mapping[str, int], language: str
    ) -> _Taught:
        stems = Stems(language)
        given = {
            note_id: {(*name, mark.code) for mark in own.marks for name in names_of(mark, own.text, stems, language)}
            for note_id, own in marked.items()
        }
        entries = sorted(set().union(*given.values()))
        number = {entry: place for place, entry in enumerate(entries)}
        names = Names(entries, language)
        found = {note_id: names.find(note) for note_id, note in notes.items()}
        gave, seen, right = (np.zeros((max(folds.values()) + 1, len(entries)), np.int32) for _ in range(3))
        for note_id, own in marked.items():
            held: set[int] = set()
            true: set[int] = set()
            for form, matches in found[note_id].items():
                for match in matches:
                    span = notes[note_id].span(match.first, match.end)
                    here = names.entries[form][match.key]
                    held.update(here)
                    true.update(entry for entry in here if _is_marked(own, span, names.codes[entry]))
            for counts, some in ((gave, {number[name] for name in given[note_id]}), (seen, held), (right, true)):
                counts[folds[note_id], sorted(some)] += 1
        return cls(entries, names, found, gave, seen, right)

    def without(self, fold: int) -> Counts:
        """What the other folds teach."""
        gave, seen, right = (counts.sum(axis=0) - counts[fold] for counts in (self.gave, self.seen, self.right))
        return Counts(seen, right, gave > 0)


def _table(rows: Sequence[tuple[str, int, int, str]], p: Array) -> pa.Table:
    columns = [*(zip(*rows, strict=True) if rows else [()] * 4), p]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, PLACES, strict=True)], schema=PLACES)


def _is_marked(note: Marked, span: tuple[int, int], code: str) -> bool:
    for mark in note.marks:
        start, end = mark.span
        if mark.code == code and 0 <= start - span[0] <= SLACK and 0 <= span[1] - end <= SLACK:
            return True
    return False


def _by_note(mentions: pa.Table) -> defaultdict[str, list[dict[str, Any]]]:
    """What `candidates` reads of MENTIONS."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in mentions.select(["note_id", "start", "end", "alternatives"]).to_pylist():
        found[row["note_id"]].append(row)
    return found
