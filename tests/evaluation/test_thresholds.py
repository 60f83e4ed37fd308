"""Thresholds are the best there are, by brute force over every score, and rare labels borrow the global one."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from chartcode.errors import DataError
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.thresholds import FEWEST_POSITIVES, HALF, best_threshold, choose
from tests.evaluation import oracles


def brute(truth: np.ndarray, scores: np.ndarray) -> float:
    """The highest of the best thresholds over all distinct scores."""
    candidates = [t for t in np.unique(scores) if t != oracles.NEG]
    return max(candidates, key=lambda t: (oracles.f1(truth, scores >= t), t))


@settings(max_examples=150, deadline=None)
@given(oracles.wards())
def test_the_global_threshold_is_the_best_of_all_scores(ward: Cohort) -> None:
    truth = oracles.dense(ward)
    assume((truth.astype(bool) & (ward.scores != oracles.NEG)).any())
    assert best_threshold(over_all(ward)) == brute(truth.ravel(), ward.scores.ravel())


def test_own_thresholds_are_the_best_of_each_common_label_and_global_for_rare_ones() -> None:
    ward = oracles.ward(11, notes=120, labels=8, levels=30, prevalence=0.2)
    chosen = choose(ward, over_all(ward))
    assert chosen.fallback.any() and not chosen.fallback.all()
    for j in range(ward.labels):
        rare = ward.label_positives[j] < FEWEST_POSITIVES
        assert chosen.fallback[j] == rare
        assert chosen.own[j] == (chosen.one if rare else brute(oracles.dense(ward)[:, j], ward.scores[:, j]))


def test_a_threshold_read_back_from_json_decides_the_same() -> None:
    ward = oracles.ward(12, notes=200)
    chosen = choose(ward, over_all(ward))
    read = chosen.as_json("global")
    assert np.float32(read["global"]) == chosen.one
    assert [np.float32(read["per_label"][code]) for code in ward.codes] == chosen.own.tolist()


def test_without_any_predicted_code_the_threshold_is_a_half() -> None:
    assert best_threshold(over_all(oracles.ward(1, never=1.0))) == HALF


def test_val_without_a_label_is_one_line_that_names_the_split_and_the_param() -> None:
    ward = make("val", ["A"], np.zeros((3, 1)), np.zeros((3, 1)), patients=np.arange(3))
    with pytest.raises(DataError, match=r"no val note has a label; raise split\.val"):
        choose(ward, over_all(ward))
