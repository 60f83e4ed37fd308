"""What mentions and learned terms say about a pair is what slow counting says, and nothing of a note's own fold."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.artifacts import Artifact, writing
from chartcode.coders import linked_mentions, linked_surfaces
from chartcode.coders.linked_mentions import FEATURES, PLACES, Pairs, in_step, pairs_of
from chartcode.coders.linked_pairs import examples, merged
from chartcode.coders.linked_surfaces import SurfaceParams, Surfaces, learn
from chartcode.errors import DataError
from chartcode.linking.flags import FLAGS, TAKEN_BACK
from chartcode.linking.mentions import MENTIONS

CODES = ["I10", "I119", "E119", "E785", "J189"]
PARAMS = SurfaceParams(min_notes=2, max_terms=None, min_z=0.5, min_p=0.1, terms_per_code=3)


def mentions(seed: int, notes: int = 4, count: int = 30) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """Mentions of some notes, sorted by note, and the row of each."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, notes, count))
    made = []
    for number, row in enumerate(rows.tolist()):
        codes = rng.permutation([*CODES, "Z999"])[: rng.integers(1, 4)].tolist()
        p = sorted((rng.integers(1, 9, len(codes)) / 10).tolist(), reverse=True)
        numbers = [(int(rng.integers(3, 9)), int(rng.integers(0, 3))) for _ in codes]
        said = [
            {"code": c, "p": q, "seen": n, "together": k, "dictionary": bool(rng.random() < 0.5), "best": place == 0}
            for place, (c, q, (n, k)) in enumerate(zip(codes, p, numbers, strict=True))
        ]
        key = str(rng.choice(["htn", "high blood pressure", "sugar", "lipid"]))
        section = str(rng.choice(["discharge_diagnosis", "past_medical_history", "allergies"]))
        flags = {flag: bool(rng.random() < 0.3) for flag in FLAGS}
        made.append(
            {
                "note_id": str(row),
                "start": number * 3,
                "end": number * 3 + 2,
                "text": key,
                "section": section,
                "key": key,
            }
            | {"code": codes[0], "p": p[0], "alternatives": said, "source": "title", "method": "exact", "trigger": ""}
            | flags
        )
    return pa.Table.from_pylist(made, schema=MENTIONS), rows


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_features_of_mentions_are_those_of_slow_counting(seed: int) -> None:
    table, rows = mentions(seed)
    lengths = np.array([100, 200, 300, 400])
    columns = {code: place for place, code in enumerate(CODES)}
    found = pairs_of(table, rows, lengths, columns, linked_mentions.categories_of(CODES))
    held: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for row, mention in zip(rows.tolist(), table.to_pylist(), strict=True):
        for said in mention["alternatives"]:
            if said["code"] in columns:
                rivals = [
                    other["p"] for other in mention["alternatives"] if other is not said and other["code"] in columns
                ]
                held[row, said["code"]].append((mention, said, max(rivals, default=0.0)))
    pairs = list(zip(found.rows.tolist(), [CODES[c] for c in found.columns.tolist()], strict=True))
    assert pairs == sorted(held, key=lambda pair: (pair[0], CODES.index(pair[1])))
    best = {pair: max(said["p"] for _, said, _ in every) for pair, every in held.items()}
    for pair, features in zip(pairs, found.features, strict=True):
        got, every = dict(zip(FEATURES, features.tolist(), strict=True)), held[pair]
        assert got["p"] == pytest.approx(best[pair])
        assert got["mentions"] == len(every)
        by_key: dict[str, float] = defaultdict(float)
        for mention, said, _ in every:
            by_key[mention["key"]] = max(by_key[mention["key"]], said["p"])
        assert got["surfaces"] == len(by_key)
        assert got["either"] == pytest.approx(1 - math.prod(1 - p for p in by_key.values()), abs=1e-6)
        assert got["first"] == pytest.approx(min(m["start"] for m, _, _ in every) / lengths[pair[0]])
        siblings = [p for p in held if p[0] == pair[0] and p[1][:3] == pair[1][:3]]
        assert got["siblings"] == len(siblings) - 1
        assert got["category"] == pytest.approx(max(best[p] for p in siblings))
        strongest = [e for e in every if e[1]["p"] == best[pair]]
        assert any(got["rival"] == pytest.approx(e[2]) for e in strongest)
        assert any(got["seen"] == pytest.approx(math.log1p(e[1]["seen"])) for e in strongest)
        for flag in FLAGS:
            assert got[flag] == pytest.approx(sum(m[flag] for m, _, _ in every) / len(every))
        affirmed = [said["p"] for m, said, _ in every if not any(m[flag] for flag in TAKEN_BACK)]
        assert got["affirmed"] == pytest.approx(max(affirmed, default=math.nan), nan_ok=True)
        for name, sections in PLACES.items():
            there = [said["p"] for m, said, _ in every if m["section"] in sections]
            assert got[name] == pytest.approx(max(there, default=math.nan), nan_ok=True)


