"""The codes a mention may mean, found by six steps, and what speaks for each: the resolver's evidence.

Steps, in order: exact (plain words), bag (stems in any order), synonym (one stem exchanged or left out), composite (a
coordination whose every part is a name), similar (runs of letters), dense (an encoder, where one is given). A code
keeps the first step that found it.
Mentions of train are names with counts. For a query of train, the counts of its own fold are taken off, so that it
meets train as a new mention would.
Legend: U distinct names (plain words), C candidates of a query, D features, H width of vectors.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from chartcode.linking.dense import DenseEncoder
from chartcode.linking.nearest import Nearest, top
from chartcode.linking.spelling import parts, plain_words, stems_of
from chartcode.linking.stems import StemCodes
from chartcode.linking.synonyms import Bag, Synonyms
from chartcode.linking.terms import PREFERENCE

STEPS = ("exact", "bag", "synonym", "composite", "similar", "dense")
ALL = -1  # the fold of a query that is not of train
JOINT = "|"  # between the codes of a coordination: breast and ovarian cancer
FEATURES = (
    "exact",  # a name is written so: its kind's preference x its share
    "exact in train",  # ln(1 + train mentions written so that have the code)
    "share in train",  # of the train mentions written so
    "bag", "bag in train",  # the same for its bag of stems
    "synonym",  # how readily the exchanged stem is exchanged
    "composite",
    "letters", "letters in train",  # highest cosine of a name, of a train mention
    "stems of mention", "stems of name", "both",  # shares of their stems that the other has (by idf), and their mean
    "stems' names", "stems' mentions",  # what its stems speak for (stems.py)
    "code in train", "names of code",  # ln(1 + n)
    "digits",  # the numbers in both are the same
    "kind",  # preference of the name found exactly or as a bag
    "dense",  # highest cosine of vectors
    "in document",  # another mention of the document has the code for certain (resolver.py)
    "first step",  # no candidate was found by an earlier step
    "several codes",
)  # fmt: skip
_AT = {name: at for at, name in enumerate(FEATURES)}
_LEAST_COSINE = 0.2
_DENSE_BATCH = 64


class Query(NamedTuple):
    """A mention as written (abbreviations of its document expanded) and its fold, if it is of train."""

    text: str
    fold: int = ALL


class Candidates(NamedTuple):
    """The codes a mention may mean (C,), the nearest name of each, the step that found it, the evidence (C, D)."""

    codes: list[str]
    names: list[str]
    steps: list[str]
    evidence: np.ndarray[Any, Any]


class Index:
    """All names of a table TERMS and of train mentions, and the ways to look one up."""

    def __init__(
        self,
        terms: pa.Table,
        mentions: Sequence[tuple[str, str, int]] = (),
        near: int = 40,
        skip: frozenset[str] = frozenset(),
        encoder: DenseEncoder | None = None,
        vectors: tuple[Sequence[str], np.ndarray[Any, Any]] | None = None,
    ) -> None:
        """Look names up in `terms` and `mentions` (text, code or codes joined, fold) of train.

        `near`: names taken by letters and by vectors; more cost time in proportion. `skip`: steps not taken.
        `vectors`: plain names and their vectors (H wide) that `encoder` made before; the rest it makes here.
        """
        self.near, self.skip = near, skip
        self._listed: dict[str, dict[str, float]] = defaultdict(dict)  # plain name -> code -> preference x share
        self._counted: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)  # plain name -> (code, fold) -> n
        self._code_counted: dict[str, Counter[int]] = defaultdict(Counter)  # code -> fold -> n
        self._names_of: Counter[str] = Counter()
        self._mentions = list(mentions)
        self._read(terms, self._mentions)
        self.names = sorted({*self._listed, *self._counted})
        self._at = {name: at for at, name in enumerate(self.names)}
        self._bags = [stems_of(name.split(" ")) for name in self.names]
        self._of_bag: dict[Bag, list[int]] = defaultdict(list)
        for at, bag in enumerate(self._bags):
            self._of_bag[bag].append(at)
        rows = [(bag, c) for name, bag in zip(self.names, self._bags, strict=True) for c in self._listed.get(name, ())]
        self.synonyms = Synonyms.of([bag for bag, _ in rows], [code for _, code in rows])
        counted = [
            (bag, code, fold, count)
            for name, bag in zip(self.names, self._bags, strict=True)
            for (code, fold), count in self._counted.get(name, {}).items()
        ]
        self.stems = StemCodes(rows, counted)
        frequency = Counter(stem for bag in self._bags for stem in bag)
        self._idf = {stem: math.log(len(self.names) / n) + 0.5 for stem, n in frequency.items()}
        self._rare = math.log(len(self.names) + 1) + 0.5
        self._nearest = Nearest(self.names)
        self.encoder = encoder
        self._vectors = self._encoded(vectors) if encoder else None

    def _read(self, terms: pa.Table, mentions: Sequence[tuple[str, str, int]]) -> None:
        rank = {kind: 1 - at / len(PREFERENCE) for at, kind in enumerate(PREFERENCE)}
        columns = (terms[name].to_pylist() for name in ("code", "name", "kind", "share"))
        for code, name, kind, share in zip(*columns, strict=True):
            plain = " ".join(plain_words(name))
            if code and plain:
                listed = self._listed[plain]
                self._names_of[code] += code not in listed
                listed[code] = max(listed.get(code, 0.0), rank.get(kind, 0.0) * share)
        for text, code, fold in mentions:
            plain = " ".join(plain_words(text))
            if plain:
                self._counted[plain][code, fold] += 1
                self._code_counted[code][fold] += 1

    def _encoded(self, kept: tuple[Sequence[str], np.ndarray[Any, Any]] | None) -> np.ndarray[Any, Any]:
        assert self.encoder is not None
        vectors = np.zeros((len(self.names), self.encoder.width), np.float32)
        at = {name: row for row, name in enumerate(kept[0])} if kept else {}
        rows = [at.get(name, -1) for name in self.names]
        if kept:
            known = [here for here, row in enumerate(rows) if row >= 0]
            vectors[known] = kept[1][[rows[here] for here in known]]
        new = [here for here, row in enumerate(rows) if row < 0]
        vectors[new] = self.encoder.encode([self.names[here] for here in new])
        return vectors

    def vectors(self) -> np.ndarray[Any, Any] | None:
        """The vectors of `names` (U, H), to be kept; None without an encoder."""
        return self._vectors

    def mentions_list(self) -> list[dict[str, Any]]:
        """The train mentions it was given."""
        return [{"text": text, "code": code, "fold": fold} for text, code, fold in self._mentions]

    def find(self, queries: Sequence[Query]) -> Iterator[Candidates]:
        """The candidates of each query, in order."""
        words = [plain_words(query.text) for query in queries]
        texts = [" ".join(one) for one in words]
        at = 0
        for block in self._nearest.cosines(texts):
            like = self._likes(texts[at : at + len(block)])
            for row, cosine in enumerate(block):
                yield self._one(queries[at], texts[at], words[at], cosine, like[row] if like is not None else None)
                at += 1

    def _likes(self, texts: Sequence[str]) -> np.ndarray[Any, Any] | None:
        if self.encoder is None or self._vectors is None or "dense" in self.skip:
            return None
        return np.asarray(self.encoder.encode(texts) @ self._vectors.T)

    def _senses(self, name: int, fold: int) -> tuple[dict[str, float], dict[str, int]]:
        """Codes of a name by the terminology, and by train mentions that a query of this fold may know."""
        counted: Counter[str] = Counter()
        for (code, of), count in self._counted.get(self.names[name], {}).items():
            if fold == ALL or of != fold:
                counted[code] += count
        return self._listed.get(self.names[name], {}), counted

    def _one(
        self,
        query: Query,
        text: str,
        words: list[str],
        cosine: np.ndarray[Any, Any],
        like: np.ndarray[Any, Any] | None,
    ) -> Candidates:
        gathered = _Gathered(self, query.fold, words, cosine, like)
        if text in self._at:
            gathered.add(self._at[text], "exact")
        if "bag" not in self.skip:
            for name in self._of_bag.get(gathered.bag, ()):
                gathered.add(name, "bag")
        if "synonym" not in self.skip:
            for variant, ready in self.synonyms.variants(gathered.bag):
                for name in self._of_bag.get(variant, ()):
                    gathered.add(name, "synonym", ready)
        joint = "" if "composite" in self.skip else self.coordination(query.text, query.fold)
        if joint:
            row = gathered.row(joint, "composite")
            # Its parts are names word for word, or as bags.
            for feature in ("composite", "letters", "stems of mention", "stems of name", "both", "digits"):
                row[_AT[feature]] = 1
            row[_AT["dense"]] = like is not None
        if "similar" not in self.skip:
            for name in top(cosine, self.near):
                if cosine[name] > _LEAST_COSINE:
                    gathered.add(int(name), "similar")
        if like is not None:
            for name in top(like, self.near):
                gathered.add(int(name), "dense")
        return gathered.candidates()

    def overlap(self, mention: Bag, name: Bag) -> tuple[float, float]:
        """Shares of the mention's and of the name's stems, by idf, that the other has or has a synonym of."""
        return self._covered(mention, name), self._covered(name, mention)

    def _covered(self, some: Bag, by: Bag) -> float:
        whole = got = 0.0
        for stem in some:
            weight = self._idf.get(stem, self._rare)
            whole += weight
            if stem in by:
                got += weight
            elif stem in self.synonyms.other:
                likest = max((self.synonyms.likeness(stem, one) for one in by if one not in some), default=0.0)
                # A word that may be left out is still missing: seven tenths, set by hand.
                got += weight * max(likest, 0.7 * self.synonyms.without(stem))
        return got / whole if whole else 0.0

    def spoken_for(self, mention: Bag, codes: Sequence[str], fold: int) -> np.ndarray[Any, Any]:
        """What the mention's stems say for codes (C, 2), whatever the name."""
        return self.stems.shares(mention, codes, fold, {stem: self._idf.get(stem, self._rare) for stem in mention})

    def coordination(self, text: str, fold: int) -> str:
        """The codes of a coordination whose every part is a known name, joined; empty where it is none."""
        for way in parts(text):
            codes = {self._known(plain_words(part), fold) for part in way}
            if "" not in codes and len(codes) > 1:
                return JOINT.join(sorted(codes))
        return ""

    def _known(self, words: list[str], fold: int) -> str:
        """The code preferred for words that are a name, exactly or as a bag; empty where they are none."""
        exact = self._at.get(" ".join(words))
        bags = self._of_bag.get(stems_of(words), []) if words and "bag" not in self.skip else []
        for name in [exact, *bags] if exact is not None else bags:
            listed, counted = self._senses(name, fold)
            codes = [code for code in {**listed, **counted} if JOINT not in code]
            if codes:
                return max(codes, key=lambda c: (counted.get(c, 0), listed.get(c, 0.0), self._names_of[c], c))
        return ""

    def code_counts(self, code: str, fold: int) -> tuple[int, int]:
        """How many train mentions a query of this fold may know have the code, and how many names it has."""
        counts = self._code_counted.get(code, Counter())
        return sum(n for of, n in counts.items() if fold == ALL or of != fold), self._names_of[code]

    def bag_at(self, name: int) -> Bag:
        """The stems of a name."""
        return self._bags[name]


