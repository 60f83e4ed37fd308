"""A mention -> the concepts it may mean, ranked, each with the step that found it and a calibrated p. Offline.

    resolver = Resolver.of(terms)                      any table TERMS: ICD-10-CM, MeSH, SNOMED, a user's own
    resolver = Resolver.learn(terms, documents)        and what marked documents say
    resolver.resolve(["carcinoma, breast"])   ->   [[Answer("D001943", "breast cancer", "bag", score, p), ...]]

Steps (candidates.py): exact, bag of stems, synonym, coordination, letters, vectors. A conditional logit (ranking.py)
weighs what they say. Its weights and the calibration are learned on marked documents, folds of documents apart: the
counts that a mention of train meets are those of the other folds. Without such documents the steps decide in their
order, and p is how often that was right where it was measured (`UNTAUGHT`, from BC5CDR's train part).

Calibration: logistic regression of "the first answer is right" on the logit of the ranker's share, the likeness of
name and mention, and the step.
Below `least` the resolver abstains.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from chartcode.artifacts import Artifact, writing
from chartcode.errors import ArtifactError, DataError
from chartcode.linking import dense, ranking
from chartcode.linking.candidates import FEATURES, JOINT, STEPS, Candidates, Index, Query
from chartcode.linking.corpora import Document, Mention
from chartcode.linking.dense import FILE as VECTORS
from chartcode.linking.dense import DenseEncoder
from chartcode.linking.short_forms import short_forms

TERMS_FILE = "terms.parquet"
_MENTIONS, _NAMES, _SETTINGS = "mentions.parquet", "names.json", "resolver.json"
MENTION_NAMES = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),  # several joined by |
        pa.field("fold", pa.int32(), nullable=False),
    ]
)
_FOLDS = 5
_L2 = 1.0
_AT = {name: at for at, name in enumerate(FEATURES)}


# Weights without marked documents: those of BC5CDR's train part with MEDIC's names alone, rounded, none below 0, and
# with a preference for what stands in the terminology word for word and for the kinds of names further to the front.
_UNTAUGHT = {
    "exact": 1.0, "bag": 0.5, "composite": 2.0, "letters": 7.8, "stems of name": 1.1, "both": 2.8, "digits": 2.3,
    "kind": 1.0, "in document": 1.5, "first step": 2.2, "dense": 10.0,
}  # fmt: skip
UNTAUGHT = np.array([_UNTAUGHT.get(feature, 0.0) for feature in FEATURES])
# Of `_signs`. From the same mentions with all of MEDIC's concepts and with 30, 10 and 3 in 100 of them: in a short list
# most mentions have no concept, and the only candidate is no sure one. With an encoder: MiniLM's vectors.
UNTAUGHT_CALIBRATION = np.array([-3.08, -0.12, 3.5, 1.61, 0.0, 1.42, 1.74, -0.97, 0.01, -2.2, 0.0])
UNTAUGHT_WITH_ENCODER = np.array([-6.55, -0.04, 0.21, -0.43, 7.83, 1.83, 2.27, 0.18, 0.0, -1.21, -3.06])


class Answer(NamedTuple):
    """A concept (several joined by `|` for a coordination), its name nearest to the mention, how it was found."""

    code: str
    name: str
    method: str
    score: float  # the ranker's share among the candidates, 0 to 1
    p: float  # calibrated: how often such an answer is right


class Sample(NamedTuple):
    """A marked mention as the resolver is asked for it, the number of its document, and its concepts."""

    query: Query
    written: str
    document: int
    concepts: frozenset[str]
    joint: str


def expanded(text: str, long_forms: Mapping[str, str]) -> str:
    """A mention with the short forms that its document defines written out."""
    if text in long_forms:
        return long_forms[text]
    for short, long in long_forms.items():
        if short in text:
            text = re.sub(rf"(?<![\w-]){re.escape(short)}(?!\w)", long.replace("\\", r"\\"), text)
    return text


def samples(documents: Sequence[Document], kinds: frozenset[str] | None = None, folds: int = 0) -> list[Sample]:
    """The mentions of documents as queries; with `folds`, each carries the fold of its document."""
    out: list[Sample] = []
    for number, document in enumerate(documents):
        long_forms = {one.short: one.long for one in short_forms(document.text)}
        for mention in document.mentions:
            if kinds is None or mention.kind in kinds:
                out.append(_sample(document.text, mention, long_forms, number, number % folds if folds else -1))
    return out


def _sample(text: str, mention: Mention, long_forms: Mapping[str, str], number: int, fold: int) -> Sample:
    written = text[mention.start : mention.end]
    query = Query(expanded(written, long_forms), fold)
    return Sample(query, written, number, frozenset(mention.concepts), mention.joint)


class Resolver:
    """Names, the steps, the ranker's weights (D,) and the calibration."""

    def __init__(
        self, index: Index, weights: np.ndarray[Any, Any], calibration: np.ndarray[Any, Any], least: float = 0.0
    ) -> None:
        self.index, self.weights, self.calibration, self.least = index, weights, calibration, least

    def save(self, folder: Path, terms: pa.Table) -> None:
        """Write the folder: the terms it was made of, the mentions, weights, and vectors if it has an encoder."""
        with writing(folder, "resolver") as writer:
            writer.parquet(TERMS_FILE, terms)
            writer.parquet(_MENTIONS, pa.Table.from_pylist(self.index.mentions_list(), schema=MENTION_NAMES))
            vectors = self.index.vectors()
            if vectors is not None:
                writer.npz(VECTORS, len(vectors), vectors=vectors.astype(np.float16))
                writer.json(_NAMES, self.index.names)
            settings = {
                "weights": dict(zip(FEATURES, self.weights.tolist(), strict=True)),
                "calibration": self.calibration.tolist(),
                "least": self.least,
                "near": self.index.near,
                "skip": sorted(self.index.skip),
                "encoder": self.index.encoder.digest if self.index.encoder else "",
            }
            writer.json(_SETTINGS, settings)

    @classmethod
    def load(cls, folder: Path, encoder: DenseEncoder | None = None) -> Resolver:
        """Open a written folder; `encoder` is the one it was made with, if any. Raises ArtifactError in one line.

        With another encoder, with none or with one too many: a DataError.
        """
        if not folder.is_dir():
            raise DataError(f"{folder}: not found; `chartcode fit-resolver` makes a resolver")
        artifact = Artifact(folder)
        try:
            settings = artifact.json(_SETTINGS)
            weights = np.array([settings["weights"][feature] for feature in FEATURES])
            calibration = np.array(settings["calibration"], float)
            mentions = [(row["text"], row["code"], row["fold"]) for row in artifact.table(_MENTIONS).to_pylist()]
            options = {"near": settings["near"], "skip": frozenset(settings["skip"])}
            least, made = float(settings["least"]), str(settings["encoder"])
        except (ValueError, KeyError, TypeError):
            raise ArtifactError(f"{folder}: no resolver; make one with `chartcode fit-resolver`") from None
        if made != (encoder.digest if encoder else ""):
            how = "without encoder" if not made else "with another encoder" if encoder else "with one: name it"
            raise DataError(f"{folder}: the resolver was made {how}")
        kept = None
        if encoder is not None and VECTORS in artifact.names():
            kept = (artifact.json(_NAMES), dense.read(artifact))
        index = Index(artifact.table(TERMS_FILE), mentions, encoder=encoder, vectors=kept, **options)
        return cls(index, weights, calibration, least)

    @classmethod
    def of(cls, terms: pa.Table, least: float = 0.0, **options: Any) -> Resolver:
        """A resolver of names alone; `options` are Index's."""
        index = Index(terms, **options)
        return cls(index, UNTAUGHT, UNTAUGHT_WITH_ENCODER if index.encoder else UNTAUGHT_CALIBRATION, least)

    @classmethod
    def learn(
        cls,
        terms: pa.Table,
        documents: Sequence[Document],
        kinds: frozenset[str] | None = None,
        least: float = 0.0,
        mentions: bool = True,
        index: Index | None = None,
        **options: Any,
    ) -> Resolver:
        """Learn from marked documents: their mentions as names, weights, calibration.

        `kinds`: types of mentions to take. `mentions` False leaves the mentions out as names. Raises DataError where
        there is nothing to learn from. `index`: one that was made of these terms and mentions before.
        """
        marked = samples(documents, kinds, _FOLDS)
        index = index or Index(terms, mention_names(marked) if mentions else (), **options)
        found = candidates_of(index, marked)
        right = [is_right(one.codes, sample) for one, sample in zip(found, marked, strict=True)]
        folds = np.array([sample.query.fold for sample in marked])
        if not any(one.any() and not one.all() for one in right):
            raise DataError("no marked mention whose concept is in the terminology; nothing to learn from")
        weights = ranking.fit([one.evidence for one in found], right, _L2)
        rows, hits = [], []
        for fold in range(_FOLDS):
            rest = [at for at in range(len(found)) if folds[at] != fold]
            held = [at for at in range(len(found)) if folds[at] == fold and len(found[at].codes)]
            some = ranking.fit([found[at].evidence for at in rest], [right[at] for at in rest], _L2)
            for at in held:
                shares = ranking.shares(found[at].evidence, some)
                best = int(np.argmax(shares))
                rows.append(_signs(shares[best], found[at].steps[best], found[at].evidence[best]))
                hits.append(right[at][best])
        return cls(index, weights, ranking.logistic(np.array(rows), np.array(hits, float), _L2), least)

    def resolve(self, mentions: Sequence[str], count: int = 5) -> list[list[Answer]]:
        """The likeliest concepts of each mention, best first; none where the best is below `least`."""
        queries = sorted({Query(mention) for mention in mentions})
        found = dict(zip(queries, self.index.find(queries), strict=True))
        answers = {query: self.ranked(one, count) for query, one in found.items()}
        return [answers[Query(mention)] for mention in mentions]

    def resolve_document(self, text: str, spans: Sequence[tuple[int, int]], count: int = 5) -> list[list[Answer]]:
        """The likeliest concepts of each span of a text: its short forms are written out, its other mentions count."""
        mentions = tuple(Mention(start, end, "", ()) for start, end in spans)
        marked = samples([Document("", text, mentions, ())])
        return [self.ranked(one, count) for one in candidates_of(self.index, marked)]

    def ranked(self, found: Candidates, count: int = 5) -> list[Answer]:
        """Candidates as answers, best first."""
        shares = ranking.shares(found.evidence, self.weights)
        order = np.argsort(-shares, kind="stable")[:count]
        out = []
        for at in order:
            p = ranking.sigmoid(_signs(shares[at], found.steps[at], found.evidence[at]) @ self.calibration)
            out.append(Answer(found.codes[at], found.names[at], found.steps[at], float(shares[at]), float(p)))
        return out if out and out[0].p >= self.least else []


