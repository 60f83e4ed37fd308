"""All that val teaches: how scores become probabilities (if asked to) and from which score on a code is called.

Val and test come out as they are judged. Test never teaches: it meets a calibration and thresholds learned on all of
val. Val is calibrated by folds of its patients, each by a calibration that has not seen it; with `evaluate.cross_fit`
its thresholds are chosen so, too. Without, F1 on val is a little high: its thresholds saw the notes they judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact
from chartcode.evaluation import recalibration
from chartcode.evaluation.cohort import Cohort, make, read_cohort
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.thresholds import OTHERS, ChosenThresholds, choose
from chartcode.params import EvaluateParams
from chartcode.tables.labels import Gold

FOLDS = 5
Learn = Callable[[Cohort], recalibration.Calibrator]
# Kind -> thresholds (L,), or (N, L) where they differ by fold; of OTHERS, for a coder that names such, one number.
Taus = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Fitted:
    """Val and test by name: scores as the coder gave them and as they are judged, and thresholds by kind."""

    raw: dict[str, Cohort]
    judged: dict[str, Cohort]
    tau: dict[str, Taus]
    chosen: ChosenThresholds
    calibrator: recalibration.Calibrator | None


def fit(gold: Gold, scores: Artifact, params: EvaluateParams) -> Fitted:
    """Learn from val, apply to val and test. Raises DataError as read_cohort and choose do."""
    raw = {split: read_cohort(gold, scores, split) for split in ("val", "test")}
    judged, calibrator = raw, None
    folds = patient_folds(raw["val"], params.seed)
    if params.calibrate != "none":
        logits = raw["val"].probabilities
        learn: Learn = partial(recalibration.fit, kind=params.calibrate, logits=logits)
        calibrator = learn(raw["val"])
        judged = {"val": _out_of_fold(raw["val"], folds, learn), "test": calibrator.applied(raw["test"])}
    val = judged["val"]
    chosen = choose(val, over_all(val))
    others = {} if chosen.others is None else {OTHERS: np.asarray(chosen.others)}
    taus = chosen.arrays() | others
    tau = {"val": taus, "test": taus}
    if params.cross_fit:
        tau["val"] = _cross_fitted(val, folds) | others
    return Fitted(raw, judged, tau, chosen, calibrator)


def patient_folds(cohort: Cohort, seed: int) -> NDArray[np.int64]:
    """The fold of each note (N,): that of its patient, folds of equal size."""
    generator = np.random.default_rng([seed, FOLDS])
    return (generator.permutation(cohort.size) % FOLDS)[cohort.patients]


def _out_of_fold(val: Cohort, folds: NDArray[np.int64], learn: Learn) -> Cohort:
    """Val with the scores of each fold by a calibration learned on the other folds."""
    made, beyond = np.empty_like(val.scores), val.beyond
    data = None if beyond is None else np.empty_like(beyond.scores.data)
    for fold in np.unique(folds):
        here = folds == fold
        found = learn(notes_of(val, np.flatnonzero(~here))).applied(notes_of(val, np.flatnonzero(here)))
        made[here] = found.scores
        if beyond is not None and found.beyond is not None and data is not None:
            data[here[beyond.notes]] = found.beyond.scores.data
    if beyond is not None:
        held = csr_array((data, beyond.scores.indices, beyond.scores.indptr), shape=beyond.scores.shape)
        beyond = replace(beyond, scores=held)
    return replace(val, scores=made, beyond=beyond)


def notes_of(cohort: Cohort, rows: NDArray[Any]) -> Cohort:
    """Some notes of a cohort."""
    return make(
        cohort.split,
        cohort.codes,
        cohort.truth[rows],
        cohort.scores[rows],
        patients=cohort.patients[rows],
        n_codes=cohort.n_codes[rows],
        beyond=None if cohort.beyond is None else cohort.beyond.rows(rows),
    )


def _cross_fitted(val: Cohort, folds: NDArray[np.int64]) -> Taus:
    """Thresholds of each cell (N, L), chosen on the other folds."""
    tau: Taus = {}
    for fold in np.unique(folds):
        rest = notes_of(val, np.flatnonzero(folds != fold))
        for kind, found in choose(rest, over_all(rest)).arrays().items():
            tau.setdefault(kind, np.empty((val.n, val.labels), dtype=np.float32))[folds == fold] = found
    return tau
