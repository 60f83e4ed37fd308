"""AUROC, AUPRC and calibration error as other patients would have given them: every bootstrap round in one pass.

A round weighs each note by how often its patient was drawn, so both areas follow from weighted counts of cells between
the scores of true pairs. Those scores cut the range into bins, a cell adds the weights of its note (R,) to its bin, and
no round sorts anything. Counts are integers, so no order of summation can change them.

Up to EDGES / 2 distinct true scores every score has a bin of its own and a round equals what resampling note by note
gives. Beyond that a bin holds an equal number of true pairs and counts as one tie, which moves a round by about
1 / EDGES. The calibration error keeps the bins of all notes in every round.

Shapes: N notes, L labels, R rounds, E edges, B calibration bins.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.evaluation.calibration import equal_mass
from chartcode.evaluation.cohort import NEVER, Cohort, blocks
from chartcode.evaluation.decisions import ratio
from chartcode.evaluation.discrimination import Sorted
from chartcode.kernels import kernel

EDGES = 4096
TOGETHER = 250  # rounds at once: counts of all bins then take 8 MB
LOWEST = np.float32(np.finfo(np.float32).min)  # just above NEVER


class AreaRounds(NamedTuple):
    """One value a round (R,); NaN in a round where all cells are true or none is."""

    auroc_macro: NDArray[np.float64]
    auroc_micro: NDArray[np.float64]
    auprc_macro: NDArray[np.float64]
    auprc_micro: NDArray[np.float64]


def area_rounds(cohort: Cohort, drawn: NDArray[np.float64], cells: Sorted, most: int = EDGES) -> AreaRounds:
    """Both areas, per label and over all cells, for each row of `drawn` (R, patients)."""
    if len(drawn) > TOGETHER:
        starts = range(0, len(drawn), TOGETHER)
        parts = [area_rounds(cohort, drawn[start : start + TOGETHER], cells, most) for start in starts]
        return AreaRounds(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    weights = np.ascontiguousarray(drawn.T[cohort.patients], dtype=np.uint16)  # (N, R)
    notes = weights.sum(axis=0, dtype=np.int64)  # (R,) notes in a round
    true = cohort.truth.tocsc()
    totals = np.zeros((2, len(drawn)))
    defined = np.zeros(len(drawn))
    for part in blocks(cohort.labels, cohort.n):
        columns = np.ascontiguousarray(cohort.scores[:, part].T)
        for offset, label in enumerate(range(part.start, part.stop)):
            rows = true.indices[true.indptr[label] : true.indptr[label + 1]]
            if not len(rows):
                continue
            own = columns[offset, rows]
            cut = edges(np.sort(own), most)
            every = _count_column(columns[offset], cut, weights)
            hits = _count(own, rows.astype(np.int64), cut, weights)
            drawn_true = weights[rows].sum(axis=0, dtype=np.int64)
            areas = _areas(every, hits, notes, drawn_true)
            known = ~np.isnan(areas[0])
            totals += np.where(known, areas, 0)
            defined += known
    macro = np.where(defined > 0, totals / np.maximum(defined, 1), np.nan)
    cut = edges(cells.positives, most)
    every = _count_matrix(cohort.scores, cut, weights)
    hits = _count(cohort.true_scores, cohort.rows, cut, weights)
    drawn_true = cohort.note_positives @ weights.astype(np.int64)
    micro = _areas(every, hits, notes * cohort.labels, drawn_true)
    return AreaRounds(macro[0], micro[0], macro[1], micro[1])


def edges(positives: NDArray[np.float32], most: int = EDGES) -> NDArray[np.float32]:
    """Lower ends (E,) of the bins, ascending, from the sorted scores of true pairs; lower scores are in no bin."""
    tau = np.unique(positives)
    reached = tau[tau != NEVER]
    if 2 * len(reached) <= most:
        found = np.concatenate([reached, np.nextafter(reached, np.float32(np.inf))])
    else:
        finite = positives[np.searchsorted(positives, LOWEST) :]
        found = finite[np.arange(most) * len(finite) // most]
    if len(reached) < len(tau):
        found = np.append(found, LOWEST)  # true pairs that are never called tie with such false ones, and no others
    return np.unique(found)


def _areas(every: Any, hits: Any, total: Any, true: Any) -> NDArray[np.float64]:
    """AUROC and AUPRC (2, R) of weighted counts by bin, ascending: all cells and true pairs (E, R), and both in all."""
    all_false = total - true
    wins, gains, hits_to, false_to = _sweep(every, hits, all_false)
    wins += (true - hits_to) * (all_false - false_to) / 2  # what is in no bin is never called, and ties
    areas = np.stack([ratio(wins, true * all_false), ratio(gains, true)])
    areas[:, (true == 0) | (all_false == 0)] = np.nan
    return areas


def calibration_rounds(cohort: Cohort, drawn: NDArray[np.float64], cells: Sorted) -> NDArray[np.float64]:
    """Expected calibration error over all cells, per round (R,), in the bins of all notes."""
    lowest = equal_mass(cells).lowest
    gaps = _gaps(cohort.scores, lowest)  # (N, B) sum of scores
    bins = np.searchsorted(lowest, cohort.true_scores, "right") - 1
    np.subtract.at(gaps, (cohort.rows, bins), 1)
    by_patient = csr_array((np.ones(cohort.n), (cohort.patients, np.arange(cohort.n))), shape=(cohort.size, cohort.n))
    sums = csr_array((by_patient @ gaps).T) @ np.ascontiguousarray(drawn.T)  # (B, R)
    notes = csr_array(by_patient.sum(axis=1)[None]) @ np.ascontiguousarray(drawn.T)
    return ratio(np.abs(sums).sum(axis=0), notes[0] * cohort.labels)


@kernel()
def _bin(score: Any, cut: Any) -> Any:  # compiled
    """Number of edges at or below the score, less one."""
    low, high = 0, len(cut)
    while low < high:
        middle = (low + high) >> 1
        if cut[middle] <= score:
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel()
def _count(scores: Any, notes: Any, cut: Any, weights: Any) -> Any:  # compiled
    """Weights (E, R) of the cells of each bin; cell i has scores[i] and is of notes[i]."""
    rounds = weights.shape[1]
    counts = np.zeros((len(cut), rounds), np.int64)
    for cell in range(len(scores)):
        at = _bin(scores[cell], cut)
        if at >= 0:
            for r in range(rounds):
                counts[at, r] += weights[notes[cell], r]
    return counts


@kernel()
def _count_column(scores: Any, cut: Any, weights: Any) -> Any:  # compiled
    """The same for one label, a cell a note (N,)."""
    rounds = weights.shape[1]
    counts = np.zeros((len(cut), rounds), np.int64)
    if len(cut):
        lowest = cut[0]
        for note in range(len(scores)):
            if scores[note] >= lowest:
                at = _bin(scores[note], cut)
                for r in range(rounds):
                    counts[at, r] += weights[note, r]
    return counts


@kernel()
def _count_matrix(scores: Any, cut: Any, weights: Any) -> Any:  # compiled
    """The same for all cells (N, L): a note's cells are counted first, so its weights are added once a bin."""
    rounds = weights.shape[1]
    counts = np.zeros((len(cut), rounds), np.int64)
    here = np.zeros(len(cut), np.int64)
    for note in range(scores.shape[0]):
        here[:] = 0
        for label in range(scores.shape[1]):
            at = _bin(scores[note, label], cut)
            if at >= 0:
                here[at] += 1
        for at in range(len(cut)):
            if here[at]:
                for r in range(rounds):
                    counts[at, r] += here[at] * weights[note, r]
    return counts


