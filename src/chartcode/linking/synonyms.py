"""Which stems stand for one another, and which say little, read off a terminology's own synonyms.

Two names of one code that differ in one stem only (`kidney failure`, `renal failure`) say that the stems are
exchangeable; a name that is another without one stem says that the stem may be left out. Counted over codes:

    P(a -> b) = codes with a name a+R and a name b+R / codes with a name a+R and any other name that matches R

So `neoplasm` and `cancer` are learned from the table at hand, whatever its language, and no list is kept.
Legend: a, b stems; R the rest of a name's bag.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

Bag = tuple[str, ...]
_MOST_NAMES = 80  # of one code: beyond it a code is a chapter, and its names are no synonyms
_FEWEST_CODES = 2
_LEAST = 0.02


class Synonyms:
    """`other[a][b]`: how readily a stem a is written b in another name of the same code; b "" means left out."""

    def __init__(self, other: Mapping[str, Mapping[str, float]]) -> None:
        self.other = {a: dict(row) for a, row in other.items()}

    @classmethod
    def of(cls, bags: Sequence[Bag], codes: Sequence[str]) -> Synonyms:
        """Learn from names as bags of stems, a code beside each."""
        of_code: dict[str, set[Bag]] = defaultdict(set)
        for bag, code in zip(bags, codes, strict=True):
            of_code[code].add(bag)
        pairs: Counter[tuple[str, str]] = Counter()
        chances: Counter[str] = Counter()
        for names in of_code.values():
            if not 2 <= len(names) <= _MOST_NAMES:
                continue
            by_rest: dict[Bag, set[str]] = defaultdict(set)
            for bag in names:
                by_rest[bag].add("")
                for at, stem in enumerate(bag):
                    if len(bag) > 1:
                        by_rest[bag[:at] + bag[at + 1 :]].add(stem)
            seen = {(a, b) for stems in by_rest.values() if len(stems) > 1 for a in stems for b in stems if a != b}
            pairs.update(seen)
            chances.update({a for a, _ in seen})
        other: dict[str, dict[str, float]] = defaultdict(dict)
        for (a, b), count in sorted(pairs.items()):
            share = count / chances[a]
            if a and count >= _FEWEST_CODES and share >= _LEAST and not (a.isdigit() or b.isdigit()):
                other[a][b] = share
        return cls(other)

    def likeness(self, a: str, b: str) -> float:
        """1 for the same stem, else how readily one is written for the other, 0 to 1."""
        if a == b:
            return 1.0
        readily: float = max(self.other.get(a, {}).get(b, 0.0), self.other.get(b, {}).get(a, 0.0))
        return math.sqrt(readily)

    def without(self, a: str) -> float:
        """How readily a stem is left out, 0 to 1."""
        return self.other.get(a, {}).get("", 0.0)

    def variants(self, bag: Bag, count: int = 12) -> list[tuple[Bag, float]]:
        """The bag with one stem exchanged or left out, readiest first, and how readily (0 to 1)."""
        found: dict[Bag, float] = {}
        for at, stem in enumerate(bag):
            rest = bag[:at] + bag[at + 1 :]
            for b, share in self.other.get(stem, {}).items():
                made = tuple(sorted({*rest, b} - {""}))
                if made and made != bag:
                    found[made] = max(found.get(made, 0.0), share)
        return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:count]
