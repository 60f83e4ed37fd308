"""Numbers of a group are those of its notes alone, groups are never small, and nothing small follows from the rest."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.decisions import Calls
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.slices import REST, Slices, era, note_groups, race_group, slices, together
from chartcode.params import EvaluateParams
from chartcode.privacy import small
from tests.evaluation import oracles

PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[5], bootstrap_rounds=20, seed=1)


def facts_of(ward: Cohort, seed: int) -> pa.Table:
    """Facts of each note; age and year change within a patient, sex and race do not."""
    rng = np.random.default_rng([seed, 2])
    sex, race = rng.choice(["F", "M"], ward.size), rng.choice(["WHITE - RUSSIAN", "BLACK/CAPE VERDEAN", "?"], ward.size)
    age = pa.array(rng.integers(10, 95, ward.n), pa.int16(), mask=rng.random(ward.n) < 0.1)
    return pa.table(
        {
            "n_tokens": pa.array(rng.integers(100, 4000, ward.n), pa.int32()),
            "age": age,
            "sex": pa.array(sex[ward.patients], mask=rng.random(ward.n) < 0.05),
            "race": race[ward.patients],
            "year": pa.array(rng.integers(2008, 2023, ward.n), pa.int16()),
        }
    )


def published(ward: Cohort, tau: np.ndarray, facts: pa.Table, train: np.ndarray) -> Slices:
    precision = rank_notes(ward, [5]).average_precision
    return slices(ward, Calls.of(ward, tau), facts, train, precision, PARAMS)


def test_numbers_of_a_group_are_those_of_its_notes() -> None:
    ward = oracles.ward(1, notes=900, patients=500, labels=6, outside=9)
    facts, tau = facts_of(ward, 1), np.linspace(0.4, 0.6, 6).astype(np.float32)
    shown = published(ward, tau, facts, np.array([0, 5, 30, 700, 800, 900]))
    truth, called = oracles.dense(ward), ward.scores >= tau
    average = np.array(oracles.average_precision(ward, truth.sum(1).tolist()))
    groups = note_groups(facts, ward.n_codes)
    compared = 0
    for dimension in ("note_length", "codes", "sex", "age", "race", "era"):
        names = together(groups[dimension], ward.patients)
        assert set(shown[dimension]) == set(names)
        for name, numbers in shown[dimension].items():
            rows = names == name
            expected = {
                "n": rows.sum(),
                "patients": len(set(ward.patients[rows])),
                "positives": truth[rows].sum(),
                "micro_f1": oracles.f1(truth[rows], called[rows]),
                "macro_f1": oracles.macro_f1(truth[rows], called[rows]),
                "map": average[rows].mean(),
            }
            for key, value in expected.items():
                if numbers[key] is not None:
                    assert numbers[key] == pytest.approx(value, abs=1e-4), (dimension, name, key)
                    compared += 1
            assert numbers["micro_f1_lo"] <= numbers["micro_f1"] <= numbers["micro_f1_hi"]
    assert compared > 100
    by_train = shown["train_notes"]
    assert list(by_train) == ["0", "1-10", "11-50", "501+"]
    assert by_train["501+"]["labels"] == 3
    assert by_train["501+"]["micro_f1"] == pytest.approx(oracles.f1(truth[:, 3:], called[:, 3:]), abs=1e-4)
    assert by_train["1-10"]["positives"] == truth[:, 1].sum()


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), min_size=1, max_size=200))
def test_groups_are_put_together_until_none_is_small(notes: list[tuple[str, int]]) -> None:
    groups, patients = np.array([g for g, _ in notes]), np.array([p for _, p in notes])
    merged = together(groups, patients)
    for name in set(merged):
        assert len(set(patients[merged == name])) >= 11 or len(set(merged)) == 1
        if name != REST:
            assert (groups[merged == name] == name).all()
    for name in set(groups):
        assert len(set(merged[groups == name])) == 1


@pytest.mark.parametrize("both", [0, 4, 30])
def test_patients_of_two_groups_do_not_follow_from_the_sum_of_the_groups(both: int) -> None:
    """100 patients of two notes each; `both` of them are of one race in the first note and of another in the second."""
    ward = make("test", ["A"], np.ones((200, 1)), np.ones((200, 1)), patients=np.arange(200) // 2)
    races = np.repeat(["WHITE", "ASIAN"], 100)
    races[1 : 2 * both : 2] = "ASIAN"
    facts = facts_of(ward, 1).set_column(3, "race", pa.array(races))
    shown = published(ward, np.full(1, 0.5, np.float32), facts, np.array([700]))["race"]
    told = {name: numbers["patients"] for name, numbers in shown.items()}
    assert told == ({"asian": None, "white": None} if both == 4 else {"asian": 50 + both, "white": 50})


def counts_told(ward: Cohort, rows: np.ndarray, columns: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Right, falsely called and missed cells of a block."""
    truth, called = oracles.dense(ward)[np.ix_(rows, columns)], (ward.scores >= tau)[np.ix_(rows, columns)]
    return np.array([(truth & called).sum(), ((1 - truth) & called).sum(), (truth & (1 - called)).sum()])


