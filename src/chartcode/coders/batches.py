"""Which notes are read together: updates of a fixed number of notes, cut into pieces that fit in memory.

An update is what an optimizer step learns from, `batch_size` notes of like length. A piece is what is computed at once:
some notes of an update, padded to the longest of them, at most so many tokens. Gradients of pieces are added, so the
size of a piece is memory and speed, and of the result no more than rounding and what dropout drops.
Legend: N notes, B notes of a piece, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
ALIKE = 64  # tokens; notes whose lengths differ by less are mixed anew every epoch


class Document(NamedTuple):
    """A note as a network reads it: token numbers int32 (T,), and where each stands in the clean text, int32 (T, 2).

    Places are code points, end exclusive; a token that stands nowhere (a special one) begins where it ends.
    """

    ids: Array
    places: Array


@dataclass(frozen=True)
class Documents:
    """Many notes' token numbers, one behind the other: ids int32 (sum of T,), and where each note begins (N + 1,)."""

    ids: Array
    starts: Array

    @classmethod
    def of(cls, notes: Iterable[Array]) -> Documents:
        """Of the token numbers of each note."""
        held = [np.asarray(note, np.int32) for note in notes]
        starts = np.append(0, np.cumsum([len(note) for note in held], dtype=np.int64)).astype(np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *held]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Array:
        """Tokens of each note (N,)."""
        return np.diff(self.starts)

    def padded(self, rows: Array) -> tuple[Array, Array]:
        """Token numbers int64 (B, T) of these notes, 0 behind their ends, and which are no pads, bool (B, T)."""
        lengths = self.lengths[rows]
        mask = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
        ids = np.zeros(mask.shape, np.int64)
        ids[mask] = np.concatenate([self.ids[self.starts[row] : self.starts[row + 1]] for row in rows.tolist()])
        return ids, mask


def updates(lengths: Array, size: int, generator: np.random.Generator) -> list[Array]:
    """An epoch: every note once, `size` notes of like length an update (the last of a length may have fewer)."""
    shuffled = generator.permutation(len(lengths))
    by_length = shuffled[np.argsort(-(lengths[shuffled] // ALIKE), kind="stable")]
    groups = [by_length[first : first + size] for first in range(0, len(by_length), size)]
    return [groups[place] for place in generator.permutation(len(groups))]


def pieces(lengths: Array, rows: Array, tokens: int, fewest: int = 1) -> list[Array]:
    """These notes, the longest first, in pieces of at most `tokens` tokens, pads counted; a longer note stands alone.

    At least `fewest` pieces where there are as many notes, so that every process has one.
    """
    ordered = rows[np.argsort(-lengths[rows], kind="stable")]
    most = max(1, len(rows) // max(1, fewest))
    cuts = [0]
    while cuts[-1] < len(ordered):
        longest = max(1, int(lengths[ordered[cuts[-1]]]))
        cuts.append(min(len(ordered), cuts[-1] + min(most, max(1, tokens // longest))))
    return [ordered[start:stop] for start, stop in pairwise(cuts)]


def computed(lengths: Array, batches: Sequence[Array]) -> int:
    """Tokens that are computed for these pieces, pads among them."""
    return sum(len(rows) * max(1, int(lengths[rows].max())) for rows in batches)
