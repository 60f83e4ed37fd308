"""Intervals equal a plain loop over each drawn patient's notes, and cover the truth about as often as they say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.decisions import decide, macro_f1
from chartcode.evaluation.intervals import f1_rounds, interval, note_means, weights
from tests.evaluation import oracles


def drawn_rows(ward: Cohort, row: np.ndarray) -> np.ndarray:
    """The notes of one round: each patient's notes as often as the patient was drawn."""
    return np.concatenate([np.flatnonzero(ward.patients == p).repeat(int(row[p])) for p in range(ward.size)])


@settings(max_examples=60, deadline=None)
@given(oracles.wards(), st.integers(0, 1000))
def test_rounds_equal_resampling_note_by_note(ward: Cohort, seed: int) -> None:
    drawn = weights(ward.size, 5, seed)
    tau = np.full(ward.labels, 0.4, dtype=np.float32)
    tau[::2] = 0.7
    value = np.random.default_rng(seed).random(ward.n)
    micro, macro = f1_rounds(ward, drawn, tau)
    means = note_means(ward, drawn, {"value": value})["value"]
    truth, called = oracles.dense(ward), ward.scores >= tau
    for r in range(5):
        rows = drawn_rows(ward, drawn[r])
        assert abs(micro[r] - oracles.f1(truth[rows], called[rows])) < 1e-12
        np.testing.assert_allclose(macro[r], oracles.macro_f1(truth[rows], called[rows]), atol=1e-12)
        assert abs(means[r] - value[rows].mean()) < 1e-12


def test_each_round_draws_as_many_patients_as_there_are_and_the_seed_decides_which() -> None:
    drawn = weights(37, 20, 5)
    assert (drawn.sum(axis=1) == 37).all()
    assert np.array_equal(drawn, weights(37, 20, 5))
    assert not np.array_equal(drawn, weights(37, 20, 6))


def test_patients_with_many_notes_widen_the_interval() -> None:
    """Ten equal notes of one patient are one observation, not ten."""
    rng = np.random.default_rng(0)
    per_patient = rng.random(40)
    notes = per_patient.repeat(10)
    by_patient = oracles.ward(1, notes=400, labels=1, patients=40)
    object.__setattr__(by_patient, "patients", np.arange(40).repeat(10))
    by_note = oracles.ward(1, notes=400, labels=1)
    object.__setattr__(by_note, "patients", np.arange(400))
    width = {}
    for name, ward in (("patient", by_patient), ("note", by_note)):
        low, high = interval(note_means(ward, weights(ward.size, 2000, 1), {"v": notes})["v"], notes.mean())
        width[name] = high - low
    assert width["patient"] > 2.5 * width["note"]


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    ward = oracles.ward(1, notes=80, labels=1)
    object.__setattr__(ward, "patients", np.arange(80))
    drawn = weights(80, 400, 3)
    covered = 0
    for _ in range(300):
        seen = (rng.random(80) < 0.3).astype(float)
        low, high = interval(note_means(ward, drawn, {"v": seen})["v"], seen.mean())
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_an_interval_holds_its_estimate_even_when_most_labels_are_rare() -> None:
    """Drawing patients again leaves rare labels out or doubles them, and pulls macro-F1 off the estimate."""
    ward = oracles.ward(4, notes=200, labels=300, prevalence=0.01)
    tau = np.full(ward.labels, 0.65, dtype=np.float32)
    _, macro = f1_rounds(ward, weights(ward.size, 200, 1), tau)
    estimate = macro_f1(decide(ward, tau))
    plain = np.quantile(macro, [0.025, 0.975])
    assert not plain[0] <= estimate <= plain[1]
    low, high = interval(macro, estimate)
    assert low < estimate < high


def test_undefined_rounds_do_not_count() -> None:
    assert interval(np.array([np.nan, 0.5]), 0.5) == (0.5, 0.5)
    assert np.isnan(interval(np.array([np.nan]), 0.5)).all()
