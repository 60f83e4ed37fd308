"""All that Git receives of a coder, read together: no small count follows from one file beside another.

tests/test_privacy.py attacks metrics.json alone, test_slices.py the parts of slices.json; here a reader holds metrics,
slices and both curves, and tries every count that fits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chartcode.evaluation import record
from chartcode.evaluation.calibration import equal_mass
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.fitting import Fitted
from chartcode.evaluation.thresholds import choose
from chartcode.params import EvaluateParams
from chartcode.privacy import DECIMALS, small
from tests.evaluation import oracles
from tests.evaluation.test_slices import facts_of
from tests.test_privacy import consistent

PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[1, 3], bootstrap_rounds=0, seed=1)
HALF_STEP = 0.5 * 10**-DECIMALS
Fits = Iterator[tuple[str, set[int]]]  # a count by name, and every value of it that fits
Pairs = set[tuple[int, int]]  # true and false cells above a threshold


def received(ward: Cohort, facts: pa.Table) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Numbers, slices and curves of a ward, as rounded as they are written."""
    chosen = choose(ward, over_all(ward))
    cohorts = {"test": ward}
    fitted = Fitted(cohorts, cohorts, {"test": chosen.arrays()}, chosen, None)
    train = np.tile([700, 30], ward.labels)[: ward.labels]
    about = record._About(np.arange(ward.n), facts)
    split = record._judge_split(fitted, "test", about, train, PARAMS)
    curves = {name: np.round(points, DECIMALS).tolist() for name, points in split.curves.items()}
    return split.numbers, split.slices, curves


def of_groups(numbers: dict[str, Any], slices: dict[str, Any]) -> Fits:
    """The whole less the groups that are told, patients of several groups, and matches beside near matches."""
    for dimension, groups in slices.items():
        for key in ("n", "patients", "positives"):
            told = [part[key] for part in groups.values() if part.get(key) is not None]
            whole = numbers[key]
            if whole is None or not told:
                continue
            if len(told) == len(groups) or key != "patients":
                yield f"{dimension}: {key} of all groups less the whole", {abs(sum(told) - whole)}
    within, exact = slices.get("balance", {}).get("within one", {}).get("n"), numbers["exact_match"]
    if within is not None and exact is not None:
        yield "within one, not exact", {within - k for k in consistent(exact, numbers["n"])}


def of_ends(numbers: dict[str, Any], wholes: list[tuple[str, Any, int, int]]) -> Fits:
    """At most so many hits or errors when a mean is that close to 0 or 1, and one at least."""
    for name, mean, notes, labels in wholes:
        if mean is not None and notes:
            yield f"hits by {name}", most(mean, labels * notes)
            yield f"errors by {name}", most(1 - mean, labels * 2 * notes)
    n, labels = numbers["n"], numbers["labels_with_auc"]
    if n and numbers["positives"] and numbers["auroc_micro"] is not None:
        false = n * numbers["labels"] - numbers["positives"]
        yield "behind by auroc_micro", most(1 - numbers["auroc_micro"], 2 * numbers["positives"] * false)
    if n and numbers["auroc_macro"] is not None:
        yield "behind by auroc_macro", most(1 - numbers["auroc_macro"], labels * n * n / 2)


def most(share: float, whole: float) -> set[int]:
    """1 up to what a share that is not 0 leaves room for."""
    return set(range(1, math.floor((share + HALF_STEP) * whole + 1e-9) + 1)) if share > HALF_STEP else set()


def called_pairs(numbers: dict[str, Any]) -> Pairs:
    """Right and false calls at the global threshold, from precision, recall and positives."""
    positives, recall, precision = (numbers[key] for key in ("positives", "micro_recall", "micro_precision"))
    if not positives or recall is None or not precision:
        return set()
    return {(hits, false) for hits in consistent(recall, positives) for false in with_precision(hits, precision, 10**6)}


def with_precision(hits: int, precision: float, limit: int) -> range:
    """False cells that beside so many hits have this precision."""
    low, high = hits / (precision + HALF_STEP) - hits, hits / max(precision - HALF_STEP, 1e-9) - hits
    return range(max(0, math.ceil(low - 1e-9)), min(limit, math.floor(high + 1e-9)) + 1)


