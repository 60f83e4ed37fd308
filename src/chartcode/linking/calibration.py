"""P(code | surface): how often a note that holds a name is coded so, learned from train.

- p = (together + m p0) / (seen + m): of the `seen` train notes that hold the surface, neither negated nor hypothetical
  nor a relative's, `together` have the code; a beta prior of mean p0 and strength m. Candidates are the dictionary's
  codes, and codes that train puts beside the surface far more often than chance (z > 2.5).
- p0 is pooled over all surfaces seen whose preferred code a name of that kind gives, so a surface that train never
  saw is as sure as its kind. Without train it is .35 for the preferred code and .12 for another one (measured on
  CodiEsp by the prototype behind this).
- A mention in a context (negated, a relative's ...) has p times one factor a context: what its codes came to over
  what p promised, in train notes where the surface is not affirmed besides. It is never dropped. A name found by its
  bag of words has a factor likewise.
- A code that train alone puts beside a surface was chosen for coming often, so it comes less often in other notes: its
  p has a factor too, what came over what p promised in the notes of the fold that did not choose it.
- Out-of-fold: without the notes of one fold of patients, for who learns from mentions of train notes.

This step, not the names, makes a dictionary win: the SNOMED CT entity linking challenge on MIMIC-IV notes (2024) was
won by one.
Legend: N notes, S surfaces, P candidate pairs of a surface and a code, C codes, K folds.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from chartcode.linking.dictionary import CANDIDATES

Array = np.ndarray[Any, Any]
BEST, OTHER = 0.35, 0.12  # p0 where nothing was learned
# The same, factors: of a context, of a name found by its bag of words, and of a code that train alone offers.
UNUSED = {
    "negated": 0.1,
    "uncertain": 0.6,
    "historical": 0.7,
    "hypothetical": 0.1,
    "family": 0.05,
    "bag": 0.7,
    "learned": 0.5,
}
BAG = "bag"
LEARNED = "learned"  # kind of a candidate that no name gives
APART = 2.5  # standard deviations above chance
AT_LEAST = 2  # train notes that hold both
POOLED = 5.0  # surfaces that p0 of a kind, or mentions that a factor, must have before it leaves its default half-way
_BLOCK = 4096  # surfaces worked on at once


@dataclass(frozen=True)
class Occurrences:
    """What train holds: binary CSR of affirmed surfaces (N, S), of codes (N, C), folds (N,) 0..K-1."""

    surfaces: Any
    codes: Any
    names: Sequence[str]  # (C,) the codes' names
    folds: Array


@dataclass(frozen=True)
class Calibration:
    """Counts and priors; `candidates` are CANDIDATES with `together`, rows of one surface side by side."""

    candidates: pa.Table
    seen: Array  # (S,) int32
    prior: Array  # (P,) float64, p0
    factors: Mapping[str, float]  # by key of UNUSED
    strength: float

    def p(self, seen: Array | None = None, together: Array | None = None) -> Array:
        """p of each pair (P,) for an affirmed mention, from these counts or from those of all train."""
        rows = self.candidates["surface"].to_numpy()
        seen = (self.seen if seen is None else seen)[rows]
        together = self.candidates["together"].to_numpy() if together is None else together
        found: Array = (together + self.strength * self.prior) / (seen + self.strength)
        return found


def untaught(candidates: pa.Table, surfaces: int, strength: float) -> Calibration:
    """A calibration that no train note was seen for."""
    best = candidates["best"].to_numpy(zero_copy_only=False)
    share = candidates["share"].to_numpy()
    counted = candidates.append_column("together", pa.array(np.zeros(len(candidates), np.int32)))
    return Calibration(
        counted, np.zeros(surfaces, np.int32), np.where(best, BEST, OTHER) * share, dict(UNUSED), strength
    )


def learn(candidates: pa.Table, held: Occurrences, strength: float, min_p: float) -> tuple[Calibration, Array, Array]:
    """The calibration of all train, and counts without each fold: seen (K, S), together (K, P), int32.

    A pair that only train offers is kept when p is `min_p` or more, and is together 0 times without a fold whose notes
    it needs for that: or that it is offered would tell the notes of the fold their own codes. Factors are the defaults;
    see `with_factors`.
    """
    surfaces = held.surfaces.shape[1]
    seen = np.asarray(held.surfaces.sum(axis=0)).ravel().astype(np.int32)
    candidates = _with_learned(candidates, held, seen, strength, min_p)
    rows = candidates["surface"].to_numpy()
    place = {code: number for number, code in enumerate(held.names)}
    columns = np.array([place.get(code, -1) for code in candidates["code"].to_pylist()], np.int64)
    folds = int(held.folds.max(initial=0)) + 1
    seen_of, together_of = np.zeros((folds, surfaces), np.int32), np.zeros((folds, len(rows)), np.int32)
    for fold in range(folds):
        notes = np.flatnonzero(held.folds == fold)
        seen_of[fold] = np.asarray(held.surfaces[notes].sum(axis=0)).ravel()
        together_of[fold] = _together(held.surfaces[notes], held.codes[notes], rows, columns)
    together = together_of.sum(axis=0)
    candidates = candidates.append_column("together", pa.array(together, pa.int32()))
    prior = _pooled(candidates, seen_of, together_of)
    chance = np.asarray(held.codes.mean(axis=0)).ravel()
    learned = np.array([kind == LEARNED for kind in candidates["kind"].to_pylist()], bool)
    prior[learned] = chance[columns[learned]]
    taught = Calibration(candidates, seen, prior, dict(UNUSED), strength)
    seen_without, together_without = seen - seen_of, together - together_of
    promised, came = 0.0, 0.0
    for fold in range(folds):
        chance = np.asarray(held.codes[np.flatnonzero(held.folds != fold)].sum(axis=0)).ravel()
        chance = chance[columns[learned]] / max(1, int((held.folds != fold).sum()))
        both = together_without[fold, learned]
        told = _stands_out(both, seen_without[fold, rows[learned]], chance, strength, min_p)
        together_without[fold, learned] = np.where(told, both, 0)
        p = taught.p(seen_without[fold], together_without[fold])[learned]
        promised += float((p * seen_of[fold, rows[learned]])[told].sum())
        came += float(together_of[fold, learned][told].sum())
    return with_factors(taught, {LEARNED: promised}, {LEARNED: came}), seen_without, together_without


def _stands_out(together: Array, seen: Array, chance: Array, strength: float, min_p: float) -> Array:
    """Which pairs (P,) train offers, by notes with both, with the surface, and the share of all with the code."""
    expected = seen * chance
    p = (together + strength * chance) / (seen + strength)
    found: Array = (together >= AT_LEAST) & (p >= min_p) & (together - expected > APART * np.sqrt(expected + 0.25))
    return found


def _with_learned(candidates: pa.Table, held: Occurrences, seen: Array, strength: float, min_p: float) -> pa.Table:
    """The pairs of the names and those that train offers besides, by surface."""
    known = set(zip(candidates["surface"].to_pylist(), candidates["code"].to_pylist(), strict=True))
    chance = np.asarray(held.codes.mean(axis=0)).ravel()
    added: list[tuple[int, str]] = []
    by_surface, codes = held.surfaces.T.tocsr(), held.codes.tocsr()
    often = np.flatnonzero(seen >= AT_LEAST)
    for start in range(0, len(often), _BLOCK):
        some = often[start : start + _BLOCK]
        counted = (by_surface[some].astype(np.int32) @ codes.astype(np.int32)).tocoo()
        surface, code, together = some[counted.row], counted.col, counted.data
        kept = _stands_out(together, seen[surface], chance[code], strength, min_p)
        pairs = zip(surface[kept].tolist(), (held.names[c] for c in code[kept].tolist()), strict=True)
        added.extend(pair for pair in pairs if pair not in known)
    if not added:
        return candidates
    rows, names = zip(*added, strict=True)
    extra = pa.table(
        {
            "surface": pa.array(rows, pa.int32()),
            "code": pa.array(names, pa.string()),
            "kind": pa.array([LEARNED] * len(rows)),
            "share": pa.array(np.ones(len(rows), np.float32)),
            "best": pa.array(np.zeros(len(rows), bool)),
        },
        schema=CANDIDATES,
    )
    both = pa.concat_tables([candidates, extra])
    return both.sort_by([("surface", "ascending"), ("best", "descending"), ("code", "ascending")])


def _together(surfaces: Any, codes: Any, rows: Array, columns: Array) -> Array:
    """Notes that hold surface rows[i] and code columns[i] (P,); 0 where the column is -1."""
    found = np.zeros(len(rows), np.int32)
    by_surface, codes = surfaces.T.tocsr().astype(np.int32), codes.tocsr().astype(np.int32)
    edges = np.searchsorted(rows, np.arange(0, surfaces.shape[1] + _BLOCK, _BLOCK))  # rows are sorted
    for block, (first, end) in enumerate(itertools.pairwise(edges.tolist())):
        if first == end:
            continue
        counted = (by_surface[block * _BLOCK : (block + 1) * _BLOCK] @ codes).tocsr()
        inside = np.flatnonzero(columns[first:end] >= 0) + first
        if counted.nnz and len(inside):
            found[inside] = np.asarray(counted[rows[inside] - block * _BLOCK, columns[inside]]).ravel()
    return found


def _pooled(candidates: pa.Table, seen_of: Array, together_of: Array) -> Array:
    """p0 of each pair (P,): of its kind and place among the candidates, the mean over surfaces seen, times its share.

    Names that train itself gives (`mention`) are judged in folds other than those that gave them.
    """
    rows = candidates["surface"].to_numpy()
    kinds, best = candidates["kind"].to_pylist(), candidates["best"].to_numpy(zero_copy_only=False)
    share = candidates["share"].to_numpy().astype(np.float64)
    group_names = sorted(set(kinds))
    group = np.array([group_names.index(kind) for kind in kinds], np.int64) * 2 + best
    seen, together = seen_of.sum(axis=0), together_of.sum(axis=0)
    of_train = np.array([kind == "mention" for kind in kinds], bool)
    above, below = np.zeros(2 * len(group_names)), np.zeros(2 * len(group_names))
    for fold in range(len(seen_of)):
        here, there = seen_of[fold][rows], seen[rows] - seen_of[fold][rows]
        counts = (here > 0) & (~of_train | ((there > 0) & (together - together_of[fold] > 0)))
        weight = here[counts] / np.maximum(seen[rows][counts], 1)  # a surface weighs 1 over all its folds
        above += np.bincount(group[counts], weight * together_of[fold][counts] / here[counts], len(above))
        below += np.bincount(group[counts], weight, len(below))
    default = np.where(np.arange(len(above)) % 2, BEST, OTHER)
    pooled = (above + POOLED * default) / (below + POOLED)
    found: Array = np.minimum(pooled[group] * share, 0.95)
    return found


def with_factors(taught: Calibration, promised: Mapping[str, float], came: Mapping[str, float]) -> Calibration:
    """The calibration with these factors anew: what came of mentions over what p promised, drawn to the default."""
    factors = {
        flag: round(min(1.0, (came[flag] + POOLED * UNUSED[flag]) / (promised[flag] + POOLED)), 6) for flag in promised
    }
    return replace(taught, factors={**taught.factors, **factors})
