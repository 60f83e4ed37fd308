"""Differences of two coders equal resampling and exchanging patients one by one, and do not cry wolf."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.intervals import interval, weights
from chartcode.evaluation.paired import Side, differences, exchanges
from tests.evaluation import oracles
from tests.evaluation.test_intervals import drawn_rows

ROUNDS = 12


def two(ward: Cohort, seed: int, noise: float = 0.3) -> tuple[Side, Side]:
    """The ward's coder and one that blurs its scores, on the same notes."""
    rng = np.random.default_rng(seed)
    blurred = (ward.scores + noise * rng.random(ward.scores.shape)).astype(np.float32)
    other = make("test", ward.codes, ward.truth, blurred, patients=ward.patients, n_codes=ward.n_codes)
    half = np.full(ward.labels, 0.5, dtype=np.float32)
    return Side(ward, {"global": half, "per_label": half + 0.1}), Side(other, {"global": half + 0.1, "per_label": half})


def plain(scores: np.ndarray, tau: np.ndarray, ward: Cohort, rows: np.ndarray) -> dict[str, float]:
    """Metrics of the notes `rows` of a coder with these scores and thresholds of cells (N, L)."""
    truth, called = oracles.dense(ward)[rows], (scores >= tau)[rows]
    said = make("x", ward.codes, truth, scores[rows], patients=np.arange(len(rows)))
    return {
        "micro_f1": oracles.f1(truth, called),
        "macro_f1": oracles.macro_f1(truth, called),
        "map": float(np.mean(oracles.average_precision(said, truth.sum(1).tolist()))),
        "p_at_2": float(np.mean(oracles.precision_at(said, 2))),
        "r_precision": float(np.mean(oracles.r_precision(said))),
    }


@given(oracles.wards(), st.integers(0, 1000))
def test_interval_and_p_equal_going_through_the_patients(ward: Cohort, seed: int) -> None:
    one, other = two(ward, seed)
    first, second = one.cohort.scores, other.cohort.scores
    tau = [np.broadcast_to(side.tau["global"], ward.scores.shape) for side in (one, other)]
    whole = [plain(scores, at, ward, np.arange(ward.n)) for scores, at in zip((first, second), tau, strict=True)]
    seen = {name: whole[1][name] - whole[0][name] for name in whole[0]}
    found = differences(one, other, seen, [2], ROUNDS, seed)
    assert set(found) == set(seen)
    drawn, swapped = weights(ward.size, ROUNDS, seed), exchanges(ward.size, ROUNDS, seed)
    for name, estimate in seen.items():
        redrawn, by_chance = [], 0
        for r in range(ROUNDS):
            rows = drawn_rows(ward, drawn[r])
            values = [plain(scores, at, ward, rows)[name] for scores, at in zip((first, second), tau, strict=True)]
            redrawn.append(values[1] - values[0])
            turned = swapped[r][ward.patients].astype(bool)[:, None]
            mixed = [np.where(turned, second, first), np.where(turned, first, second)]
            at = [np.where(turned, tau[1], tau[0]), np.where(turned, tau[0], tau[1])]
            values = [plain(m, t, ward, np.arange(ward.n))[name] for m, t in zip(mixed, at, strict=True)]
            by_chance += abs(values[1] - values[0]) >= abs(estimate) - 1e-9
        low, high = interval(np.array(redrawn), estimate, -1, 1)
        np.testing.assert_allclose([found[name].low, found[name].high], [low, high], atol=1e-9)
        if not np.isnan(estimate):
            assert found[name].p == (1 + by_chance) / (ROUNDS + 1)


def test_a_coder_is_no_better_than_itself() -> None:
    ward = oracles.ward(1, notes=100)
    side = two(ward, 1)[0]
    found = differences(side, side, {"micro_f1": 0.0, "map": 0.0}, [5], 50, 1)
    assert all((d.low, d.high, d.p) == (0, 0, 1) for d in found.values())


def test_equal_coders_seldom_differ_and_a_worse_one_nearly_always_does() -> None:
    alarms, missed = 0, 0
    for seed in range(60):
        ward = oracles.ward(seed, notes=150, patients=80, labels=5)
        rng = np.random.default_rng([seed, 1])  # the ward itself drew from seed
        noise = [np.clip(0.3 * oracles.dense(ward) + 0.7 * rng.random(ward.scores.shape), 0, 1) for _ in range(2)]
        half = {"global": np.full(5, 0.5, np.float32), "per_label": np.full(5, 0.5, np.float32)}
        sides = [Side(make("t", ward.codes, ward.truth, n, patients=ward.patients), half) for n in noise]
        worse = Side(make("t", ward.codes, ward.truth, rng.random(ward.scores.shape), patients=ward.patients), half)
        for other, wanted in ((sides[1], "equal"), (worse, "worse")):
            called = [oracles.f1(oracles.dense(ward), s.cohort.scores >= np.float32(0.5)) for s in (sides[0], other)]
            p = differences(sides[0], other, {"micro_f1": called[1] - called[0]}, [5], 200, seed)["micro_f1"].p
            alarms += wanted == "equal" and p <= 0.05
            missed += wanted == "worse" and p > 0.05
    assert alarms <= 8  # 3 expected of 60
    assert missed == 0