def mention_names(marked: Sequence[Sample]) -> list[tuple[str, str, int]]:
    """Marked mentions as names of their concepts, as written and written out, with their fold."""
    return [
        (text, JOINT.join(sorted(sample.concepts)), sample.query.fold)
        for sample in marked
        if sample.concepts
        for text in sorted({sample.written, sample.query.text})
    ]


def candidates_of(index: Index, marked: Sequence[Sample]) -> list[Candidates]:
    """The candidates of every sample; each knows which codes the other mentions of its document have for certain."""
    queries = sorted({sample.query for sample in marked})
    found = dict(zip(queries, index.find(queries), strict=True))
    sure: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # document -> code -> mentions
    for sample in marked:
        one = found[sample.query]
        exact = [code for code, step in zip(one.codes, one.steps, strict=True) if step == STEPS[0]]
        if len(exact) == 1:
            sure[sample.document][exact[0]].add(sample.query.text.lower())
    out = []
    for sample in marked:
        one = found[sample.query]
        evidence = one.evidence.copy()
        beside = sure[sample.document]
        for at, code in enumerate(one.codes):
            evidence[at, _AT["in document"]] = bool(beside.get(code, set()) - {sample.query.text.lower()})
        out.append(one._replace(evidence=evidence))
    return out


def is_right(codes: Sequence[str], sample: Sample) -> np.ndarray[Any, Any]:
    """Which codes are right (C,): one of a mention's concepts, or, of several joined, exactly all."""
    return np.array(
        [set(code.split(JOINT)) == sample.concepts if JOINT in code else code in sample.concepts for code in codes],
        dtype=bool,
    )


def _signs(share: float, step: str, evidence: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the calibration sees of an answer: 1, logit of its share, how like its names are, its step."""
    share = min(max(float(share), 1e-4), 1 - 1e-4)
    letters = max(evidence[_AT["letters"]], evidence[_AT["letters in train"]])
    likeness = (letters, evidence[_AT["both"]], evidence[_AT["dense"]])
    return np.array([1.0, np.log(share / (1 - share)), *likeness, *(float(step == one) for one in STEPS)])
