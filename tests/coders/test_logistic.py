"""Every code's weights are liblinear's optimum, the same bytes however the work is shared; the gap is honest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from chartcode.coders.logistic import CERTAIN, Solver
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from tests.conftest import ROOT

Notes = tuple[sp.csr_matrix, np.ndarray[Any, Any]]


def notes(count: int, features: int, shares: list[float], seed: int = 0, words: int = 20) -> Notes:
    """TF-IDF-like rows of length 1; label j is on shares[j] of the notes, on one at least, and depends on the words."""
    rng = np.random.default_rng(seed)
    popular = rng.zipf(1.3, (count, words)) % features
    X = sp.csr_matrix((rng.random(count * words) + 0.1, (np.repeat(np.arange(count), words), popular.ravel())))
    X.resize(count, features)
    X = sp.csr_matrix(X / np.sqrt(X.multiply(X).sum(axis=1)))
    logits = X @ rng.normal(size=(features, len(shares))) * 3 + rng.normal(size=(count, len(shares)))
    least = [np.sort(logits[:, j])[::-1][max(1, round(share * count)) - 1] for j, share in enumerate(shares)]
    return X, (logits >= least).astype(np.int8)


def objective(X: Any, y: Any, w: Any, b: float, C: float, balanced: bool) -> float:
    """P(w) of one label in float64, as scikit-learn defines it."""
    sign, count = np.where(y > 0, 1.0, -1.0), len(y)
    cost = np.where(y > 0, count / (2 * y.sum()), count / (2 * (count - y.sum()))) if balanced else 1.0
    w = np.asarray(w, np.float64)
    return float((w @ w + float(b) ** 2) / 2 + C * (cost * np.logaddexp(0, -sign * (X @ w + float(b)))).sum())


def liblinear(X: Any, y: Any, C: float, class_weight: str | None) -> tuple[np.ndarray[Any, Any], float]:
    model = LogisticRegression(C=C, class_weight=class_weight, solver="liblinear", tol=1e-10, max_iter=10_000)
    model.fit(sp.csr_matrix(X, dtype=np.float64), y)
    return model.coef_[0], float(model.intercept_[0])


def same(one: OneVsRestLogistic, other: OneVsRestLogistic) -> bool:
    return all(getattr(one, a).tobytes() == getattr(other, a).tobytes() for a in ("coef_", "intercept_", "gap_"))


WARD = notes(400, 300, [0.5, 0.3, 0.1, 0.05, 0.02, 0.01, 0.0025, 0.4, 0.2])


@pytest.mark.parametrize("class_weight", ["balanced", None])
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_weights_are_those_of_liblinear_at_tight_tolerance(C: float, class_weight: Any) -> None:
    X, Y = WARD
    model = OneVsRestLogistic(C=C, class_weight=class_weight).fit(X, Y)
    assert model.gap_.max() <= model.tol
    for label, y in enumerate(Y.T):
        w, b = liblinear(X, y, C, class_weight)
        np.testing.assert_allclose(model.coef_[label], w, atol=1e-3)
        np.testing.assert_allclose(model.intercept_[label], b, atol=1e-3)
        ours = objective(X, y, model.coef_[label], model.intercept_[label], C, class_weight is not None)
        assert ours <= objective(X, y, w, b, C, class_weight is not None) * (1 + 1e-7)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 40),
    features=st.integers(1, 30),
    density=st.floats(0, 1),
    scale=st.sampled_from([0.01, 1.0, 5.0]),
    C=st.sampled_from([1e-3, 1.0, 30.0]),
    balanced=st.booleans(),
)
def test_the_gap_bounds_the_distance_from_the_optimum(
    seed: int, count: int, features: int, density: float, scale: float, C: float, balanced: bool
) -> None:
    """Any small problem, rows without a word and features without a note included, and stopped at any time."""
    rng = np.random.default_rng(seed)
    X = sp.random(count, features, density, "csr", rng=rng, data_rvs=lambda k: rng.normal(0, scale, k))
    Y = (rng.random((count, 3)) < [0.5, 0.2, 0.8]).astype(np.int8)
    Y[0], Y[-1] = 1, 0
    for sweeps in (1, 3, 200):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = OneVsRestLogistic(
                C=C, class_weight="balanced" if balanced else None, max_epochs=sweeps, threads=1
            ).fit(X, sp.csr_matrix(Y))
        for label, y in enumerate(Y.T):
            best = objective(X, y, *liblinear(X, y, C, "balanced" if balanced else None), C, balanced)
            ours = objective(X, y, model.coef_[label], model.intercept_[label], C, balanced)
            assert ours - best <= (model.gap_[label] + 1e-7) * ours


@pytest.mark.parametrize("C", [1.0, 1000.0])
def test_one_positive_in_thousands_of_notes_weighed_like_all_the_others_does_not_diverge(C: float) -> None:
    """Newton's steps from anywhere but their side of the inflection point did, on rare labels of heavy weight."""
    X, Y = notes(6000, 50, [1 / 6000, 2 / 6000, 5999 / 6000])
    model = OneVsRestLogistic(C=C, class_weight="balanced", tol=1e-6).fit(X, Y)
    assert np.isfinite(model.coef_).all()
    assert model.gap_.max() <= model.tol
    for label, y in enumerate(Y.T):
        w, b = liblinear(X, y, C, "balanced")
        ours = objective(X, y, model.coef_[label], model.intercept_[label], C, True)
        assert ours <= objective(X, y, w, b, C, True) * (1 + 1e-6)


