"""Whether one coder is better than another on the same notes, or only looks so with these patients.

- Interval: the paired bootstrap. Both coders are judged on the same drawn patients, so what is hard about a patient
  cancels out; the interval is of the difference (Efron & Tibshirani 1993).
- p: approximate randomisation (Noreen 1989; for F1, Yeh 2000), two-sided. If the coders were equal, it would not matter
  whose codes a patient got: each round exchanges the codes of half of the patients, and p is the share of rounds whose
  difference is as large as the one seen, that one counted as a round (Phipson & Smyth 2010), so never 0.

Patients are drawn and exchanged whole, as in intervals.py. Each coder keeps its own thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation import intervals
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.ranking import rank_notes

Rounds = dict[str, NDArray[np.float64]]  # metric -> (R,), or (N,) where it is a value a note
F1_KINDS = (("global", ""), ("per_label", "_per_label"))
AS_LARGE = 1e-12  # differences this close are equal: sums of the same numbers in another order


@dataclass(frozen=True)
class Side:
    """One coder's say on a split, and its thresholds by kind, (L,) or (N, L)."""

    cohort: Cohort
    tau: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Difference:
    """Second coder less first: 95% interval and p."""

    low: float
    high: float
    p: float


def differences(
    one: Side, other: Side, estimates: Mapping[str, float], ks: Sequence[int], rounds: int, seed: int
) -> dict[str, Difference]:
    """Interval and p of every metric in `estimates` (other less one) that is a sum over patients: F1 and ranking.

    Both sides hold the same notes in the same order, with the same gold labels.
    """
    sides = [_Summed.of(side, ks) for side in (one, other)]
    drawn = intervals.weights(one.cohort.size, rounds, seed)
    bootstrap = [_rounds([(side, drawn)]) for side in sides]
    swapped = exchanges(one.cohort.size, rounds, seed)
    randomised = [
        _rounds(list(zip(sides, shares, strict=True))) for shares in ((1 - swapped, swapped), (swapped, 1 - swapped))
    ]
    found = {}
    for name in [name for name in bootstrap[0] if name in estimates]:
        seen = estimates[name]
        low, high = intervals.interval(bootstrap[1][name] - bootstrap[0][name], seen, -1, 1)
        by_chance = np.abs(randomised[1][name] - randomised[0][name]) >= abs(seen) - AS_LARGE
        found[name] = Difference(low, high, (1 + int(np.count_nonzero(by_chance))) / (rounds + 1))
    return found


def exchanges(patients: int, rounds: int, seed: int) -> NDArray[np.float64]:
    """Whether a patient's codes are exchanged, 1 or 0, in each round (R, P)."""
    return np.random.default_rng([seed, 1]).integers(0, 2, (rounds, patients)).astype(np.float64)


@dataclass(frozen=True)
class _Summed:
    """A side, summed up: per patient for F1, per note for ranking."""

    cohort: Cohort
    f1: dict[str, intervals.Sums]
    ranking: Rounds

    @classmethod
    def of(cls, side: Side, ks: Sequence[int]) -> _Summed:
        f1 = {suffix: intervals.patient_sums(side.cohort, side.tau[kind]) for kind, suffix in F1_KINDS}
        ranking = rank_notes(side.cohort, ks)
        precision = {f"p_at_{k}": ranking.hits[k] / k for k in ks}
        values = {"map": ranking.average_precision, "r_precision": ranking.r_precision, **precision}
        return cls(side.cohort, f1, values)


def _rounds(parts: Sequence[tuple[_Summed, NDArray[np.float64]]]) -> Rounds:
    """Each metric, per round, of a coder put together from parts: a side and its weights (R, P)."""
    rounds: Rounds = {}
    for _, suffix in F1_KINDS:
        weighed = [(side.f1[suffix], weights) for side, weights in parts]
        rounds[f"micro_f1{suffix}"], rounds[f"macro_f1{suffix}"] = intervals.f1_rounds_of(weighed)
    sums = [intervals.note_sums(side.cohort, weights, side.ranking) for side, weights in parts]
    totals = {name: np.sum([each[name] for each in sums], axis=0) for name in sums[0]}
    notes = totals.pop("")
    return rounds | {name: total / notes for name, total in totals.items()}
