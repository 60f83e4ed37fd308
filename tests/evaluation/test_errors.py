"""Confusions, siblings and suspects equal walking through the notes, and the planted ones come first."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.evaluation import errors
from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.decisions import Calls, decide, micro_f1
from tests.evaluation import oracles

CODES = ["E110", "E119", "I10", "I110", "I119", "J45", "N183", "N189", "Z23"]


def named(ward: Cohort) -> Cohort:
    """The ward with real codes, some of them siblings."""
    return make("test", CODES[: ward.labels], ward.truth, ward.scores, patients=ward.patients, n_codes=ward.n_codes)


def parts(ward: Cohort, tau: float = 0.5) -> tuple[Cohort, Calls, np.ndarray, np.ndarray]:
    """The ward, its calls, and truth and calls as dense booleans."""
    ward = named(ward)
    calls = Calls.of(ward, np.full(ward.labels, tau, dtype=np.float32))
    return ward, calls, oracles.dense(ward).astype(bool), ward.scores >= np.float32(tau)


@given(oracles.wards())
def test_confusions_equal_walking_through_the_notes(ward: Cohort) -> None:
    ward, calls, truth, called = parts(ward)
    notes: dict[tuple[int, int], list[int]] = {}
    missed, false = truth & ~called, called & ~truth
    for n in range(ward.n):
        for pair in itertools.product(np.flatnonzero(missed[n]), np.flatnonzero(false[n])):
            notes.setdefault(pair, []).append(n)
    found = errors.confusions(ward, calls).to_pylist()
    assert len(found) == sum(len(rows) >= 5 for rows in notes.values())
    for row in found:
        pair = ward.codes.index(row["missed"]), ward.codes.index(row["called"])
        expected = missed[:, pair[0]].sum() * false[:, pair[1]].sum() / ward.n
        assert row["notes"] == len(notes[pair])
        assert row["patients"] == len({ward.patients[n] for n in notes[pair]})
        assert abs(row["lift"] - row["notes"] / expected) < 1e-9
        assert row["sibling"] == (row["missed"][:3] == row["called"][:3])
    assert [row["lift"] for row in found] == sorted((row["lift"] for row in found), reverse=True)


@given(oracles.wards())
def test_suspects_equal_walking_through_the_cells(ward: Cohort) -> None:
    ward, calls, truth, called = parts(ward)
    expected = set()
    for j in range(ward.labels):
        known = ward.scores[:, j] != oracles.NEG
        own, rest = ward.scores[known & truth[:, j], j], ward.scores[known & ~truth[:, j], j]
        if not len(own) or not len(rest) or own.mean(dtype=float) <= rest.mean(dtype=float):
            continue
        for n in np.flatnonzero(known):
            score = float(ward.scores[n, j])
            if called[n, j] and not truth[n, j] and score >= own.mean(dtype=float) + 1e-9:
                expected.add((n, ward.codes[j], "missing"))
            if truth[n, j] and not called[n, j] and score <= rest.mean(dtype=float) - 1e-9:
                expected.add((n, ward.codes[j], "unsupported"))
    found = errors.suspects(ward, calls, np.arange(ward.n)).to_pylist()
    assert expected <= {(row["hadm_id"], row["code"], row["kind"]) for row in found}
    assert len(found) - len(expected) <= sum(row["strength"] < 1e-6 for row in found)
    assert [row["strength"] for row in found] == sorted((row["strength"] for row in found), reverse=True)


@given(oracles.wards())
def test_notes_say_what_was_called(ward: Cohort) -> None:
    ward, calls, truth, called = parts(ward)
    table = errors.notes(ward, calls, np.arange(ward.n)).to_pydict()
    assert table["called"] == called.sum(1).tolist()
    assert table["right"] == (called & truth).sum(1).tolist()
    assert table["true"] == truth.sum(1).tolist()


def test_a_planted_exchange_leads_the_confusions_though_common_codes_meet_more_often() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((600, 4)) < [0.5, 0.5, 0.08, 0.0]).astype(int)
    scores = np.where(rng.random(truth.shape) < 0.45, 1 - truth, truth).astype(float)
    scores[:, 3] = truth[:, 2] * (rng.random(600) < 0.8)  # whoever has E110 is called E119
    scores[:, 2] = truth[:, 2] - scores[:, 3]
    ward = make("test", ["I10", "J45", "E110", "E119"], truth, scores, patients=np.arange(600))
    first, *others = errors.confusions(ward, Calls.of(ward, np.full(4, 0.5, np.float32))).to_pylist()
    assert (first["missed"], first["called"], first["sibling"]) == ("E110", "E119", True)
    assert first["lift"] > 3 * max(row["lift"] for row in others)
    assert first["notes"] < max(row["notes"] for row in others)


def test_planted_label_noise_is_found() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random((400, 5)) < 0.3).astype(int)
    scores = np.clip(0.2 + 0.6 * right + 0.1 * rng.standard_normal(right.shape), 0, 1)
    coded = right.copy()
    wrong = rng.random(right.shape) < 0.02
    coded[wrong] = 1 - coded[wrong]
    ward = make("test", CODES[:5], coded, scores, patients=np.arange(400))
    found = errors.suspects(ward, Calls.of(ward, np.full(5, 0.5, np.float32)), np.arange(400)).to_pylist()
    hit = [wrong[row["hadm_id"], CODES.index(row["code"])] for row in found]
    assert len(hit) > 0.3 * wrong.sum()
    assert np.mean(hit) > 0.95


@given(st.integers(0, 10**6), st.integers(1, 200), st.integers(1, 9), st.integers(1, 60), st.sampled_from([0.1, 0.4]))
def test_the_summary_counts_notes_and_categories_and_hides_few(
    seed: int, notes: int, labels: int, patients: int, prevalence: float
) -> None:
    ward, calls, truth, called = parts(oracles.ward(seed, notes, labels, patients=patients, prevalence=prevalence))
    told = errors.summary(ward, calls)
    if ward.size < 11:
        assert told == {}
        return
    difference = called.sum(1) - truth.sum(1)
    names = [name for _, name in errors.BALANCE]
    group = Counter(names[int(np.digitize(d, [-5, -1, 2, 6]))] for d in difference)
    for name, numbers in told["balance"].items():
        assert numbers["n"] is None or (numbers["n"] == group[name] and not 0 < numbers["n"] < 11)
    untold = sum(group[name] for name, numbers in told["balance"].items() if numbers["n"] is None)
    assert untold == ward.n or not 0 < untold < 11
    categories = sorted({code[:3] for code in ward.codes})
    columns = [[j for j, code in enumerate(ward.codes) if code[:3] == c] for c in categories]
    collapsed = [np.stack([cells[:, own].any(axis=1) for own in columns], axis=1) for cells in (truth, called)]
    shown = told["siblings"]["all"]["category_micro_f1"]
    assert shown is None or abs(shown - oracles.f1(*collapsed)) < 1e-4
    false = beside = 0
    for n, j in zip(*np.nonzero(called & ~truth), strict=True):
        false += 1
        beside += any((truth & ~called)[n, i] for i in range(ward.labels) if ward.codes[i][:3] == ward.codes[j][:3])
    shown = told["siblings"]["all"]["false_beside_missed_sibling"]
    assert shown is None or abs(shown - beside / max(1, false)) < 1e-4


@pytest.mark.parametrize("wrong", [0, 4, 40])
def test_notes_within_one_less_exact_matches_are_not_few(wrong: int) -> None:
    """100 notes with one code: `wrong` of them are called another one, the rest are exact matches."""
    truth = np.eye(2, dtype=np.int8)[np.zeros(100, int)]
    scores = truth.astype(float)
    scores[:wrong] = 1 - scores[:wrong]
    ward = make("test", ["I10", "J45"], truth, scores, patients=np.arange(100))
    told = errors.summary(ward, Calls.of(ward, np.full(2, 0.5, np.float32)))["balance"]
    assert told["within one"]["n"] == (None if wrong == 4 else 100)


def test_where_every_category_has_one_code_nothing_changes() -> None:
    ward = oracles.ward(1, notes=300, labels=4)
    calls = Calls.of(ward, np.full(4, 0.5, np.float32))
    lone = make("test", ["I10", "J45", "Z23", "E11"], ward.truth, ward.scores, patients=ward.patients)
    shown = errors.summary(lone, calls)["siblings"]["all"]
    assert shown["category_micro_f1"] == round(micro_f1(decide(ward, np.full(4, 0.5, np.float32))), 4)
