"""`chartcode extract`: a file of notes in, a summary a note out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from chartcode import cli
from chartcode.extraction.extract import extract
from tests.extraction.test_note_types import table

TEXTS = [
    "Discharge Medications:\n1. Aspirin 81 mg PO DAILY\n",
    'MEDICATIONS: "Lasix" 40 mg daily, metformin, fish oil\n',
    "x",
]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    with (tmp_path / "notes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["note_id", "text"], *([f"n{n}", text] for n, text in enumerate(TEXTS))])
    pq.write_table(pa.table({"note_id": [f"n{n}" for n in range(3)], "text": TEXTS}), tmp_path / "notes.parquet")
    return tmp_path


@pytest.mark.parametrize("source", ["notes.csv", "notes.parquet"])
@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_every_note_has_its_summary(notes: Path, source: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = notes / f"out.{form}"
    assert cli.main(["extract", str(notes / source), "--out", str(out)]) == 0
    assert "(3 notes)" in capsys.readouterr().out
    if form == "jsonl":
        summaries = out.read_text().splitlines()
    else:
        rows = pq.read_table(out) if form == "parquet" else pyarrow.csv.read_csv(out)
        assert rows["note_id"].to_pylist() == ["n0", "n1", "n2"]
        summaries = rows["summary"].to_pylist()
    assert summaries == [extract(text, note_id=f"n{n}").model_dump_json() for n, text in enumerate(TEXTS)]


def test_one_note_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note.txt").write_text(TEXTS[0])
    assert cli.main(["extract", str(tmp_path / "note.txt")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["note_id"] == "note"
    assert found["medications_at_discharge"][0]["drug"]["text"] == "Aspirin"
    assert cli.main(["extract", str(tmp_path / "note.txt"), "--out", str(tmp_path / "one.jsonl")]) == 0
    assert json.loads((tmp_path / "one.jsonl").read_text()) == found


def test_types_are_named_by_a_fitted_classifier(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit-note-types", str(table(notes / "types.csv")), "--out", str(notes / "types")]) == 0
    assert "60 different texts, 3 types" in capsys.readouterr().out
    (notes / "note.txt").write_text("fracture of the femur and the knee")
    assert cli.main(["extract", str(notes / "note.txt"), "--note-types", str(notes / "types")]) == 0
    assert json.loads(capsys.readouterr().out)["note_types"] == ["Orthopedic"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.txt"], "file is missing"), (["notes.csv"], "--out"), (["notes.csv", "--out", "out.xls"], "name it"),
        (["notes.csv", "--out", "notes.parquet"], "exists"), (["bad.txt"], "UTF-8"),
        (["missing.csv", "--out", "o.csv"], "missing"),
        (["notes.csv", "--out", "o.csv", "--note-types", "nowhere"], "nowhere"),
        (["notes.csv", "--out", "o.csv", "--linker", "nowhere"], "nowhere"),
        (["notes.csv", "--out", "o.csv", "--min-p", "2"], "--min-p"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line_and_leaves_nothing(
    notes: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notes)
    (notes / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    before = sorted(notes.iterdir())
    assert cli.main(["extract", *arguments]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert sorted(notes.iterdir()) == before