def curve_pairs(numbers: dict[str, Any], curve: list[list[float]]) -> list[Pairs]:
    """For each threshold behind the curve the pairs that fit: its precision holds up to the next recall."""
    positives, n = numbers["positives"], numbers["n"]
    if not positives or not n:
        return []
    steps = []
    for (recall, precision), following in zip(curve, [*curve[1:], None], strict=True):
        if precision and (following is None or following[1] != precision):
            lowest = math.ceil(round(recall * positives, 6))
            highest = positives if following is None else math.ceil(round(following[0] * positives, 6)) - 1
            limit = n * numbers["labels"] - positives
            hits = range(lowest, highest + 1)
            steps.append({(h, f) for h in hits for f in with_precision(h, precision, limit)})
    return steps


def of_thresholds(numbers: dict[str, Any], curves: dict[str, Any], bins: list[tuple[int, int]]) -> Fits:
    """Cells between any two thresholds that are told of; the reader is given the size of each bin of the reliability
    curve before any were merged, and finds the cells at or above each."""
    positives, n = numbers["positives"], numbers["n"]
    told = [("called", called_pairs(numbers))]
    told += [(f"curve {i}", pairs) for i, pairs in enumerate(curve_pairs(numbers, curves.get("precision_recall", [])))]
    told += [(f"bin {i}", {cut}) for i, cut in enumerate(bins)]
    if positives and n:
        told.append(("all", {(positives, n * numbers["labels"] - positives)}))
    for i, (name, pairs) in enumerate(told):
        for other_name, others in told[:i]:
            both = [
                (abs(h - k), abs(f - g)) for h, f in pairs for k, g in others if (h - k) * (f - g) >= 0
            ]  # one of two thresholds calls all that the other calls
            for place, kind in enumerate(("true", "false")):
                yield f"{kind} between {other_name} and {name}", {pair[place] for pair in both}


def bin_cuts(ward: Cohort, curve: list[list[float]]) -> list[tuple[int, int]]:
    """Where the bins of the published reliability curve begin: the merged bins of these shares, in order."""
    found = equal_mass(over_all(ward))
    cuts, size, true, points = [], 0, 0, iter(curve)
    above = (int(found.positives.sum()), int((found.size - found.positives).sum()))
    wanted = next(points, None)
    for cells, hits, total in zip(found.size.tolist(), found.positives.tolist(), found.total.tolist(), strict=True):
        if not size:
            cuts.append(above)
            said = 0.0
        size, true, said = size + cells, true + hits, said + total
        if (
            wanted is not None
            and round(true / size, DECIMALS) == wanted[1]
            and round(said / size, DECIMALS) == wanted[0]
        ):
            above = above[0] - true, above[1] - (size - true)
            size, true, wanted = 0, 0, next(points, None)
    return cuts if curve and not size else []


@pytest.mark.parametrize("block", range(10))
def test_500_random_tables_give_no_small_count_away_by_all_their_files_together(block: int) -> None:
    said: Counter[str] = Counter()
    for case in range(50):
        seed = block * 50 + case
        rng = np.random.default_rng([seed, 4])
        ward = oracles.ward(
            seed, int(rng.integers(1, 130)), int(rng.integers(1, 7)), patients=int(rng.integers(5, 120)),
            prevalence=float(rng.choice([0.1, 0.3, 0.6])), signal=float(rng.choice([0.3, 0.45, 0.52])), outside=9,
        )  # fmt: skip
        if not ward.true_scores.size:
            continue
        numbers, slices, curves = received(ward, facts_of(ward, seed))
        if ward.size < 11:
            told = [*numbers.values(), *slices.values(), *curves.values()]
            assert not any(told), seed
            continue
        wholes = [("macro_f1", numbers["macro_f1"], numbers["n"], numbers["labels_with_positives"])]
        wholes += [
            (f"macro_f1 of {dimension} {name}", part["macro_f1"], part["n"], ward.labels)
            for dimension, groups in slices.items()
            for name, part in groups.items()
            if "macro_f1" in part and "n" in part
        ]
        bins = bin_cuts(ward, curves.get("reliability", []))
        said.update(
            {"curve": "precision_recall" in curves and curves["precision_recall"][0][1] > 0, "bins": bool(bins)}
        )
        said.update(key for key, value in numbers.items() if value is not None)
        for attack in (of_groups(numbers, slices), of_ends(numbers, wholes), of_thresholds(numbers, curves, bins)):
            for name, counts in attack:
                said["attacks"] += 1
                # A leak is to be sure of a small cell: every count that fits lies in 1..10.
                assert not counts or not all(small(count) for count in counts), (seed, name, counts)
    assert min(said[key] for key in ("attacks", "curve", "bins", "macro_f1", "exact_match", "auroc_micro")) >= 5, said
