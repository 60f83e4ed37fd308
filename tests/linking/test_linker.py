"""Which code a mention stands for, by year, context and fold; places in the source note; the folder it is read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.errors import ArtifactError
from chartcode.linking.calibration import UNUSED, untaught
from chartcode.linking.dictionary import compile_terms
from chartcode.linking.linker import OF_ALL, Judge, Linker, save
from chartcode.linking.mentions import MENTIONS
from chartcode.linking.terminology import editions
from chartcode.tables.source_notes import cleaned
from tests.linking.test_dictionary import terms

NAMES = terms(
    {"code": "N1830", "name": "chronic kidney disease, stage 3"},
    {"code": "N1830", "name": "CKD stage 3", "kind": "alias"},
    {"code": "J189", "name": "pneumonia"},
    {"code": "I10", "name": "hypertension"},
    {"code": "I10", "name": "HTN", "kind": "abbreviation"},
)
CODES = editions.codes_table(
    {2016: {"N183": "CKD 3", "J189": "", "I10": ""}, 2021: {"N1830": "CKD 3, unspecified", "J189": "p", "I10": "h"}},
    {"N183": "Chronic kidney disease, stage 3 (moderate)", "N18": "CKD"},
)


def linker(folder: Path, year: int = 0, names: pa.Table = NAMES) -> Linker:
    compiled = compile_terms(names, ["en"], 8)
    taught = untaught(compiled.candidates, len(compiled.surfaces), 3.0)
    with writing(folder, "test") as writer:
        save(writer, compiled.surfaces, taught, CODES, "en", 5, year)
    return Linker.load(Artifact(folder))


def notes(*texts: str, years: list[int | None] | None = None) -> pa.RecordBatch:
    batch = cleaned(pa.array([f"n{i}" for i in range(len(texts))]), pa.array(texts))
    return batch if years is None else batch.append_column("year", pa.array(years, pa.int16()))


def test_offsets_are_code_points_of_the_source_note(tmp_path: Path) -> None:
    source = "Pt 👩 of __________ [**name**]  with   hyper-\ttension\r\nand   HTN, CKD  stage 3"  # guard: invented
    table = linker(tmp_path / "l").mentions(notes(source))
    assert table.schema == MENTIONS
    found = {source[m["start"] : m["end"]]: m["code"] for m in table.to_pylist()}
    assert found == {"HTN": "I10", "CKD  stage 3": "N1830"}


def test_a_code_is_that_of_the_year_of_the_note(tmp_path: Path) -> None:
    batch = notes(*["CKD stage 3"] * 3, years=[2018, 2023, None])
    assert linker(tmp_path / "a").mentions(batch)["code"].to_pylist() == ["N183", "N1830", "N1830"]
    assert linker(tmp_path / "b", 2018).mentions(batch)["code"].to_pylist() == ["N183", "N1830", "N183"]


def test_a_negated_mention_stays_with_its_flag_and_a_lower_p(tmp_path: Path) -> None:
    rows = linker(tmp_path / "l").mentions(notes("No evidence of pneumonia. Hypertension.")).to_pylist()
    assert [(r["code"], r["negated"]) for r in rows] == [("J189", True), ("I10", False)]
    assert rows[0]["trigger"]
    assert rows[0]["p"] == pytest.approx(rows[1]["p"] * UNUSED["negated"], abs=1e-5)


def test_no_note_and_a_note_without_a_name(tmp_path: Path) -> None:
    read = linker(tmp_path / "l")
    assert len(read.mentions(notes())) == 0
    assert len(read.mentions(notes("", "nothing here"))) == 0
    assert set(read.mentions(notes("", "HTN", ""))["note_id"].to_pylist()) == {"n1"}


def test_a_folder_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    linker(tmp_path / "l")
    with writing(tmp_path / "damaged", "test") as writer:
        for name in ("surfaces.parquet", "candidates.parquet", "codes.parquet"):
            writer.parquet(name, Artifact(tmp_path / "l").table(name))
        writer.json("linker.json", {"language": "en"})
    with pytest.raises(ArtifactError, match=r"linker\.json: written by another version"):
        Linker.load(Artifact(tmp_path / "damaged"))


def test_mentions_do_not_depend_on_the_batch_they_come_in(tmp_path: Path) -> None:
    texts = ["HTN and pneumonia", "no pneumonia", "CKD stage 3; HTN"]
    read = linker(tmp_path / "l")
    whole = read.mentions(notes(*texts))
    rng = np.random.default_rng(0)
    for row in rng.permutation(len(texts)).tolist():
        alone = read.mentions(notes(texts[row]))
        mine = whole.filter(pa.compute.equal(whole["note_id"], f"n{row}"))
        assert alone.drop_columns(["note_id"]).equals(mine.drop_columns(["note_id"]))


def test_a_name_that_its_own_fold_alone_gives_has_no_code_there() -> None:
    """Nor has it what train puts beside it: without the fold nothing would be found there."""
    names = compile_terms(terms({"code": "I10", "name": "high pressure", "kind": "mention"}), ["en"], 8)
    beside = {"surface": 0, "code": "J189", "kind": "learned", "share": 1.0, "best": False}
    pairs = pa.concat_tables([names.candidates, pa.Table.from_pylist([beside], names.candidates.schema)])
    taught = untaught(pairs, 1, 3.0)
    without = np.array([[4], [4]], np.int32), np.array([[0, 2], [2, 2]], np.int32)
    judge = Judge(taught, ["high pressure"], editions.Codes(CODES), 5, without)
    spotted = pa.table({"surface": pa.array([0, 0, 0], pa.int32())})
    assert judge.offered(spotted, np.zeros(3, int), np.array([0, 1, OF_ALL])).tolist() == [False, True, True]


def test_what_is_remembered_of_judgements_does_not_grow_with_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = notes("HTN. No pneumonia.", "CKD stage 3", years=[2018, 2023])
    expected = linker(tmp_path / "one").mentions(batch)
    monkeypatch.setattr("chartcode.linking.linker.REMEMBERED", 2)
    read = linker(tmp_path / "two")
    for _ in range(3):
        assert read.mentions(batch).equals(expected)
        assert read.judge.remembered <= 3
