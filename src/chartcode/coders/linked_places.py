"""Codes for which a person would mark a place in a note: the likeliest place of each, where marks taught any.

Places are those of linking/places.py. Of marked train notes p was learned from the other folds of patients, in stage
`link`; of all other notes places are found when they are asked for.
Legend: N notes, M mentions, P note-code pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa

from chartcode.artifacts import Artifact
from chartcode.linking.places import PLACES, TRAIN_FILE, Places

Array = np.ndarray[Any, Any]
FEATURES = ("place",)  # p of the likeliest place


class MarkedPlaces:
    """What marks teach, and what was learned of the marked notes themselves, out of fold."""

    def __init__(self, places: Places | None, train: pa.Table) -> None:
        """`train` is PLACES."""
        self._places = places
        self._train: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for note_id, code, p in zip(*(train[name].to_pylist() for name in ("note_id", "code", "p")), strict=True):
            self._train[note_id].append((code, p))

    @classmethod
    def of(cls, linker: Artifact, mentions: Artifact | None = None) -> Self:
        """Of a linker; `mentions`, that stage `link` wrote beside it, say what is known of train notes."""
        places = Places.load(linker)
        if places is None or mentions is None:
            return cls(places, PLACES.empty_table())
        return cls(places, mentions.table(TRAIN_FILE))

    def pairs_of(
        self, notes: pa.RecordBatch, mentions: pa.Table, rows: Array, columns: Mapping[str, int], train: bool
    ) -> tuple[Array, Array, Array]:
        """Rows, columns and features (P, 1) of the codes, numbered by `columns`, of notes with mentions (M,) of `rows`.

        `train`: these are train notes, with note_id.
        """
        ids = notes.column("note_id").to_pylist() if train else [""] * notes.num_rows
        told = [(row, code, p) for row, note_id in enumerate(ids) for code, p in self._train.get(note_id, ())]
        others = sorted(set(range(notes.num_rows)) - {row for row, _, _ in told})
        told += [(row, code, p) for row, _, _, code, p in self.found(notes, mentions, rows, others)]
        best: dict[tuple[int, int], float] = {}
        for row, code, p in told:
            if code in columns:
                best[row, columns[code]] = max(best.get((row, columns[code]), 0.0), p)
        pairs = np.array(sorted(best), np.int64).reshape(-1, 2)
        p_of = np.array([best[pair] for pair in sorted(best)], np.float64).reshape(-1, 1)
        return pairs[:, 0], pairs[:, 1], p_of

    def found(
        self, notes: pa.RecordBatch, mentions: pa.Table, rows: Array, some: Sequence[int]
    ) -> list[tuple[int, int, int, str, float]]:
        """Row, start and end in the source, code and p of the places in `some` notes, with mentions (M,) of `rows`."""
        if self._places is None or not some:
            return []
        # Rows for names: of one note there may be several versions.
        columns = [pa.array(map(str, range(notes.num_rows))), notes.column("text"), notes.column("edits")]
        asked = pa.record_batch(columns, ["note_id", "text", "edits"]).take(pa.array(some))
        at = mentions.schema.get_field_index("note_id")
        own = mentions.set_column(at, "note_id", pa.array(map(str, rows.tolist()), pa.string()))
        found = self._places.find(asked, own)
        of_places = (found[name].to_pylist() for name in ("note_id", "start", "end", "code", "p"))
        return [(int(row), *place) for row, *place in zip(*of_places, strict=True)]
