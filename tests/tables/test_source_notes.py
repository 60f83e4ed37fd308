"""Notes of no table of ours are what silver has of them."""

from __future__ import annotations

import pyarrow as pa

from chartcode.tables.cleaning import clean_batch
from chartcode.tables.silver import SILVER_SCHEMA
from chartcode.tables.source_notes import cleaned


def test_columns_are_silver_s_and_offsets_lead_back() -> None:
    sources = pa.array(["Allergies:  none\r\n", "", "Pt  __ 👩"])  # guard: invented
    found = cleaned(pa.array(["a", "b", "c"]), sources)
    assert {field.name: field.type for field in found.schema} == {
        name: SILVER_SCHEMA.field(name).type for name in ("note_id", "text", "sections", "edits")
    }
    assert found.column("note_id").to_pylist() == ["a", "b", "c"]
    for name in ("text", "sections", "edits"):
        assert found.column(name).equals(clean_batch(sources).field(name))