@pytest.mark.parametrize("block", range(10))
def test_500_random_wards_give_no_small_count_away_by_their_slices(block: int) -> None:
    """The reader is given more than is published: the whole, and every count behind a number that is told."""
    told_at_all = 0
    for case in range(50):
        seed = block * 50 + case
        rng = np.random.default_rng([seed, 3])
        ward = oracles.ward(
            seed, int(rng.integers(1, 160)), int(rng.integers(1, 6)), patients=int(rng.integers(1, 120)),
            prevalence=float(rng.choice([0.05, 0.3, 0.9])), signal=float(rng.choice([0.3, 0.6])), outside=9,
        )  # fmt: skip
        facts, tau = facts_of(ward, seed), np.full(ward.labels, 0.5, dtype=np.float32)
        train = rng.choice([0, 5, 30, 700], ward.labels)
        shown = published(ward, tau, facts, train)
        assert ward.size >= 11 or not shown
        for name, numbers in shown.get("train_notes", {}).items():
            own = train == {"0": 0, "1-10": 5, "11-50": 30, "501+": 700}[name]
            patients = len(set(ward.patients[oracles.dense(ward)[:, own].any(axis=1)]))
            assert not small(patients) or (numbers["micro_f1"], numbers["macro_f1"]) == (None, None)
        every, groups = np.arange(ward.labels), note_groups(facts, ward.n_codes)
        for dimension, parts in shown.items():
            if dimension == "train_notes":
                names = np.array([{0: "0", 5: "1-10", 30: "11-50", 700: "501+"}[t] for t in train])
                cells = {g: counts_told(ward, np.arange(ward.n), every[names == g], tau) for g in parts}
            else:
                names = together(groups[dimension], ward.patients)
                cells = {g: counts_told(ward, np.flatnonzero(names == g), every, tau) for g in parts}
                assert not any(small(parts[g][key] or 0) for g in parts for key in ("n", "patients"))
            for key, behind in (
                ("micro_f1", cells),
                ("positives", {g: c[[0, 2]].sum()[None] for g, c in cells.items()}),
            ):
                told = {g for g in parts if parts[g][key] is not None}
                told_at_all += len(told)
                assert not any(small(count) for g in told for count in behind[g]), (seed, dimension, key)
                untold = [behind[g] for g in parts if g not in told]
                if told and untold:
                    assert not any(small(count) for count in np.sum(untold, axis=0)), (seed, dimension, key)
    assert told_at_all > 200  # withholding everything would pass, and be useless


@pytest.mark.parametrize(
    ("race", "group"),
    [
        ("WHITE - OTHER EUROPEAN", "white"),
        ("BLACK/AFRICAN AMERICAN", "black"),
        ("HISPANIC/LATINO - CUBAN", "hispanic"),
        ("SOUTH AMERICAN", "hispanic"),
        ("ASIAN - SOUTH EAST ASIAN", "asian"),
        ("UNABLE TO OBTAIN", "unknown"),
        ("PATIENT DECLINED TO ANSWER", "unknown"),
        (None, "unknown"),
        ("PORTUGUESE", "other"),
    ],
)
def test_races_are_those_of_mimic(race: str | None, group: str) -> None:
    assert race_group(race) == group


def test_eras_are_those_of_anchor_year_group() -> None:
    assert [era(year) for year in (2008, 2010, 2011, 2022)] == ["2008-2010", "2008-2010", "2011-2013", "2020-2022"]
    assert era(float("nan")) == "unknown"
