"""Calibration equals a plain loop over bins, and a perfectly calibrated coder has almost no error."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from chartcode.evaluation.calibration import BINS, brier, calibration_error, equal_mass, reliability
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.discrimination import Sorted, over_all
from chartcode.privacy import small
from tests.evaluation import oracles


def plain_error(truth: np.ndarray, scores: np.ndarray) -> float:
    """Sort, cut into 15 at equal ranks, move each cut to the start of its ties, average the gaps."""
    order = np.argsort(scores, kind="stable")
    truth, scores = truth[order], scores[order].astype(float)
    n = len(scores)
    cuts = {next(i for i in range(n) if scores[i] == scores[b * n // BINS]) for b in range(BINS)}
    starts = [*sorted(cuts), n]
    bins = list(itertools.pairwise(starts))
    return sum((b - a) / n * abs(scores[a:b].mean() - truth[a:b].mean()) for a, b in bins)


@settings(max_examples=150, deadline=None)
@given(oracles.wards(never=False))
def test_error_and_brier_equal_the_plain_definitions(ward: Cohort) -> None:
    truth, scores = oracles.dense(ward).ravel(), ward.scores.ravel()
    assert abs(calibration_error(over_all(ward)) - plain_error(truth, scores)) < 1e-9
    assert abs(brier(over_all(ward)) - brier_score_loss(truth, scores.astype(float), pos_label=1)) < 1e-9


def test_bins_hold_equal_numbers_and_lose_no_cell() -> None:
    ward = oracles.ward(3, notes=300)
    bins = equal_mass(over_all(ward))
    assert bins.size.sum() == ward.n * ward.labels
    assert bins.positives.sum() == ward.true_scores.size
    assert len(bins.size) == BINS
    assert bins.size.max() - bins.size.min() <= 1


def test_true_probabilities_are_calibrated_and_shifted_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000).astype(np.float32)
    truth = rng.random(p.size) < p
    said = Sorted(np.sort(p), np.sort(p[truth]))
    assert calibration_error(said) < 0.01
    high = np.minimum(p + np.float32(0.2), 1)
    assert calibration_error(Sorted(np.sort(high), np.sort(high[truth]))) > 0.15


def test_codes_never_predicted_count_as_probability_zero() -> None:
    ward = oracles.ward(4, never=1.0)
    share = ward.true_scores.size / (ward.n * ward.labels)
    assert abs(brier(over_all(ward)) - share) < 1e-12
    assert abs(calibration_error(over_all(ward)) - share) < 1e-12


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.sampled_from([None, 3, 20]), st.sampled_from([0.1, 0.5, 0.9]))
def test_no_bin_of_the_curve_shows_a_small_cell_nor_does_it_beside_a_known_threshold(
    seed: int, notes: int, levels: int | None, tau: float
) -> None:
    ward = oracles.ward(seed, notes, 3, levels=levels, prevalence=0.4)
    truth, scores = oracles.dense(ward).ravel(), ward.scores.ravel()

    def at_or_above(lowest: float) -> tuple[int, int]:
        return int(truth[scores >= lowest].sum()), int((1 - truth)[scores >= lowest].sum())

    points, cuts = reliability(over_all(ward), [at_or_above(tau)])
    assert len(points) == len(cuts)
    for (said, share), above, below in zip(points, cuts, [*cuts, (0, 0)][1:], strict=True):
        true, false = above[0] - below[0], above[1] - below[1]
        assert not small(true) and not small(false)
        assert share == true / (true + false)
        inside = np.sort(scores)[::-1][sum(below) : sum(above)]
        assert at_or_above(inside[-1]) == above
        assert abs(said - inside.mean(dtype=float)) < 1e-9
    for cut in cuts[1:]:
        assert not any(small(abs(here - there)) for here, there in zip(cut, at_or_above(tau), strict=True))
    assert not cuts or cuts[0] == (truth.sum(), (1 - truth).sum())


def test_scores_beyond_0_to_1_are_no_probabilities_but_codes_never_predicted_may_be_among_them() -> None:
    ward = oracles.ward(4, never=0.5)
    assert ward.probabilities
    for wrong in (1.5, -0.5):
        scores = ward.scores.copy()
        scores[3, 2] = wrong
        assert not make("test", ward.codes, ward.truth, scores, patients=ward.patients).probabilities
