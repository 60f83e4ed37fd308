"""F1 and its relatives equal scikit-learn's, and the counting definitions where that has none."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from chartcode.evaluation import decisions
from chartcode.evaluation.cohort import Cohort, make
from tests.evaluation import oracles


@settings(max_examples=200, deadline=None)
@given(oracles.wards(), st.integers(0, 10**6))
def test_decisions_equal_scikit_learn(ward: Cohort, seed: int) -> None:
    tau = np.random.default_rng(seed).choice(ward.scores.ravel(), ward.labels).astype(np.float32)
    tau[tau == oracles.NEG] = 0.5
    truth, called = oracles.dense(ward), (ward.scores >= tau).astype(int)
    made = decisions.decide(ward, tau)
    assert abs(decisions.micro_f1(made) - oracles.f1(truth, called)) < 1e-12
    np.testing.assert_allclose(decisions.macro_f1(made), oracles.macro_f1(truth, called), atol=1e-12)
    assert decisions.exact_matches(made) == round(accuracy_score(truth, called) * ward.n)
    assert made.errors == (
        int((truth & called).sum()),
        int(((1 - truth) & called).sum()),
        int((truth & (1 - called)).sum()),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if ward.labels > 1:
            by_note = f1_score(truth, called, average="samples", zero_division=1.0)
            assert abs(decisions.example_f1(made) - by_note) < 1e-12
            share = np.count_nonzero(ward.label_positives) / ward.labels
            over_all_labels = f1_score(truth, called, average="macro", zero_division=0)
            assert abs(np.nan_to_num(decisions.macro_f1(made)) * share - over_all_labels) < 1e-12
            if truth.any():
                assert abs(decisions.micro_f1(made) - f1_score(truth, called, average="micro", zero_division=0)) < 1e-12


@settings(max_examples=100, deadline=None)
@given(oracles.wards(never=False))
def test_the_harmonic_macro_f1_is_that_of_caml(ward: Cohort) -> None:
    """The formulas of CAML's evaluation.py, its 1e-10 included."""
    truth, called = oracles.dense(ward), ward.scores >= 0.5
    both = (truth & called).sum(axis=0)
    precision = (both / (called.sum(axis=0) + 1e-10)).mean()
    recall = (both / (truth.sum(axis=0) + 1e-10)).mean()
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    made = decisions.decide(ward, np.full(ward.labels, 0.5, dtype=np.float32))
    assert abs(decisions.macro_f1_harmonic(made) - expected) < 1e-8


def test_the_two_macro_f1_are_not_the_same_number() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.1, 0.1], [0.1, 0.9], [0.1, 0.9]])
    ward = make("test", ["A", "B"], truth, scores, patients=np.arange(4))
    made = decisions.decide(ward, np.full(2, 0.5, dtype=np.float32))
    assert decisions.macro_f1(made) == (2 / 3 + 1) / 2
    assert decisions.macro_f1_harmonic(made) == 2 * 0.75 / 1.75


@settings(max_examples=60, deadline=None)
@given(oracles.wards(), st.integers(0, 10**6))
def test_a_threshold_may_be_of_a_cell(ward: Cohort, seed: int) -> None:
    tau = np.random.default_rng(seed).random((ward.n, ward.labels)).astype(np.float32)
    called, truth = ward.scores >= tau, oracles.dense(ward)
    made = decisions.decide(ward, tau)
    assert abs(decisions.micro_f1(made) - oracles.f1(truth, called)) < 1e-12
    np.testing.assert_allclose(decisions.macro_f1(made), oracles.macro_f1(truth, called), atol=1e-12)


def test_codes_outside_the_label_space_are_missed() -> None:
    ward = make("test", ["A"], np.array([[1], [0]]), np.array([[0.9], [0.1]]), patients=np.arange(2), n_codes=[3, 1])
    made = decisions.decide(ward, np.array([0.5], dtype=np.float32))
    assert decisions.micro_f1(made) == 1.0
    assert decisions.micro_f1_all_codes(made, int(ward.n_codes.sum())) == 2 / 5  # 1 hit, 1 called, 4 gold codes


def test_calling_every_label_scores_the_floor() -> None:
    ward = oracles.ward(2, notes=300)
    made = decisions.decide(ward, np.zeros(ward.labels, dtype=np.float32))
    p = ward.label_positives / ward.n
    np.testing.assert_allclose(decisions.predict_all_f1(ward.label_positives, ward.n), 2 * p / (1 + p))
    assert decisions.micro_f1(made) == float(decisions.predict_all_f1(made.true, ward.n * ward.labels))


def test_a_code_that_cannot_be_predicted_is_never_called() -> None:
    ward = oracles.ward(2, never=1.0)
    assert decisions.decide(ward, np.zeros(ward.labels, dtype=np.float32)).called == 0
