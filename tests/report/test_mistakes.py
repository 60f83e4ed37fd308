"""What is said of groups and mistakes: headings for people, no pair of few patients, no list of single notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact, writing
from chartcode.report.document import Block, Columns, Figure, Heading, Table, Text, to_html, to_markdown
from chartcode.report.groups import groups
from chartcode.report.mistakes import mistakes
from chartcode.tables.labels import Gold

TITLES = {"N183": "Chronic kidney disease, stage 3 (moderate)", "N189": "Chronic kidney disease, unspecified"}
BALANCE = {"too few": {"n": 14}, "within one": {"n": 200}, "too many": {"n": None}}


def pair(missed: str, called: str, patients: int, lift: float, split: str = "test") -> dict[str, Any]:
    same = missed[:3] == called[:3]
    return {"split": split, "missed": missed, "called": called, "sibling": same, "notes": patients + 3,
            "patients": patients, "expected": 1.0, "lift": lift}  # fmt: skip


def evaluation(folder: Path, few: int) -> Artifact:
    """Confusions, and suspects of 30 patients (missing) and of `few` (unsupported), two notes each."""
    pairs = [pair("N183", "N189", 12, 3.0), pair("N189", "I10", 11, 9.0), pair("I10", "N183", 10, 50.0),
             pair("I10", "N189", 40, 70.0, "val")]  # fmt: skip
    suspects = [("missing", note) for note in range(60)] + [("unsupported", note) for note in range(2 * few)]
    with writing(folder / "evaluation", "mimic-iv") as writer:
        writer.parquet("confusions.parquet", pa.Table.from_pylist(pairs))
        rows = [{"split": "test", "hadm_id": 100 + n, "code": "I10", "kind": k, "strength": 1.0} for k, n in suspects]
        writer.parquet("suspects.parquet", pa.Table.from_pylist(rows))
    return Artifact(folder / "evaluation")


def gold() -> Gold:
    notes = np.arange(100)
    truth = csr_array((100, 1))
    return Gold("gold", ("I10",), truth, 1000 + notes // 2, 100 + notes, notes, np.full(100, "test"), None, ())


def flat(blocks: list[Block]) -> list[Block]:
    return [inner for block in blocks for inner in (block.blocks if isinstance(block, Columns) else [block])]


@pytest.mark.parametrize("few", [1, 10, 11])
def test_pairs_and_suspects_of_few_patients_are_not_told(few: int, tmp_path: Path) -> None:
    siblings = {"all": {"category_micro_f1": 0.7, "false_beside_missed_sibling": 0.2}}
    slices = {"balance": BALANCE, "siblings": siblings}
    blocks = mistakes(slices, 0.6, evaluation(tmp_path, few), gold(), TITLES)
    same, others, suspects = (block for block in flat(blocks) if isinstance(block, Table))
    assert [row[2:] for row in same.rows] == [["15", "3.0"]]
    assert [row[2:] for row in others.rows] == [["14", "9.0"]]
    assert "N18.9" in others.rows[0][0] and "Chronic kidney disease" in others.rows[0][0]
    assert [row[:2] for row in suspects.rows] == [["missing", "60"], *([["unsupported", "22"]] if few == 11 else [])]
    said = to_markdown("t", "s", blocks)
    assert "20.0% of the false calls" in said and "would be 0.700 and not 0.600" in said
    figure = next(block for block in blocks if isinstance(block, Figure))
    assert "200" in figure.svg and "too many" not in figure.svg and "1 to 10" in figure.caption


def test_nothing_to_tell_is_said(tmp_path: Path) -> None:
    with writing(tmp_path / "evaluation", "mimic-iv") as writer:
        for name, columns in (("confusions", ("split", "patients")), ("suspects", ("split", "kind", "hadm_id"))):
            writer.parquet(f"{name}.parquet", pa.table({column: pa.array([], pa.string()) for column in columns}))
    blocks = mistakes({}, None, Artifact(tmp_path / "evaluation"), gold(), {})
    assert [block.text for block in blocks if isinstance(block, Heading)] == ["Mistakes", "Codes taken for others"]
    assert any(isinstance(block, Text) and "No code is missed" in block.text for block in blocks)


def test_groups_have_words_for_people_and_their_numbers() -> None:
    own = {"n": 40, "patients": None, "positives": 60, "map": 0.5, "macro_f1": 0.3, "micro_f1": 0.41}
    slices = {
        "train_notes": {"1-10": {"labels": 4, "positives": 20, "macro_f1": 0.2, "micro_f1": None}},
        "note_length": {"shortest": own | {"micro_f1_lo": 0.35, "micro_f1_hi": 0.5}},
        "balance": BALANCE,
    }
    heading, how, columns = groups(slices, 0.45)
    assert isinstance(columns, Columns) and isinstance(how, Text)
    assert "from 0.3 to 0.5" in how.text
    codes, notes = columns.blocks
    assert isinstance(codes, Table) and isinstance(notes, Table)
    assert list(codes.header) == ["", "codes", "true pairs", "macro-F1", "micro-F1"]
    assert codes.rows == [["1–10", "4", "20", "0.200", "–"]] and not codes.plots
    assert list(notes.header) == ["", "notes", "patients", "true pairs", "MAP", "micro-F1"]
    assert notes.rows == [["shortest", "40", "–", "60", "0.500", "0.410 [0.350, 0.500]"]]
    page = to_html("t", "s", [heading, how, columns])
    assert page.count('class="whisker"') == 1 and "micro_f1" not in page and "note_length" not in page


def test_too_few_patients_have_no_groups() -> None:
    heading, said = groups({}, None)
    assert isinstance(heading, Heading) and isinstance(said, Text)
