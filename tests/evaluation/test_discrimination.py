"""AUROC and AUPRC equal scikit-learn's to 1e-12, ties included; the published curve never shows a small cell."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.discrimination import (
    GRID,
    Sorted,
    at_positives,
    auroc,
    average_precision,
    behind,
    mean_over_labels,
    over_all,
    per_label,
    precision_at_recall,
)
from tests.evaluation import oracles


@settings(max_examples=200, deadline=None)
@given(oracles.wards(never=False))
def test_areas_equal_scikit_learn(ward: Cohort) -> None:
    truth = oracles.dense(ward)
    columns = [(truth[:, j], ward.scores[:, j], s) for j, s in enumerate(per_label(ward))]
    for true, scores, fast in [*columns, (truth.ravel(), ward.scores.ravel(), over_all(ward))]:
        if fast.constant:
            assert np.isnan(auroc(fast)) and np.isnan(average_precision(fast))
            continue
        assert abs(auroc(fast) - roc_auc_score(true, scores)) < 1e-12
        assert abs(average_precision(fast) - average_precision_score(true, scores)) < 1e-12
        assert behind(fast) == (scores[true == 1] <= scores[true == 0].max()).sum()


def test_areas_equal_scikit_learn_on_many_notes() -> None:
    ward = oracles.ward(1, notes=5000, labels=4, levels=300)
    truth = oracles.dense(ward)
    for j, fast in enumerate(per_label(ward)):
        assert abs(auroc(fast) - roc_auc_score(truth[:, j], ward.scores[:, j])) < 1e-12
        assert abs(average_precision(fast) - average_precision_score(truth[:, j], ward.scores[:, j])) < 1e-12


def test_a_constant_label_does_not_void_the_mean() -> None:
    assert mean_over_labels(np.array([0.5, np.nan, 1.0])) == 0.75
    assert np.isnan(mean_over_labels(np.array([np.nan])))


def test_codes_never_predicted_add_nothing_to_average_precision_and_tie_in_auroc() -> None:
    scores = np.full((4, 1), -np.inf, dtype=np.float32)
    ward = make("test", ["A"], np.array([[1], [0], [0], [1]]), scores, patients=np.arange(4))
    assert average_precision(over_all(ward)) == 0
    assert auroc(over_all(ward)) == 0.5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 400), st.sampled_from([None, 3, 20]), st.sampled_from([0.3, 0.6]))
def test_curve_is_the_best_precision_at_that_recall_or_more(
    seed: int, notes: int, levels: int | None, tau_known: float
) -> None:
    ward = oracles.ward(seed, notes, 2, levels=levels)
    fast = over_all(ward)
    truth, scores = oracles.dense(ward).ravel(), ward.scores.ravel()
    known = int(truth[scores >= tau_known].sum()), int((1 - truth)[scores >= tau_known].sum())
    points, last = [], (0, 0)
    for tau in np.unique(scores[truth == 1])[::-1]:
        hits, false = int(truth[scores >= tau].sum()), int((1 - truth[scores >= tau]).sum())
        steps = (hits - last[0], false - last[1], int(truth.sum()) - hits, int((1 - truth).sum()) - false)
        beside = abs(hits - known[0]), abs(false - known[1])
        if steps[0] and not any(0 < step < 11 for step in (*steps, *beside)):
            points.append((hits, hits / (hits + false)))
            last = (hits, false)
    expected = [max((p for hits, p in points if hits + 1e-9 >= r * truth.sum()), default=0.0) for r in GRID]
    np.testing.assert_allclose(precision_at_recall(fast, [known]), expected, atol=1e-12)


def test_thresholds_count_what_would_be_called() -> None:
    ward = oracles.ward(5, levels=5, never=0.2)
    at = at_positives(over_all(ward))
    for tau, hits, called in zip(at.tau, at.hits, at.called, strict=True):
        assert called == (ward.scores >= tau).sum()
        assert hits == ((ward.scores >= tau) & (oracles.dense(ward) == 1)).sum()


def test_empty_curve_without_positives() -> None:
    nothing = np.zeros(0, dtype=np.float32)
    assert not precision_at_recall(Sorted(np.ones(3, dtype=np.float32), nothing)).any()
