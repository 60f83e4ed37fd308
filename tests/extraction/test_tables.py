"""The stage's tables: every note once, in order, the same bytes from one process or several."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.extraction.summary import Summary
from chartcode.extraction.tables import MEDICATIONS, ExtractParams, record, write_extracted
from chartcode.tables.cleaning import clean_batch
from tests.extraction.pharmacy import Chart, charts

PARAMS = ExtractParams(min_p=0.5)


@pytest.fixture(scope="module")
def made() -> list[Chart]:
    return charts(90)


@pytest.fixture(scope="module")
def place(made: list[Chart], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Silver, mentions (every HTN; some unsure) and a pharmacy of the same stays."""
    folder = tmp_path_factory.mktemp("hospital")
    cleaned = clean_batch(pa.array([chart.text for chart in made]))
    count = len(made)
    notes = {
        "note_id": [chart.note_id for chart in made],
        "subject_id": list(range(count)),
        "hadm_id": list(range(count)),
    }
    silver = pa.table(notes | {name: cleaned.field(name) for name in ("text", "sections", "edits")})
    rows = []
    for chart in made:
        start = chart.text.find("HTN")
        while start >= 0:
            flags = dict.fromkeys(("negated", "uncertain", "historical", "hypothetical", "family"), False)
            row = {
                "note_id": chart.note_id,
                "start": start,
                "end": start + 3,
                "text": "HTN",
                "section": "",
                "code": "I10",
            }
            rows.append(row | flags | {"p": 0.9 if len(rows) % 3 else 0.2})
            start = chart.text.find("HTN", start + 1)
    orders = [(n, order.drug) for n, chart in enumerate(made) for order in chart.admission[:1]]
    for name, table in {"silver": silver, "mentions": pa.Table.from_pylist(rows)}.items():
        with writing(folder / name, "synthetic") as writer:
            writer.parquet("notes.parquet" if name == "silver" else "mentions.parquet", table)
    with writing(folder / "bronze", "synthetic") as writer:
        hadm, drugs = zip(*orders, strict=True)
        writer.parquet("prescriptions.parquet", pa.table({"hadm_id": list(hadm), "drug": list(drugs)}))
    return folder


def run(place: Path, out: Path, workers: int, mentions: str = "mentions") -> dict[str, float | int | None]:
    with writing(out, "synthetic") as writer:
        return write_extracted(
            *(Artifact(place / name) for name in ("silver", mentions, "bronze")), writer, PARAMS, workers
        )


def test_the_tables_hold_every_note_and_say_where_everything_stands(
    place: Path, made: list[Chart], tmp_path: Path
) -> None:
    numbers = run(place, tmp_path / "out", 1)
    found = Artifact(tmp_path / "out")
    summaries = found.table("summaries.parquet").to_pylist()
    assert [row["note_id"] for row in summaries] == [chart.note_id for chart in made]
    texts = {chart.note_id: chart.text for chart in made}
    medications = found.table("medications.parquet")
    assert medications.schema.equals(MEDICATIONS)
    for row in medications.to_pylist():
        for name in ("drug", "dose", "unit", "route", "frequency", "reason"):
            if row[name] is not None:
                said = texts[row["note_id"]][row[f"{name}_start"] : row[f"{name}_end"]]
                assert said.split() == row[name].split()
    for row in found.table("relations.parquet").to_pylist():
        for name in ("problem", "treatment", "trigger"):
            said = texts[row["note_id"]][row[f"{name}_start"] : row[f"{name}_end"]]
            assert said.split() == row[name].split()
    parsed = [Summary.model_validate_json(row["summary"]) for row in summaries]
    assert sum(len(one.diagnoses) for one in parsed) > 20
    assert all(diagnosis.p >= PARAMS.min_p for one in parsed for diagnosis in one.diagnoses)
    listed = sum(len(one.medications_on_admission) + len(one.medications_at_discharge) for one in parsed)
    truth = sum(len(chart.admission) + len(chart.discharge) for chart in made)
    assert listed == truth == numbers["entries_named"] == numbers["entries"]
    assert numbers["entries_ordered_share"] == 1.0
    assert numbers["ordered_listed"] == 1.0, "the pharmacy of this test gave only what is listed"


def test_several_processes_write_the_same_bytes(place: Path, tmp_path: Path) -> None:
    assert run(place, tmp_path / "one", 1) == run(place, tmp_path / "two", 2)
    assert Artifact(tmp_path / "one").manifest["files"] == Artifact(tmp_path / "two").manifest["files"]


def test_mentions_in_another_order_are_refused(place: Path, tmp_path: Path) -> None:
    table = Artifact(place / "mentions").table("mentions.parquet")
    with writing(tmp_path / "mentions", "synthetic") as writer:
        writer.parquet("mentions.parquet", table.take(pa.array(range(table.num_rows - 1, -1, -1))))
    with pytest.raises(DataError, match="another order"):
        run(place, tmp_path / "out", 1, str(tmp_path / "mentions"))
    assert not (tmp_path / "out").exists()


def test_the_numbers_are_metrics_of_the_stage(tmp_path: Path) -> None:
    record(tmp_path / "metrics/stages/extract.json", {"pairs": 12, "prn": None})
    assert json.loads((tmp_path / "metrics/stages/extract.json").read_text()) == {"extract": {"pairs": 12, "prn": None}}


def test_few_patients_publish_nothing(place: Path, made: list[Chart], tmp_path: Path) -> None:
    silver = Artifact(place / "silver").table("notes.parquet").slice(0, 10)
    mentions = Artifact(place / "mentions").table("mentions.parquet").slice(0, 0)
    with writing(tmp_path / "silver", "synthetic") as writer:
        writer.parquet("notes.parquet", silver)
    with writing(tmp_path / "mentions", "synthetic") as writer:
        writer.parquet("mentions.parquet", mentions)
    with writing(tmp_path / "bronze", "synthetic") as writer:
        writer.json("nothing.json", {})
    numbers = run(tmp_path, tmp_path / "out", 1)
    assert set(numbers.values()) == {None}
