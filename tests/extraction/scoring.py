"""Orders found beside orders meant: precision, recall and F1, whole and field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from chartcode.extraction.drugs import Medication
from tests.extraction.pharmacy import Ordered

FIELDS = ("drug", "dose", "unit", "route", "frequency", "prn", "reason")


class Score(NamedTuple):
    """Counts of what was found and right, found, and meant."""

    right: int
    found: int
    meant: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.meant if self.meant else 1.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.found + self.meant) if self.found + self.meant else 1.0


def as_ordered(drug: Medication) -> Ordered:
    order = drug.order
    said = [part.text if part else "" for part in (order.dose, order.unit, order.route, order.frequency)]
    return Ordered(drug.drug.text, *said, order.prn is not None, order.reason.text if order.reason else "")


def _low(one: Ordered) -> Ordered:
    return Ordered(*(part if isinstance(part, bool) else part.lower() for part in one))


def score(pairs: Iterable[tuple[list[Ordered], list[Ordered]]]) -> dict[str, Score]:
    """Over notes (found, meant): `line` counts whole orders, a field its values together with the drug; empty ones of
    neither side. Case aside; each order is matched once."""
    totals = {name: [0, 0, 0] for name in ("line", *FIELDS)}
    for found, meant in pairs:
        ours, theirs = [_low(one) for one in found], [_low(one) for one in meant]
        for name, total in totals.items():
            if name == "line":
                left, right = Counter(map(tuple, ours)), Counter(map(tuple, theirs))
            else:
                left, right = (
                    Counter((one.drug, getattr(one, name)) for one in side if getattr(one, name))
                    for side in (ours, theirs)
                )
            for place, count in enumerate((sum((left & right).values()), sum(left.values()), sum(right.values()))):
                total[place] += count
    return {name: Score(*counts) for name, counts in totals.items()}
