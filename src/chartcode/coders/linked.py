"""Codes that a note names: mentions by a dictionary, and terms that train taught, weighed by trees over both.

- Candidates of a note are the codes of its mentions (stage `link`), of learned surfaces (linked_surfaces.py) and, where
  people marked train notes, of places that they would mark (linked_places.py). A note gets no score for any other code.
- One model says how likely each pair is (linked_pairs.py), from p of its mentions, how often the name was right in
  train, sections, contexts, competing codes and the like (linked_mentions.py). It is fitted on train notes, with all
  that train teaches taken from the other folds of patients.
- Label space of its own: gold's labels, and every other code that train or the dictionary knows. Scores are CSR.
Evidence is the mentions themselves, the places and the terms, with p for weight.

A folder holds coder.json, codes.parquet, terms.parquet, surfaces.parquet, trees.npz and linker/, the linker whole.
Legend: N notes, L codes of the label space, P note-code pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field

from chartcode.artifacts import Artifact, Writer
from chartcode.coders import linked_pairs
from chartcode.coders.base import MOST_SPANS, Coder, LabelledNotes, Span
from chartcode.coders.linked_features import (
    FEATURES,
    FOLDER,
    READS,
    Linked,
    LinkedFeatures,
    label_space,
    linked_by,
    stored,
    truth_of,
)  # fmt: skip
from chartcode.coders.linked_mentions import Pairs
from chartcode.coders.linked_places import MarkedPlaces
from chartcode.coders.linked_surfaces import SurfaceParams
from chartcode.errors import ArtifactError, ParamsError
from chartcode.folds import patient_folds, sampled
from chartcode.linking.flags import TAKEN_BACK
from chartcode.linking.linker import Linker
from chartcode.logs import log
from chartcode.pair_trees import PairParams, fit
from chartcode.params import Positive, parse
from chartcode.tables.cleaning import to_source
from chartcode.trees import Trees

LINKER, MENTIONS = Path("models/linker"), Path("data/mentions")
Array = np.ndarray[Any, Any]
LEAST = 0.05  # p of a place that is shown as evidence: nearly every name has some
BEHIND = 0.1  # what the p of a mention that is taken back counts for as evidence, so that affirmed ones come first


class LinkedParams(SurfaceParams, PairParams):
    """Knobs of the learned surfaces and of the trees over pairs."""

    section: ClassVar[str] = "linked"
    folds: Annotated[int, Field(ge=2, le=20)]
    fit_notes: Positive | None


class LinkedCoder(Coder[LinkedParams]):
    """Trees over pairs of a note and a code that it names."""

    name: ClassVar[str] = "linked"
    reads: ClassVar[tuple[str, ...]] = READS

    def __init__(self, features: LinkedFeatures, trees: Trees, linker: Linker) -> None:
        self.codes, self.features, self.trees, self.linker = features.codes, features, trees, linker

    @classmethod
    def fit(
        cls,
        params: LinkedParams,
        train: LabelledNotes,
        val: LabelledNotes,  # noqa: ARG003 - nothing is stopped early
        writer: Writer,
        linker: Path = LINKER,
        mentions: Path = MENTIONS,
    ) -> None:
        """Learn surfaces and the model of pairs from train, whose mentions (out of fold) stand in folder `mentions`.

        Raises DataError when nothing is to be learned from them.
        """
        held = Artifact(linker)
        writer.take(held, FOLDER)
        codes = label_space(train, Linker.load(held).codes)
        folds = patient_folds(train.subject_ids.tolist(), params.folds, params.seed)
        places = MarkedPlaces.of(held, Artifact(mentions))
        features = LinkedFeatures.learn(params, train, codes, folds, params.folds, places)
        chosen = sampled(train.subject_ids.tolist(), params.fit_notes, params.seed)
        found = examples(features, train.some(chosen), folds[chosen], Artifact(mentions))
        given, truth = linked_pairs.examples(found)
        trees = fit(params, given, truth)
        features.save(writer)
        trees.save(writer)
        described = {"coder": cls.name, "params": params.model_dump(mode="json"), "features": FEATURES}
        writer.json("coder.json", described)
        counts = {"surfaces": len(features.surfaces[0].term), "pairs": len(truth), "true": int(truth.sum())}
        log(cls.name).info("fitted", codes=len(codes), notes=int(chosen.sum()), **counts)

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        params_of(artifact)
        if artifact.json("coder.json").get("features") != list(FEATURES):
            raise ArtifactError(f"{artifact.path('coder.json')}: of another version's features; fit the coder anew")
        trees = Trees.load(artifact, 1, len(FEATURES))
        return cls(LinkedFeatures.load(artifact), trees, Linker.load(Artifact(artifact.folder / FOLDER)))

    def scores(self, notes: Iterable[pa.RecordBatch]) -> sp.csr_matrix:
        """Probabilities float32 (N, L), CSR: of the codes that each note names."""
        return self.scored(linked_by(self.linker, notes))

    def scored(self, linked: Iterable[Linked]) -> sp.csr_matrix:
        """The same of notes whose mentions are known."""
        width = len(self.codes)
        parts = [linked_pairs.scores(self.trees, self.features.pairs(one), one[0].num_rows, width) for one in linked]
        return sp.vstack(parts, "csr") if parts else sp.csr_matrix((0, width), dtype=np.float32)

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The mentions, learned places and terms that speak for each code, with their p."""
        columns = self.columns_of(asked)
        found: list[list[list[Span]]] = []
        for one in linked_by(self.linker, notes):
            batch = one[0]
            some = slice(len(found), len(found) + batch.num_rows)
            named = self._named(one)
            for row, (codes, numbers) in enumerate(zip(asked[some], columns[some], strict=True)):
                learned = self._terms(batch.slice(row, 1), numbers)
                both = zip(codes, numbers, strict=True)
                found.append([_strongest(named[row].get(code, {}), learned[number]) for code, number in both])
        return found

    def _named(self, linked: Linked) -> list[dict[str, dict[tuple[int, int], float]]]:
        """Spans of the source of mentions and places by code, a note each."""
        batch, mentions, rows = linked
        found: list[dict[str, dict[tuple[int, int], float]]] = [{} for _ in range(batch.num_rows)]
        names = ["start", "end", "alternatives", *TAKEN_BACK]
        of_place: dict[tuple[int, int, int], float] = {}
        for row, mention in zip(rows.tolist(), mentions.select(names).to_pylist(), strict=True):
            counted = BEHIND if any(mention[flag] for flag in TAKEN_BACK) else 1.0
            of_place[row, mention["start"], mention["end"]] = counted
            for said in mention["alternatives"]:
                if said["p"] > 0:
                    found[row].setdefault(said["code"], {})[mention["start"], mention["end"]] = counted * said["p"]
        for row, start, end, code, p in self.features.places.found(*linked, range(len(found))):
            if p >= LEAST:
                spans, counted = found[row].setdefault(code, {}), of_place.get((row, start, end), 1.0)
                spans[start, end] = max(counted * p, spans.get((start, end), 0.0))
        return found

    def _terms(self, note: pa.RecordBatch, columns: Sequence[int]) -> dict[int, dict[tuple[int, int], float]]:
        """Spans of the source of learned terms, by column of the code."""
        surfaces = self.features.surfaces[0]
        wanted: dict[int, list[tuple[int, float]]] = {}
        for place in np.flatnonzero(np.isin(surfaces.code, columns)).tolist():
            said = int(surfaces.code[place]), float(surfaces.p[place])
            wanted.setdefault(int(surfaces.term[place]), []).append(said)
        found: dict[int, dict[tuple[int, int], float]] = {column: {} for column in columns}
        segments = [(e["clean_start"], e["source_start"], e["length"]) for e in note.column("edits")[0].as_py()]
        for start, end, term in self.features.terms.occurrences(note.column("text")[0].as_py()):
            for column, p in wanted.get(term, ()):
                (span,) = to_source([(start, end)], segments)
                found[column][span] = p
        return found


