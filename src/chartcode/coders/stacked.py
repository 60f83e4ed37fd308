"""What a note names and what other coders make of the whole note, weighed together: trees over note-code pairs.

Pairs and features are those of `linked`, and beside them, for each member (`stacked.members`: the linear coder, or
neural ones too), the logit of its score and the place of the code in its list. Candidates are linked's, and the
`candidates` first codes of each member's list.
The model learns from train notes, so the members' scores of these must come from fits that have not seen them: each
member is fitted anew without each fold of patients, with the params of its own model. val and test are scored by the
members as they stand in models/.
Evidence is linked's and the members'.

A folder holds coder.json, trees.npz and members/<name>/, linked and each member whole.
Legend: N notes, L codes of linked's label space, M members, P note-code pairs, F features.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import AfterValidator, Field

from chartcode.artifacts import Artifact, Writer, writing
from chartcode.coders import linked_pairs
from chartcode.coders.base import Coder, LabelledNotes, Span
from chartcode.coders.ensemble import MODELS, SCORES, logits, scores_of, shared_out, strongest
from chartcode.coders.known import READS, fitting_of, load_coder, once_each
from chartcode.coders.linked import MENTIONS, LinkedCoder, params_of
from chartcode.coders.linked_features import FEATURES, FOLDER, Linked, LinkedFeatures, linked_by, stored, truth_of
from chartcode.coders.linked_mentions import Pairs
from chartcode.coders.linked_places import MarkedPlaces
from chartcode.errors import ArtifactError, DataError
from chartcode.folds import patient_folds, sampled
from chartcode.logs import log
from chartcode.pair_trees import PairParams, fit
from chartcode.params import Positive
from chartcode.trees import Trees

Array = np.ndarray[Any, Any]
LINKED = "linked"
OF_MEMBER = ("logit", "place")  # of its score; log of the code's place in its list


class StackedParams(PairParams):
    """Who is heard beside linked, and knobs of the trees over pairs."""

    section: ClassVar[str] = "stacked"
    members: Annotated[list[Literal["tfidf", "laat", "transformer"]], Field(min_length=1), AfterValidator(once_each)]
    candidates: Positive
    fit_notes: Positive | None


class StackedCoder(Coder[StackedParams]):
    """Trees over pairs of a note and a code that it names or that a member suggests."""

    name: ClassVar[str] = "stacked"
    reads: ClassVar[tuple[str, ...]] = READS

    def __init__(self, linked: LinkedCoder, members: Mapping[str, Coder[Any]], trees: Trees, candidates: int) -> None:
        self.codes, self.linked, self.members, self.trees = linked.codes, linked, members, trees
        self._stack = _Stack(linked.features, {name: coder.codes for name, coder in members.items()}, candidates)

    @classmethod
    def fit(
        cls,
        params: StackedParams,
        train: LabelledNotes,
        val: LabelledNotes,
        writer: Writer,
        models: Path = MODELS,
        mentions: Path = MENTIONS,
    ) -> None:
        """Learn from train, whose mentions (out of fold) stand in folder `mentions`; the members' models in `models`.

        Folds, and what is learned of surfaces, are those of the model of linked. val serves a member's early stopping.
        """
        held = Artifact(models / LINKED)
        of_linked = params_of(held)
        for name in (LINKED, *params.members):
            writer.take(Artifact(models / name), f"members/{name}")
        folds = patient_folds(train.subject_ids.tolist(), of_linked.folds, of_linked.seed)
        codes = LinkedFeatures.load(held).codes
        places = MarkedPlaces.of(Artifact(held.folder / FOLDER), Artifact(mentions))
        features = LinkedFeatures.learn(of_linked, train, codes, folds, of_linked.folds, places)
        chosen = sampled(train.subject_ids.tolist(), params.fit_notes, params.seed)
        scores: dict[str, Array] = {}
        known: dict[str, list[str]] = {}
        for name in params.members:
            scores[name], known[name] = out_of_fold(name, Artifact(models / name), train, val, folds, chosen)
        stack = _Stack(features, known, params.candidates)
        notes = train.some(chosen)
        given, truth = linked_pairs.examples(_examples(stack, notes, folds[chosen], Artifact(mentions), scores))
        fit(params, given, truth).save(writer)
        writer.json("coder.json", {"coder": cls.name, "params": params.model_dump(mode="json")})
        log(cls.name).info("fitted", notes=int(chosen.sum()), pairs=len(truth), true=int(truth.sum()))

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """linked and the members from inside the folder, each verified by its own manifest."""
        described = artifact.json("coder.json")
        try:
            names, candidates = list(described["params"]["members"]), int(described["params"]["candidates"])
        except (KeyError, TypeError, ValueError):
            file = artifact.path("coder.json")
            raise ArtifactError(f"{file}: written by another version; fit the coder anew") from None
        linked, *members = (load_coder(Artifact(artifact.folder / "members" / name)) for name in (LINKED, *names))
        if not isinstance(linked, LinkedCoder):
            raise ArtifactError(f"{artifact.folder}/members/{LINKED}: another coder; fit this one anew")
        trees = Trees.load(artifact, 1, len(FEATURES) + len(OF_MEMBER) * len(names))
        return cls(linked, dict(zip(names, members, strict=True)), trees, candidates)

    def scores(self, notes: Iterable[pa.RecordBatch]) -> sp.csr_matrix:
        """Probabilities float32 (N, L), CSR: of the codes that each note names or a member suggests."""
        parts = []
        for one in linked_by(self.linked.linker, notes):
            held = {name: coder.scores([one[0].select(list(coder.reads))]) for name, coder in self.members.items()}
            parts.append(self._scored(one, held))
        return self._together(parts)

    def scored(self, linked: Iterable[Linked], held: Mapping[str, Array]) -> sp.csr_matrix:
        """The same of notes whose mentions, and whose scores by each member (N, its codes), are known."""
        parts, first = [], 0
        for one in linked:
            some = slice(first, first + one[0].num_rows)
            parts.append(self._scored(one, {name: scores[some] for name, scores in held.items()}))
            first = some.stop
        return self._together(parts)

    def _scored(self, linked: Linked, held: Mapping[str, Array]) -> sp.csr_matrix:
        return linked_pairs.scores(self.trees, self._stack.pairs(linked, held), linked[0].num_rows, len(self.codes))

    def _together(self, parts: Sequence[sp.csr_matrix]) -> sp.csr_matrix:
        return sp.vstack(parts, "csr") if parts else sp.csr_matrix((0, len(self.codes)), dtype=np.float32)

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The spans of linked and of each member that knows the code, an equal part each; equal spans are added."""
        self.columns_of(asked)
        batches = list(notes)
        found: list[list[dict[tuple[int, int], float]]] = [[{} for _ in codes] for codes in asked]
        heard: Mapping[str, Coder[Any]] = {LINKED: self.linked, **self.members}
        for coder in heard.values():
            own = set(coder.codes)
            places = [[place for place, code in enumerate(codes) if code in own] for codes in asked]
            wanted = [[codes[place] for place in some] for codes, some in zip(asked, places, strict=True)]
            read = (batch.select([*dict.fromkeys([*coder.reads, "edits"])]) for batch in batches)
            for row, spans_of in enumerate(coder.evidence(read, wanted)):
                for place, spans in zip(places[row], spans_of, strict=True):
                    shared_out(found[row][place], spans, 1 / len(heard))
        return [[strongest(spans) for spans in spans_of] for spans_of in found]


