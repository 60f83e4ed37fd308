"""Folds and samples are of whole patients, and the same on every machine."""

from __future__ import annotations

import numpy as np

from chartcode.folds import patient_folds, sampled


def test_folds_and_samples_are_of_whole_patients_and_the_same_everywhere() -> None:
    subjects = np.repeat(np.arange(500), 2)
    folds = patient_folds(subjects.tolist(), 5, 42)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).min() > 140
    assert patient_folds([10_000_032], 5, 42).tolist() == [3], "a golden value: moves with no machine or version"
    some = sampled(subjects.tolist(), 100, 7)
    assert some.sum() == 100
    assert (some[::2] == some[1::2]).all()
    assert sampled(subjects.tolist(), None, 7).all()
