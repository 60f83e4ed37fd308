"""Codes that are no labels count where all codes do, as plain counting has it, and in nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact, writing
from chartcode.evaluation.beyond import NEVER, Beyond, average_precision, best_threshold
from chartcode.evaluation.cohort import make, read_cohort
from chartcode.evaluation.ranking import rank_notes, ranks
from chartcode.evaluation.recalibration import Calibrator, fit
from chartcode.evaluation.thresholds import OTHERS, thresholds_of
from chartcode.tables.labels import read_gold
from tests.evaluation.conftest import SPLIT, truth_and_scores, write_gold


def ward(seed: int, notes: int = 12, labels: int = 5, others: int = 7) -> Any:
    """A cohort whose coder left some cells of other codes out; few different scores, so that many tie."""
    rng = np.random.default_rng(seed)
    truth, outside = (rng.random((notes, width)) < 0.3 for width in (labels, others))
    scores = (rng.integers(1, 6, (notes, labels)) / 8).astype(np.float32)
    said = csr_array(np.where(rng.random((notes, others)) < 0.6, rng.integers(1, 6, (notes, others)) / 8, 0))
    missed = rng.integers(0, 3, notes)  # gold codes that the coder does not know
    beyond = Beyond(tuple(f"Z{n}" for n in range(others)), csr_array(outside.astype(np.int8)), said.astype(np.float32))
    n_codes = truth.sum(axis=1) + outside.sum(axis=1) + missed
    codes = [f"A{n}" for n in range(labels)]
    return make("val", codes, truth.astype(np.int8), scores, patients=np.arange(notes), n_codes=n_codes, beyond=beyond)


@given(st.integers(0, 10_000))
def test_average_precision_is_that_of_one_list_labels_first(seed: int) -> None:
    cohort = ward(seed)
    truth, outside = cohort.truth.toarray(), cohort.beyond.truth.toarray()
    said = cohort.beyond.scores.toarray()
    expected = []
    for note in range(cohort.n):
        listed = [(-s, 0, n, bool(truth[note, n])) for n, s in enumerate(cohort.scores[note])]
        listed += [(-s, 1, n, bool(outside[note, n])) for n, s in enumerate(said[note]) if s > 0]
        hits, total = 0, 0.0
        for place, (*_, true) in enumerate(sorted(listed), 1):
            hits += true
            total += hits / place if true else 0
        expected.append(total / cohort.n_codes[note] if cohort.n_codes[note] else 0.0)
    found = average_precision(cohort.scores, cohort.truth, ranks(cohort), cohort.beyond, cohort.n_codes)
    assert np.allclose(found, expected)
    assert np.array_equal(found, rank_notes(cohort, [5]).average_precision_all_codes)
    plain = rank_notes(replace(cohort, beyond=None), [5])
    assert np.array_equal(plain.average_precision, rank_notes(cohort, [5]).average_precision), "of labels alone"


@given(st.integers(0, 10_000), st.integers(0, 20), st.integers(0, 30))
def test_the_threshold_is_the_best_of_all(seed: int, right: int, more: int) -> None:
    beyond = ward(seed).beyond
    called, gold = right + more, right + int(beyond.truth.nnz) + 3

    def f1(tau: float) -> float:
        return 2 * (right + beyond.right(tau).sum()) / (called + beyond.called(tau).sum() + gold)

    tau = best_threshold(beyond, right, called, gold)
    every = [*np.unique(beyond.scores.data).tolist(), float(NEVER)]
    assert f1(float(tau)) == max(map(f1, every))
    assert tau == max(t for t in every if f1(t) == f1(float(tau))), "of equals that which calls fewest"


def test_scores_that_are_sparse_are_read_as_dense_ones_and_foreign_codes_stand_apart(tmp_path: Path) -> None:
    truth, scores = truth_and_scores()
    labels, outside = truth[:, :4], truth[:, 4:]
    codes = [f"A{n:03d}" for n in range(6)]
    write_gold(tmp_path, labels, codes=codes[:4], others=outside, other_codes=codes[4:])
    rows, kept = SPLIT == "test", scores > 0.3
    held = csr_array(np.where(kept, scores, 0)[rows][:, ::-1])
    with writing(tmp_path / "scores", "synthetic") as writer:
        ids = 20_000 + np.flatnonzero(rows)
        parts = {"data": held.data, "indices": held.indices, "indptr": held.indptr, "shape": np.array(held.shape)}
        writer.npz("test.npz", **parts, hadm_ids=ids, codes=np.array(codes[::-1]))
    cohort = read_cohort(read_gold(Artifact(tmp_path / "data/gold")), Artifact(tmp_path / "scores"), "test")
    assert np.array_equal(cohort.scores, np.where(kept, scores, -np.inf)[rows][:, :4])
    assert cohort.beyond is not None
    assert cohort.beyond.codes == ("A005", "A004")
    assert np.array_equal(cohort.beyond.truth.toarray(), outside[rows][:, ::-1])
    assert np.array_equal(cohort.beyond.scores.toarray(), np.where(kept, scores, 0)[rows][:, :3:-1])


def test_a_calibration_knows_codes_that_are_no_labels_and_sparse_scores(tmp_path: Path) -> None:
    cohort = ward(3, 300)
    found = fit(cohort, "platt", True)
    applied = found.applied(cohort)
    with writing(tmp_path, "test") as writer:
        writer.npz("calibration.npz", **found.arrays())
    read = Calibrator.of(Artifact(tmp_path), [*cohort.codes, *cohort.beyond.codes])
    assert read is not None
    whole = np.hstack([cohort.scores, cohort.beyond.scores.toarray()])
    made = read.apply(csr_array(whole)).toarray()
    assert np.array_equal(made[:, : cohort.labels], applied.scores)
    assert np.array_equal(made[:, cohort.labels :], applied.beyond.scores.toarray())


def test_a_code_that_is_no_label_is_called_at_the_threshold_of_such_codes(tmp_path: Path) -> None:
    known = {"ships": "per_label", "global": 0.3, "none": 0.5, "per_label": {"A1": 0.25, "A2": 0.75}}
    for name, others, tau in (("some", 0.5, 0.5), ("nought", 0.0, 0.0), ("none", None, np.inf)):
        with writing(tmp_path / name, "test") as writer:
            writer.json("thresholds.json", known | {OTHERS: others})
        assert thresholds_of(Artifact(tmp_path / name), ["A2", "Z1", "A1"]).tolist() == [0.75, tau, 0.25]
