"""Which chemical of an abstract induces which of its diseases: the CID task of BioCreative V, on given mentions.

A pair of concepts in a document is one example, however often both are named: the features of all pairs of their
mentions go together (the words between and around them, their order, distance, sentence and title), beside how
prominent both are and what the other documents of train say of the same two. Logistic regression; its threshold comes
from cross-validation on train by document.
"""

from __future__ import annotations

import gzip
import itertools
import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import DataError

Array = np.ndarray[Any, Any]
Pair = tuple[str, str]  # ids of a chemical and a disease
FOLDS, SEED = 5, 11
C = 0.1
NEAR = 12  # words between two mentions whose words count


class Concept(NamedTuple):
    """A mention of a chemical or disease with an id."""

    start: int
    end: int
    kind: str
    id: str


@dataclass(frozen=True)
class Abstract:
    """A PubTator document: title and text, where the title ends, mentions with ids, pairs that induce."""

    text: str
    title: int
    concepts: tuple[Concept, ...]
    induced: frozenset[Pair]


def read_pubtator(path: Path) -> list[Abstract]:
    """The documents of a PubTator file (.gz or plain). Raises DataError where it is none."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            blocks = file.read().strip().split("\n\n")
        return [_abstract(block.splitlines()) for block in blocks]
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (OSError, UnicodeDecodeError, ValueError, IndexError):
        raise DataError(f"{path}: not a PubTator file") from None


def _abstract(lines: Sequence[str]) -> Abstract:
    title, body = lines[0].split("|t|", 1)[1], lines[1].split("|a|", 1)[1]
    concepts, induced = [], set()
    for line in lines[2:]:
        cells = line.split("\t")
        if cells[1] == "CID":
            induced.add((cells[2], cells[3]))
        elif cells[5] != "-1":
            concepts += [Concept(int(cells[1]), int(cells[2]), cells[4], name) for name in cells[5].split("|")]
    concepts.sort()
    return Abstract(f"{title} {body}", len(title), tuple(concepts), frozenset(induced))


def pairs(document: Abstract) -> list[Pair]:
    """Every chemical with every disease of the document, sorted."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for concept in document.concepts:
        kinds[concept.kind].add(concept.id)
    return [(chemical, disease) for chemical in sorted(kinds["Chemical"]) for disease in sorted(kinds["Disease"])]


class Seen(NamedTuple):
    """How often a pair, a chemical and a disease stood in train, and how often as cause and effect."""

    stood: Mapping[Any, int]
    induced: Mapping[Any, int]

    @classmethod
    def of(cls, documents: Sequence[Abstract]) -> Seen:
        stood: Counter[Any] = Counter()
        induced: Counter[Any] = Counter()
        for document in documents:
            for pair in pairs(document):
                for key in (pair, *pair):
                    stood[key] += 1
                    induced[key] += pair in document.induced
        return cls(stood, induced)

    def without(self, document: Abstract) -> Seen:
        """The same less one document, so that train's documents do not tell their own answer."""
        own = Seen.of([document])
        return Seen(
            {key: self.stood.get(key, 0) - count for key, count in own.stood.items()},
            {key: self.induced.get(key, 0) - count for key, count in own.induced.items()},
        )


_WORD = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")
_SENTENCE_END = re.compile(r"(?<=[a-z)\]%\d][.?!])\s+(?=[A-Z(\d])")


Features = dict[str, float]


def features(document: Abstract, seen: Seen) -> Iterator[tuple[Pair, Features]]:
    """Each pair of the document with its features."""
    reader = _Reader(document)
    about = {name: reader.about(name) for pair in pairs(document) for name in pair}
    for chemical, disease in pairs(document):
        found: Features = {}
        for side, name in (("c", chemical), ("d", disease)):
            found |= {f"{side}:{key}": value for key, value in about[name].items()}
        for key in ("title", "most", "share"):
            found[f"both {key}"] = found[f"c:{key}"] * found[f"d:{key}"]
        found |= reader.between(chemical, disease)
        found["alone"] = found["c:title"] * (1.0 - found["together"])
        keys: tuple[tuple[str, Pair | str], ...] = (("pair", (chemical, disease)), ("c", chemical), ("d", disease))
        for label, known in keys:
            stood, induced = seen.stood.get(known, 0), seen.induced.get(known, 0)
            found[f"seen {label}"] = math.log((induced + 0.3) / (stood - induced + 0.7))
            found[f"seen {label} {min(stood, 3)} {min(induced, 2)}"] = 1.0
        yield (chemical, disease), found


