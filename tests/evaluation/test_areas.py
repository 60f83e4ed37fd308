"""Rounds of AUROC, AUPRC and calibration error equal scikit-learn's on the resampled notes themselves."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from chartcode.evaluation.areas import area_rounds, calibration_rounds, edges
from chartcode.evaluation.calibration import calibration_error, equal_mass
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.discrimination import Sorted, auroc, average_precision, over_all
from chartcode.evaluation.intervals import weights
from tests.evaluation import oracles
from tests.evaluation.test_intervals import drawn_rows


def slow_areas(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """scikit-learn's AUROC and AUPRC; NaN when a class is absent. It refuses -inf: a lower score stands for it."""
    if truth.all() or not truth.any():
        return float("nan"), float("nan")
    never = scores == oracles.NEG
    said = np.where(never, -1.0, scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        area = roc_auc_score(truth, said)
        # A pair that is never called adds nothing to average precision: scikit-learn calls it at the last threshold.
        average = average_precision_score(truth, said)
    if (never & (truth == 1)).any():
        average -= (never & (truth == 1)).sum() / truth.sum() * truth.mean()
    return float(area), float(average)


@given(oracles.wards(), st.integers(0, 1000))
def test_rounds_equal_scikit_learn_on_the_resampled_notes(ward: Cohort, seed: int) -> None:
    drawn = weights(ward.size, 4, seed)
    fast = area_rounds(ward, drawn, over_all(ward))
    truth = oracles.dense(ward)
    for r in range(4):
        rows = drawn_rows(ward, drawn[r])
        micro = slow_areas(truth[rows].ravel(), ward.scores[rows].ravel())
        np.testing.assert_allclose([fast.auroc_micro[r], fast.auprc_micro[r]], micro, atol=1e-12)
        by_label = np.array([slow_areas(truth[rows, j], ward.scores[rows, j]) for j in range(ward.labels)])
        known = by_label[~np.isnan(by_label[:, 0])]
        macro = known.mean(axis=0) if len(known) else [np.nan, np.nan]
        np.testing.assert_allclose([fast.auroc_macro[r], fast.auprc_macro[r]], macro, atol=1e-12)


@given(oracles.wards(never=False), st.integers(0, 1000))
def test_calibration_rounds_equal_a_sum_over_the_resampled_notes(ward: Cohort, seed: int) -> None:
    drawn = weights(ward.size, 4, seed)
    fast = calibration_rounds(ward, drawn, over_all(ward))
    truth, bins = oracles.dense(ward), equal_mass(over_all(ward)).lowest
    for r in range(4):
        rows = drawn_rows(ward, drawn[r])
        true, said = truth[rows].ravel(), ward.scores[rows].ravel().astype(float)
        at = np.searchsorted(bins, ward.scores[rows].ravel(), "right") - 1
        gaps = [abs((said - true)[at == b].sum()) for b in range(len(bins))]
        assert abs(fast[r] - sum(gaps) / len(said)) < 1e-9


def test_each_patient_once_gives_the_estimate_itself() -> None:
    ward = oracles.ward(3, notes=400, labels=6, never=0.1)
    cells = over_all(ward)
    once = np.ones((1, ward.size))
    fast = area_rounds(ward, once, cells)
    assert abs(fast.auroc_micro[0] - auroc(cells)) < 1e-12
    assert abs(fast.auprc_micro[0] - average_precision(cells)) < 1e-12
    assert abs(calibration_rounds(ward, once, cells)[0] - calibration_error(cells)) < 1e-12


def test_few_bins_move_the_areas_of_many_true_pairs_by_next_to_nothing() -> None:
    ward = oracles.ward(5, notes=3000, labels=4)
    cells, drawn = over_all(ward), weights(ward.size, 20, 1)
    exact, coarse = area_rounds(ward, drawn, cells, 10**6), area_rounds(ward, drawn, cells, 512)
    for name in exact._fields:
        np.testing.assert_allclose(getattr(coarse, name), getattr(exact, name), atol=2e-3)
        # What an interval shows is the spread.
        assert np.std(getattr(coarse, name)) == pytest.approx(np.std(getattr(exact, name)), rel=0.02)


def test_edges_part_every_true_score_until_there_are_too_many() -> None:
    positives = np.array([-np.inf, 0.1, 0.1, 0.5], dtype=np.float32)
    cut = edges(positives)
    assert len(cut) == 5 and cut[0] == np.finfo(np.float32).min
    assert len(edges(np.sort(np.random.default_rng(0).random(9000).astype(np.float32)))) == 4096
    assert not len(edges(Sorted(positives[:0], positives[:0]).positives))
