"""Folds of patients, for what learns from scores of train notes: those must come from a fit that has not seen them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def patient_folds(subject_ids: Iterable[int], folds: int, seed: int) -> Array:
    """The fold of each note (N,), 0 to folds - 1: that of its patient by keyed hash, the same on every machine."""
    known: dict[int, int] = {}
    found = []
    for subject in subject_ids:
        fold = known.get(subject)
        if fold is None:
            digest = sha256(f"fold:{seed}:{subject}".encode()).digest()
            fold = known[subject] = int.from_bytes(digest[:8], "big") % folds
        found.append(fold)
    return np.array(found, np.int64)


def sampled(subject_ids: Iterable[int], most: int | None, seed: int) -> Array:
    """Which notes (N,) bool are among `most`, whole patients by keyed hash; all of them without a limit."""
    subjects = np.fromiter(subject_ids, np.int64)
    if most is None or len(subjects) <= most:
        return np.ones(len(subjects), bool)
    patients, notes = np.unique(subjects, return_counts=True)
    keys = [sha256(f"sample:{seed}:{subject}".encode()).digest() for subject in patients.tolist()]
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    kept = patients[order[np.cumsum(notes[order]) <= most]]
    return np.isin(subjects, kept)