class _Reader:
    """A document cut into words and sentences, its mentions by concept."""

    def __init__(self, document: Abstract) -> None:
        self._title = document.title
        cuts = (found.end() for found in _SENTENCE_END.finditer(document.text))
        self._starts = sorted({0, document.title + 1, *cuts})
        self._words = [(found[0].lower(), found.start()) for found in _WORD.finditer(document.text)]
        self._places = [start for _, start in self._words]
        self._mentions: dict[str, list[Concept]] = defaultdict(list)
        self._at: dict[int, Concept] = {}
        for concept in document.concepts:
            self._mentions[concept.id].append(concept)
            self._at.setdefault(concept.start, concept)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        for concept in document.concepts:
            self._counts[concept.kind][concept.id] += 1

    def _sentence(self, concept: Concept) -> int:
        return bisect_right(self._starts, concept.start)

    def about(self, name: str) -> Features:
        """How prominent a concept is, and the words around its mentions."""
        own = self._mentions[name]
        counts = self._counts[own[0].kind]
        share = counts[name] / max(counts.values())
        found = {
            "log": math.log(counts[name]),
            "share": share,
            "most": float(share == 1),
            "kinds": 1 / len(counts),
            "title": float(any(concept.start < self._title for concept in own)),
            "last": float(any(self._sentence(concept) == len(self._starts) for concept in own)),
        }
        for concept in own:
            first = bisect_left(self._places, concept.start)
            left = [word for word, _ in self._words[max(0, first - 2) : first]]
            behind = bisect_left(self._places, concept.end)
            right = [word for word, _ in self._words[behind : behind + 2]]
            for size in (1, 2):
                found[f"<{' '.join(left[-size:])}"] = 1.0
                found[f">{' '.join(right[:size])}"] = 1.0
        return found

    def between(self, chemical: str, disease: str) -> Features:
        """What stands between mentions of one sentence, and how far apart the two are at best."""
        found: Features = {}
        apart, closest = 99, 999
        for one, two in itertools.product(self._mentions[chemical], self._mentions[disease]):
            distance = abs(self._sentence(one) - self._sentence(two))
            apart = min(apart, distance)
            if distance:
                continue
            order, low, high = ("cd", one.end, two.start) if one.start < two.start else ("dc", two.end, one.start)
            said = self._said(low, high)
            closest = min(closest, len(said))
            if len(said) <= NEAR:
                found[f"{order}|{min(len(said), 6)}"] = 1.0
                found[f"{order}={' '.join(said[:6])}"] = 1.0
                found |= {f"{order}:{word}": 1.0 for word in said}
                found |= {f"{order}:{first} {second}": 1.0 for first, second in itertools.pairwise(said)}
        found[f"apart {min(apart, 4)}"] = 1.0
        return found | {"together": float(apart == 0), "close": 1 / (1 + closest)}

    def _said(self, low: int, high: int) -> list[str]:
        """Words of a stretch; a mention counts as its kind, a number as #."""
        found, skip = [], -1
        for word, start in self._words[bisect_left(self._places, low) : bisect_left(self._places, high)]:
            if start < skip:
                continue
            concept = self._at.get(start)
            if concept is not None:
                skip = concept.end
            found.append(concept.kind if concept is not None else "#" if word.isdigit() else word)
        return found