def test_bytes_do_not_depend_on_threads_blocks_or_the_other_labels() -> None:
    X, Y = WARD
    model = OneVsRestLogistic(class_weight="balanced", block=4, threads=1).fit(X, Y)
    assert same(model, OneVsRestLogistic(class_weight="balanced", block=4, threads=3).fit(X, Y))
    assert same(model, OneVsRestLogistic(class_weight="balanced", block=7, threads=2).fit(X, sp.csc_matrix(Y)))
    assert same(model, OneVsRestLogistic(class_weight="balanced", block=32).fit(X, Y.astype(float)))
    alone = OneVsRestLogistic(class_weight="balanced", block=4).fit(X, sp.csr_matrix(Y[:, [4]]))
    assert alone.coef_.tobytes() == model.coef_[[4]].tobytes()
    assert alone.n_iter_.tolist() == [model.n_iter_[4]]


def test_another_seed_gives_other_bytes_and_the_same_optimum() -> None:
    X, Y = WARD
    one, other = (OneVsRestLogistic(seed=seed).fit(X, Y) for seed in (0, 1))
    assert not same(one, other)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-3)


def test_how_x_is_stored_does_not_matter() -> None:
    X, Y = WARD
    expected = OneVsRestLogistic().fit(X, Y)
    assert same(expected, OneVsRestLogistic().fit(X.toarray(), Y))
    assert same(expected, OneVsRestLogistic().fit(sp.csc_matrix(X), Y))
    wide = X.astype(np.float32)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert same(expected, OneVsRestLogistic().fit(wide, Y))
    halves = X.copy()  # every cell stored twice, as two halves, which add up exactly
    twice = sp.csr_matrix((np.repeat(halves.data / 2, 2), np.repeat(halves.indices, 2), halves.indptr * 2), X.shape)
    before = twice.data.copy()
    assert same(expected, OneVsRestLogistic().fit(twice, Y))
    assert np.array_equal(twice.data, before), "the caller's matrix is left as it is"


def test_a_label_of_one_class_scores_constantly() -> None:
    X, Y = WARD
    Y = np.column_stack([Y[:, 0], np.zeros(len(Y), np.int8), np.ones(len(Y), np.int8)])
    model = OneVsRestLogistic(class_weight="balanced").fit(X, Y)
    assert not model.coef_[1:].any()
    assert model.intercept_[1:].tolist() == [-CERTAIN, CERTAIN]
    assert model.gap_[1:].tolist() == [0, 0]
    assert model.n_iter_[1:].tolist() == [0, 0]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1:], np.tile([0, 1], (len(Y), 1)), atol=1e-12)
    only = OneVsRestLogistic().fit(X, sp.csr_matrix((len(Y), 2), dtype=np.int8))
    assert only.intercept_.tolist() == [-CERTAIN, -CERTAIN]
    assert OneVsRestLogistic().fit(X, sp.csr_matrix((len(Y), 0), dtype=np.int8)).coef_.shape == (0, X.shape[1])


def test_a_label_that_is_not_there_yet_is_counted_aloud() -> None:
    X, Y = WARD
    with pytest.warns(ConvergenceWarning, match=r"9 labels stopped above tol=1e-07; raise max_epochs=2"):
        model = OneVsRestLogistic(max_epochs=2).fit(X, Y)
    assert (model.gap_ > model.tol).all()


def test_a_warm_start_saves_sweeps_and_ends_at_the_same_optimum() -> None:
    X, Y = WARD
    model = OneVsRestLogistic(class_weight="balanced")
    cold = clone(model).fit(X, Y)
    warm = clone(model).fit(X, Y, coef_init=cold.coef_, intercept_init=cold.intercept_)
    assert warm.gap_.max() <= warm.tol
    assert (warm.n_iter_ < cold.n_iter_).all()
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-3)
    far = clone(model).fit(X, Y, coef_init=-5 * cold.coef_)
    np.testing.assert_allclose(far.coef_, cold.coef_, atol=1e-3)


def test_blocks_come_one_by_one_and_hold_what_fit_holds() -> None:
    X, Y = WARD
    whole = OneVsRestLogistic(block=4).fit(X, Y)
    seen = []
    for block in Solver(block=4, threads=2).blocks(X, sp.csr_matrix(Y)):
        assert len(block.labels) <= 4
        assert block.coef.dtype == block.intercept.dtype == np.float32
        assert block.coef.tobytes() == whole.coef_[block.labels].tobytes()
        assert block.intercept.tolist() == whole.intercept_[block.labels].tolist()
        assert block.gap.tolist() == whole.gap_[block.labels].tolist()
        seen.extend(block.labels.tolist())
    assert sorted(seen) == list(range(Y.shape[1]))


