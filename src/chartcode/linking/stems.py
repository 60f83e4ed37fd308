"""Which codes a stem speaks for, whatever the name: by a terminology's names, and by mentions of train.

    s(c | mention) = sqrt( sum_s w(s) n(s, c) / n(s) / sum_s w(s) ),   n over names, or over mentions; w idf

So `impaired renal function` speaks for kidney diseases, though no name of theirs is like it. A query of train does not
see the mentions of its own fold.
Legend: s stems, c codes, C of them asked about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chartcode.linking.synonyms import Bag

_UNSURE = 1.0  # mentions of nothing that a stem is taken to have had besides


class StemCodes:
    """Counts of stems and codes."""

    def __init__(self, names: Iterable[tuple[Bag, str]], mentions: Iterable[tuple[Bag, str, int, int]]) -> None:
        """Names with a code each; mentions with code, fold and how often."""
        self._named: dict[str, Counter[str]] = defaultdict(Counter)  # stem -> code -> different names
        for bag, code in sorted(set(names)):
            for stem in bag:
                self._named[stem][code] += 1
        self._names = {stem: sum(codes.values()) for stem, codes in self._named.items()}
        self._meant: dict[str, dict[str, Counter[int]]] = {}  # stem -> code -> fold -> mentions
        self._mentions: dict[str, Counter[int]] = defaultdict(Counter)  # stem -> fold -> mentions
        for bag, code, fold, count in mentions:
            for stem in bag:
                self._meant.setdefault(stem, {}).setdefault(code, Counter())[fold] += count
                self._mentions[stem][fold] += count

    def shares(self, bag: Bag, codes: Sequence[str], fold: int, weight: Mapping[str, float]) -> np.ndarray[Any, Any]:
        """s of each code (C, 2), by names and by mentions, for a query of this fold; `weight` is of the bag's stems."""
        out = np.zeros((len(codes), 2))
        for stem in bag:
            named: Mapping[str, int] = self._named.get(stem, {})
            meant: Mapping[str, Counter[int]] = self._meant.get(stem, {})
            others = sum(self._mentions[stem].values()) - self._mentions[stem][fold] if meant else 0
            for at, code in enumerate(codes):
                if code in named:
                    out[at, 0] += weight[stem] * named[code] / self._names[stem]
                if code in meant:
                    both = sum(meant[code].values()) - meant[code][fold]
                    out[at, 1] += weight[stem] * both / (others + _UNSURE)
        return np.asarray(np.sqrt(out / (sum(weight[stem] for stem in bag) or 1.0)))
