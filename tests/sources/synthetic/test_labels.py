"""Codes are as common, as many and as sociable as in MIMIC-IV."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.sources.synthetic import copula, labels, patients
from chartcode.sources.synthetic.codes import MEAN_CODES, PUBLISHED_PERCENT, TOP, catalogue, rank_curve
from chartcode.sources.synthetic.hospital import length_table

ADMISSIONS = 12_000  # one a patient, so that sampling errors are binomial
SIGMA = 4.0  # standard errors; about one false alarm in 16,000 comparisons
PUBLISHED_TOKENS = {0.01: 486, 0.50: 1501, 0.90: 2447, 0.95: 2806, 0.99: 3691}


@pytest.fixture(scope="module")
def drawn() -> list[labels.Admission]:
    model = labels.model()
    histories = (labels.History(model, np.random.default_rng([11, number])) for number in range(ADMISSIONS))
    return [history.admissions([history.age])[0] for history in histories]


@pytest.fixture(scope="module")
def present(drawn: list[labels.Admission]) -> np.ndarray:
    matrix = np.zeros((ADMISSIONS, len(catalogue().codes)), dtype=bool)
    for row, admission in enumerate(drawn):
        matrix[row, list(admission.diagnoses)] = True
    return matrix


def test_the_top_50_are_as_common_as_published(present: np.ndarray) -> None:
    published = np.array(PUBLISHED_PERCENT) / 100
    error = np.sqrt(published * (1 - published) / ADMISSIONS)
    assert (np.abs(present[:, :TOP].mean(0) - published) < SIGMA * error + 0.0005).all()


def test_published_lifts_hold(present: np.ndarray) -> None:
    index = catalogue().index
    for first, second, lift in copula.PUBLISHED_LIFT:
        a, b = present[:, index[first]], present[:, index[second]]
        both = (a & b).mean()
        here = both / (a.mean() * b.mean())
        assert abs(here - lift) < SIGMA * here / np.sqrt(both * ADMISSIONS) + 0.05, (first, second)


def test_codes_that_exclude_each_other_never_meet(present: np.ndarray) -> None:
    index = catalogue().index
    for first, second, _ in copula.EXCLUSIONS:
        assert not (present[:, index[first]] & present[:, index[second]]).any(), (first, second)


def test_combination_codes_bring_their_parts(present: np.ndarray) -> None:
    known = catalogue()
    kidney = present[:, [i for i, code in enumerate(known.codes) if code.startswith("N18")]].any(1)
    heart = present[:, [i for i, code in enumerate(known.codes) if code.startswith("I50")]].any(1)
    at = known.index
    assert kidney[present[:, at["I130"]] | present[:, at["I129"]] | present[:, at["E1122"]]].all()
    assert heart[present[:, at["I130"]] | present[:, at["I110"]]].all()


def test_number_of_codes_per_admission(drawn: list[labels.Admission]) -> None:
    counts = np.array([len(admission.diagnoses) for admission in drawn])
    error = counts.std() / np.sqrt(ADMISSIONS)
    assert abs(counts.mean() - MEAN_CODES) < SIGMA * error + 0.05
    assert abs(np.median(counts) - 12) <= 1
    assert abs(int(np.bincount(counts).argmax()) - 8) <= 2  # neighbouring bins differ by less than their sampling error
    assert abs(np.quantile(counts, 0.9) - 25) <= 1
    assert counts.min() >= 1
    assert counts.max() == labels.MAX_CODES
    assert (counts == 39).sum() > 2 * (counts == 38).sum()


def test_number_of_top_50_codes_per_note(present: np.ndarray) -> None:
    top = present[:, :TOP].sum(1)
    assert abs(top.mean() - 5.03) < SIGMA * top.std() / np.sqrt(ADMISSIONS) + 0.01
    assert abs((top == 0).mean() - 0.059) < SIGMA * np.sqrt(0.059 * 0.941 / ADMISSIONS) + 0.002


def test_the_label_space_has_a_heavy_tail(drawn: list[labels.Admission]) -> None:
    ranks = sorted(Counter(code for admission in drawn for code in admission.diagnoses).values(), reverse=True)
    assert ranks[0] / ADMISSIONS == pytest.approx(0.368, abs=0.02)
    assert ranks[99] / ADMISSIONS == pytest.approx(0.024, rel=0.12)
    assert ranks[999] / ADMISSIONS == pytest.approx(0.002, rel=0.25)
    assert sum(count < 10 for count in ranks) > 2000


def test_chronic_conditions_return_and_acute_ones_less() -> None:
    model, at = labels.model(), catalogue().index
    first, again = Counter[str](), Counter[str]()
    for number in range(3000):
        history = labels.History(model, np.random.default_rng([5, number]))
        one, two = history.admissions([history.age, history.age + 1])
        for code in ("E785", "I10", "E039", "N390", "J9601", "N179"):
            first[code] += at[code] in one.diagnoses
            again[code] += at[code] in one.diagnoses and at[code] in two.diagnoses
    returned = {code: again[code] / first[code] for code in first}
    assert min(returned[code] for code in ("E785", "I10", "E039")) > 0.6
    assert max(returned[code] for code in ("N390", "J9601", "N179")) < 0.4


def test_sexes_and_ages_get_the_codes_they_can_have() -> None:
    known, model = catalogue(), labels.model()
    for number in range(2500):
        history = labels.History(model, np.random.default_rng([9, number]))
        (admission,) = history.admissions([history.age])
        stratum = labels.stratum_of(history.sex, admission.age)
        assert known.allowed[stratum, list(admission.diagnoses)].all()
        assert not (history.sex == 1 and known.index["N400"] in admission.diagnoses)


def test_diabetes_without_complications_is_without_complications(drawn: list[labels.Admission]) -> None:
    codes, at = catalogue().codes, catalogue().index["E119"]
    for admission in drawn:
        if at in admission.diagnoses:
            others = {codes[position] for position in admission.diagnoses} - {"E119"}
            assert not [code for code in others if code.startswith(("E10", "E11", "E13"))]


@given(st.floats(0.02, 0.5), st.floats(0.02, 0.5), st.floats(-0.85, 0.95))
def test_joint_probability_is_that_of_the_bivariate_normal(p: float, q: float, rho: float) -> None:
    from scipy.stats import multivariate_normal, norm

    slow = multivariate_normal.cdf([norm.ppf(p), norm.ppf(q)], cov=[[1, rho], [rho, 1]], abseps=1e-9, releps=1e-9)
    assert copula.joint_probability(p, q, rho) == pytest.approx(float(slow), abs=2e-4)


@given(st.floats(0.03, 0.4), st.floats(0.03, 0.4), st.floats(0.5, 2.0))
def test_the_correlation_found_gives_the_joint_probability_asked_for(p: float, q: float, lift: float) -> None:
    joint = min(p * q * lift, 0.8 * min(p, q))
    rho = copula.correlation_for(p, q, joint)
    assert copula.joint_probability(p, q, rho) == pytest.approx(joint, abs=1e-6)


@given(st.lists(st.lists(st.floats(-3, 3), min_size=TOP, max_size=TOP), min_size=1, max_size=5))
def test_resolving_leaves_no_excluded_pair_and_adds_nothing(margins: list[list[float]]) -> None:
    rules = labels.model().copula.exclusions
    margin = np.array(margins)
    present = copula.resolve(margin, rules)
    assert not (present & (margin <= 0)).any()
    for first, second, _ in rules:
        assert not (present[:, first] & present[:, second]).any()


def test_every_code_has_the_shape_of_icd_10_cm_and_a_title_of_its_own() -> None:
    known = catalogue()
    assert len(set(known.codes)) == len(known.codes) == len(known.titles)
    assert all(re.fullmatch("[A-Z][0-9A][0-9A-Z]{1,5}", code) for code in known.codes)
    assert len(known.codes) > 5000


def test_the_rank_curve_falls_through_the_published_points() -> None:
    curve = rank_curve(12_000)
    assert curve.sum() == pytest.approx(MEAN_CODES, abs=1e-6)
    assert (np.diff(curve[TOP:]) < 0).all()
    assert curve[99] == pytest.approx(0.024)
    assert curve[999] == pytest.approx(0.002)


def test_lengths_follow_the_published_quantiles() -> None:
    table = length_table()
    for quantile, tokens in PUBLISHED_TOKENS.items():
        assert np.quantile(table, quantile) == pytest.approx(1.08 * tokens, rel=0.02)


def test_admissions_per_patient_have_the_published_mean_and_a_heavy_tail() -> None:
    uniform = np.random.default_rng(3).random(200_000)
    counts = np.array([patients.admissions_of(lambda u=u: float(u)) for u in uniform])  # type: ignore[misc]
    assert (counts > 1).mean() == pytest.approx(0.35, abs=0.005)
    assert counts.mean() == pytest.approx(122_288 / 65_665, rel=0.03)
    assert (counts > 15).mean() > 0.003
    assert counts.max() < patients.MAX_ADMISSIONS


@given(st.integers(0, 149_999), st.integers(0, 63), st.integers(0, 149_999), st.integers(0, 63))
def test_admission_numbers_never_collide(first: int, stay: int, second: int, other: int) -> None:
    same = (first, stay) == (second, other)
    assert (patients.hadm_id(first, stay) == patients.hadm_id(second, other)) == same
    assert 20_000_000 <= patients.hadm_id(first, stay) < 30_000_000


@given(st.integers(0, 149_998), st.floats(0, 0.999999), st.floats(0, 0.999999))
def test_patient_numbers_rise(number: int, jitter: float, following: float) -> None:
    assert 10_000_000 <= patients.subject_id(number, jitter) < patients.subject_id(number + 1, following) < 20_000_000