def test_a_negated_mention_is_a_pair_like_any_other() -> None:
    table, rows = mentions(1)
    every = {code: place for place, code in enumerate(CODES)}
    category = linked_mentions.categories_of(CODES)
    taken_back = table.set_column(
        table.schema.get_field_index("negated"), MENTIONS.field("negated"), pa.array([True] * len(table))
    )
    before, after = (pairs_of(held, rows, np.full(4, 100), every, category) for held in (table, taken_back))
    assert np.array_equal(before.rows, after.rows)
    assert np.array_equal(before.columns, after.columns)
    assert (after.features[:, FEATURES.index("negated")] == 1).all()
    assert np.isnan(after.features[:, FEATURES.index("affirmed")]).all()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.lists(st.booleans(), min_size=20, max_size=20))
def test_notes_get_their_own_stored_mentions(seed: int, batch: int, asked: list[bool]) -> None:
    import tempfile

    table, _ = mentions(seed, notes=20, count=60)
    table = pa.concat_tables([table.filter(pa.compute.equal(table["note_id"], str(n))) for n in range(20)])
    with tempfile.TemporaryDirectory() as folder:
        with writing(Path(folder) / "m", "test") as writer:
            writer.parquet("mentions.parquet", table, row_group=7)
        ids = [str(n) for n in range(20) if asked[n]]
        batches = [pa.record_batch({"note_id": ids[at : at + batch]}) for at in range(0, len(ids), batch)]
        for notes, held, rows in in_step(Artifact(Path(folder) / "m"), batches):
            own = notes.column("note_id").to_pylist()
            assert held["note_id"].to_pylist() == [own[row] for row in rows.tolist()]
            for note_id in own:
                expected = table.filter(pa.compute.equal(table["note_id"], note_id))["start"].to_pylist()
                assert held.filter(pa.compute.equal(held["note_id"], note_id))["start"].to_pylist() == expected


def test_mentions_in_another_order_are_refused(tmp_path: Path) -> None:
    table, _ = mentions(1)
    for name, held in (("apart", pa.concat_tables([table, table.slice(0, 1)])), ("other", table)):
        with writing(tmp_path / name, "test") as writer:
            writer.parquet("mentions.parquet", held)
        ids = ["0", "1", "2", "3"] if name == "apart" else ["3", "0"]
        with pytest.raises(DataError, match="not in the order of the notes"):
            list(in_step(Artifact(tmp_path / name), [pa.record_batch({"note_id": ids})]))


