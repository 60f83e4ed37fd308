"""Test teaches nothing, and with folds no val patient is judged by what it taught."""

from pathlib import Path

import numpy as np
import pytest

from chartcode.artifacts import Artifact
from chartcode.evaluation import recalibration
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.fitting import FOLDS, Fitted, fit, notes_of, patient_folds
from chartcode.evaluation.thresholds import choose
from chartcode.params import EvaluateParams
from chartcode.tables.labels import read_gold
from tests.evaluation import oracles
from tests.evaluation.conftest import SPLIT, truth_and_scores, write_gold, write_scores

PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[5], bootstrap_rounds=0, seed=1)


def fitted(folder: Path, **changed: object) -> Fitted:
    gold = read_gold(Artifact(folder / "data/gold"))
    return fit(gold, Artifact(folder / "data/scores/tfidf"), PARAMS.model_copy(update=changed))


def test_folds_are_of_whole_patients_and_of_one_size() -> None:
    ward = oracles.ward(1, notes=500, patients=103)
    folds = patient_folds(ward, 7)
    assert all(len(set(folds[ward.patients == p])) == 1 for p in range(ward.size))
    sizes = [len(set(ward.patients[folds == fold])) for fold in range(FOLDS)]
    assert max(sizes) - min(sizes) <= 1 and sum(sizes) == ward.size


def test_cross_fitted_thresholds_are_those_of_the_other_folds_and_test_keeps_all_of_val(hospital: Path) -> None:
    plain, crossed = fitted(hospital), fitted(hospital, cross_fit=True)
    val = plain.judged["val"]
    folds = patient_folds(val, PARAMS.seed)
    for fold in range(FOLDS):
        rest = notes_of(val, np.flatnonzero(folds != fold))
        for kind, tau in choose(rest, over_all(rest)).arrays().items():
            assert (crossed.tau["val"][kind][folds == fold] == tau).all()
    for kind, tau in plain.tau["test"].items():
        assert np.array_equal(crossed.tau["test"][kind], tau)
    assert crossed.chosen.one == plain.chosen.one


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_val_is_calibrated_by_other_patients_and_test_by_all_of_val(hospital: Path, kind: recalibration.Kind) -> None:
    found = fitted(hospital, calibrate=kind)
    val, folds = found.raw["val"], patient_folds(found.raw["val"], PARAMS.seed)
    for fold in range(FOLDS):
        rest = notes_of(val, np.flatnonzero(folds != fold))
        made = recalibration.fit(rest, kind, True).apply(val.scores[folds == fold])
        assert np.array_equal(found.judged["val"].scores[folds == fold], made)
    test = found.raw["test"]
    assert np.array_equal(found.judged["test"].scores, recalibration.fit(val, kind, True).apply(test.scores))
    assert found.chosen.one == choose(found.judged["val"], over_all(found.judged["val"])).one


def test_a_val_patient_does_not_move_its_own_calibration(hospital: Path) -> None:
    """Turn the labels of one val patient: its own calibrated scores stay, those of others move."""
    before = fitted(hospital, calibrate="platt")
    truth, scores = truth_and_scores()
    rows = np.flatnonzero(SPLIT == "val")[:2]
    truth[rows] = 1 - truth[rows]
    write_gold(hospital, truth)
    write_scores(hospital, scores)
    after = fitted(hospital, calibrate="platt")
    assert np.array_equal(before.judged["val"].scores[:2], after.judged["val"].scores[:2])
    assert not np.array_equal(before.judged["val"].scores[2:], after.judged["val"].scores[2:])


def test_one_test_score_beyond_0_to_1_moves_no_calibration(hospital: Path) -> None:
    before = fitted(hospital, calibrate="platt")
    _, scores = truth_and_scores()
    scores[np.flatnonzero(SPLIT == "test")[0], 0] = 1.5
    write_scores(hospital, scores)
    after = fitted(hospital, calibrate="platt")
    assert before.calibrator is not None and after.calibrator is not None
    for name, array in before.calibrator.arrays().items():
        assert np.array_equal(array, after.calibrator.arrays()[name])
    assert np.array_equal(after.judged["test"].scores[1:], before.judged["test"].scores[1:])


def test_scores_beyond_0_to_1_are_calibrated_as_they_are(hospital: Path) -> None:
    _, scores = truth_and_scores()
    write_scores(hospital, (10 * scores - 5).astype(np.float32))
    found = fitted(hospital, calibrate="platt")
    assert not found.raw["test"].probabilities
    assert found.judged["test"].probabilities