class _Gathered:
    """The evidence for a query's candidates while the steps bring names."""

    def __init__(
        self,
        index: Index,
        fold: int,
        words: list[str],
        cosine: np.ndarray[Any, Any],
        like: np.ndarray[Any, Any] | None,
    ) -> None:
        self._index, self._fold, self._cosine, self._like = index, fold, cosine, like
        self.bag = stems_of(words) if words else ()
        self._digits = {word for word in words if word[0].isdigit()}
        self._rows: dict[str, np.ndarray[Any, Any]] = {}
        self._step: dict[str, str] = {}
        self._nearest: dict[str, tuple[float, str]] = {}

    def row(self, code: str, step: str) -> np.ndarray[Any, Any]:
        """The evidence for a code, which this step found if none did before."""
        if code not in self._rows:
            self._rows[code] = np.zeros(len(FEATURES))
            self._step[code] = step
        return self._rows[code]

    def add(self, name: int, step: str, ready: float = 0.0) -> None:
        """Count a name for each of its codes."""
        listed, counted = self._index._senses(name, self._fold)
        if not listed and not counted:
            return
        cosine = float(self._cosine[name])
        stems = self._index.bag_at(name)
        mine, theirs = self._index.overlap(self.bag, stems)
        both = 2 * mine * theirs / (mine + theirs) if mine and theirs else 0.0
        same = self._digits == {stem for stem in stems if stem[0].isdigit()}
        whole = sum(counted.values())
        for code in {**listed, **counted}:
            row = self.row(code, step)
            found = {("letters" if code in listed else "letters in train"): cosine, "synonym": ready}
            if self._like is not None:
                found["dense"] = float(self._like[name])
            if step in ("exact", "bag"):
                found |= {step: listed.get(code, 0.0), "kind": listed.get(code, 0.0)}
                found[f"{step} in train"] = math.log1p(counted.get(code, 0))
                if step == "exact" and whole:
                    found["share in train"] = counted.get(code, 0) / whole
            for feature, value in found.items():
                row[_AT[feature]] = max(row[_AT[feature]], value)
            if both >= row[_AT["both"]]:
                row[_AT["both"]], row[_AT["stems of mention"]], row[_AT["stems of name"]] = both, mine, theirs
                row[_AT["digits"]] = same
            if both + cosine > self._nearest.get(code, (-1.0, ""))[0]:
                self._nearest[code] = (both + cosine, self._index.names[name])

    def candidates(self) -> Candidates:
        """What was gathered, codes in order of their letters."""
        codes = sorted(self._rows)
        first = min((STEPS.index(step) for step in self._step.values()), default=0)
        for code in codes:
            row = self._rows[code]
            counted, names = self._index.code_counts(code, self._fold)
            row[_AT["code in train"]], row[_AT["names of code"]] = math.log1p(counted), math.log1p(names)
            row[_AT["first step"]] = STEPS.index(self._step[code]) == first
            row[_AT["several codes"]] = JOINT in code
        for code, said in zip(codes, self._index.spoken_for(self.bag, codes, self._fold), strict=True):
            self._rows[code][[_AT["stems' names"], _AT["stems' mentions"]]] = said
        evidence = np.array([self._rows[code] for code in codes]).reshape(len(codes), len(FEATURES))
        names_of = [self._nearest.get(code, (0.0, ""))[1] for code in codes]
        return Candidates(codes, names_of, [self._step[code] for code in codes], evidence)
