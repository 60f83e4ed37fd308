"""Learned surfaces: words of train notes that keep company with a code, though no dictionary gives them to it.

A term (a word or two, as `terms.py` has them) speaks for a code when notes hold both far more often than by chance:
x of the n notes with the term have the code, e = n c / N are expected, and
- x >= 2, z = (x - e) / sqrt(e + 1/4) >= min_z, p = (x - 1/2 + 2 c / N) / (n + 2) >= min_p;
- of the terms of a code the `most` of largest z are kept.
A drug, a device or a phrase of the house becomes a name in this way. For train notes it is learned without their own
fold of patients, or a term that one note alone holds would give its codes away.
Counts are exact and come in blocks of terms, so that memory stays at the notes' terms and what is kept.
Legend: N notes, F terms, L codes, K folds, E kept term-code entries, P note-code pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field
from tqdm import tqdm

from chartcode.params import Positive, Section

Array = np.ndarray[Any, Any]
BLOCK = 4096  # terms counted together
TOGETHER = 2  # notes that must hold both
FEATURES = (
    "learned_p",  # the largest
    "learned_strong",  # the largest p x square root of the share of the code's notes that hold the term
    "learned_z",  # log of the largest
    "learned_terms",  # how many speak for the code
    "learned_words",  # the largest p x words of the term
    "learned_either",  # 1 - product of 1 - p over the strongest
)
STRONGEST = 3


class SurfaceParams(Section):
    """Which terms speak for a code."""

    min_notes: Positive
    max_terms: Positive | None
    min_z: Annotated[float, Field(ge=0)]
    min_p: Annotated[float, Field(gt=0, lt=1)]
    terms_per_code: Positive


class Surfaces(NamedTuple):
    """Terms that speak for codes, a row each, by term and code: p, share of the code's notes (recall), z."""

    term: Array  # int32 (E,)
    code: Array  # int32 (E,)
    p: Array  # float32 (E,)
    recall: Array  # float32 (E,)
    z: Array  # float32 (E,)

    def table(self, terms: Sequence[str], codes: Sequence[str]) -> pa.Table:
        """For people, and for `of`."""
        names = pa.array(terms, pa.string()).take(pa.array(self.term)), pa.array(codes, pa.string()).take(self.code)
        return pa.table({"term": names[0], "code": names[1], "p": self.p, "recall": self.recall, "z": self.z})

    @classmethod
    def of(cls, table: pa.Table, terms: Sequence[str], codes: Sequence[str]) -> Surfaces:
        """The way back."""
        term, code = ({name: place for place, name in enumerate(names)} for names in (terms, codes))
        numbers = [
            np.array([place[name] for name in table[column].to_pylist()], np.int32)
            for column, place in (("term", term), ("code", code))
        ]
        return cls(*numbers, *(table[name].to_numpy().astype(np.float32) for name in ("p", "recall", "z")))


def learn(params: SurfaceParams, terms: Any, truth: Any, folds: Array, count: int) -> list[Surfaces]:
    """Surfaces of all notes, and behind them those without each of `count` folds; terms (N, F) and truth (N, L) CSR."""
    by_term = sp.csr_matrix(terms).T.tocsr()  # (F, N)
    by_term.data = np.ones(len(by_term.data), np.int32)
    truth = sp.csr_matrix(truth, dtype=np.int32)
    parts = [sp.csr_matrix(truth.multiply((folds == fold)[:, None]), dtype=np.int32) for fold in range(count)]
    notes = np.array([(folds == fold).sum() for fold in range(count)])
    of_code = np.stack([np.asarray(part.sum(axis=0)).ravel() for part in parts])  # (K, L)
    found: list[list[Surfaces]] = [[] for _ in range(count + 1)]
    bar = tqdm(range(0, by_term.shape[0], BLOCK), desc="learned surfaces", disable=None, leave=False)
    for start in bar:
        some = by_term[start : start + BLOCK]
        counts = [(some @ part).tocsr() for part in parts]
        of_term = np.stack([np.asarray(some @ (folds == fold)).ravel() for fold in range(count)])
        total, every = sum(counts[1:], counts[0]), of_term.sum(axis=0)
        for without in range(-1, count):
            less = without >= 0
            together = total - counts[without] if less else total
            n = every - of_term[without] if less else every
            c = of_code.sum(axis=0) - (of_code[without] if less else 0)
            kept = _company(params, together.tocoo(), n, c, int(notes.sum() - (notes[without] if less else 0)))
            shifted = kept._replace(term=kept.term + np.int32(start))
            found[without + 1] = [_strongest([*found[without + 1], shifted], params.terms_per_code)]
    return [_sorted(held[0]) for held in found]


