"""What train teaches about mentions and learned surfaces, and the pairs of a note and a code that follow from both.

One thing is learned here and used by the coders `linked` and `stacked`: the label space, how common its codes are, and
which terms keep company with which codes; each of all train notes, and without each fold of patients, for the train
notes that a model of pairs is fitted on.
Legend: N notes, L codes of the label space, F terms, K folds, P note-code pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.coders import linked_mentions, linked_pairs, linked_places, linked_surfaces
from chartcode.coders.base import LabelledNotes
from chartcode.coders.linked_mentions import Pairs
from chartcode.coders.linked_places import MarkedPlaces
from chartcode.coders.linked_surfaces import SurfaceParams, Surfaces
from chartcode.coders.terms import TfidfTerms
from chartcode.errors import ArtifactError

Array = np.ndarray[Any, Any]
READS = ("text", "sections", "edits", "year")
NGRAMS = (1, 2)
FOLDER = "linker"  # inside that of a coder
FEATURES = (*linked_mentions.FEATURES, *linked_surfaces.FEATURES, *linked_places.FEATURES, *linked_pairs.OF_CODE)
Linked = tuple[pa.RecordBatch, pa.Table, Array]  # notes, their mentions, and of which note each is


class LinkedFeatures:
    """Features of note-code pairs: of all train notes (place 0), and without each fold (its number and one)."""

    def __init__(
        self, codes: Sequence[str], terms: TfidfTerms, surfaces: list[Surfaces], notes: Array, places: MarkedPlaces
    ) -> None:
        """`notes` (1 + K, L): train notes with each code."""
        self.codes, self.terms, self.surfaces, self.notes = list(codes), terms, surfaces, notes
        self.places = places
        self._columns = {code: column for column, code in enumerate(self.codes)}
        self._category = linked_mentions.categories_of(self.codes)
        self._of_codes = np.stack([linked_pairs.of_codes(self.codes, counts) for counts in notes])  # (1 + K, L, 3)
        self._words = np.array([term.count(" ") + 1 for term in terms.terms_], np.float64)

    @classmethod
    def learn(
        cls,
        params: SurfaceParams,
        train: LabelledNotes,
        codes: Sequence[str],
        folds: Array,
        count: int,
        places: MarkedPlaces,
    ) -> Self:
        """From train notes whose folds (N,) are 0 to count - 1."""
        truth = truth_of(train, codes)
        terms = TfidfTerms(NGRAMS, params.min_notes, params.max_terms)
        weights = terms.fit_transform(batch.column("text") for batch in train.read(["text"]))
        surfaces = linked_surfaces.learn(params, weights, truth, folds, count)
        each = np.stack([np.asarray(truth[folds == fold].sum(axis=0)).ravel() for fold in range(count)])
        every = each.sum(axis=0)
        return cls(codes, terms, surfaces, np.vstack([every, every - each]).astype(np.int64), places)

    def pairs(self, linked: Linked, folds: Array | None = None, more: Sequence[tuple[Array, Array]] = ()) -> Pairs:
        """Every pair that a mention, a learned surface or a place offers, and `more`, by what all of train teaches; or,
        of train notes, by what the folds other than theirs (N,) do.
        """
        batch, mentions, rows = linked
        lengths = linked_mentions.lengths_of(batch)
        said = linked_mentions.pairs_of(mentions, rows, lengths, self._columns, self._category)
        terms = self.terms.transform([batch.column("text")])
        places = np.zeros(batch.num_rows, np.int64) if folds is None else folds + 1
        learned = [self._learned(terms, places == place, place) for place in np.unique(places).tolist()]
        rows_of, columns_of, features_of = (np.concatenate(columns) for columns in zip(*learned, strict=True))
        marked = self.places.pairs_of(batch, mentions, rows, self._columns, folds is not None)
        parts = [(said.rows, said.columns, said.features), (rows_of, columns_of, features_of), marked]
        found = linked_pairs.merged(parts, more, len(self.codes))
        of_codes = self._of_codes[places[found.rows], found.columns]
        return found._replace(features=np.hstack([found.features, of_codes]))

    def _learned(self, terms: Any, here: Array, place: int) -> tuple[Array, Array, Array]:
        rows = np.flatnonzero(here)
        row, column, features = linked_surfaces.pairs_of(self.surfaces[place], self._words, terms[rows])
        return rows[row], column, features

    def save(self, writer: Writer) -> None:
        """What all of train teaches."""
        terms = pa.table({"term": self.terms.terms_, "idf": self.terms.idf_})
        writer.parquet("terms.parquet", terms, dictionary=False)
        writer.parquet("surfaces.parquet", self.surfaces[0].table(self.terms.terms_, self.codes))
        writer.parquet("codes.parquet", pa.table({"code": self.codes, "notes": self.notes[0]}), dictionary=False)

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """The way back."""
        held, codes = artifact.table("terms.parquet"), artifact.table("codes.parquet")
        terms = TfidfTerms.restore(held["term"].to_pylist(), held["idf"].to_numpy(), NGRAMS)
        names = codes["code"].to_pylist()
        try:
            surfaces = Surfaces.of(artifact.table("surfaces.parquet"), terms.terms_, names)
        except KeyError:
            raise ArtifactError(
                f"{artifact.folder}/surfaces.parquet: of other terms or codes; fit the coder anew"
            ) from None
        places = MarkedPlaces.of(Artifact(artifact.folder / FOLDER))
        return cls(names, terms, [surfaces], codes["notes"].to_numpy()[None], places)


def label_space(train: LabelledNotes, dictionary: Iterable[str]) -> list[str]:
    """Gold's labels in their order, then every other code that train notes have or the dictionary may name, sorted."""
    seen = np.flatnonzero(np.asarray(train.others.sum(axis=0)).ravel())
    others = {*dictionary, *(train.other_codes[place] for place in seen.tolist())}
    return [*train.codes, *sorted(others - set(train.codes))]


