"""What may be said in public about few patients: nothing.

The rule for everything that enters Git: no count of 1..10 patients, and none that a reader could work out from totals,
rates or complements. A published number therefore carries the counts that would follow from it, and is withheld (null)
when one of them is small. 0 may be said. Counts of notes or of note-code pairs obey the same rule: 10 of them can only
be 10 patients or fewer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST = 11  # the smallest count that may be published, 0 apart
DECIMALS = 4
Cut = tuple[int, int]  # true and false cells whose score reaches some threshold


def small(count: float) -> bool:
    """Whether a count may not be published: 1..10."""
    return 0 < count < SMALLEST


def apart(one: Cut, other: Cut) -> bool:
    """Whether no small cell lies between two thresholds."""
    return not any(small(abs(here - there)) for here, there in zip(one, other, strict=True))


def ends(values: NDArray[np.float64], total: int) -> tuple[int, int]:
    """Of `total`, those above 0 and those below 1 (`values` (N,), the rest 0): a mean close to 0 or 1 counts them."""
    return int(np.count_nonzero(values > 0)), total - int(np.count_nonzero(values >= 1))


@dataclass(frozen=True)
class Guarded:
    """A number to publish, and every count that follows from it and the other published numbers."""

    value: float
    counts: tuple[float, ...] = ()

    @classmethod
    def count(cls, value: int, total: int | None = None) -> Guarded:
        """A count of notes, patients or pairs; with a published `total` the complement counts too."""
        return cls(value, (value,) if total is None else (value, total - value))

    def plus(self, *counts: float) -> Guarded:
        """The same number with more counts to watch."""
        return Guarded(self.value, self.counts + counts)


def publish(numbers: Mapping[str, Guarded], patients: int) -> dict[str, float | int | None]:
    """The numbers that may enter Git, rounded and sorted by key; None where a small cell would show.

    A group of fewer than 11 patients publishes no number at all. NaN and infinity (undefined) become None too.
    """
    shown: dict[str, float | int | None] = {}
    for key in sorted(numbers):
        number = numbers[key]
        hide = patients < SMALLEST or any(small(count) for count in number.counts) or not math.isfinite(number.value)
        if hide:
            shown[key] = None
        elif isinstance(number.value, int):
            shown[key] = number.value
        else:
            shown[key] = round(float(number.value), DECIMALS) + 0.0  # never -0.0
    return shown


def publish_parts(
    parts: Mapping[str, Mapping[str, Guarded]], sizes: Mapping[str, int]
) -> dict[str, dict[str, float | int | None]]:
    """The numbers of the parts of a whole whose own numbers are published too; parts in the order given.

    What one part withholds follows from the whole less the others. So what some part must withhold is withheld from
    more parts, the smallest by `sizes` first, until at least two lack it and no count of all of them taken together is
    small. The counts of a number stand in the same order in every part.
    """
    hidden: dict[str, set[str]] = {}
    for key in sorted({key for numbers in parts.values() for key in numbers}):
        counts = {name: numbers[key].counts for name, numbers in parts.items() if key in numbers}
        out = {name for name, each in counts.items() if any(small(count) for count in each)}
        rest = sorted(set(counts) - out, key=lambda name: (-sizes[name], name))
        while out and rest and (len(out) < 2 or any(small(sum(each)) for each in _across(counts, out))):
            out.add(rest.pop())
        hidden[key] = out
    return {
        name: {
            key: None if value is None or name in hidden[key] else value
            for key, value in publish(numbers, SMALLEST).items()
        }
        for name, numbers in parts.items()
    }


def _across(counts: Mapping[str, tuple[float, ...]], names: set[str]) -> list[tuple[float, ...]]:
    """The same count of several parts, one tuple a count."""
    return list(zip(*(counts[name] for name in names), strict=True))


def merge_small(cells: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Neighbouring bins (size, positives, sum) merged until no bin shows 1..10 positives or 1..10 negatives.

    Merged, not blanked: a blank is the total less the rest. The list is empty when even one bin over all would show
    a small cell.
    """
    merged: list[tuple[int, int, float]] = []
    held = (0, 0, 0.0)
    for cell in cells:
        held = _add(held, cell)
        if not _shows_small(held):
            merged.append(held)
            held = (0, 0, 0.0)
    while held[0] and merged and _shows_small(held):
        held = _add(merged.pop(), held)
    if held[0] and not _shows_small(held):
        merged.append(held)
    return merged


def _add(one: tuple[int, int, float], other: tuple[int, int, float]) -> tuple[int, int, float]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _shows_small(cell: tuple[int, int, float]) -> bool:
    return small(cell[1]) or small(cell[0] - cell[1])
