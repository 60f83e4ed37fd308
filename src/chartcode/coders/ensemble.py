"""Several coders heard together: one weight a coder, the same for every code, fitted on val.

z = b + sum over members m of w_m logit(score of m), w_m >= 0. b and w make the cross-entropy of val's codes least: a
convex problem of few unknowns, so that thresholds which are later chosen on val are hardly the worse for it
(DECISIONS.md). A member of weight 0 is left out: never asked, not stored.
Its part is w_m times the spread of its logits on val, as a share of all members'; evidence is shared out by it.
A member with a label space of its own scores only the codes that a note names; any other has for its score the share of
such cells that are true on val.

A folder holds coder.json (codes, bias, weights, parts, left_out) and members/<name>/, the whole folder of each coder
that counts.
Legend: M members, N notes, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import MOST_SPANS, Coder, FloatArray, LabelledNotes, Span, dense, restored
from chartcode.coders.known import READS, load_coder, once_each
from chartcode.errors import ArtifactError, DataError
from chartcode.logs import log
from chartcode.params import Section

Array = np.ndarray[Any, Any]
SCORES = Path("data/scores")
MODELS = Path("models")
EPS = 1e-6  # a score is never taken for surer than this; float32 has scores of exactly 0 and 1
LARGEST = 10.0  # of a weight, where a few val notes would let it grow without end
DIGITS = 6  # of a stored weight: the last ones are the optimizer's
ROWS = 1 << 20  # notes x codes worked on at once


class EnsembleParams(Section):
    """Who is heard."""

    section: ClassVar[str] = "ensemble"
    members: Annotated[
        list[Literal["tfidf", "laat", "transformer", "linked", "stacked"]],
        Field(min_length=1),
        AfterValidator(once_each),
    ]


class EnsembleCoder(Coder[EnsembleParams]):
    """A weighted sum of other coders' logits."""

    name: ClassVar[str] = "ensemble"
    reads: ClassVar[tuple[str, ...]] = READS

    def __init__(self, artifact: Artifact) -> None:
        described = artifact.json("coder.json")
        try:
            self.codes = [str(code) for code in described["codes"]]
            self.weights = {str(name): float(weight) for name, weight in described["weights"].items()}
            self.parts = {name: float(described["parts"][name]) for name in self.weights}
            self.left_out = {name: float(described["left_out"][name]) for name in self.weights}
            self.bias = float(described["bias"])
        except (KeyError, TypeError, ValueError, AttributeError):
            file = artifact.path("coder.json")
            raise ArtifactError(f"{file}: written by another version; fit the coder anew") from None
        used = [name for name, weight in self.weights.items() if weight > 0]
        self.members = {name: load_coder(Artifact(artifact.folder / "members" / name)) for name in used}
        for name, member in self.members.items():
            if not set(self.codes) <= set(member.codes):
                raise ArtifactError(f"{artifact.folder}/members/{name}: codes other than coder.json's; fit it anew")

    @classmethod
    def fit(
        cls,
        params: EnsembleParams,
        train: LabelledNotes,  # noqa: ARG003 - the members have learned from it
        val: LabelledNotes,
        writer: Writer,
        scores: Path = SCORES,
        models: Path = MODELS,
    ) -> None:
        """Weigh the members by their scores of val in folder `scores`; train is the members' business.

        Raises DataError when a member's scores are not of these notes and codes.
        """
        found = [scores_of(Artifact(scores / name), "val", val.codes, val.hadm_ids) for name in params.members]
        rates = [rate_left_out(said, val.labels) for said in found]
        held = [filled(said, rate) for said, rate in zip(found, rates, strict=True)]
        bias, *fitted = fit_weights(held, val.labels).tolist()
        weights = dict(zip(params.members, fitted, strict=True))
        spread = {name: weights[name] * float(logits(s).std()) for name, s in zip(params.members, held, strict=True)}
        total = sum(spread.values()) or 1.0
        parts = {name: round(size / total, DIGITS) for name, size in spread.items()}
        described = {"coder": cls.name, "codes": list(val.codes), "params": params.model_dump(mode="json")}
        left_out = dict(zip(params.members, rates, strict=True))
        described |= {"bias": bias, "weights": weights, "parts": parts, "left_out": left_out}
        writer.json("coder.json", described)
        for name in (name for name, weight in weights.items() if weight > 0):
            model = Artifact(models / name)
            if not set(val.codes) <= set(load_coder(model).codes):
                raise DataError(f"{model.folder}: codes other than gold's; run `dvc repro {name}`")
            writer.take(model, f"members/{name}")
        log(cls.name).info("weights", bias=bias, **weights)

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """The members' coders from inside the folder, each verified by its own manifest."""
        return cls(artifact)

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """What the members' scores come to together, float32 (N, L). The notes are held for all to read."""
        batches = list(notes)
        held = {}
        for name, member in self.members.items():
            found = member.scores(batch.select(list(member.reads)) for batch in batches)
            held[name] = dense(found, _places(member.codes, self.codes), np.nan)
        return self.combine(held, sum(batch.num_rows for batch in batches))

    def combine(self, scores: Mapping[str, FloatArray], notes: int) -> FloatArray:
        """Scores (N, L) from those of the members, columns in the order of `codes`."""
        held = [filled(scores[name], self.left_out[name]) for name in self.members]
        if not held:
            return np.full((notes, len(self.codes)), expit(self.bias), np.float32)
        return blended(self.bias, [self.weights[name] for name in self.members], held)

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The members' spans: a member's weights in a note sum to its part in the ensemble, equal spans are added."""
        self.columns_of(asked)  # refuses what no member knows before any is asked
        batches = list(notes)
        found: list[list[dict[tuple[int, int], float]]] = [[{} for _ in codes] for codes in asked]
        for name, member in self.members.items():
            read = (batch.select([*dict.fromkeys([*member.reads, "edits"])]) for batch in batches)
            for row, spans_of in enumerate(member.evidence(read, asked)):
                for place, spans in enumerate(spans_of):
                    shared_out(found[row][place], spans, self.parts[name])
        return [[strongest(spans) for spans in spans_of] for spans_of in found]


def scores_of(scores: Artifact, split: str, codes: Sequence[str], hadm_ids: Array) -> FloatArray:
    """A coder's stored scores (N, L) of these notes, columns in the order of `codes`; NaN where it left a cell out.

    Raises DataError when they are of other notes or other codes.
    """
    held, file = scores.npz(f"{split}.npz"), f"{scores.folder}/{split}.npz"
    if not np.array_equal(held["hadm_ids"], hadm_ids):
        raise DataError(f"{file}: notes other than gold's; run `dvc repro {scores.folder.name}`")
    known = held["codes"].tolist()
    if not set(codes) <= set(known) or ("scores" in held and len(known) != len(codes)):
        raise DataError(f"{file}: codes other than gold's; run `dvc repro {scores.folder.name}`")
    return dense(restored(held), _places(known, codes), np.nan)


def write_combined(writer: Writer, coder: EnsembleCoder, notes: LabelledNotes, scores: Path = SCORES) -> None:
    """`<split>.npz` each, as base.write_scores makes them, from the members' stored scores: no note is read again."""
    for split in np.unique(notes.splits).tolist():
        hadm_ids = notes.hadm_ids[notes.splits == split]
        held = {name: scores_of(Artifact(scores / name), split, coder.codes, hadm_ids) for name in coder.members}
        found, codes = coder.combine(held, len(hadm_ids)), np.array(coder.codes, dtype=str)
        writer.npz(f"{split}.npz", rows=len(hadm_ids), scores=found, hadm_ids=hadm_ids, codes=codes)


