"""Notes that are in no table of ours (a file, a line of text), as silver would have them."""

from __future__ import annotations

import pyarrow as pa

from chartcode.tables.cleaning import clean_batch


def cleaned(ids: pa.Array, texts: pa.Array) -> pa.RecordBatch:
    """note_id, text, sections and edits of notes as they were written; offsets lead back to these texts."""
    made = clean_batch(texts)
    return pa.record_batch({"note_id": ids} | {name: made.field(name) for name in ("text", "sections", "edits")})
