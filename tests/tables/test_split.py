"""Patients are dealt out the same way for ever, and nobody sits in two splits."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.errors import DataError
from chartcode.params import SplitParams
from chartcode.tables.schemas import SPLITS_SCHEMA
from chartcode.tables.split import SPLIT_SCHEMA, UNUSED, assign, check_disjoint, hashed_fraction, hashed_split

PARAMS = SplitParams(train=0.8, val=0.1, test=0.1, seed=42)
NONE = SPLITS_SCHEMA.empty_table()


def cohort(pairs: list[tuple[int, int]]) -> pa.Table:
    return pa.table({"subject_id": [p for p, _ in pairs], "hadm_id": [h for _, h in pairs]})


def official(rows: list[tuple[int, int, str]]) -> pa.Table:
    return pa.table([list(c) for c in zip(*rows, strict=True)], schema=SPLITS_SCHEMA)


def test_the_hash_is_what_it_always_was() -> None:
    """Golden values: int.from_bytes(sha256(b"42:10000032").digest()[:8], "big") / 2**64, and so on."""
    assert hashed_fraction(42, 10000032) == pytest.approx(GOLDEN[42, 10000032], abs=1e-15)
    assert hashed_fraction(42, 10000980) == pytest.approx(GOLDEN[42, 10000980], abs=1e-15)
    assert hashed_fraction(7, 10000032) == pytest.approx(GOLDEN[7, 10000032], abs=1e-15)


GOLDEN = {(42, 10000032): 0.07586901044718714, (42, 10000980): 0.3794319693982634, (7, 10000032): 0.5288609812173564}


def test_shares_are_kept_and_seeds_deal_anew() -> None:
    people = range(10_000_000, 10_020_000)
    dealt = [hashed_split(42, p, 0.8, 0.1) for p in people]
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        # 20,000 draws: four standard deviations are 4 * sqrt(.8 * .2 / 20000) = .011
        assert dealt.count(name) / len(dealt) == pytest.approx(share, abs=0.0115)
    again = [hashed_split(43, p, 0.8, 0.1) for p in people]
    same = sum(a == b for a, b in zip(dealt, again, strict=True)) / len(dealt)
    assert same == pytest.approx(0.8**2 + 0.1**2 + 0.1**2, abs=0.015)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10_000)), unique_by=lambda t: t[1], min_size=1))
def test_no_patient_is_in_two_splits(pairs: list[tuple[int, int]]) -> None:
    dealt = assign(cohort(pairs), NONE, PARAMS)
    check_disjoint(dealt)
    assert dealt.schema == SPLIT_SCHEMA
    assert sorted(dealt["hadm_id"].to_pylist()) == sorted(h for _, h in pairs)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 500)), unique_by=lambda t: t[1], min_size=1),
    st.data(),
)
def test_an_official_split_never_parts_a_patient_and_never_gains_train(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    rows = [(p, h, data.draw(st.sampled_from(["train", "val", "test"]))) for p, h in pairs]
    kept = rows[: data.draw(st.integers(1, len(rows)))]
    dealt = assign(cohort(pairs), official(kept), PARAMS)
    check_disjoint(dealt)
    given_split = {h: s for _, h, s in kept}
    for row in dealt.to_pylist():
        assert (row["split"] == UNUSED) == (row["hadm_id"] not in given_split)
        if given_split.get(row["hadm_id"]) == "test":
            assert row["split"] == "test"
        if row["split"] == "train":
            assert given_split[row["hadm_id"]] == "train"


def test_an_admission_named_twice_goes_to_the_most_held_out() -> None:
    dealt = assign(cohort([(1, 2), (3, 4)]), official([(1, 2, "test"), (1, 2, "train"), (3, 4, "train")]), PARAMS)
    assert dealt["split"].to_pylist() == ["test", "train"]


def test_a_split_of_another_data_set_is_refused() -> None:
    with pytest.raises(DataError, match="names no admission"):
        assign(cohort([(1, 2)]), official([(8, 9, "train")]), PARAMS)


def test_a_patient_in_two_splits_would_be_found() -> None:
    table = pa.table([[1, 1], [2, 3], ["train", "test"]], schema=SPLIT_SCHEMA)
    with pytest.raises(DataError, match="two splits"):
        check_disjoint(table)
