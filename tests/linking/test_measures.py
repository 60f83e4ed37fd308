"""Figures worked out by hand."""

from __future__ import annotations

from typing import NamedTuple

from chartcode.linking.measures import accuracy, overlapping, scores


class A(NamedTuple):
    code: str


class M(NamedTuple):
    concepts: frozenset[str]


def test_spans_are_right_when_they_are_the_same() -> None:
    found = [{(0, 5, "D"), (7, 9, "D")}, set()]
    true = [{(0, 5, "D"), (8, 12, "D"), (20, 22, "D")}, {(1, 2, "D")}]
    assert scores(found, true) == (0.5, 0.25, 1 / 3)
    assert overlapping(found, true) == (1.0, 0.5, 2 / 3)
    assert scores([set()], [set()]) == (0.0, 0.0, 0.0)


def test_one_concept_of_a_coordination_is_enough_but_for_the_last_figure() -> None:
    marked = [M(frozenset("XY")), M(frozenset("Z")), M(frozenset("W")), M(frozenset("V"))]
    given = [[A("X")], [A("Q"), A("Z")], [A("W|V")], []]
    assert accuracy(given, marked) == (0.5, 0.75, 0.0)
    assert accuracy([[A("X|Y")]], marked[:1]) == (1.0, 1.0, 1.0)