def shared_out(added: dict[tuple[int, int], float], spans: Sequence[Span], part: float) -> None:
    """Add a member's spans of a code to those of others: their weights sum to its part."""
    total = sum(span.weight for span in spans)
    for start, end, weight in spans:
        added[start, end] = added.get((start, end), 0.0) + part * weight / total


def blended(bias: float, weights: Sequence[float], scores: Sequence[FloatArray]) -> FloatArray:
    """The sigmoid of b + sum of w logit(score), float32 (N, L)."""
    notes, labels = len(scores[0]), scores[0].shape[-1]
    found = np.empty((notes, labels), np.float32)
    for part in _parts(notes, labels):
        z = np.full((part.stop - part.start, labels), bias)
        for weight, each in zip(weights, scores, strict=True):
            z += weight * logits(each[part])
        found[part] = expit(z)
    return found


def fit_weights(scores: Sequence[FloatArray], truth: Any) -> Array:
    """b and the weight of each member (1 + M,) that make the cross-entropy of truth, CSR (N, L), least."""
    start = np.array([0.0, *np.full(len(scores), 1 / len(scores))])
    bounds = [(-2 * LARGEST, 2 * LARGEST), *[(0.0, LARGEST)] * len(scores)]
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(cross_entropy, start, (scores, truth), "L-BFGS-B", jac=True, bounds=bounds, options=options)
    return np.asarray(found.x).round(DIGITS) + 0.0  # no -0.0


def cross_entropy(x: Array, scores: Sequence[FloatArray], truth: Any) -> tuple[float, Array]:
    """Mean over notes and labels at b, w = x, and its gradient."""
    total, gradient = 0.0, np.zeros(len(x))
    for part in _parts(*truth.shape):
        given = truth[part].toarray()
        held = [logits(found[part]) for found in scores]
        z = x[0] + sum(w * found for w, found in zip(x[1:], held, strict=True))
        total -= float((given * z + log_expit(-z)).sum())
        over = expit(z) - given  # d loss / d z
        gradient += [over.sum(), *((over * found).sum() for found in held)]
    cells = truth.shape[0] * truth.shape[1]
    return total / cells, gradient / cells


def logits(scores: Array) -> Array:
    return np.asarray(logit(np.clip(scores.astype(np.float64), EPS, 1 - EPS)))


def filled(scores: FloatArray, left_out: float) -> FloatArray:
    """Scores with a score for the cells that were left out."""
    if not np.isnan(scores).any():
        return scores
    return np.where(np.isnan(scores), np.float32(left_out), scores)


def rate_left_out(scores: FloatArray, truth: Any) -> float:
    """The share of true cells among those left out."""
    missing = np.isnan(scores)
    true = int(missing[truth.nonzero()].sum())
    return round((true + 0.5) / (int(missing.sum()) + 1), DIGITS)


def _parts(notes: int, labels: int) -> list[slice]:
    """Slices over notes, about ROWS notes x codes each."""
    step = max(1, ROWS // max(1, labels))
    return [slice(start, min(start + step, notes)) for start in range(0, notes, step)]


def _places(codes: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where each wanted code stands in `codes`."""
    place = {code: number for number, code in enumerate(codes)}
    return [place[code] for code in wanted]


def strongest(spans: Mapping[tuple[int, int], float]) -> list[Span]:
    order = sorted(spans, key=lambda key: (-spans[key], key))[:MOST_SPANS]
    return [Span(*key, spans[key]) for key in order]
