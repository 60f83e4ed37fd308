"""Ranking measures equal a walk down each note's list, ties, missing codes and large k included."""

import numpy as np
import pytest
from hypothesis import given, settings

from chartcode.evaluation import cohort as cohort_module
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.ranking import rank_notes, ranks
from tests.evaluation import oracles

KS = (1, 3, 5, 50)


@settings(max_examples=200, deadline=None)
@given(oracles.wards())
def test_every_measure_equals_walking_down_the_list(ward: Cohort) -> None:
    found = rank_notes(ward, KS)
    for k in KS:
        np.testing.assert_allclose(found.hits[k] / k, oracles.precision_at(ward, k), atol=1e-12)
    np.testing.assert_allclose(found.r_precision, oracles.r_precision(ward), atol=1e-12)
    true = ward.note_positives.tolist()
    np.testing.assert_allclose(found.average_precision, oracles.average_precision(ward, true), atol=1e-12)
    every = oracles.average_precision(ward, ward.n_codes.tolist())
    np.testing.assert_allclose(found.average_precision_all_codes, every, atol=1e-12)


def test_equal_scores_are_listed_in_label_order() -> None:
    ward = make("test", ["A", "B", "C"], np.eye(3, dtype=np.int8), np.full((3, 3), 0.5), patients=np.arange(3))
    assert ranks(ward).tolist() == [1, 2, 3]


def test_a_code_that_cannot_be_predicted_is_never_found_even_when_k_exceeds_the_labels() -> None:
    scores = np.array([[0.9, -np.inf]], dtype=np.float32)
    ward = make("test", ["A", "B"], np.array([[0, 1]]), scores, patients=np.zeros(1))
    found = rank_notes(ward, [15])
    assert found.hits[15].tolist() == [0]
    assert found.average_precision.tolist() == [0.0]


def test_a_note_whose_codes_are_all_outside_the_labels_counts_zero_for_all_codes() -> None:
    ward = make("test", ["A"], np.array([[1], [0]]), np.array([[0.9], [0.1]]), patients=np.arange(2), n_codes=[4, 3])
    assert rank_notes(ward, [1]).average_precision_all_codes.tolist() == [0.25, 0.0]


def test_measures_do_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = oracles.ward(3, notes=60, levels=4)
    whole = ranks(ward)
    monkeypatch.setattr("chartcode.evaluation.ranking.BLOCK", 10)
    monkeypatch.setattr(cohort_module, "BLOCK", 10)
    assert np.array_equal(ranks(ward), whole)
