"""Counts and p against loops over notes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse as sp

from chartcode.linking.calibration import (
    APART,
    AT_LEAST,
    BEST,
    LEARNED,
    OTHER,
    UNUSED,
    Occurrences,
    learn,
    untaught,
    with_factors,
)
from chartcode.linking.dictionary import CANDIDATES

CODES = ["A", "B", "C", "D"]


def candidates(*rows: tuple[int, str, str, bool]) -> pa.Table:
    """(surface, code, kind, best) rows."""
    said = [dict(zip(("surface", "code", "kind", "best"), row, strict=True)) | {"share": 1.0} for row in rows]
    return pa.Table.from_pylist(said, schema=CANDIDATES)


NAMES = candidates((0, "A", "title", True), (0, "B", "title", False), (1, "C", "index", True), (2, "X", "index", True))


def held(seed: int, notes: int, folds: int) -> Occurrences:
    rng = np.random.default_rng(seed)
    surfaces = sp.csr_matrix((rng.random((notes, 3)) < 0.5).astype(np.int8))
    codes = sp.csr_matrix((rng.random((notes, len(CODES))) < 0.4).astype(np.int8))
    return Occurrences(surfaces, codes, CODES, np.arange(notes) % folds)


def stands_out(surface: np.ndarray[Any, Any], code: np.ndarray[Any, Any]) -> bool:
    """Whether notes (N,) with a surface and notes (N,) with a code are the same far more often than by chance."""
    together, seen, chance = (surface * code).sum(), surface.sum(), code.mean()
    apart = together - seen * chance > APART * np.sqrt(seen * chance + 0.25)
    return bool(together >= AT_LEAST and apart and (together + 3 * chance) / (seen + 3) >= 0.05)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(4, 40), st.integers(2, 4))
def test_counts_are_those_of_a_loop_with_and_without_each_fold(seed: int, notes: int, folds: int) -> None:
    given_ = held(seed, notes, folds)
    taught, seen_without, together_without = learn(NAMES, given_, 3.0, 0.05)
    surfaces, codes = given_.surfaces.toarray(), given_.codes.toarray()
    rows = taught.candidates.to_pylist()
    for place, row in enumerate(rows):
        has = codes[:, CODES.index(row["code"])] if row["code"] in CODES else np.zeros(notes, int)
        both = surfaces[:, row["surface"]] * has
        assert row["together"] == both.sum()
        for fold in range(folds):
            others = given_.folds != fold
            expected = both[others].sum()
            if row["kind"] == LEARNED and not stands_out(surfaces[others, row["surface"]], has[others]):
                expected = 0
            assert together_without[fold, place] == expected
            assert seen_without[fold, row["surface"]] == surfaces[others, row["surface"]].sum()
    p = taught.p()
    for place, row in enumerate(rows):
        seen = surfaces[:, row["surface"]].sum()
        assert p[place] == pytest.approx((row["together"] + 3 * taught.prior[place]) / (seen + 3))
        assert 0 <= p[place] <= 1
    assert [row["surface"] for row in rows] == sorted(row["surface"] for row in rows)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(10, 60))
def test_train_offers_just_the_pairs_that_stand_out(seed: int, notes: int) -> None:
    given_ = held(seed, notes, 3)
    taught, _, _ = learn(NAMES, given_, 3.0, 0.05)
    surfaces, codes = given_.surfaces.toarray(), given_.codes.toarray()
    known = {(0, "A"), (0, "B"), (1, "C"), (2, "X")}
    expected = set()
    for surface in range(3):
        for column, code in enumerate(CODES):
            if stands_out(surfaces[:, surface], codes[:, column]) and (surface, code) not in known:
                expected.add((surface, code))
    rows = taught.candidates.to_pylist()
    assert {(r["surface"], r["code"]) for r in rows if r["kind"] == LEARNED} == expected


def test_an_unseen_surface_is_as_sure_as_its_kind() -> None:
    """Titles came true in every note: p0 of a title that train never saw moves from its default towards 1."""
    names = candidates(*((surface, "A", "title", True) for surface in range(21)))
    surfaces = np.zeros((40, 21), np.int8)
    surfaces[:, :20] = 1
    given_ = Occurrences(sp.csr_matrix(surfaces), sp.csr_matrix(np.ones((40, 1), np.int8)), ["A"], np.arange(40) % 4)
    taught, _, _ = learn(names, given_, 3.0, 0.05)
    assert taught.p()[20] == pytest.approx((20 + 5 * BEST) / (20 + 5))


def test_names_that_train_gave_are_judged_by_other_folds() -> None:
    """A name taken from one note is always right there; that must not make all such names sure."""
    names = candidates(*((surface, "A", "mention", True) for surface in range(10)))
    surfaces = np.zeros((10, 10), np.int8)
    np.fill_diagonal(surfaces, 1)  # each name stands in the note that gave it and nowhere else
    given_ = Occurrences(sp.csr_matrix(surfaces), sp.csr_matrix(np.ones((10, 1), np.int8)), ["A"], np.arange(10) % 5)
    taught, _, _ = learn(names, given_, 3.0, 0.05)
    assert taught.prior.tolist() == pytest.approx([BEST] * 10)


def test_codes_that_train_offers_by_chance_lose_most_of_their_p() -> None:
    """Of 4,000 pairs without any tie, those that stand out in train keep what comes in other notes."""
    rng = np.random.default_rng(7)
    names = candidates(*((surface, "X", "title", True) for surface in range(200)))
    surfaces, codes = (rng.random((300, 200)) < 0.02).astype(np.int8), (rng.random((300, 20)) < 0.05).astype(np.int8)
    said = [f"C{column}" for column in range(20)]
    by_chance = Occurrences(sp.csr_matrix(surfaces), sp.csr_matrix(codes), said, np.arange(300) % 5)
    taught, seen, together = learn(names, by_chance, 3.0, 0.05)
    offered = [place for place, kind in enumerate(taught.candidates["kind"].to_pylist()) if kind == LEARNED]
    assert len(offered) > 20
    rows = taught.candidates["surface"].to_pylist()
    promised = came = 0.0
    for fold, places in ((fold, [o for o in offered if together[fold, o]]) for fold in range(5)):
        p, here = taught.p(seen[fold], together[fold]), by_chance.folds == fold
        for place in places:
            holds = surfaces[here, rows[place]] == 1
            promised += p[place] * holds.sum()
            came += codes[here, said.index(taught.candidates["code"][place].as_py())][holds].sum()
    assert taught.factors[LEARNED] == pytest.approx((came + 5 * UNUSED[LEARNED]) / (promised + 5), abs=1e-6)
    assert taught.factors[LEARNED] < 0.7


def test_codes_that_always_come_keep_their_p() -> None:
    names = candidates(*((surface, "X", "title", True) for surface in range(10)))
    surfaces = np.kron(np.eye(10, dtype=np.int8), np.ones((30, 1), np.int8))
    tied = Occurrences(
        sp.csr_matrix(surfaces), sp.csr_matrix(surfaces), [f"C{c}" for c in range(10)], np.arange(300) % 5
    )
    taught, _, _ = learn(names, tied, 3.0, 0.05)
    assert taught.factors[LEARNED] > 0.98


def test_without_train_p_is_that_of_the_prototype() -> None:
    assert untaught(NAMES, 3, 3.0).p().tolist() == pytest.approx([BEST, OTHER, BEST, BEST])


def test_a_factor_is_what_came_over_what_was_promised() -> None:
    taught = with_factors(untaught(NAMES, 3, 3.0), {"negated": 1000.0}, {"negated": 500.0})
    assert taught.factors["negated"] == pytest.approx(0.5, abs=0.01)
    assert taught.factors["family"] == UNUSED["family"]
    assert with_factors(taught, {"negated": 10.0}, {"negated": 90.0}).factors["negated"] == 1.0


def test_a_pair_that_needs_the_notes_of_a_fold_is_not_offered_to_them() -> None:
    """Of two notes with the pair each has one other: that it is offered at all would tell both their code."""
    surfaces = np.zeros((40, 3), np.int8)
    surfaces[:2, 0] = surfaces[2:6, 1] = 1
    codes = np.zeros((40, 4), np.int8)
    codes[:2, 3] = codes[2:6, 2] = 1
    given_ = Occurrences(sp.csr_matrix(surfaces), sp.csr_matrix(codes), CODES, np.arange(40) % 4)
    taught, _, without = learn(NAMES.slice(0, 0), given_, 3.0, 0.05)
    assert [(r["surface"], r["code"], r["together"]) for r in taught.candidates.to_pylist()] == [
        (0, "D", 2),
        (1, "C", 4),
    ]
    assert without[:, 0].tolist() == [0, 0, 2, 2]
    assert without[:, 1].tolist() == [3, 3, 3, 3]
