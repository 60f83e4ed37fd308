"""Code by code: which codes may be told, and where their dots stand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from chartcode.privacy import small
from chartcode.report import codes
from chartcode.report.document import Columns, Figure, Table, Text
from chartcode.report.published import linear_by_code
from chartcode.report.svg import Axis, scatter
from chartcode.tables.labels import Gold


def judged(code: str, positives: int, called: int, right: int, split: str = "test") -> dict[str, Any]:
    """A row of per_code.parquet as far as the report reads it; both thresholds alike."""
    f1 = 2 * right / (called + positives)
    row = {"code": code, "split": split, "positives": positives, "called": called, "right": right, "f1": f1}
    return row | {
        "called_per_label": called,
        "right_per_label": right,
        "f1_per_label": f1,
        "f1_lift": 0.1,
        "auroc": 0.9,
    }


def gold_of(counts: dict[str, tuple[int, int]]) -> Gold:
    """Test notes with each code: notes and the patients they are of; a note has one code."""
    notes = [(code, patient) for code, (n, patients) in counts.items() for patient in np.arange(n) % patients]
    truth = csr_array((np.ones(len(notes)), (range(len(notes)), [[*counts].index(code) for code, _ in notes])))
    subjects = np.array([patient for _, patient in notes], np.int64)
    ids = np.arange(len(notes))
    return Gold("gold", tuple(counts), truth, subjects, ids, ids, np.full(len(notes), "test"), None, ())


def test_a_code_of_few_patients_is_never_told_and_a_restricted_one_gives_no_small_count_away() -> None:
    rng = np.random.default_rng(5)
    rows, counts = [], {}
    for number in range(300):
        code, notes = f"A{number:03d}", int(rng.integers(1, 60))
        counts[code] = (notes, int(rng.integers(1, notes + 1)))
        right = int(rng.integers(0, notes + 1))
        rows.append(judged(code, notes, right + int(rng.integers(0, 60)), right))
    table, gold = pa.Table.from_pylist(rows), gold_of(counts)
    whole, strict = ({row["code"] for row in codes.told(table, gold, restricted)} for restricted in (False, True))
    assert strict < whole
    for row in rows:
        cells = (row["right"], row["called"] - row["right"], row["positives"] - row["right"])
        enough = counts[row["code"]][1] >= 11
        assert (row["code"] in whole) == enough
        assert (row["code"] in strict) == (enough and not any(small(cell) for cell in cells))


def test_only_test_is_told() -> None:
    table = pa.Table.from_pylist([judged("I10", 40, 40, 20, "val"), judged("I10", 30, 30, 15)])
    assert [row["positives"] for row in codes.told(table, gold_of({"I10": (30, 30)}), True)] == [30]


def test_the_farthest_codes_are_named_with_what_mimic_has_and_the_rest_are_dots() -> None:
    published = {f"I{number}": number / 100 for number in range(10, 50)}
    rows = [judged(code, 100, 100, round(100 * f1)) for code, f1 in published.items()]
    rows[3] = judged("I13", 100, 100, 90)
    _, said, pair = codes.beside_mimic(rows, published, "synthetic", {"I13": "Heart <and> kidney"})
    assert isinstance(said, Text) and "built in" in said.text
    assert isinstance(pair, Columns)
    figure, table = pair.blocks
    assert isinstance(figure, Figure) and isinstance(table, Table)
    assert len(re.findall("<circle", figure.svg)) == 40
    assert table.rows[0] == ["`I13`", "Heart <and> kidney", "0.130", "0.900", "0.770"]
    assert "40 of 40 codes" in figure.caption
    assert codes.beside_mimic(rows[:3], published, "synthetic", {}) == []


def test_only_the_hospitals_with_the_published_fifty_stand_beside_them() -> None:
    assert len(linear_by_code("mimic-iv", 50)) == len(linear_by_code("synthetic", 50)) == 50
    assert not linear_by_code("codiesp", 50) and not linear_by_code("mimic-iv", 7942)


@pytest.mark.parametrize("number", [1, 9, 10, 11, 19, 20, 45])
def test_no_code_is_both_best_and_worst(number: int) -> None:
    rows = [judged(f"I{place}", 50, 50, place) for place in range(1, number + 1)]
    *_, last = codes.extremes(rows, 50, {})
    tables = last.blocks if isinstance(last, Columns) else [last]
    shown = [row[0] for table in tables if isinstance(table, Table) for row in table.rows]
    assert len(shown) == len(set(shown)) == min(number, 20)


def test_labels_of_points_stay_inside_and_apart_where_there_is_room() -> None:
    points = [(f"A{n}.{n}", n / 10, n / 10, True) for n in range(11)]
    chart = scatter("t", Axis("x"), Axis("y"), points)
    places = [(float(x), float(y)) for x, y in re.findall(r'class="ink" x="([-\d.]+)" y="([-\d.]+)"', chart)]
    assert len(places) == 11
    assert all(54 <= x <= 480 - 5 * 6.3 and 0 <= y <= 300 - 40 for x, y in places)
    assert all(abs(y1 - y2) >= 10 or abs(x1 - x2) >= 25 for n, (x1, y1) in enumerate(places) for x2, y2 in places[:n])