class _Stack:
    """Pairs with features of linked and of members, by the members' codes and how many of their lists are looked at."""

    def __init__(self, features: LinkedFeatures, known: Mapping[str, Sequence[str]], candidates: int) -> None:
        self.features, self._candidates = features, candidates
        place = {code: column for column, code in enumerate(features.codes)}
        self._columns = {name: np.array([place[code] for code in codes], np.int64) for name, codes in known.items()}

    def pairs(self, linked: Linked, held: Mapping[str, Array], folds: Array | None = None) -> Pairs:
        """Of notes, with each member's scores (N, its codes); of train notes with their folds (N,)."""
        ranks = {name: _ranks(scores) for name, scores in held.items()}
        more = []
        for name, rank in ranks.items():
            rows, columns = np.nonzero(rank <= self._candidates)
            more.append((rows, self._columns[name][columns]))
        found = self.features.pairs(linked, folds, more)
        made = [found.features]
        # A code that no train note of these folds has is none that a member could have learned, label or not.
        taught = self.features.notes > 0
        places = np.zeros(linked[0].num_rows, np.int64) if folds is None else folds + 1
        for name, columns in self._columns.items():
            own = np.full(len(self.features.codes), -1)
            own[columns] = np.arange(len(columns))
            at = np.where(taught[places[found.rows], found.columns], own[found.columns], -1)
            known = np.flatnonzero(at >= 0)
            given = np.full((len(at), len(OF_MEMBER)), np.nan)
            given[known, 0] = logits(held[name][found.rows[known], at[known]])
            given[known, 1] = np.log(ranks[name][found.rows[known], at[known]])
            made.append(given)
        return found._replace(features=np.hstack(made))


