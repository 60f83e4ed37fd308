"""Trees over pairs are asked as they were told."""

from __future__ import annotations

import numpy as np
import pytest

from chartcode.pair_trees import PairParams, fit, p_of, told

PARAMS = PairParams(trees=20, leaves=4, min_leaf=5, learning_rate=0.3, l2=0.0, seed=1)


def test_features_kept_in_float32_are_told_as_before() -> None:
    features = np.random.default_rng(3).normal(size=(500, 3)) * [1, 100, 10_000]
    features[::7, 1] = np.nan
    narrow = features.astype(np.float32)
    assert np.array_equal(told(features), told(narrow), equal_nan=True)
    assert np.array_equal(told(told(features)), told(features), equal_nan=True)


def test_whoever_was_fitted_on_is_judged_by_the_same_features() -> None:
    """A threshold may be a feature: the side of 0.35 must not hang on the width it was kept in."""
    rng = np.random.default_rng(5)
    features = rng.choice([0.1, 0.35, 0.7], size=(400, 2))
    truth = (features[:, 0] < 0.3).astype(np.int8)
    fitted = features.astype(np.float32).astype(np.float64)
    trees = fit(PARAMS, fitted, truth)
    assert np.array_equal(p_of(trees, features), p_of(trees, fitted))
    assert np.array_equal(fitted, told(features))
    assert ((p_of(trees, features) > 0.5) == truth).all()


def test_a_feature_that_nobody_has_changes_nothing() -> None:
    rng = np.random.default_rng(7)
    features, truth = rng.normal(size=(200, 2)), (rng.random(200) < 0.4).astype(np.int8)
    features[:, 1] = np.nan
    alone = p_of(fit(PARAMS, features[:, :1].copy(), truth), features[:, :1])
    assert p_of(fit(PARAMS, features.copy(), truth), features) == pytest.approx(alone)
