"""Nothing about 1 to 10 patients can be read, or worked out by brute force, from what is published."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.headline import headline, label_scores
from chartcode.evaluation.thresholds import ChosenThresholds
from chartcode.params import EvaluateParams
from chartcode.privacy import SMALLEST, Guarded, merge_small, publish, small
from tests.evaluation import oracles

PARAMS = EvaluateParams(threshold="global", top_k=[1, 3], bootstrap_rounds=0, seed=1)


def test_a_small_cell_is_one_to_ten() -> None:
    assert [n for n in range(20) if small(n)] == list(range(1, 11))


def test_a_number_is_withheld_when_a_count_or_its_complement_is_small() -> None:
    numbers = {
        "fine": Guarded(0.5, (11, 20)),
        "few": Guarded(0.5, (10, 20)),
        "none": Guarded.count(0),
        "rest": Guarded.count(95, 100),
        "undefined": Guarded(math.nan),
    }
    assert publish(numbers, 100) == {"few": None, "fine": 0.5, "none": 0, "rest": None, "undefined": None}


def test_a_group_of_ten_patients_publishes_nothing() -> None:
    assert publish({"f1": Guarded(0.5), "labels": Guarded(50)}, 10) == {"f1": None, "labels": None}


def consistent(value: float, whole: int) -> set[int]:
    """Counts k for which k / whole rounds to the published value."""
    near = round(value * whole)
    reach = int(whole * 1e-4) + 2
    return {k for k in range(max(0, near - reach), min(whole, near + reach) + 1) if round(k / whole, 4) == value}


def worked_out(shown: dict, ks: list[int]) -> dict[str, set[int]]:
    """What a stubborn reader finds by trying every count that fits the published totals and rates."""
    totals = [key for key in ("n", "patients", "positives", "n_labelled") if shown[key] is not None]
    found: dict[str, set[int]] = {key: {shown[key]} for key in totals}
    n, positives = shown["n"], shown["positives"]
    if n:
        if shown["n_labelled"] is not None:
            found["unlabelled"] = {n - shown["n_labelled"]}
        if shown["exact_match"] is not None:
            found["exact"] = consistent(shown["exact_match"], n)
            found["not exact"] = {n - k for k in found["exact"]}
        for key in ("map", "r_precision", *(f"p_at_{k}" for k in ks)):
            whole, part = shown.get(key), shown.get(f"{key}_labelled")
            if whole and part:
                fits = {k for k in range(1, n + 1) if abs(part * k / n - whole) <= 5e-5 * (1 + k / n)}
                found[f"labelled by {key}"] = fits
                found[f"unlabelled by {key}"] = {n - k for k in fits}
        before: set[int] | None = {0}
        for k in ks:
            rate = shown[f"p_at_{k}"]
            hits = consistent(rate, k * n) if rate is not None else None
            if hits is not None:
                found[f"hits at {k}"] = hits
                if before is not None:
                    found[f"gained at {k}"] = {a - b for a in hits for b in before if a >= b}
            before = hits
    if positives:
        tp = consistent(shown["micro_recall"], positives) if shown["micro_recall"] is not None else None
        if tp is not None:
            found["tp"], found["fn"] = tp, {positives - k for k in tp}
            precision = shown["micro_precision"]
            if precision:
                fits = {
                    (k, called)
                    for k in tp
                    for called in range(k, int(k / max(precision - 1e-4, 1e-4)) + 2)
                    if called and round(k / called, 4) == precision
                }
                found["fp"] = {called - k for k, called in fits}
                every = shown["micro_f1_all_codes"]
                if every:
                    found["outside"] = {
                        gold - positives
                        for k, called in fits
                        for gold in range(positives, positives + 200)
                        if round(2 * k / (called + gold), 4) == every
                    }
    floor = shown["micro_f1_predict_all"]
    if floor is not None and n:
        found["positives by floor"] = {
            m for m in range(n * shown["labels"] + 1) if round(2 * m / (n * shown["labels"] + m), 4) == floor
        }
    return found


@pytest.mark.parametrize("block", range(10))
def test_500_random_wards_give_no_small_count_away(block: int) -> None:
    said = 0
    for case in range(50):
        seed = block * 50 + case
        rng = np.random.default_rng(seed)
        ward = oracles.ward(
            seed,
            int(rng.integers(1, 70)),
            int(rng.integers(1, 6)),
            patients=int(rng.integers(1, 60)),
            prevalence=float(rng.choice([0.02, 0.2, 0.6, 0.95])),
            outside=int(rng.integers(0, 2)),
        )
        tau = np.float32(rng.choice([0.2, 0.5, 0.8]))
        own = np.full(ward.labels, tau, dtype=np.float32)
        chosen = ChosenThresholds(ward.codes, tau, own, np.zeros(ward.labels, dtype=bool))
        shown = publish(headline(ward, chosen, label_scores(ward), over_all(ward), PARAMS), ward.size)
        said += sum(value is not None for value in shown.values())
        for name, counts in worked_out(shown, PARAMS.top_k).items():
            # A leak is to be sure of a small cell: every count that fits lies in 1..10.
            assert not counts or not all(small(count) for count in counts), (seed, name, counts)
    assert said > 500  # withholding everything would pass, and be useless


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=15))
def test_merged_bins_show_no_small_cell_and_keep_every_one(pairs: list[tuple[int, int]]) -> None:
    cells = [(true + false, true, float(true)) for true, false in pairs if true + false]
    merged = merge_small(cells)
    for size, true, _ in merged:
        assert not small(true)
        assert not small(size - true)
    if merged:
        assert sum(size for size, _, _ in merged) == sum(size for size, _, _ in cells)
        assert sum(true for _, true, _ in merged) == sum(true for _, true, _ in cells)
    else:
        total, true = sum(size for size, _, _ in cells), sum(true for _, true, _ in cells)
        assert not cells or small(true) or small(total - true)


def test_large_bins_stay_as_they_are() -> None:
    cells = [(100, 0, 1.0), (100, 30, 20.0), (100, 60, 60.0)]
    assert merge_small(cells) == cells
    assert SMALLEST == 11
