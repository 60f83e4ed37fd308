"""`chartcode extract`: the summaries of a file of notes, read as `chartcode predict` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
from tqdm import tqdm

from chartcode.artifacts import Artifact, atomic_file, parquet_writer
from chartcode.errors import DataError
from chartcode.extraction.extract import Linker, Typist, extract, extract_note
from chartcode.extraction.notes import clean_notes
from chartcode.extraction.summary import Summary

ROWS = pa.schema([("note_id", pa.string()), ("summary", pa.string())])
FORMS = (".csv", ".parquet", ".jsonl")


def extract_text(path: Path, note_types: Path | None = None, link: Linker | None = None) -> Summary:
    """The summary of one note in a text file, named by the file. Raises DataError where it is no UTF-8 text."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise DataError(f"{path}: file is missing") from None
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read as a UTF-8 text file") from None
    return extract(text, link, _typist(note_types), path.stem)


def extract_file(path: Path, out: Path, note_types: Path | None = None, link: Linker | None = None) -> int:
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
            batches: Iterable[list[Summary]] = [[extract_text(path, note_types, link)]]
        else:
            batches = _summaries(path, _typist(note_types), link)

        def counted() -> Iterator[list[Summary]]:
            nonlocal count
            for summaries in batches:
                yield summaries
                count += len(summaries)
                bar.update(len(summaries))

        _write(file, out.suffix, counted())
    return count


def _summaries(path: Path, typist: Typist | None, link: Linker | None) -> Iterator[list[Summary]]:
    from chartcode.predict import read_notes  # and with it the contracts of raw tables

    for batch in read_notes(path):
        ids, texts = batch.column("note_id").to_pylist(), batch.column("text")
        notes = clean_notes(ids, texts)
        types = typist([note.text for note in notes]) if typist else [None] * len(notes)
        linked = [link(text) if link else () for text in texts.to_pylist()]
        yield [
            extract_note(note, mentions, kinds).summary
            for note, mentions, kinds in zip(notes, linked, types, strict=True)
        ]


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


def _typist(folder: Path | None) -> Typist | None:
    if folder is None:
        return None
    from chartcode.extraction.note_types import NoteTypes  # and with it scikit-learn

    return NoteTypes.load(Artifact(folder)).types