@dataclass(frozen=True)
class Inducer:
    """The classifier: features' names (F,), weights (F,), bias, threshold, and what train said of each pair."""

    vectorizer: DictVectorizer
    weights: Array
    bias: float
    threshold: float
    seen: Seen

    @classmethod
    def fit(cls, documents: Sequence[Abstract]) -> Inducer:
        """Fit on train; deterministic."""
        folds = np.random.default_rng(SEED).permutation(len(documents)) % FOLDS
        scores, truth = [], []
        for fold in range(FOLDS):
            learn = [document for document, place in zip(documents, folds, strict=True) if place != fold]
            judge = [document for document, place in zip(documents, folds, strict=True) if place == fold]
            model = cls._fit(learn, 0.5)
            for document in judge:
                for pair, score in model.scores(document).items():
                    scores.append(score)
                    truth.append(pair in document.induced)
        missed = sum(len(document.induced - set(pairs(document))) for document in documents)
        return cls._fit(documents, _best(np.array(scores), np.array(truth), missed))

    @classmethod
    def _fit(cls, documents: Sequence[Abstract], threshold: float) -> Inducer:
        seen = Seen.of(documents)
        rows, truth = [], []
        for document in documents:
            for pair, found in features(document, seen.without(document)):
                rows.append(found)
                truth.append(pair in document.induced)
        vectorizer = DictVectorizer()
        model = LogisticRegression(C=C, solver="liblinear", random_state=SEED, max_iter=400)
        seen_in = vectorizer.fit_transform(rows)
        # liblinear takes 32-bit indices alone
        seen_in.indices, seen_in.indptr = (part.astype(np.int32) for part in (seen_in.indices, seen_in.indptr))
        model.fit(seen_in, np.array(truth))
        return cls(vectorizer, model.coef_[0], float(model.intercept_[0]), threshold, seen)

    def scores(self, document: Abstract) -> dict[Pair, float]:
        """Probability of each pair of the document."""
        found = list(features(document, self.seen))
        if not found:
            return {}
        logits = self.vectorizer.transform([row for _, row in found]) @ self.weights + self.bias
        return {pair: float(1 / (1 + math.exp(-logit))) for (pair, _), logit in zip(found, logits, strict=True)}

    def induced(self, document: Abstract) -> set[Pair]:
        """The pairs called."""
        return {pair for pair, score in self.scores(document).items() if score >= self.threshold}

    def write(self, writer: Writer) -> None:
        """induced.json (names of features, what train said, bias, threshold) and induced.npz (weights)."""
        counts = [
            [*([key, ""] if isinstance(key, str) else key), stood, self.seen.induced[key]]
            for key, stood in sorted(self.seen.stood.items(), key=str)
        ]
        known = {"names": self.vectorizer.feature_names_, "bias": self.bias, "threshold": self.threshold}
        writer.json("induced.json", known | {"seen": counts})
        writer.npz("induced.npz", weights=self.weights)

    @classmethod
    def load(cls, artifact: Artifact) -> Inducer:
        """What `write` wrote."""
        known, vectorizer = artifact.json("induced.json"), DictVectorizer()
        vectorizer.feature_names_ = known["names"]
        vectorizer.vocabulary_ = {name: place for place, name in enumerate(known["names"])}
        keys = [(one, two) if two else one for one, two, _, _ in known["seen"]]
        stood, induced = ([row[place] for row in known["seen"]] for place in (2, 3))
        seen = Seen(dict(zip(keys, stood, strict=True)), dict(zip(keys, induced, strict=True)))
        return cls(vectorizer, artifact.npz("induced.npz")["weights"], known["bias"], known["threshold"], seen)


def _best(scores: Array, truth: Array, missed: int) -> float:
    """The threshold of 0.05 ... 0.95 with the best F1; `missed` true pairs have no score."""
    grid = np.arange(5, 96) / 100
    called = [(scores >= tau) for tau in grid]
    found = [2 * (truth & one).sum() / max(one.sum() + truth.sum() + missed, 1) for one in called]
    return float(grid[int(np.argmax(found))])


def judged(documents: Sequence[Abstract], called: Sequence[set[Pair]]) -> tuple[float, float, float]:
    """Precision, recall and F1 of pairs over documents."""
    right = sum(len(document.induced & found) for document, found in zip(documents, called, strict=True))
    found, meant = sum(map(len, called)), sum(len(document.induced) for document in documents)
    return right / max(found, 1), right / max(meant, 1), 2 * right / max(found + meant, 1)