@kernel()
def _sweep(every: Any, hits: Any, all_false: Any) -> Any:  # compiled
    """From the highest bin down, per round (R,): pairs ranked right (ties half), true pairs times the precision at
    their bin, and the true and false cells of all bins."""
    bins, rounds = every.shape
    wins, gains = np.zeros(rounds), np.zeros(rounds)
    hits_to, false_to = np.zeros(rounds, np.int64), np.zeros(rounds, np.int64)
    for at in range(bins - 1, -1, -1):
        for r in range(rounds):
            hit = hits[at, r]
            false = every[at, r] - hit
            hits_to[r] += hit
            false_to[r] += false
            if hit:
                wins[r] += hit * (all_false[r] - false_to[r] + 0.5 * false)
                gains[r] += hit * (hits_to[r] / (hits_to[r] + false_to[r]))
    return wins, gains, hits_to, false_to


@kernel()
def _gaps(scores: Any, lowest: Any) -> Any:  # compiled
    """Sum of scores of each note's cells (N, B) in each calibration bin; -inf counts as 0."""
    sums = np.zeros((scores.shape[0], len(lowest)))
    for note in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            score = scores[note, label]
            if score > 0:
                at = -1
                for edge in lowest:  # few: quicker than a search, whose turns nothing foretells
                    at += edge <= score
                sums[note, at] += score
    return sums