def test_a_caller_who_stops_early_leaves_no_thread_behind() -> None:
    X, Y = WARD
    before = threading.active_count()
    blocks = Solver(block=1, threads=2).blocks(X, Y)
    next(blocks)
    assert threading.active_count() > before
    blocks.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"C": 0.0}, "must be positive"),
        ({"block": 0}, "must be positive"),
        ({"class_weight": {0: 1}}, "None or 'balanced'"),
        ({"Y": sp.csr_matrix([[2], [1]])}, "0 and 1 alone"),
        ({"Y": sp.csr_matrix([[1], [0], [1]])}, "inconsistent"),
    ],
    ids=["C", "block", "class_weight", "two", "rows"],
)
def test_what_is_wrong_is_said_before_anything_is_fitted(change: dict[str, Any], message: str) -> None:
    X = change.pop("X", sp.csr_matrix([[1.0], [2.0]]))
    Y = change.pop("Y", sp.csr_matrix([[1], [0]]))
    with pytest.raises(ValueError, match=message):
        list(Solver(**change).blocks(X, Y))


def test_labels_stay_as_they_were_given_and_count_once() -> None:
    X, Y = WARD
    rows, columns = np.nonzero(np.ones_like(Y))
    stored = sp.csr_matrix((Y.ravel(), (rows, columns)), Y.shape)  # zeros and all
    before = stored.copy()
    model = OneVsRestLogistic().fit(X, stored)
    assert stored.nnz == before.nnz == Y.size
    assert np.array_equal(stored.toarray(), Y)
    assert same(model, OneVsRestLogistic().fit(X, Y))


def test_a_constant_label_forgets_where_it_was_told_to_start() -> None:
    X, Y = WARD
    Y = np.column_stack([Y[:, 0], np.zeros(len(Y), np.int8), np.ones(len(Y), np.int8)])
    model = OneVsRestLogistic().fit(X, Y, coef_init=np.ones((3, X.shape[1])), intercept_init=np.ones(3))
    assert not model.coef_[1:].any()
    assert model.intercept_[1:].tolist() == [-CERTAIN, CERTAIN]


def test_a_feature_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        OneVsRestLogistic().fit(sp.csr_matrix([[np.nan], [1.0]]), sp.csr_matrix([[1], [0]]))


def test_features_may_be_overwritten_and_the_weights_are_the_same() -> None:
    X, Y = WARD
    X = X.astype(np.float32)
    kept, given = X.copy(), X.copy()
    whole = [block.coef.tobytes() for block in Solver().blocks(kept, Y)]
    assert (kept != X).nnz == 0
    assert [block.coef.tobytes() for block in Solver().blocks(given, Y, overwrite_X=True)] == whole
    assert not np.array_equal(given.indices, X.indices)
    assert np.array_equal(given.data, X.data)


@parametrize_with_checks(
    [OneVsRestLogistic()],
    expected_failed_checks=lambda _: {
        "check_class_weight_classifiers": "class_weight is None or 'balanced'; a weight a class has no use here"
    },
)
def test_it_is_a_scikit_learn_classifier(estimator: Any, check: Any) -> None:
    check(estimator)


# What follows needs a process of its own.

FIT = """
import hashlib, sys
import numpy as np
from chartcode.coders.one_vs_rest import OneVsRestLogistic
assert "numba" not in sys.modules, "the module alone must stay quick to import"
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from tests.coders.test_logistic import notes
X, Y = notes(200, 100, [0.5, 0.1, 0.01])
model = OneVsRestLogistic(class_weight="balanced", block=16).fit(X, Y)
warm = OneVsRestLogistic(C=2.0, block=16).fit(X, Y, coef_init=model.coef_)
from chartcode.coders import logistic_kernel
print(hashlib.sha256(model.coef_.tobytes() + warm.coef_.tobytes()).hexdigest())
print(sum(logistic_kernel.sweep.stats.cache_hits.values()), logistic_kernel.sweep.stats.cache_path)
"""


def fit_elsewhere(folder: Path = ROOT, **environment: str) -> list[str]:
    """Lines that FIT prints with the package of a checkout."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    clean |= {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", FIT], env=clean, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_compiled_kernel_is_kept_and_gives_the_same_bytes_on_a_plainer_processor(tmp_path: Path) -> None:
    first, again = (fit_elsewhere(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first[0] == again[0]
    assert first[1].startswith("0 ")
    assert again[1].startswith("1 ")
    if platform.machine() == "x86_64":  # without AVX and fused multiply-add
        plain = fit_elsewhere(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
        assert plain[1].startswith("0 ")
        assert plain[0] == first[0]


@pytest.mark.slow
def test_a_package_folder_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    """A file where __pycache__ should be stops root too."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/chartcode/coders/__pycache__").touch()
    (tmp_path / "file").touch()
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home/cache")}
    assert str(tmp_path / "home") in fit_elsewhere(tmp_path, **home)[1]
    nowhere = {"HOME": str(tmp_path / "file/x"), "XDG_CACHE_HOME": str(tmp_path / "file/x")}
    assert fit_elsewhere(tmp_path, **nowhere)[1].startswith("0 ")