def truth_of(notes: LabelledNotes, codes: Sequence[str]) -> sp.csr_matrix:
    """Which of these codes the notes truly have, labels or not, int8 CSR (N, L)."""
    place = {code: column for column, code in enumerate(codes)}
    labels, others = notes.labels.tocoo(), notes.others.tocoo()
    moved = [np.array([place.get(code, -1) for code in names], np.int64) for names in (notes.codes, notes.other_codes)]
    columns = np.concatenate([names[cells.col] for names, cells in zip(moved, (labels, others), strict=True)])
    rows = np.concatenate([labels.row, others.row])
    known = columns >= 0
    ones = np.ones(int(known.sum()), np.int8), (rows[known], columns[known])
    return sp.csr_matrix(ones, (labels.shape[0], len(codes)), dtype=np.int8)


def stored(mentions: Artifact, notes: LabelledNotes, more: Sequence[str] = ()) -> Iterator[Linked]:
    """Notes with the mentions that stage `link` found, and the columns `more` of silver."""
    read = notes.read([*dict.fromkeys(["note_id", *READS, *more])])
    with tqdm(total=len(notes.hadm_ids), desc="pairs", unit=" notes", disable=None, leave=False) as bar:
        for linked in linked_mentions.in_step(mentions, read):
            yield linked
            bar.update(linked[0].num_rows)


def linked_by(linker: Any, notes: Iterable[pa.RecordBatch]) -> Iterator[Linked]:
    """Notes with the mentions that a linker finds now."""
    for batch in notes:
        # Rows for names: of one note there may be several versions.
        ids = pa.array([str(row) for row in range(batch.num_rows)])
        read = pa.record_batch([ids, *(batch.column(name) for name in READS)], names=["note_id", *READS])
        mentions = linker.mentions(read)
        yield batch, mentions, mentions["note_id"].to_numpy().astype(np.int64)
