"""All notes of a hospital are spotted as each would be alone, and a fold's own names cover nothing in its notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.linking import spotting
from chartcode.linking.dictionary import compile_terms
from chartcode.linking.mentions import Spotter
from chartcode.linking.spotting import Spotters, spot
from chartcode.tables.cleaning import clean_batch
from tests.linking.test_dictionary import terms

TABLE = terms(
    {"code": "I10", "name": "hypertension"},
    {"code": "J189", "name": "pneumonia"},
    {"code": "J150", "name": "nasty old pneumonia", "kind": "mention"},
)
SURFACES = compile_terms(TABLE, ["en"], 8).surfaces
KEYS = SURFACES["key"].to_pylist()
OWN = KEYS.index("nasty old pneumonia")


def notes(*texts: str) -> pa.RecordBatch:
    cleaned = clean_batch(pa.array(texts, pa.string()))
    columns = [pa.array([f"n{row}" for row in range(len(texts))])]
    return pa.record_batch(
        [*columns, *(cleaned.field(name) for name in ("text", "sections", "edits"))],
        names=["note_id", "text", "sections", "edits"],
    )


def said(table: pa.Table) -> list[tuple[str, str]]:
    pairs = zip(table["note_id"].to_pylist(), table["surface"].to_pylist(), strict=True)
    return [(note_id, KEYS[surface]) for note_id, surface in pairs]


def test_a_hidden_name_leaves_its_place_to_the_names_it_would_cover() -> None:
    batch = notes(*["Hypertension, nasty old pneumonia."] * 3)
    found = Spotters(SURFACES, "en", {1: np.array([OWN])}).table(batch, np.array([0, 1, -1]))
    assert said(found) == [
        ("n0", "hypertension"),
        ("n0", "nasty old pneumonia"),
        ("n1", "hypertension"),
        ("n1", "pneumonia"),
        ("n2", "hypertension"),
        ("n2", "nasty old pneumonia"),
    ]


def test_where_nothing_is_hidden_folds_change_nothing() -> None:
    texts = [f"Nasty old pneumonia {'and hypertension ' * (n % 3)}on day {n}." for n in range(20)]
    batch, folds = notes(*texts), np.arange(20) * 7 % 5 - 1
    assert Spotters(SURFACES, "en", {}).table(batch, folds).equals(Spotter(SURFACES, "en").table(batch))


@pytest.mark.parametrize("few", [0, 100])
def test_folds_go_with_their_notes_whatever_the_batches(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in several processes."""
    batch = notes(*["Nasty old pneumonia."] * 20)
    with writing(tmp_path / "silver", "test") as writer:
        writer.parquet("notes.parquet", pa.Table.from_batches([batch]))
    monkeypatch.setattr(spotting, "FEW", few)
    monkeypatch.setattr(spotting, "TOGETHER", 3)
    monkeypatch.setattr(spotting, "cores", lambda: 2)
    folds = np.arange(20) % 2
    batches = list(spot(Artifact(tmp_path / "silver"), SURFACES, "en", folds, {1: np.array([OWN])}))
    expected = [(f"n{row}", "pneumonia" if row % 2 else "nasty old pneumonia") for row in range(20)]
    assert said(pa.Table.from_batches(batches)) == expected
