"""What is called beside what the text names: kinds of support, the boundary of p, and what may be told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.evaluation.mentions import KINDS, WITHOUT, named
from chartcode.evaluation.support import CODES, Called, boundary_of, called_in, numbers, support, uncalled
from chartcode.linking.mentions import MENTIONS
from chartcode.privacy import small
from chartcode.tables.labels import read_gold
from tests.evaluation.conftest import write_gold

LABELS = ["I10", "E119", "J189", "N179"]


def mention(note: str, *codes: tuple[str, float], **flags: Any) -> dict[str, Any]:
    """A row of MENTIONS: codes with p, the likeliest first."""
    others = [
        {"code": code, "p": p, "seen": 1, "together": 1, "dictionary": True, "best": not place}
        for place, (code, p) in enumerate(codes)
    ]
    row = {"note_id": note, "start": 0, "end": 3, "text": "abc", "section": "hospital_course", "key": "abc"}
    row |= {"code": codes[0][0], "p": codes[0][1], "alternatives": others, "source": "title", "method": "exact"}
    row |= dict.fromkeys(("negated", "uncertain", "historical", "hypothetical", "family"), False)
    return row | {"trigger": ""} | flags


def mentions(folder: Path, *rows: dict[str, Any], source: str = "synthetic") -> Artifact:
    with writing(folder / "data/mentions", source) as writer:
        writer.parquet("mentions.parquet", pa.Table.from_pylist(list(rows), schema=MENTIONS))
    return Artifact(folder / "data/mentions")


def test_a_called_code_is_named_of_a_category_denied_or_unnamed(tmp_path: Path) -> None:
    truth = np.array([[1, 0, 1, 0], [0, 0, 0, 0]], np.int8)
    write_gold(tmp_path, truth, np.array(["test", "test"]), LABELS, others=np.array([[1], [0]], np.int8),
               other_codes=["F329"])  # fmt: skip
    gold = read_gold(Artifact(tmp_path / "data/gold"))
    table = mentions(
        tmp_path,
        mention("0-DS-1", ("I10", 0.5)),
        mention("0-DS-1", ("I10", 0.9), historical=True),
        mention("0-DS-1", ("E1165", 0.4)),
        mention("0-DS-1", ("J189", 0.2), negated=True),
        mention("0-DS-1", ("F329", 0.7)),
        mention("1-DS-1", ("J189", 0.3), ("N179", 0.1)),
        mention("2-DS-1", ("N179", 0.9)),
    )
    judged = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.1, 0.2, 0.3]], np.float32)
    called = Called("test", ["0-DS-1", "1-DS-1"], np.array([1, 2]), np.array([0, 1]), LABELS, judged,
                    np.array([0, 1, 2, 3]))  # fmt: skip
    rows = support(called, gold, table).to_pylist()
    found = {(row["note_id"][0], row["code"]): (row["support"], row["true"], row["called"]) for row in rows}
    assert found == {
        ("0", "I10"): ("named", True, True),
        ("0", "E119"): ("category", False, True),
        ("0", "J189"): ("denied", True, True),
        ("0", "N179"): ("unnamed", False, True),
        ("1", "J189"): ("named", False, False),
        ("1", "N179"): ("named", False, False),
    }
    assert [row["p"] and round(row["p"], 3) for row in rows] == [0.9, None, None, None, 0.3, 0.1]
    assert [round(row["score"], 3) for row in rows] == [0.9, 0.8, 0.7, 0.6, 0.2, 0.3]


@given(st.lists(st.tuples(st.sampled_from([None, 0.1, 0.25, 0.5, 0.75]), st.booleans()), max_size=30))
def test_the_boundary_is_the_best_of_all(cells: list[tuple[float | None, bool]]) -> None:
    table = rows_of([("n", p, true, False, "named") for p, true in cells])
    total = sum(true for _, true in cells)

    def f1(at: float) -> float:
        said = [true for p, true in cells if p is not None and np.float32(p) >= np.float32(at)]
        return 2 * sum(said) / (len(said) + total)

    found = boundary_of(table)
    if not any(true for p, true in cells if p is not None):
        assert found is None and not uncalled(table, found).num_rows
    else:
        assert found is not None
        assert f1(found) == pytest.approx(max(f1(p) for p, _ in cells if p is not None))
        assert uncalled(table, found).num_rows == sum(
            p is not None and np.float32(p) >= np.float32(found) for p, _ in cells
        )


def rows_of(rows: list[tuple[str, float | None, bool, bool, str]]) -> pa.Table:
    """CODES of (note, p, true, called, support)."""
    made = [
        {"split": "test", "note_id": note, "code": "I10", "score": 0.5, "true": true, "called": called, "p": p,
         "support": kind}
        for note, p, true, called, kind in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=CODES)


def test_500_random_tables_give_no_small_count_away() -> None:
    """Neither a number that is told, nor one worked out from those that are and the total of all calls."""
    said: Counter[str] = Counter()
    for seed in range(500):
        rng = np.random.default_rng(seed)
        patients = int(rng.integers(5, 60))
        size = int(rng.integers(1, 200))
        notes = rng.integers(0, patients, size)
        kinds = rng.choice(KINDS, size, p=rng.dirichlet([1, 0.5, 0.5, 0.5, 0.5]))
        true, called = rng.random(size) < rng.choice([0.1, 0.5, 0.9]), rng.random(size) < 0.8
        p = [float(x) if kind == "named" else None for x, kind in zip(rng.random(size), kinds, strict=True)]
        table = rows_of(list(zip(map(str, notes), p, true.tolist(), called.tolist(), kinds.tolist(), strict=True)))
        of = Called("test", [str(n) for n in range(patients)], np.arange(patients), np.arange(patients), LABELS, None,
                    np.zeros(0))  # fmt: skip
        shown = numbers(table, 0.4, of)
        said.update(key for key, value in shown.items() if value is not None)
        for part, way in (("", slice(None)), ("_precision", True), ("_precision", False)):
            count = {
                kind: sum(
                    c and k == kind and (way == slice(None) or t == way)
                    for c, k, t in zip(called, kinds, true, strict=True)
                )
                for kind in KINDS
            }
            hidden = [kind for kind in KINDS if shown[f"called_{kind}{part}"] is None]
            assert not any(small(count[kind]) for kind in KINDS if kind not in hidden), seed
            without = sum(count[kind] for kind in KINDS[1:])
            if shown[f"called_{WITHOUT}{part}"] is not None:
                assert not small(without), seed
                apart = [kind for kind in hidden if kind != "named"]
                assert len(apart) != 1 or count[apart[0]] == 0 or not small(count[apart[0]]), seed
            assert len(hidden) in (0, len(KINDS)) or not small(sum(count[kind] for kind in hidden)), seed
        assert patients >= 11 or not any(value is not None for value in shown.values())
    assert min(said[f"called_{kind}"] for kind in (*KINDS, WITHOUT)) > 20, said


def test_scores_of_other_codes_are_refused_in_one_line(tmp_path: Path) -> None:
    write_gold(tmp_path, np.array([[1, 0, 1, 0]] * 3, np.int8), np.array(["test"] * 3), LABELS)
    gold = read_gold(Artifact(tmp_path / "data/gold"))
    with writing(tmp_path / "scores", "synthetic") as writer:
        scores = np.full((3, 4), 0.5, np.float32)
        writer.npz("test.npz", hadm_ids=gold.hadm_id, codes=np.array(LABELS), scores=scores)
    ids, threshold = pa.chunked_array([["0-DS-1", "1-DS-1", "2-DS-1"]]), np.full(4, 0.5, np.float32)
    found = called_in("test", gold, ids, Artifact(tmp_path / "scores"), LABELS, threshold, None)
    assert len(found.pairs) == 12 and found.note_ids == ["0-DS-1", "1-DS-1", "2-DS-1"]
    with pytest.raises(DataError, match=r"test\.npz: not of this model and gold"):
        called_in("test", gold, ids, Artifact(tmp_path / "scores"), LABELS[::-1], threshold, None)


def test_notes_without_mentions_name_nothing(tmp_path: Path) -> None:
    number: dict[str, int] = {}
    assert not len(named(mentions(tmp_path / "a"), ["n"], number).rows)
    assert not len(named(mentions(tmp_path / "b", mention("other", ("I10", 0.5))), ["n"], number).rows) and not number
