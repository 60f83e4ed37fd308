"""Stage link on a small hospital: p from train alone, out of fold for train's own notes, the same bytes however run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.folds import patient_folds
from chartcode.linking import spotting
from chartcode.linking.linker import Linker
from chartcode.linking.teach import LinkParams, link
from chartcode.tables.cleaning import clean_batch
from chartcode.tables.labels import Gold, read_gold
from chartcode.tables.schemas import EVIDENCE_SCHEMA
from chartcode.tables.silver import CODES_SCHEMA
from tests.evaluation.conftest import write_gold
from tests.linking.test_dictionary import terms
from tests.linking.test_linker import CODES

PARAMS: dict[str, Any] = {
    "language": "en",
    "learn_from": "codes",
    "year": 0,
    "max_words": 8,
    "strength": 3.0,
    "min_p": 0.05,
    "alternatives": 5,
    "folds": 4,
    "seed": 42,
    "places": {"trees": 20, "leaves": 4, "min_leaf": 2, "learning_rate": 0.1, "l2": 1.0, "seed": 1},
}
NAMES = terms(
    {"code": "J189", "name": "pneumonia"},
    {"code": "I10", "name": "hypertension"},
    {"code": "I10", "name": "HTN", "kind": "abbreviation"},
)


def hospital(folder: Path, texts: Sequence[str], codes: Sequence[Sequence[str]], splits: Sequence[str]) -> Path:
    """Silver, gold, bronze and terminology of these notes, one patient each."""
    names = sorted({code for own in codes for code in own} | {"I10"})
    truth = np.array([[name in own for name in names] for own in codes], np.int8)
    write_gold(folder, truth, np.array(splits), names)
    hadm_ids = read_gold(Artifact(folder / "data/gold")).hadm_id
    subject_ids = read_gold(Artifact(folder / "data/gold")).subject_id
    cleaned = clean_batch(pa.array(texts))
    ids = [f"n{number:03}" for number in range(len(texts))]
    notes = pa.table(
        {
            "note_id": ids,
            "subject_id": subject_ids,
            "hadm_id": hadm_ids,
            **{name: cleaned.field(name) for name in ("text", "sections", "edits")},
            "year": pa.nulls(len(texts), pa.int16()),
        }
    )
    rows = [
        (int(subject), int(hadm), "diagnoses", 10, code, number)
        for subject, hadm, own in zip(subject_ids, hadm_ids, codes, strict=True)
        for number, code in enumerate(own, 1)
    ]
    with writing(folder / "data/silver", "test") as writer:
        writer.parquet("notes.parquet", notes)
        columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), CODES_SCHEMA, strict=True)]
        writer.parquet("codes.parquet", pa.table(columns, schema=CODES_SCHEMA))
    with writing(folder / "data/bronze", "test") as writer:
        writer.parquet("evidence.parquet", EVIDENCE_SCHEMA.empty_table())
        writer.parquet("discharge.parquet", pa.table({"note_id": ids, "hadm_id": hadm_ids, "text": list(texts)}))
    with writing(folder / "data/terminology", "test") as writer:
        writer.parquet("terms.parquet", NAMES)
        writer.parquet("codes.parquet", CODES)
    return folder


def run(folder: Path, to: str = "out", **change: Any) -> tuple[list[dict[str, Any]], Artifact]:
    """The mentions of all notes, and the linker."""
    silver, gold, bronze, terminology = (
        Artifact(folder / f"data/{name}") for name in ("silver", "gold", "bronze", "terminology")
    )
    with writing(folder / to / "linker", "test") as model, writing(folder / to / "mentions", "test") as mentions:
        labels: Gold = read_gold(gold)
        params = LinkParams.model_validate(PARAMS | change)
        link(silver, labels, bronze, terminology, params, ["diagnoses"], model, mentions)
    return Artifact(folder / to / "mentions").table("mentions.parquet").to_pylist(), Artifact(folder / to / "linker")


def small(folder: Path, test_codes: Sequence[str] = ("I10",)) -> Path:
    """Train: 15 of 20 notes with HTN are coded I10, five are coded I16; val and test have a note each."""
    texts = ["HTN and more."] * 20 + ["Nothing to tell."] * 98 + ["HTN. No pneumonia."] * 2
    codes = [["I10"]] * 15 + [["I16"]] * 5 + [["Z00"]] * 98 + [["I10"], list(test_codes)]
    return hospital(folder, texts, codes, ["train"] * 118 + ["val", "test"])


def test_p_is_what_train_says_and_train_takes_what_names_do_not(tmp_path: Path) -> None:
    mentions, _ = run(small(tmp_path))
    (test,) = [m for m in mentions if m["note_id"] == "n119" and m["key"] == "htn"]
    said = {a["code"]: a for a in test["alternatives"]}
    assert (said["I10"]["seen"], said["I10"]["together"]) == (20, 15)
    assert 0.7 < said["I10"]["p"] < 0.78
    assert said["I16"]["together"] == 5
    assert not said["I16"]["dictionary"]


def test_p_of_a_train_note_knows_nothing_of_its_fold(tmp_path: Path) -> None:
    folder = small(tmp_path)
    mentions, _ = run(folder)
    gold = read_gold(Artifact(folder / "data/gold"))
    folds = patient_folds(gold.subject_id.tolist(), PARAMS["folds"], PARAMS["seed"])
    for row in range(20):
        (mention,) = [m for m in mentions if m["note_id"] == f"n{row:03}"]
        others = [other for other in range(20) if folds[other] != folds[row]]
        said = {a["code"]: a for a in mention["alternatives"]}["I10"]
        assert said["seen"] == len(others)
        assert said["together"] == sum(other < 15 for other in others)


def test_labels_of_val_and_test_move_nothing(tmp_path: Path) -> None:
    one, _ = run(small(tmp_path / "one", ["I10"]))
    other, _ = run(small(tmp_path / "other", ["Z00", "J189"]))
    assert one == other


def test_the_linker_says_of_a_test_note_what_the_stage_said(tmp_path: Path) -> None:
    folder = small(tmp_path)
    mentions, model = run(folder)
    notes = Artifact(folder / "data/silver").table("notes.parquet").combine_chunks().to_batches()[0]
    again = Linker.load(model).mentions(notes.slice(118)).to_pylist()
    assert again == [m for m in mentions if m["note_id"] in ("n118", "n119")]
    assert [m["negated"] for m in again if m["key"] == "pneumonia"] == [True, True]


def test_several_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small(tmp_path)
    run(folder, "one")
    monkeypatch.setattr(spotting, "FEW", 0)
    monkeypatch.setattr(spotting, "TOGETHER", 7)
    monkeypatch.setattr(spotting, "cores", lambda: 2)
    run(folder, "two")
    names = ("linker/surfaces.parquet", "linker/candidates.parquet", "linker/linker.json", "mentions/mentions.parquet")
    for name in names:
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes(), name


def test_without_train_p_is_as_sure_as_names_are(tmp_path: Path) -> None:
    mentions, _ = run(small(tmp_path), learn_from="nothing")
    assert {round(m["p"], 4) for m in mentions if not m["negated"]} == {0.35}


def test_evidence_gives_names_and_is_asked_for_only_where_there_is_some(tmp_path: Path) -> None:
    folder = small(tmp_path)
    with pytest.raises(DataError, match=r"evidence\.parquet: marks nothing in train notes"):
        run(folder, learn_from="evidence")
    rows = [{"note_id": f"n{n:03}", "icd_code": "Z00", "mention": 0, "start": 11, "end": 15} for n in range(20, 25)]
    rows += [{"note_id": "n119", "icd_code": "Q99", "mention": 0, "start": 0, "end": 3}]  # of test: taught to nobody
    with writing(folder / "data/bronze2", "test") as writer:
        table = pa.Table.from_pylist([row | {"kind": "span"} for row in rows], schema=EVIDENCE_SCHEMA)
        writer.parquet("evidence.parquet", table)
        writer.parquet("discharge.parquet", Artifact(folder / "data/bronze").table("discharge.parquet"))
    (folder / "data/bronze").rename(folder / "data/old")
    (folder / "data/bronze2").rename(folder / "data/bronze")
    mentions, _ = run(folder, learn_from="evidence")
    told = [m for m in mentions if m["key"] == "tell"]
    assert len(told) == 98
    assert {(m["code"], m["source"]) for m in told} == {("Z00", "mention")}
    assert "Q99" not in {a["code"] for m in mentions for a in m["alternatives"]}


def test_a_name_that_one_note_gave_covers_no_other_name_there(tmp_path: Path) -> None:
    """As in new notes: else what a longer name covers would be lost where train can see it, and nowhere else."""
    texts = ["Pneumonia here."] * 20 + ["Nasty pneumonia now."] * 2
    folder = hospital(tmp_path, texts, [["J189"]] * 22, ["train"] * 21 + ["test"])
    row = {"note_id": "n020", "icd_code": "J189", "mention": 0, "start": 0, "end": 15, "kind": "span"}
    with writing(folder / "data/bronze2", "test") as writer:
        writer.parquet("evidence.parquet", pa.Table.from_pylist([row], schema=EVIDENCE_SCHEMA))
        writer.parquet("discharge.parquet", Artifact(folder / "data/bronze").table("discharge.parquet"))
    (folder / "data/bronze").rename(folder / "data/old")
    (folder / "data/bronze2").rename(folder / "data/bronze")
    mentions, _ = run(folder, learn_from="evidence")
    keys = {m["note_id"]: m["key"] for m in mentions}
    assert (keys["n020"], keys["n021"]) == ("pneumonia", "nasty pneumonia")


def test_a_hospital_without_icd_10_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = small(tmp_path)
    silver = Artifact(folder / "data/silver")
    codes, notes = silver.table("codes.parquet"), silver.table("notes.parquet")
    with writing(folder / "data/silver", "test") as writer:
        older = pa.array([9] * len(codes), codes.schema.field("icd_version").type)
        writer.parquet("codes.parquet", codes.set_column(3, codes.schema.field("icd_version"), older))
        writer.parquet("notes.parquet", notes)
    with pytest.raises(DataError, match=r"codes\.parquet: no ICD-10 code in gold\.tables"):
        run(folder)
    mentions, _ = run(folder, learn_from="nothing")
    assert mentions
