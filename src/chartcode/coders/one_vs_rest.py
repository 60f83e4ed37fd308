"""The solver of `logistic.py` as a scikit-learn classifier, for notebooks, comparisons and whoever likes it so."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from chartcode.coders.logistic import Floats, Solver, zero_one


class OneVsRestLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """L2-regularised logistic regression of every label against the rest: the optimum of scikit-learn's
    `OneVsRestClassifier(LogisticRegression(C=C, class_weight=class_weight, solver="liblinear"))`.

    Params are those of `Solver`.

    Y is (N, L) of 0 and 1, sparse or dense. One class a note, (N,), is taken as scikit-learn takes it: one model a
    class, of two classes one model. Fitted: `coef_` float32 (L, F), `intercept_` (L,), `gap_` (L,), `n_iter_` (L,)
    sweeps, `classes_`, `multilabel_`.
    """

    def __init__(
        self,
        C: float = 1.0,
        class_weight: Literal["balanced"] | None = None,
        tol: float = 1e-7,
        max_epochs: int = 200,
        seed: int = 0,
        block: int = 32,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_epochs = max_epochs
        self.seed = seed
        self.block = block
        self.threads = threads
        self.progress = progress

    def fit(self, X: Any, Y: Any, coef_init: Any = None, intercept_init: Any = None) -> Self:
        """Fit all labels and keep the weights, 4 L F bytes. A start near the optimum, `coef_init` (L, F) and
        `intercept_init` (L,), saves sweeps; the optimum is the same.
        """
        X = sp.csr_matrix(validate_data(self, X, accept_sparse="csr", dtype=np.float32))
        truth = self._indicator(Y)
        solver = Solver(**self.get_params(deep=False))
        self.coef_ = np.zeros((truth.shape[1], X.shape[1]), np.float32)
        self.intercept_ = np.zeros(truth.shape[1], np.float32)
        self.gap_ = np.zeros(truth.shape[1])
        self.n_iter_ = np.zeros(truth.shape[1], np.int64)
        for block in solver.blocks(X, truth, coef_init, intercept_init):
            self.coef_[block.labels], self.intercept_[block.labels] = block.coef, block.intercept
            self.gap_[block.labels], self.n_iter_[block.labels] = block.gap, block.sweeps
        return self

    def decision_function(self, X: Any) -> Floats:
        """Logits, float32 (N, L); (N,) when fitted on two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
        logits: Floats = X @ self.coef_.T + self.intercept_
        return logits if self.multilabel_ or logits.shape[1] > 1 else logits.ravel()

    def predict_proba(self, X: Any) -> Floats:
        """Sigmoid of the logits (N, L). Fitted on one class a note: (N, classes), rows with sum 1."""
        scores: Floats = expit(self.decision_function(X))
        if scores.ndim == 1:
            return np.column_stack([1 - scores, scores])
        return scores if self.multilabel_ else scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels with a positive logit, (N, L) of 0 and 1; or the class of largest logit, (N,)."""
        logits = self.decision_function(X)
        if self.multilabel_:
            return (logits > 0).astype(np.int64)
        best: NDArray[Any] = self.classes_[logits.argmax(axis=1) if logits.ndim == 2 else (logits > 0).astype(int)]
        return best

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    def _indicator(self, Y: Any) -> sp.csr_matrix:
        """Y as 0 and 1 (N, L); sets `classes_` and `multilabel_`."""
        if Y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        Y = Y if sp.issparse(Y) else np.asarray(Y)
        self.multilabel_ = sp.issparse(Y) or (Y.ndim == 2 and Y.shape[1] > 1)
        if self.multilabel_:
            truth = zero_one(Y)
            self.classes_ = np.arange(truth.shape[1])
            return truth
        y = column_or_1d(Y, warn=True)
        check_classification_targets(y)
        self.classes_, place = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y has one class; two are needed")
        return sp.csr_matrix(place[:, None] == (np.arange(len(self.classes_)) if len(self.classes_) > 2 else 1))
