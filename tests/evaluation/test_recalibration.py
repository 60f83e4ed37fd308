"""Maps equal scikit-learn's, make probabilities of scores, keep each code's order, and survive a file."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.evaluation.calibration import calibration_error
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.discrimination import auroc, over_all, per_label
from chartcode.evaluation.recalibration import FEWEST_POSITIVES, Calibrator, Kind, fit
from tests.evaluation import oracles

KINDS: list[Kind] = ["platt", "isotonic"]


def miscalibrated(seed: int, notes: int = 2000, labels: int = 4) -> Cohort:
    """Scores that rank well and lie: the probability is a power of the score."""
    rng = np.random.default_rng(seed)
    scores = rng.random((notes, labels)).astype(np.float32)
    truth = (rng.random(scores.shape) < scores.astype(float) ** 4).astype(int)
    return make("val", [f"A{j}" for j in range(labels)], truth, scores, patients=np.arange(notes) // 2)


def recalibrated(ward: Cohort, maps: Calibrator) -> Cohort:
    return make(ward.split, ward.codes, ward.truth, maps.apply(ward.scores), patients=ward.patients)


@pytest.mark.parametrize("seed", range(4))
def test_isotonic_equals_scikit_learn(seed: int) -> None:
    ward = oracles.ward(seed, notes=300, labels=3, levels=(None, 20)[seed % 2], prevalence=0.4)
    fresh = np.random.default_rng(seed).random((200, 3)).astype(np.float32)
    made = fit(ward, "isotonic", True).apply(fresh)
    for j in range(3):
        plain = IsotonicRegression(out_of_bounds="clip").fit(ward.scores[:, j], oracles.dense(ward)[:, j])
        np.testing.assert_allclose(made[:, j], plain.predict(fresh[:, j]), atol=1e-6)


@pytest.mark.parametrize("logits", [True, False])
def test_platt_equals_scikit_learn_on_smoothed_targets(logits: bool) -> None:
    ward = miscalibrated(1, 400, 3)
    made = fit(ward, "platt", logits).apply(ward.scores)
    for j in range(3):
        said = ward.scores[:, j].astype(float)
        x = np.log(said / (1 - said)) if logits else said
        true = oracles.dense(ward)[:, j]
        positives, total = true.sum(), len(true)
        target = np.where(true == 1, (positives + 1) / (positives + 2), 1 / (total - positives + 2))
        # scikit-learn knows no soft targets: each note stands there as both classes, weighed.
        plain = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000)
        plain.fit(np.r_[x, x][:, None], np.r_[np.ones(total), np.zeros(total)], np.r_[target, 1 - target])
        np.testing.assert_allclose(made[:, j], plain.predict_proba(x[:, None])[:, 1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_lie_become_probabilities_of_other_notes(kind: Kind) -> None:
    ward, others = miscalibrated(1), miscalibrated(2)
    after = recalibrated(others, fit(ward, kind, True))
    assert calibration_error(over_all(others)) > 0.25
    assert calibration_error(over_all(after)) < 0.03
    for before, now in zip(per_label(others), per_label(after), strict=True):
        assert auroc(now) == pytest.approx(auroc(before), abs=0.003 if kind == "isotonic" else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(ward=oracles.wards(), logits=st.booleans())
def test_every_map_rises_and_gives_probabilities(kind: Kind, ward: Cohort, logits: bool) -> None:
    maps = fit(ward, kind, logits)
    grid = np.tile(np.linspace(0, 1, 101, dtype=np.float32)[:, None], ward.labels)
    made = maps.apply(grid)
    assert (made >= 0).all() and (made <= 1).all()
    assert (np.diff(made, axis=0) >= -1e-6).all()
    assert np.array_equal(maps.apply(ward.scores) == oracles.NEG, ward.scores == oracles.NEG)


def test_rare_codes_share_a_map_and_common_ones_have_their_own() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random((500, 4)) < [0.3, 0.02, 0.02, 0.4]).astype(int)
    scores = np.clip(0.3 * truth + 0.7 * rng.random(truth.shape), 0, 1)
    ward = make("val", list("ABCD"), truth, scores, patients=np.arange(500))
    assert list(ward.label_positives < FEWEST_POSITIVES) == [False, True, True, False]
    for kind in KINDS:
        first, rare, other, last = fit(ward, kind, True).maps
        assert rare is other
        assert first is not last and first is not rare
        # The shared map is that of the two codes laid end to end.
        ends = (m[:, 1:3].T.reshape(-1, 1) for m in (truth, scores))
        both = fit(make("val", ["X"], *ends, patients=np.arange(1000)), kind, True)
        probe = scores[:, 1:2].astype(np.float32)
        shared = Calibrator(kind, ("X",), True, (rare,))
        np.testing.assert_allclose(shared.apply(probe), both.apply(probe), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_fall_with_the_truth_do_not_turn_the_order(kind: Kind) -> None:
    ward = miscalibrated(5, 300, 1)
    turned = make("val", ward.codes, ward.truth, 1 - ward.scores, patients=ward.patients)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = fit(turned, kind, True).apply(turned.scores)
    assert np.ptp(made) < 1e-6
    assert made[0, 0] == pytest.approx(oracles.dense(ward).mean(), abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibrator_read_back_says_the_same_and_knows_its_codes(kind: Kind, tmp_path: Path) -> None:
    ward = miscalibrated(6, 400)
    maps = fit(ward, kind, True)
    with writing(tmp_path / "made", "synthetic") as writer:
        writer.npz("calibration.npz", None, **maps.arrays())
    arrays = Artifact(tmp_path / "made").npz("calibration.npz")
    turned = Calibrator.read(arrays, ward.codes[::-1])
    assert np.array_equal(turned.apply(ward.scores[:, ::-1])[:, ::-1], maps.apply(ward.scores))
    with pytest.raises(DataError, match="no map for 1 codes"):
        Calibrator.read(arrays, ["A0", "B"])
