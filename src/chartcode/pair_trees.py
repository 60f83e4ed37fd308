"""One model of boosted trees for pairs of a note and a code, or of a place and a code: features to a probability.

Legend: P pairs, F features.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy.special import expit

from chartcode.params import Positive, Section, Seed
from chartcode.trees import Trees, fit_all

Array = np.ndarray[Any, Any]
DIGITS = 5  # of a feature: the last bits of a logarithm differ between processors


class PairParams(Section):
    """Knobs of the trees over pairs."""

    trees: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_leaf: Positive
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    l2: Annotated[float, Field(ge=0)]
    seed: Seed


def told(features: Array) -> Array:
    """Features as trees are told them, float64: who fits keeps them in float32, and a threshold may be a feature."""
    found: Array = features.astype(np.float32).astype(np.float64).round(DIGITS)
    return found


def fit(params: PairParams, features: Array, truth: Array) -> Trees:
    """The model of features float64 (P, F), NaN where missing, and truth int8 (P,) of both kinds, by one thread.

    Changes `features` into what trees are told, and those that no pair has.
    """
    for column in features.T:
        column[:] = told(column)  # by column: all of them may be most of memory
        if np.isnan(column).all():  # no bins for scikit-learn; no tree asks a constant
            column[:] = 0.0
    return fit_all(
        features,
        truth,
        learning_rate=params.learning_rate,
        max_iter=params.trees,
        max_leaf_nodes=params.leaves,
        min_samples_leaf=params.min_leaf,
        l2_regularization=params.l2,
        early_stopping=False,
        random_state=params.seed,
    )


def p_of(trees: Trees, features: Array) -> Array:
    """Probabilities float64 (P,) of features (P, F)."""
    found: Array = expit(trees.logits(told(features), np.zeros(1, np.int64))[:, 0])
    return found
