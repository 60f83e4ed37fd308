"""From what speaks for a code in a note to a probability: one model for all codes, boosted trees over note-code pairs.

A pair is a code that something in the note names; its features do not say which code it is, but what train knows of it
(how common it is, how often right). So what is learned of one code serves all, those that train never saw too.
Features that do not exist are NaN, and trees send them their own way.
Legend: N notes, L codes, P pairs, F features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from chartcode.coders.base import cells
from chartcode.coders.linked_mentions import Pairs, categories_of
from chartcode.errors import DataError
from chartcode.pair_trees import p_of
from chartcode.trees import Trees

Array = np.ndarray[Any, Any]
LEAST = 1e-6  # a pair's score is no zero, which would be no entry
OF_CODE = ("notes", "category_notes", "depth")  # logs of train notes with the code, with its category; its letters


def merged(parts: Sequence[tuple[Array, Array, Array]], more: Sequence[tuple[Array, Array]], width: int) -> Pairs:
    """Pairs of all parts, their features side by side, NaN where a part does not have a pair; `more` are pairs without
    features. `width` is L.
    """
    keys = [rows.astype(np.int64) * width + columns for rows, columns, *_ in (*parts, *more)]
    every = np.unique(np.concatenate(keys))
    features = np.full((len(every), sum(part[2].shape[1] for part in parts)), np.nan)
    at = 0
    for key, (_, _, held) in zip(keys, parts, strict=False):
        features[np.searchsorted(every, key), at : at + held.shape[1]] = held
        at += held.shape[1]
    return Pairs(every // width, every % width, features)


def of_codes(codes: Sequence[str], notes: Array) -> Array:
    """OF_CODE of each code (L, 3), from its train notes (L,)."""
    category = categories_of(codes)
    together = np.bincount(category, notes)[category]
    return np.stack([np.log1p(notes), np.log1p(together), [float(len(code)) for code in codes]], axis=1)


def truth_of(pairs: Pairs, truth: Any) -> Array:
    """Whether each pair is true (P,), int8; truth CSR (N, L)."""
    return cells(truth, pairs.rows, pairs.columns).astype(np.int8)


def examples(found: Iterable[tuple[Pairs, Any]]) -> tuple[Array, Array]:
    """Features float64 (P, F) and truth int8 (P,) of all pairs of train notes to fit on, from pairs of some notes and
    their truth CSR (N, L) at a time.

    There may be ten millions: they wait in float32, and no part of them stands in both widths. Raises DataError where
    nothing is to be learned.
    """
    parts = [(pairs.features.astype(np.float32), truth_of(pairs, truth)) for pairs, truth in found]
    truth = np.concatenate([answers for _, answers in parts])
    if not 0 < truth.sum() < len(truth):
        raise DataError("data/mentions: no mention of a train note is of its codes, or every one; run `dvc repro link`")
    features = np.empty((len(truth), parts[0][0].shape[1]))
    end = len(features)
    while parts:
        part, _ = parts.pop()
        features[end - len(part) : end] = part
        end -= len(part)
    return features, truth


def scores(trees: Trees, pairs: Pairs, notes: int, width: int) -> sp.csr_matrix:
    """Probabilities float32 (N, L), CSR: of the pairs alone."""
    data = np.maximum(p_of(trees, pairs.features), LEAST).astype(np.float32)
    indptr = np.searchsorted(pairs.rows, np.arange(notes + 1))
    return sp.csr_matrix((data, pairs.columns.astype(np.int32), indptr), shape=(notes, width))