def out_of_fold(
    name: str, model: Artifact, train: LabelledNotes, val: LabelledNotes, folds: Array, chosen: Array
) -> tuple[Array, list[str]]:
    """Scores (N, its codes) of the chosen train notes by fits of a coder without their fold, and its codes."""
    if len(np.unique(folds)) < 2:
        raise DataError("stacked: all train patients are in one of linked.folds; more patients, or another linked.seed")
    coder, params = fitting_of(name, model)
    found: Array | None = None
    codes: list[str] = []
    for fold in np.unique(folds[chosen]).tolist():
        rows = np.flatnonzero((folds == fold)[chosen])
        with tempfile.TemporaryDirectory(prefix="chartcode-") as temporary:
            folder = Path(temporary) / name
            with writing(folder, model.source) as writer:
                coder.fit(params, train.some(folds != fold), val, writer)
            fitted = coder.load(Artifact(folder))
            said = fitted.scores(train.some(chosen & (folds == fold)).read(fitted.reads))
        if found is None:
            found, codes = np.empty((int(chosen.sum()), said.shape[1]), np.float32), list(fitted.codes)
        place = {code: column for column, code in enumerate(fitted.codes)}
        found[rows] = said[:, [place[code] for code in codes]]
    if found is None:
        raise DataError(f"stacked.members: {name}: no train note")
    return found, codes


def _examples(
    stack: _Stack, notes: LabelledNotes, folds: Array, mentions: Artifact, scores: Mapping[str, Array]
) -> Iterator[tuple[Pairs, Any]]:
    """The pairs of train notes, some notes at a time, and their truth; folds (N,), scores (N, a member's codes)."""
    truth, first = truth_of(notes, stack.features.codes), 0
    for linked in stored(mentions, notes):
        some = slice(first, first + linked[0].num_rows)
        yield stack.pairs(linked, {name: held[some] for name, held in scores.items()}, folds[some]), truth[some]
        first = some.stop


def stored_scores(coder: StackedCoder, notes: LabelledNotes, scores: Path = SCORES) -> dict[str, Array]:
    """What each member's stage said of these notes (N, its codes)."""
    found = {}
    for name, member in coder.members.items():
        made = np.empty((len(notes.hadm_ids), len(member.codes)), np.float32)
        for split in np.unique(notes.splits).tolist():
            rows = notes.splits == split
            made[rows] = scores_of(Artifact(scores / name), split, member.codes, notes.hadm_ids[rows])
        found[name] = made
    return found


def _ranks(scores: Array) -> Array:
    """The place of each score in its row, from 1, the first of equals first."""
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.empty(scores.shape, np.int32)
    np.put_along_axis(found, order, np.arange(1, scores.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return found
