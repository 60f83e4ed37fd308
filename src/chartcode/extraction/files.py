"""`chartcode extract`: the summaries of a file of notes, read as `chartcode predict` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
from tqdm import tqdm

from chartcode.artifacts import Artifact, atomic_file, parquet_writer
from chartcode.errors import DataError
from chartcode.extraction.extract import MIN_P, Link, Typist, extract_batch
from chartcode.extraction.summary import Summary

ROWS = pa.schema([("note_id", pa.string()), ("summary", pa.string())])
FORMS = (".csv", ".parquet", ".jsonl")


class Readers(NamedTuple):
    """What else reads the notes: a linker for diagnoses, a classifier of note types, and the least p of a mention."""

    link: Link | None = None
    note_types: Typist | None = None
    min_p: float = MIN_P

    @classmethod
    def load(cls, linker: Path | None, note_types: Path | None, min_p: float = MIN_P) -> Readers:
        """From the folders `stages.link` and `chartcode fit-note-types` write; None goes without."""
        link = types = None
        if linker is not None:
            from chartcode.linking.linker import Linker

            link = Linker.load(Artifact(linker)).mentions
        if note_types is not None:
            from chartcode.extraction.note_types import NoteTypes  # and with it scikit-learn

            types = NoteTypes.load(Artifact(note_types)).types
        return cls(link, types, min_p)

    def summaries(self, ids: Sequence[str], texts: pa.Array) -> list[Summary]:
        """The summary of each note."""
        return extract_batch(ids, texts, self.link, self.note_types, self.min_p)


def extract_text(path: Path, readers: Readers) -> Summary:
    """The summary of one note in a text file, named by the file. Raises DataError where it is no UTF-8 text."""
    from chartcode.predict import read_note  # and with it the contracts of raw tables

    return readers.summaries([path.stem], pa.array([read_note(path)], pa.string()))[0]


def extract_file(path: Path, out: Path, readers: Readers) -> int:
    """Write the summary of every note of `path` to `out`, which must not exist; returns how many.

    Offsets are code points of the text in the file. Raises DataError for notes that are not to be read.
    """
    if out.exists():
        raise DataError(f"{out}: exists; name a new file")
    if not out.name.endswith(FORMS):
        raise DataError(f"{out}: name it {', '.join(FORMS)}")
    count = 0
    with atomic_file(out) as file, tqdm(desc="extract", unit=" notes", disable=None, leave=False) as bar:
        if path.suffix.lower() == ".txt":
            batches: Iterable[list[Summary]] = [[extract_text(path, readers)]]
        else:
            batches = _summaries(path, readers)

        def counted() -> Iterator[list[Summary]]:
            nonlocal count
            for summaries in batches:
                yield summaries
                count += len(summaries)
                bar.update(len(summaries))

        _write(file, out.suffix, counted())
    return count


def _summaries(path: Path, readers: Readers) -> Iterator[list[Summary]]:
    from chartcode.predict import read_notes

    for batch in read_notes(path):
        yield readers.summaries(batch.column("note_id").to_pylist(), batch.column("text"))


def _write(file: Path, form: str, batches: Iterator[list[Summary]]) -> None:
    if form == ".jsonl":
        with file.open("w", encoding="utf-8", newline="\n") as lines:
            lines.writelines(f"{summary.model_dump_json()}\n" for summaries in batches for summary in summaries)
        return
    writer = pyarrow.csv.CSVWriter(file, ROWS) if form == ".csv" else parquet_writer(file, ROWS, dictionary=[])
    with writer as rows:
        for summaries in batches:
            cells = [[summary.note_id for summary in summaries], [s.model_dump_json() for s in summaries]]
            rows.write_table(pa.table(cells, schema=ROWS))
