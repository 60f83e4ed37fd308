"""`chartcode link`: a progress note written as charts are, files of notes, lists of one's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from chartcode.cli import main
from chartcode.errors import DataError
from chartcode.linking.files import FOUND, Names, link_file
from chartcode.linking.terminology.user import MINI
from tests.linking.test_linker import linker

NOTE = """PROGRESS NOTE

CC: f/u chronic issues

HPI: 67M w/ PMHx HTN, T2DM (on metformin), A-fib on apixaban, COPD, MDD, OA of the knees, GERD, migraine
and insomnia, here for routine f/u. Denies chest pain or SOB. No hx of MI.
BMI 36, obesity. Mother with breast cancer.

PE: Gen NAD. CV: RRR, no m/r/g. Lungs CTAB, no wheezes.

A/P:
# HTN: BP 148/92 today, ↑ lisinopril to 20 mg daily
# T2DM: A1c 7.8, cont metformin 1000 mg BID
# COPD: stable on tiotropium
"""
DISEASES = {
    "HTN": "I10",
    "T2DM": "E119",
    "A-fib": "I4891",
    "COPD": "J449",
    "MDD": "F329",
    "OA": "M1990",
    "GERD": "K219",
    "migraine": "G43909",
    "insomnia": "G4700",
    "obesity": "E669",
}


def test_every_disease_of_a_progress_note_is_found_with_its_code_place_and_flags() -> None:
    found = Names.of_list(MINI).text(NOTE).to_pylist()
    affirmed = {NOTE[m["start"] : m["end"]]: m["code"] for m in found if not (m["negated"] or m["family"])}
    assert affirmed.items() >= DISEASES.items()
    assert all(m["text"] == NOTE[m["start"] : m["end"]] for m in found)
    flagged = {m["code"]: (m["negated"], m["family"], m["trigger"]) for m in found if m["negated"] or m["family"]}
    assert flagged["I219"][0]
    assert flagged["C50919"][1]
    assert flagged["C50919"][2] == "mother"
    assert {m["snomed"] for m in found if m["code"] == "I10"} == {"59621000"}  # guard: invented
    assert sum(m["text"] == "HTN" for m in found) == 2


def test_a_heading_is_no_disease(tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("name,code\npulmonary embolism,I2699\n")
    found = Names.of_list(names).text("PE: lungs clear.\nCT showed PE.").to_pylist()
    assert [(m["start"], m["code"]) for m in found] == [(27, "I2699")]


def test_a_list_of_another_system_has_its_own_codes(tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    names.write_text("name,code,system\nred herring,RH-1,local\n")
    (mention,) = Names.of_list(names).text("No red herrings seen.").to_pylist()
    assert (mention["code"], mention["system"], mention["name"], mention["negated"]) == (
        "RH-1",
        "local",
        "red herring",
        True,
    )


def test_a_file_of_notes_becomes_a_table(tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text('note_id,text\na,"HTN, no ""MI"""\nb,nothing\nc,Obesity\n')
    for out in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        assert link_file(notes, out, Names.of_list(MINI), 0.0) == (3, 3)
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.equals(FOUND)
    assert written["note_id"].to_pylist() == ["a", "a", "c"]
    rows = pyarrow.csv.read_csv(tmp_path / "out.csv").to_pylist()
    assert [(r["start"], r["end"], r["code"]) for r in rows] == [
        (m["start"], m["end"], m["code"]) for m in written.to_pylist()
    ]
    with pytest.raises(DataError, match="exists; name a new file"):
        link_file(notes, tmp_path / "out.csv", Names.of_list(MINI), 0.0)


def test_the_command_prints_one_note_and_asks_for_a_place_for_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text(NOTE)
    assert main(["link", "note.txt"]) == 0
    said = capsys.readouterr().out
    assert "essential hypertension" in said
    assert "family (mother)" in said
    assert main(["link", "note.txt", "--min-p", "0.1"]) == 0
    assert "family (mother)" not in capsys.readouterr().out
    Path("first.txt").write_text("HTN")
    assert main(["link", "first.txt"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["0", "3", "HTN"]
    Path("notes.csv").write_text("note_id,text\na,HTN\n")
    assert main(["link", "notes.csv"]) == 1
    assert "--out: needed for a file of notes" in capsys.readouterr().err
    linker(Path("fitted"))
    assert main(["link", "note.txt", "--model", "fitted"]) == 0
    assert capsys.readouterr().out.count("\n") == 3  # HTN twice, and the heading


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("title,code\nx,1\n", "column name is missing"),
        ("name,code\n", "holds no name"),
        ("name,code\n,I10\n", "name, line 2"),
    ],
)
def test_a_wrong_list_is_named_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    names = tmp_path / "names.csv"
    names.write_text(content)
    with pytest.raises(DataError, match=said) as error:
        Names.of_list(names)
    assert "\n" not in str(error.value)


def test_no_note_has_no_mention() -> None:
    empty = Names.of_list(MINI).table(pa.array([], pa.string()), pa.array([], pa.string()))
    assert empty.schema.equals(FOUND)
    assert len(empty) == 0


def test_spanish_notes_are_read_by_spanish_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nota.txt").write_text("Hipertensi\u00f3n y asma, sin neumoni\u0301a.", encoding="utf-8")
    assert main(["link", str(tmp_path / "nota.txt"), "--names", str(MINI), "--language", "es"]) == 0
    found = capsys.readouterr().out.splitlines()[1:]
    assert len(found) == 3
    assert [line.endswith("negated (sin)") for line in found] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.txt"], "file is missing"), (["bad.txt"], "UTF-8"), (["bad.txt", "--out", "o.csv"], "UTF-8"),
        (["note.txt", "--out", "out.xls"], "name it"), (["note.txt", "--out", "bad.txt"], "exists"),
        (["note.txt", "--model", "nowhere"], "nowhere"), (["note.txt", "--min-p", "nan"], "--min-p"),
        (["empty.csv", "--out", "o.csv"], "empty.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line_and_leaves_nothing(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("note.txt").write_text("HTN")
    Path("bad.txt").write_bytes(b"\xff\xfe\xfa")
    before = sorted(tmp_path.iterdir())
    assert main(["link", *arguments]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