def examples(
    features: LinkedFeatures, notes: LabelledNotes, folds: Array, mentions: Artifact
) -> Iterator[tuple[Pairs, Any]]:
    """The pairs of train notes, some notes at a time, taught by folds other than theirs (N,), and the notes' truth."""
    truth, first = truth_of(notes, features.codes), 0
    for linked in stored(mentions, notes):
        some = slice(first, first + linked[0].num_rows)
        yield features.pairs(linked, folds[some]), truth[some]
        first = some.stop


def params_of(artifact: Artifact) -> LinkedParams:
    """The params that a folder was fitted with."""
    file = artifact.path("coder.json")
    try:
        return parse(LinkedParams, artifact.json("coder.json")["params"], file)
    except (ParamsError, KeyError, TypeError) as error:
        raise ArtifactError(f"{file}: {error} (another version?); fit the coder anew") from None


def _strongest(*spans: dict[tuple[int, int], float]) -> list[Span]:
    """All of them, the larger weight of two of one place, the strongest first."""
    every: dict[tuple[int, int], float] = {}
    for each in spans:
        for span, weight in each.items():
            every[span] = max(weight, every.get(span, 0.0))
    order = sorted(every, key=lambda span: (-every[span], span))[:MOST_SPANS]
    return [Span(*span, every[span]) for span in order]