def company(terms: Any, truth: Any) -> dict[tuple[int, int], tuple[float, float, float]]:
    """p, recall and z of every term and code by the definition, before any code's terms are cut."""
    notes, kept = len(terms), {}
    for term in range(terms.shape[1]):
        for code in range(truth.shape[1]):
            n, c, x = terms[:, term].sum(), truth[:, code].sum(), (terms[:, term] & truth[:, code]).sum()
            expected = n * c / notes
            z, p = (x - expected) / math.sqrt(expected + 0.25), (x - 0.5 + 2 * c / notes) / (n + 2)
            if x >= 2 and z >= PARAMS.min_z and p >= PARAMS.min_p:
                kept[term, code] = (p, x / c, z)
    return kept


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_learned_terms_are_those_of_the_definition_and_none_of_the_fold_left_out(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    terms, truth = rng.random((40, 9)) < 0.4, rng.random((40, 3)) < 0.3
    folds = rng.integers(0, 3, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linked_surfaces, "BLOCK", block)
        found = learn(PARAMS, sp.csr_matrix(terms.astype(np.float32)), sp.csr_matrix(truth.astype(np.int8)), folds, 3)
    for place, surfaces in enumerate(found):
        some = np.ones(40, bool) if place == 0 else folds != place - 1
        every = company(terms[some], truth[some])
        made = {(t, c): v for t, c, *v in zip(*(column.tolist() for column in surfaces), strict=True)}
        for code in range(3):
            ranked = sorted((k for k in every if k[1] == code), key=lambda k: (-np.float32(every[k][2]), k[0]))
            assert {k for k in made if k[1] == code} == set(ranked[: PARAMS.terms_per_code])
        for key, values in made.items():
            assert values == pytest.approx(every[key], rel=1e-5)
        assert list(made) == sorted(made)


def test_terms_of_a_note_speak_for_their_codes() -> None:
    columns = ([0, 0, 2], [1, 4, 1], [0.5, 0.25, 0.75], [0.16, 0.09, 0.25], [3.0, 2.0, 7.0])
    kinds = (np.int32, np.int32, np.float32, np.float32, np.float32)
    surfaces = Surfaces(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))
    notes = sp.csr_matrix(np.array([[1, 1, 1], [0, 1, 0], [1, 0, 0]], np.float32))
    rows, codes, features = linked_surfaces.pairs_of(surfaces, np.array([1.0, 1.0, 2.0]), notes)
    assert list(zip(rows.tolist(), codes.tolist(), strict=True)) == [(0, 1), (0, 4), (2, 1), (2, 4)]
    strong, either = 0.75 * math.sqrt(0.25), 1 - 0.5 * 0.25
    assert features[0] == pytest.approx([0.75, strong, math.log1p(7), 2, 1.5, either], rel=1e-6)
    assert features[3] == pytest.approx([0.25, 0.25 * 0.3, math.log1p(2), 1, 0.25, 0.25], rel=1e-6)


def test_pairs_meet_side_by_side_and_what_a_side_lacks_is_missing() -> None:
    one = (np.array([0, 1]), np.array([2, 0]), np.array([[1.0], [2.0]]))
    other = (np.array([0, 2]), np.array([2, 1]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    found = merged([one, other], [(np.array([0, 1]), np.array([0, 0]))], 3)
    assert list(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 0), (2, 1)]
    nan = np.nan
    expected = [[nan, nan, nan], [1, 3, 4], [2, nan, nan], [nan, 5, 6]]
    assert np.array_equal(found.features, expected, equal_nan=True)


def test_examples_of_many_notes_are_those_of_all_at_once() -> None:
    rng = np.random.default_rng(7)
    truth = sp.random(40, 9, 0.4, "csr", rng=rng, dtype=np.float64).astype(bool).astype(np.int8)
    rows, columns = (where.astype(np.int64) for where in np.nonzero(rng.random((40, 9)) < 0.6))
    features = np.where(rng.random((len(rows), 3)) < 0.2, np.nan, rng.normal(size=(len(rows), 3)) * 100)
    parts = []
    for start, stop in ((0, 13), (13, 13), (13, 30), (30, 40)):
        some = (rows >= start) & (rows < stop)
        parts.append((Pairs(rows[some] - start, columns[some], features[some]), truth[start:stop]))
    given, answers = examples(iter(parts))
    expected = features.astype(np.float32).astype(np.float64)
    assert given.dtype == np.float64
    assert np.array_equal(given, expected, equal_nan=True)
    assert answers.tolist() == np.asarray(truth.todense())[rows, columns].tolist()
