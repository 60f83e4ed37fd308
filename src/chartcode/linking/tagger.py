"""Finds mentions in text by a linear-chain CRF (Lafferty, McCallum and Pereira 2001) learned on marked documents.

    tagger = Tagger.train(read_pubtator(path), [names], TaggerParams(), folder)
    Tagger.load(folder).find(text)   ->   [(start, end, "Disease", p), ...]

- Words carry B-, I- of a type, or O. CRFsuite fits by L-BFGS in one thread: equal documents, equal bytes.
- What the features know of train is cross-fitted (lexicon.py), so that train looks to the CRF as a new text does.
- Several CRFs, each of its own penalty, vote by the mean of their marginals; the best sequence in which no I- follows
  another type is taken.
- A name of the dictionary that train never saw is taken whole where a part of it was found.
- A document's short forms follow their long forms: `ICH` is a mention where `intracerebral hemorrhage (ICH)` is one.
The folder is an artifact: CRFsuite's own files, and JSON; every byte is checked when it is read, nothing is pickled.
Legend: T words and signs of a text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pycrfsuite

from chartcode.artifacts import Artifact, writing
from chartcode.errors import ArtifactError, DataError
from chartcode.linking.abbreviations import definitions
from chartcode.linking.corpora import Document
from chartcode.linking.features import NONE, Knowledge, Tokens, features, tokens_of
from chartcode.linking.lexicon import UNSEEN
from chartcode.linking.tokens import words_of

_KNOWLEDGE = "knowledge.json"
_SETTINGS = "tagger.json"
_FLOOR = 1e-9  # of a marginal


@dataclass(frozen=True)
class TaggerParams:
    """How the tagger learns. Chosen by cross-validation on train (`python -m benchmarks.concepts`)."""

    penalties: tuple[tuple[float, float], ...] = (
        (0.03, 0.02),
    )  # (L1, L2) of each CRF; a CRF each costs its time again
    iterations: int = 100  # of L-BFGS; more cost time in proportion and change little
    folds: int = 10  # in which train is cross-fitted
    doubt: float = 0.8  # a short form is no mention below this marginal where its long form is none


class Found(NamedTuple):
    """A mention: code points start..end, its type, and the least marginal of its words."""

    start: int
    end: int
    kind: str
    p: float


class Tagger:
    """CRFs and what their features need to know."""

    def __init__(
        self, models: Sequence[pycrfsuite.Tagger], knowledge: Knowledge, doubt: float, named: str = ""
    ) -> None:
        """`named`: the type of what the dictionary names."""
        self._models, self._knowledge, self._doubt, self._named = list(models), knowledge, doubt, named
        self._labels = sorted({label for model in models for label in model.labels()} | {NONE})

    @classmethod
    def train(
        cls, documents: Sequence[Document], dictionary: Sequence[Sequence[str]], params: TaggerParams, folder: Path
    ) -> Tagger:
        """Learn to find the mentions of `documents` and write the folder.

        `dictionary` is lists of names (of a table TERMS), the more trusted first. Raises DataError without a mention.
        """
        if not any(document.mentions for document in documents):
            raise DataError("no document with a mention; the tagger learns from marked documents")
        folds = [at % params.folds for at in range(len(documents))]
        knowledge = Knowledge.of(dictionary, documents, folds)
        with writing(folder, "tagger") as writer:
            trainers = []
            for l1, l2 in params.penalties:
                trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
                trainer.set_params(
                    {"c1": l1, "c2": l2, "max_iterations": params.iterations, "feature.possible_transitions": True}
                )
                trainers.append(trainer)
            for document, fold in zip(documents, folds, strict=True):
                tokens = tokens_of(document.text)
                rows = features(document.text, tokens, knowledge, fold)
                labels = labels_of(tokens, document)
                for first, end in tokens.sentences:
                    items = pycrfsuite.ItemSequence(rows[first:end])
                    for trainer in trainers:
                        trainer.append(items, labels[first:end])
            for number, trainer in enumerate(trainers):
                trainer.train(str(writer.path(f"{number}.crfsuite")))
            writer.json(_KNOWLEDGE, knowledge.to_json())
            writer.json(_SETTINGS, {**asdict(params), "named": _named(documents, knowledge)})
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Tagger:
        """Open a written folder. Raises ArtifactError in one line where a byte of it is not as written."""
        if not folder.is_dir():
            raise DataError(f"{folder}: not found; `chartcode fit-tagger` makes a tagger")
        artifact = Artifact(folder)
        try:
            settings = artifact.json(_SETTINGS)
            models = []
            for number in range(len(settings["penalties"])):
                model = pycrfsuite.Tagger()
                model.open(str(artifact.path(f"{number}.crfsuite")))
                models.append(model)
            knowledge = Knowledge.from_json(artifact.json(_KNOWLEDGE))
            return cls(models, knowledge, float(settings["doubt"]), str(settings["named"]))
        except (ValueError, KeyError, TypeError):
            raise ArtifactError(f"{folder}: no tagger; make one with `chartcode fit-tagger`") from None

    def find(self, text: str) -> list[Found]:
        """The mentions in a text, in order, none over another."""
        tokens = tokens_of(text)
        marginals = self._marginals(tokens, features(text, tokens, self._knowledge))
        found: list[Found] = []
        for first, end in tokens.sentences:
            labels = best_sequence(marginals[first:end], self._labels)
            for start, stop, kind in runs(labels):
                p = min(marginals[first + at][labels[at]] for at in range(start, stop))
                found.append(Found(tokens.starts[first + start], tokens.ends[first + stop - 1], kind, p))
        return self._with_short_forms(text, tokens, marginals, self._with_whole_names(text, found))

    def _marginals(self, tokens: Tokens, rows: list[list[str]]) -> list[dict[str, float]]:
        """The mean marginal of every label at every word (T)."""
        total = [dict.fromkeys(self._labels, 0.0) for _ in rows]
        for model in self._models:
            for first, end in tokens.sentences:
                model.set(pycrfsuite.ItemSequence(rows[first:end]))
                for at in range(first, end):
                    for label in model.labels():
                        total[at][label] += model.marginal(label, at - first) / len(self._models)
        return total

    def _with_whole_names(self, text: str, found: list[Found]) -> list[Found]:
        """A name of the first dictionary that train never saw, and that holds all of the mentions it touches, is one.

        The CRF has learned little of such names and takes their last words alone.
        """
        words = words_of(text)
        for hit in self._knowledge.names[0].find(words) if self._knowledge.names else ():
            start, end = words.starts[hit.first], words.ends[hit.end - 1]
            held = [one for one in found if one.start < end and start < one.end]
            whole = all(start <= one.start and one.end <= end and one.kind == self._named for one in held)
            if hit.rate == UNSEEN and held and whole:
                found = [one for one in found if one not in held]
                found.append(Found(start, end, self._named, min(one.p for one in held)))
        return sorted(found)

    def _with_short_forms(
        self, text: str, tokens: Tokens, marginals: Sequence[dict[str, float]], found: list[Found]
    ) -> list[Found]:
        kept = {(one.start, one.end): one for one in found}
        for one in definitions(text):
            written = re.escape(text[one.start : one.end])
            places = [match.span() for match in re.finditer(rf"(?<!\w){written}(?!\w)", text)]
            long = [kept[span] for span in kept if span[1] == one.long_end and span[0] >= one.long_start - 3]
            if long:
                for start, end in places:
                    if not any(a < end and start < b for a, b in kept):
                        kept[start, end] = Found(start, end, long[0].kind, long[0].p)
            elif not any(a < one.long_end and one.long_start < b for a, b in kept):
                for start, end in places:
                    sure = [1 - m[NONE] for m, s in zip(marginals, tokens.starts, strict=True) if start <= s < end]
                    if (start, end) in kept and sum(sure) < self._doubt * len(sure):
                        del kept[start, end]
        return sorted(kept.values())


def _named(documents: Sequence[Document], knowledge: Knowledge) -> str:
    """The type that most of the mentions have which are names of the first dictionary."""
    counts: Counter[str] = Counter()
    for document in documents if knowledge.names else ():
        words = words_of(document.text)
        spans = {(words.starts[h.first], words.ends[h.end - 1]) for h in knowledge.names[0].find(words)}
        counts.update(mention.kind for mention in document.mentions if (mention.start, mention.end) in spans)
    return max(counts, key=lambda kind: (counts[kind], kind), default="")


def labels_of(tokens: Tokens, document: Document) -> list[str]:
    """B-, I- of its type or O for every word of a document (T)."""
    labels = [NONE] * len(tokens.words)
    for mention in document.mentions:
        begun = False
        for at, (start, end) in enumerate(zip(tokens.starts, tokens.ends, strict=True)):
            if start >= mention.start and end <= mention.end:
                labels[at] = f"{'I' if begun else 'B'}-{mention.kind}"
                begun = True
    return labels


def runs(labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """The runs first..end of one mention each, with its type, in labels where no I- follows another type."""
    out: list[tuple[int, int, str]] = []
    for at, label in enumerate(labels):
        if label.startswith("B"):
            out.append((at, at + 1, label[2:]))
        elif label.startswith("I"):
            first, _, kind = out.pop()
            out.append((first, at + 1, kind))
    return out


def best_sequence(marginals: Sequence[dict[str, float]], labels: Sequence[str]) -> list[str]:
    """The labels with the highest product of marginals in which an I- follows a B- or I- of its type (Viterbi)."""
    scores = {label: 0.0 if label == NONE else -math.inf for label in labels}  # before the first word
    back: list[dict[str, str]] = []
    for marginal in marginals:
        came: dict[str, str] = {}
        now: dict[str, float] = {}
        anything = max(labels, key=lambda label: scores[label])
        for label in labels:
            before = anything
            if label[0] == "I":
                before = max((f"B{label[1:]}", label), key=lambda one: scores.get(one, -math.inf))
            came[label] = before
            now[label] = scores.get(before, -math.inf) + math.log(marginal.get(label, 0.0) + _FLOOR)
        scores = now
        back.append(came)
    label = max(labels, key=lambda one: scores[one])
    out: list[str] = []
    for came in reversed(back):
        out.append(label)
        label = came[label]
    return out[::-1]
