"""Gradient-boosted trees on a frozen encoder's vector of the note and seven facts: a row to compare with.

The design of an earlier system (768 numbers of an encoder and 7 engineered features, one XGBoost a code). One vector
has to speak for a whole note, and trees cut it number by number: expect less than the linear coder (DECISIONS.md).

Trees have no gradient, so evidence is what the score loses when a stretch of the note is left out of the vector. It is
as coarse as a stretch, and a loss too small to cross a threshold is none.
A folder holds coder.json, trees.npz and encoder/, the encoder whole.
Legend: N notes, L labels, S stretches, H width of the encoder's states, F = 7 + H features.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field
from scipy.special import expit
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import MOST_SPANS, Coder, FloatArray, LabelledNotes, Span
from chartcode.coders.embeddings import Embedded, Embedder
from chartcode.coders.transformer import ENCODER
from chartcode.errors import ArtifactError, ParamsError
from chartcode.logs import log
from chartcode.params import Positive, parse
from chartcode.tables.cleaning import to_source
from chartcode.trees import TreeParams, Trees, fit_trees

FACTS = ("age", "female", "words", "sections", "numbers", "medications", "diagnoses")
LISTS = {"medications": "discharge_medications", "diagnoses": "discharge_diagnosis"}  # sections whose lines are counted
NUMBER = re.compile(r"\d+(?:\.\d+)?")
FOLDER = "encoder"
Array = np.ndarray[Any, Any]


class BoostedParams(TreeParams):
    """Knobs of the trees, and how notes are read."""

    section: ClassVar[str] = "boosted"
    chunk_tokens: Positive | None
    max_tokens: Annotated[int, Field(ge=8)]


class BoostedCoder(Coder[BoostedParams]):
    """Trees on a vector of the note."""

    name: ClassVar[str] = "boosted"
    reads: ClassVar[tuple[str, ...]] = ("text", "sections", "age", "sex")

    def __init__(self, codes: Sequence[str], embedder: Embedder, trees: Trees) -> None:
        self.codes, self.embedder, self.trees = list(codes), embedder, trees
        self._said = False

    @classmethod
    def fit(
        cls,
        params: BoostedParams,
        train: LabelledNotes,
        val: LabelledNotes,
        writer: Writer,
        encoder: Path = ENCODER,
    ) -> None:
        """Embed train and val by the encoder in folder `encoder`, then fit every code's trees."""
        writer.take(Artifact(encoder), FOLDER)
        embedder = Embedder(Artifact(encoder), params.chunk_tokens, params.max_tokens)
        given, held_out = (features(embedder, notes.read(cls.reads)) for notes in (train, val))
        trees = fit_trees(params, given, train.labels, held_out, val.labels)
        trees.save(writer)
        params_of = params.model_dump(mode="json")
        writer.json("coder.json", {"coder": cls.name, "codes": list(train.codes), "params": params_of})
        each = np.diff(trees.first_tree)
        log(cls.name).info("fitted", codes=len(each), trees=int(each.sum()), codes_without_trees=int((each == 0).sum()))

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        held = artifact.json("coder.json")
        try:
            params, codes = parse(BoostedParams, held["params"], artifact.path("coder.json")), list(held["codes"])
        except (ParamsError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{artifact.folder}/coder.json: {error} (another version?); fit the coder anew"
            ) from None
        encoder = Artifact(artifact.folder / FOLDER)
        embedder = Embedder(encoder, params.chunk_tokens, params.max_tokens)
        return cls(codes, embedder, Trees.load(artifact, len(codes), len(FACTS) + embedder.width))

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Sigmoid of the trees' sums, float32 (N, L)."""
        said, self._said = not self._said, True  # `explain` scores often
        found = self.trees.logits(features(self.embedder, notes, said), np.arange(len(self.codes)))
        return np.asarray(expit(found), np.float32)

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The stretches without which a code's logit is lower, by how much."""
        columns = self.columns_of(asked)
        found: list[list[list[Span]]] = []
        for batch in notes:
            known = facts(batch)
            texts, edits = batch.column("text").to_pylist(), batch.column("edits").to_pylist()
            for row, (embedded, _) in enumerate(self.embedder.read(batch)):
                wanted = np.array(columns[len(found)], np.int64)
                segments = [(e["clean_start"], e["source_start"], e["length"]) for e in edits[row]]
                lost = self._lost(known[row], embedded, wanted)  # (S, K)
                places = [to_source(spans, segments) for spans in embedded.spans(texts[row])]
                found.append([_strongest(places, lost[:, column]) for column in range(len(wanted))])
        return found

    def _lost(self, known: Array, embedded: Embedded, labels: Array) -> Array:
        """What the logits of K labels lose without each stretch (S, K); the facts stay as they are."""
        vectors = np.vstack([embedded.mean(), embedded.without()])
        rows = np.hstack([np.tile(known, (len(vectors), 1)), vectors])
        logits = self.trees.logits(rows, labels)
        return np.asarray(logits[0] - logits[1:])


def features(embedder: Embedder, notes: Iterable[pa.RecordBatch], said: bool = True) -> Array:
    """Facts and vectors of the notes, float64 (N, F); notes that are cut are counted in a warning if that is `said`."""
    found, cut = [np.empty((0, len(FACTS) + embedder.width))], 0
    with tqdm(desc="boosted notes", unit=" notes", disable=None, leave=False) as bar:
        for batch in notes:
            rows = []
            for embedded, left_out in embedder.read(batch):
                rows.append(embedded.mean())
                cut += left_out > 0
                bar.update()
            if rows:
                found.append(np.hstack([facts(batch), np.stack(rows)]))
    if cut and said:
        log("boosted").warning("notes were longer than the coder reads", cut=cut, of=sum(map(len, found)))
    return np.concatenate(found)


def facts(notes: pa.RecordBatch) -> Array:
    """FACTS of each note, float64 (N, 7), NaN where age or sex is not known."""
    columns = (notes.column(name).to_pylist() for name in ("text", "sections", "age", "sex"))
    return np.array([_facts(*note) for note in zip(*columns, strict=True)], np.float64).reshape(-1, len(FACTS))


def _facts(text: str, sections: Sequence[Mapping[str, Any]], age: int | None, sex: str | None) -> list[float]:
    lines = dict.fromkeys(LISTS.values(), 0)
    for section in sections:
        if section["name"] in lines:
            held = text[section["clean_start"] : section["clean_end"]]
            lines[section["name"]] += sum(bool(line.strip()) for line in held.splitlines())
    female = {"F": 1.0, "M": 0.0}.get(sex or "", np.nan)
    counts = [len(text.split()), len(sections), len(NUMBER.findall(text)), *(lines[LISTS[name]] for name in FACTS[5:])]
    return [np.nan if age is None else float(age), female, *map(float, counts)]


def _strongest(places: Sequence[Sequence[tuple[int, int]]], lost: Array) -> list[Span]:
    """Spans of the stretches that are missed, the most missed first."""
    order = np.argsort(-lost, kind="stable")
    spans = [Span(start, end, float(lost[row])) for row in order[lost[order] > 0] for start, end in places[row]]
    return spans[:MOST_SPANS]
