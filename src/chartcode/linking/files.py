"""`chartcode link`: a note or a file of notes in, a table of its mentions out; nothing leaves the machine.

    from chartcode.linking.files import Names
    Names.of_list(MINI).text("Pt with HTN, no CAD.").to_pandas()        a list of one's own
    Names.of_model(Path("models/linker")).text(note).to_pandas()        what stage `link` learned

Names come from a fitted linker (p is learned from train) or from a list (lists.py). Of a list p is what names are
usually worth (calibration.BEST), by context: no frequency of anybody's notes. `beyond` adds what a tagger finds and no
name covers (unnamed.py): `source` is then the tagger's type, `method` the resolver's step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from tqdm import tqdm

from chartcode.artifacts import Artifact, atomic_file, parquet_writer
from chartcode.errors import DataError
from chartcode.linking.calibration import untaught
from chartcode.linking.dictionary import compile_terms
from chartcode.linking.flags import FLAGS
from chartcode.linking.linker import Judge, Linker
from chartcode.linking.lists import read_list
from chartcode.linking.mentions import MENTIONS, Spotter
from chartcode.linking.terminology.editions import CODES, Codes
from chartcode.linking.terminology.rows import ICD10CM, Found
from chartcode.linking.terminology.user import MINI, names
from chartcode.linking.tokens import key_of
from chartcode.tables.cleaning import to_source
from chartcode.tables.source_notes import cleaned

if TYPE_CHECKING:
    from chartcode.linking.unnamed import Unnamed

SNOMED = "snomed"
FOUND = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the text as it was given, end exclusive
        pa.field("end", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # the standard name of the concept
        pa.field("code", pa.string(), nullable=False),
        pa.field("system", pa.string(), nullable=False),
        pa.field("snomed", pa.string()),  # the same concept in SNOMED CT, where a list says so
        *(MENTIONS.field(column) for column in ("p", "section", *FLAGS, "trigger", "source", "method")),
    ]
)
SHOWN = ("start", "end", "text", "name", "code", "snomed", "p")
MOST_WORDS = 12  # of a name in a list of one's own
ALTERNATIVES = 5
STRENGTH = 3.0


class Names:
    """Something that links notes: a linker, the system of its codes, the SNOMED CT concepts it knows, its language."""

    def __init__(self, linker: Linker, system: str, snomed: Mapping[str, str], language: str) -> None:
        """`snomed` concepts by folded name and by code."""
        self._linker, self._system, self._snomed, self.language = linker, system, snomed, language
        self._unnamed: Unnamed | None = None

    def beyond(self, unnamed: Unnamed) -> Self:
        """The same, and what no name covers."""
        self._unnamed = unnamed
        return self

    @classmethod
    def of_model(cls, folder: Path) -> Self:
        """The linker that stage `link` wrote."""
        artifact = Artifact(folder)
        linker, language = Linker.load(artifact), str(artifact.json("linker.json")["language"])
        return cls(linker, ICD10CM, _concepts(list(names(MINI))), language)

    @classmethod
    def of_list(cls, path: Path, language: str = "en") -> Self:
        """A list of names and codes, for notes in this language, in which its names are read as well.

        Raises DataError naming file, column and line of what is wrong.
        """
        listed = read_list(path)
        dictionary = compile_terms(listed.terms(language), [language], MOST_WORDS)
        first = {row.code: row.name for row in reversed(listed.own) if row.code}
        titles = [{"code": code, "title": name, "billable": True} for code, name in sorted(first.items())]
        codes = Codes(pa.Table.from_pylist(titles, schema=CODES))
        taught = untaught(dictionary.candidates, len(dictionary.surfaces), STRENGTH)
        judge = Judge(taught, dictionary.surfaces["key"].to_pylist(), codes, ALTERNATIVES)
        linker = Linker(Spotter(dictionary.surfaces, language), judge, codes, 0)
        return cls(linker, listed.system, _concepts(listed.rows), language)

    def text(self, note: str, min_p: float = 0.0) -> pa.Table:
        """The mentions of one note, schema FOUND."""
        return self.table(pa.array([""]), pa.array([note], pa.string()), min_p)

    def table(self, ids: pa.Array, texts: pa.Array, min_p: float = 0.0) -> pa.Table:
        """The mentions of these notes of p `min_p` or more, schema FOUND, in their order."""
        notes = cleaned(ids, texts)
        found = self._linker.mentions(notes)
        found = found.filter(pc.greater_equal(found["p"], min_p))
        keys, codes = found["key"].to_pylist(), found["code"].to_pylist()
        said = {
            "name": [self._linker.title(code) for code in codes],
            "system": [self._system] * len(codes),
            "snomed": [self._snomed.get(key) or self._snomed.get(code) for key, code in zip(keys, codes, strict=True)],
        }
        arrays = [pa.array(said[f.name], f.type) if f.name in said else found[f.name] for f in FOUND]
        named = pa.table(arrays, schema=FOUND)
        return named if self._unnamed is None else self._with_unnamed(self._unnamed, notes, named, min_p)

    def _with_unnamed(self, unnamed: Unnamed, notes: pa.RecordBatch, named: pa.Table, min_p: float) -> pa.Table:
        rows = named.to_pylist()
        order = {note_id: at for at, note_id in enumerate(notes.column("note_id").to_pylist())}
        for note in notes.to_pylist():
            spotted = self._linker.spotter.spot(note["text"], note["sections"])
            links = unnamed.find(note["text"], note["sections"], [(one.start, one.end) for one in spotted])
            segments = [(e["clean_start"], e["source_start"], e["length"]) for e in note["edits"]]
            places = to_source([(link.start, link.end) for link in links], segments)
            for link, (start, end) in zip(links, places, strict=True):
                if link.p >= min_p:
                    row: dict[str, Any] = {"note_id": note["note_id"], "start": start, "end": end}
                    title = self._linker.title(link.code) if unnamed.system == self._system else ""
                    row |= {"text": note["text"][link.start : link.end], "name": title or link.name}
                    row |= {"code": link.code, "system": unnamed.system, "snomed": self._snomed.get(link.code)}
                    row |= {"p": link.p, "section": link.section, **link.context._asdict()}
                    rows.append(row | {"source": link.kind, "method": link.method})
        rows.sort(key=lambda row: (order[row["note_id"]], row["start"], row["end"]))
        return pa.Table.from_pylist(rows, schema=FOUND)


def _concepts(listed: Sequence[Found]) -> dict[str, str]:
    """SNOMED CT concepts of a list, by folded name, and by the code that stands for the same name."""
    of_name = {key_of(row.name): row.code for row in listed if row.system == SNOMED}
    of_code: dict[str, str] = {}
    for row in listed:
        concept = of_name.get(key_of(row.name))
        if row.system != SNOMED and concept:
            of_code.setdefault(row.code, concept)
    return of_code | of_name


def link_file(path: Path, out: Path, by: Names, min_p: float) -> tuple[int, int]:
    """Write the mentions of every note of `path` to `out`, a new CSV or Parquet file; returns notes and mentions.

    Raises DataError for notes that are not to be read.
    """
    if out.exists():
        raise DataError(f"{out}: exists; name a new file")
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"{out}: name it .csv or .parquet")
    notes = mentions = 0
    with atomic_file(out) as file, tqdm(desc="link", unit=" notes", disable=None, leave=False) as bar:
        if out.suffix == ".csv":
            writer = pyarrow.csv.CSVWriter(file, FOUND)
        else:
            writer = parquet_writer(file, FOUND, dictionary=["section", "code", "source", "method"])
        with writer as rows:
            for batch in _batches(path):
                found = by.table(batch.column("note_id"), batch.column("text"), min_p)
                rows.write_table(found)
                notes, mentions = notes + batch.num_rows, mentions + len(found)
                bar.update(batch.num_rows)
    return notes, mentions


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """note_id and text of a file of notes, or of one note named by its file."""
    from chartcode.predict import read_note, read_notes  # and with it the contracts of raw tables

    if path.suffix.lower() != ".txt":
        yield from read_notes(path)
        return
    yield pa.record_batch([pa.array([path.stem]), pa.array([read_note(path)])], names=["note_id", "text"])


def rendered(found: pa.Table) -> str:
    """A table for people: a mention a line, its flags and what decided them at the end."""
    rows = [[*SHOWN, "context"]]
    for row in found.to_pylist():
        flags = " ".join(flag for flag in FLAGS if row[flag])
        context = f"{flags} ({row['trigger']})" if flags else ""
        cells = [row[name] for name in SHOWN]
        rows.append([*map(_cell, cells), context])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    widths[-1] = 0
    return "".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def _cell(value: str | float | None) -> str:
    """One line, whatever it holds."""
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else " ".join(str(value).split())
