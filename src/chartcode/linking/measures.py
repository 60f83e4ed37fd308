"""How well mentions were found (exact spans, or any overlap) and linked (the right concept first), as is published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chartcode.linking.candidates import JOINT

Spans = set[tuple[int, int, str]]


class Answered(Protocol):
    """An answer of a resolver."""

    @property
    def code(self) -> str:
        """Its concept, several joined."""


class Marked(Protocol):
    """A marked mention."""

    @property
    def concepts(self) -> frozenset[str]:
        """What it means."""


def scores(found: Sequence[Spans], true: Sequence[Spans]) -> tuple[float, float, float]:
    """Precision, recall, F1 of sets a document each."""
    hits = sum(len(a & b) for a, b in zip(found, true, strict=True))
    return _with_f1(hits / max(1, sum(map(len, found))), hits / max(1, sum(map(len, true))))


def overlapping(found: Sequence[Spans], true: Sequence[Spans]) -> tuple[float, float, float]:
    """The same where any common character makes two spans one."""

    def share(some: Sequence[Spans], others: Sequence[Spans]) -> float:
        met = sum(any(c < b and a < d for c, d, _ in o) for s, o in zip(some, others, strict=True) for a, b, _ in s)
        return met / max(1, sum(map(len, some)))

    return _with_f1(share(found, true), share(true, found))


def _with_f1(precision: float, recall: float) -> tuple[float, float, float]:
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def accuracy(given: Sequence[Sequence[Answered]], marked: Sequence[Marked]) -> tuple[float, float, float]:
    """Shares of mentions whose first answer, or one of the first five, is one of its concepts; or the first is all."""
    one = five = whole = 0
    for ranked, sample in zip(given, marked, strict=True):
        codes = [set(answer.code.split(JOINT)) for answer in ranked]
        one += bool(codes) and bool(codes[0] & sample.concepts)
        five += any(code & sample.concepts for code in codes[:5])
        whole += bool(codes) and codes[0] == sample.concepts
    count = max(1, len(marked))
    return one / count, five / count, whole / count