def _company(params: SurfaceParams, together: Any, n: Array, c: Array, notes: int) -> Surfaces:
    """The entries of a count of notes (F, L) that are more than chance."""
    some = together.data >= TOGETHER
    term, code, x = together.row[some], together.col[some], together.data[some].astype(np.float64)
    expected = n[term] * c[code] / max(1, notes)
    z = (x - expected) / np.sqrt(expected + 0.25)
    p = (x - 0.5 + 2 * c[code] / max(1, notes)) / (n[term] + 2)
    kept = (z >= params.min_z) & (p >= params.min_p)
    recall = x / np.maximum(1, c[code])
    numbers = (values[kept].astype(np.float32) for values in (p, recall, z))
    return Surfaces(term[kept].astype(np.int32), code[kept].astype(np.int32), *numbers)


def _strongest(parts: Sequence[Surfaces], most: int) -> Surfaces:
    """The `most` terms of each code of largest z, the first of equals."""
    every = Surfaces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((every.term, -every.z, every.code))
    code = every.code[order]
    kept = order[np.arange(len(code)) - np.searchsorted(code, code) < most]
    return Surfaces(*(column[kept] for column in every))


def _sorted(surfaces: Surfaces) -> Surfaces:
    order = np.lexsort((surfaces.code, surfaces.term))
    return Surfaces(*(column[order] for column in surfaces))


def pairs_of(surfaces: Surfaces, words: Array, terms: Any) -> tuple[Array, Array, Array]:
    """Rows, columns and features (P, F) of the codes that the notes' terms, CSR (N, F), speak for; `words` (F,) of a
    term.
    """
    bounds = np.searchsorted(surfaces.term, np.arange(terms.shape[1] + 1))
    sizes = (bounds[1:] - bounds[:-1])[terms.indices]
    row = np.repeat(np.repeat(np.arange(terms.shape[0]), np.diff(terms.indptr)), sizes)
    within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    entry = np.repeat(bounds[:-1][terms.indices], sizes) + within
    order = np.lexsort((surfaces.term[entry], -surfaces.p[entry], surfaces.code[entry], row))
    entry, row = entry[order], row[order]
    column = surfaces.code[entry].astype(np.int64)
    if not len(row):
        return row, column, np.zeros((0, len(FEATURES)))
    starts = np.flatnonzero(np.append(True, (np.diff(row) != 0) | (np.diff(column) != 0)))
    sizes = np.diff(np.append(starts, len(row)))
    p, recall, z = (values[entry].astype(np.float64) for values in (surfaces.p, surfaces.recall, surfaces.z))
    place = np.arange(len(row)) - np.repeat(starts, sizes)
    missed = np.add.reduceat(np.where(place < STRONGEST, np.log1p(-np.minimum(p, 0.999)), 0.0), starts)
    made = [
        p[starts],
        np.maximum.reduceat(p * np.sqrt(np.minimum(1, recall)), starts),
        np.log1p(np.maximum.reduceat(z, starts)),
        sizes,
        np.maximum.reduceat(p * words[surfaces.term[entry]], starts),
        -np.expm1(missed),
    ]
    return row[starts], column[starts], np.stack(made, axis=1).astype(np.float64)
