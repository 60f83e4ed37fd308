"""Names spotted in all notes of a hospital, in batches, by as many processes as there are cores.

Legend: N notes, S surfaces.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from chartcode.artifacts import Artifact
from chartcode.linking.mentions import READS, SPOTTED, Spotter
from chartcode.parallel import cores

Array = np.ndarray[Any, Any]
TOGETHER = 256  # notes a process takes at once
FEW = 2048  # notes that one process reads faster than several start
NOTHING: Mapping[int, Array] = {}


class Spotters:
    """A spotter of all names, and for each fold one that does not look for what the fold alone gives: such a name
    would cover others in the very notes that gave it, and in no new note.
    """

    def __init__(self, surfaces: pa.Table, language: str, hidden: Mapping[int, Array]) -> None:
        self._surfaces, self._language, self._hidden = surfaces, language, hidden
        self._made: dict[int, tuple[Spotter, Array]] = {}

    def table(self, notes: pa.RecordBatch, folds: Array) -> pa.Table:
        """SPOTTED of notes of these folds (N,), in their order."""
        parts = []
        for fold in np.unique(folds).tolist():
            rows = np.flatnonzero(folds == fold)
            spotter, number = self._of(fold)
            found = spotter.table(notes.take(pa.array(rows)))
            surface = pa.array(number[found["surface"].to_numpy()], pa.int32())
            parts.append(found.set_column(found.schema.get_field_index("surface"), SPOTTED.field("surface"), surface))
        if len(parts) == 1:
            return parts[0]
        both = pa.concat_tables(parts)
        place = {note_id: row for row, note_id in enumerate(notes.column("note_id").to_pylist())}
        order = np.argsort([place[note_id] for note_id in both["note_id"].to_pylist()], kind="stable")
        return both.take(pa.array(order))

    def _of(self, fold: int) -> tuple[Spotter, Array]:
        if fold not in self._made:
            number = np.delete(np.arange(len(self._surfaces)), self._hidden.get(fold, np.zeros(0, np.int64)))
            self._made[fold] = Spotter(self._surfaces.take(pa.array(number)), self._language), number
        return self._made[fold]


_spotters: Spotters | None = None  # of a process that spots


def _ready(surfaces: pa.Table, language: str, hidden: Mapping[int, Array]) -> None:
    global _spotters  # noqa: PLW0603 - a process has one
    _spotters = Spotters(surfaces, language, hidden)


def _spot_batch(notes: pa.RecordBatch, folds: Array) -> pa.Table:
    if _spotters is None:
        raise RuntimeError("no dictionary")
    return _spotters.table(notes, folds)


def spot(
    silver: Artifact, surfaces: pa.Table, language: str, folds: Array, hidden: Mapping[int, Array] = NOTHING
) -> Iterator[pa.RecordBatch]:
    """SPOTTED of all notes, of these folds (N,), in order; `hidden` are the surfaces not to be found in a fold."""
    at = 0
    given = surfaces, language, hidden
    with tqdm(total=len(folds), desc="link", unit=" notes", disable=None, leave=False) as bar:
        if len(folds) <= FEW or cores() == 1:
            spotters = Spotters(*given)
            for batch in silver.batches("notes.parquet", list(READS), TOGETHER):
                yield from spotters.table(batch, folds[at : at + batch.num_rows]).combine_chunks().to_batches()
                at += batch.num_rows
                bar.update(batch.num_rows)
            return
        workers = cores()
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _ready, given) as pool:
            waiting: list[tuple[int, Any]] = []
            for batch in silver.batches("notes.parquet", list(READS), TOGETHER):
                waiting.append((batch.num_rows, pool.submit(_spot_batch, batch, folds[at : at + batch.num_rows])))
                at += batch.num_rows
                if len(waiting) > 2 * workers:
                    yield from _taken(waiting, bar)
            while waiting:
                yield from _taken(waiting, bar)


def _taken(waiting: list[tuple[int, Any]], bar: Any) -> Iterator[pa.RecordBatch]:
    rows, future = waiting.pop(0)
    yield from future.result().combine_chunks().to_batches()
    bar.update(rows)
