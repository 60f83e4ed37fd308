"""Extraction over a hospital: medications, problem-treatment pairs and summaries of every note, and what may be told.

- data/extracted/ (cache): medications.parquet (a row a step of an order), relations.parquet (a row a pair),
  summaries.parquet (note_id and the summary as JSON);
- metrics/stages/extract.json (Git): aggregates through privacy.publish.

Notes go through in small batches, in as many processes as there are cores; rows come out in the order of silver.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer, atomic_file, parquet_writer
from chartcode.errors import DataError
from chartcode.extraction.drugs import LISTS, Medication
from chartcode.extraction.extract import Extracted, extract_note
from chartcode.extraction.lists import entries, names_a_drug
from chartcode.extraction.notes import Mention, Note, notes_of
from chartcode.extraction.orders import Order, Span, route_code, times_per_day
from chartcode.extraction.relations import Relation
from chartcode.parallel import cores
from chartcode.params import Fraction, Section
from chartcode.privacy import Guarded, publish
from chartcode.tables import engine

BATCH = 128  # notes; 1.5 MB of discharge summaries
FIELDS = ("drug", "strength", "dose", "unit", "route", "frequency", "reason", "duration", "quantity")


class ExtractParams(Section):
    """Which mentions enter summaries and pairs."""

    section: ClassVar[str] = "extract"
    min_p: Fraction


def _spans(*names: str) -> list[pa.Field]:
    """Words and their place in the source note, code points, end exclusive."""
    fields = []
    for name in names:
        fields += [
            pa.field(name, pa.string()),
            pa.field(f"{name}_start", pa.int32()),
            pa.field(f"{name}_end", pa.int32()),
        ]
    return fields


MEDICATIONS = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("list", pa.string(), nullable=False),  # admission | discharge | course
        pa.field("section", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),  # entry | rx | dose | change | name
        pa.field("entry", pa.int32(), nullable=False),
        pa.field("step", pa.int32(), nullable=False),
        *_spans(*FIELDS),
        pa.field("route_code", pa.string()),
        pa.field("per_day", pa.float64()),
        pa.field("prn", pa.bool_(), nullable=False),
        pa.field("change", pa.string()),
    ]
)
RELATIONS = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),  # item | prn | for | with
        pa.field("code", pa.string()),
        *_spans("problem", "treatment", "trigger"),
    ]
)
SUMMARIES = pa.schema(
    [pa.field("note_id", pa.string(), nullable=False), pa.field("summary", pa.string(), nullable=False)]
)
COUNTS = (
    "entries",
    "entries_named",
    "entries_ordered",
    "admission",
    "discharge",
    "course",
    "rx",
    "prn",
    "pairs",
    "known_pairs",
)


@dataclass(frozen=True)
class Part:
    """The rows of some notes, and what they count."""

    medications: pa.RecordBatch
    relations: pa.RecordBatch
    summaries: pa.RecordBatch
    counts: dict[str, int]


def write_extracted(
    silver: Artifact,
    mentions: Artifact,
    bronze: Artifact,
    writer: Writer,
    params: ExtractParams,
    workers: int | None = None,
) -> dict[str, float | int | None]:
    """Write the three tables through `writer`; returns the numbers that may be published.

    `workers` (default: one a core) never changes a byte. Raises DataError when the mentions are not of this silver.
    """
    totals = dict.fromkeys(COUNTS, 0)
    with (
        tqdm(desc="extract", total=silver.rows("notes.parquet"), unit=" notes", disable=None, leave=False) as bar,
        _Spool(writer, {"medications": MEDICATIONS, "relations": RELATIONS, "summaries": SUMMARIES}) as spool,
    ):
        for part in _parts(_batches(silver, mentions, params.min_p), workers or cores()):
            for name in ("medications", "relations", "summaries"):
                spool.write(name, getattr(part, name))
            for name, count in part.counts.items():
                totals[name] += count
            bar.update(part.summaries.num_rows)
    return _published(totals, silver, bronze, writer)


def record(path: Path, numbers: dict[str, float | int | None]) -> None:
    """The published numbers as metrics of the stage."""
    with atomic_file(path) as file:
        file.write_text(
            json.dumps({"extract": numbers}, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
        )


class _Spool:
    """Several Parquet files written side by side, batch by batch."""

    def __init__(self, writer: Writer, schemas: dict[str, pa.Schema]) -> None:
        self._writer, self._schemas = writer, schemas

    def __enter__(self) -> _Spool:
        self._rows = dict.fromkeys(self._schemas, 0)
        self._files = {}
        for name, schema in self._schemas.items():
            words = ["list", "section", "form", "route_code", "change", "rule", "code", "unit", "route"]
            encoded = [field.name for field in schema if field.name in words]
            self._files[name] = parquet_writer(self._writer.path(f"{name}.parquet"), schema, encoded)
        self._open = {name: file.__enter__() for name, file in self._files.items()}
        return self

    def write(self, name: str, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self._open[name].write_batch(batch)
        self._rows[name] += batch.num_rows

    def __exit__(self, *raised: Any) -> None:
        for file in self._files.values():
            file.__exit__(*raised)
        for name, rows in self._rows.items():
            self._writer.count(f"{name}.parquet", rows)


def _batches(
    silver: Artifact, mentions: Artifact, min_p: float
) -> Iterator[tuple[pa.RecordBatch, list[list[Mention]]]]:
    """Notes of silver, some at a time, each with its mentions of at least `min_p`; both tables are read once."""
    waiting = _by_note(mentions, min_p)
    ahead = next(waiting, None)
    for batch in silver.batches("notes.parquet", ["note_id", "text", "sections", "edits"], BATCH):
        found: list[list[Mention]] = []
        for note_id in batch.column("note_id").to_pylist():
            found.append([])
            if ahead is not None and ahead[0] == note_id:
                found[-1] = ahead[1]
                ahead = next(waiting, None)
        yield batch, found
    if ahead is not None:
        raise DataError(f"{mentions.folder}: notes in another order than silver has them; run `dvc repro link`")


def _by_note(mentions: Artifact, min_p: float) -> Iterator[tuple[str, list[Mention]]]:
    """Mentions of one note after the other; a note whose mentions are all below `min_p` stands with none."""
    held: tuple[str, list[Mention]] | None = None
    for batch in mentions.batches("mentions.parquet", ["note_id", *Mention._fields]):
        sure = batch.column("p").to_numpy().astype(np.float64) >= min_p
        kept = batch.filter(pa.array(sure))
        found = [
            Mention(*row) for row in zip(*(kept.column(name).to_pylist() for name in Mention._fields), strict=True)
        ]
        before = np.append(0, np.cumsum(sure)).tolist()
        runs = pc.run_end_encode(batch.column("note_id"))
        start = 0
        for note_id, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            if held is None or note_id != held[0]:
                if held is not None:
                    yield held
                held = (note_id, [])
            held[1].extend(found[before[start] : before[end]])
            start = end
    if held is not None:
        yield held


def _parts(batches: Iterator[tuple[pa.RecordBatch, list[list[Mention]]]], workers: int) -> Iterator[Part]:
    """The rows of each batch, in order; a few batches are held at a time."""
    if workers <= 1:
        yield from (make_part(*batch) for batch in batches)
        return
    # A fresh interpreter each: forking a process that has run threads (Arrow) can lock up.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[Part]] = deque()
        for batch in batches:
            waiting.append(pool.submit(make_part, *batch))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make_part(batch: pa.RecordBatch, mentions: list[list[Mention]]) -> Part:
    """Everything of some notes; pure."""
    medications: list[dict[str, Any]] = []
    relations: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    counts = dict.fromkeys(COUNTS, 0)
    for note, own in zip(notes_of(batch), mentions, strict=True):
        found = extract_note(note, own)
        medications += medication_rows(note, found.medications)
        relations += relation_rows(note, found.pairs)
        summaries.append({"note_id": note.note_id, "summary": found.summary.model_dump_json()})
        _count(counts, note, found)
    return Part(
        pa.RecordBatch.from_pylist(medications, MEDICATIONS),
        pa.RecordBatch.from_pylist(relations, RELATIONS),
        pa.RecordBatch.from_pylist(summaries, SUMMARIES),
        counts,
    )


def medication_rows(note: Note, found: list[Medication]) -> list[dict[str, Any]]:
    """Rows of MEDICATIONS."""
    rows = []
    for drug in found:
        order = drug.order
        row: dict[str, Any] = {"note_id": note.note_id, "prn": order.prn is not None}
        row |= {name: getattr(drug, name) for name in ("list", "section", "form", "entry", "step", "change")}
        row |= _placed(note, {"drug": drug.drug, **{name: getattr(order, name) for name in FIELDS[1:]}})
        row["route_code"] = route_code(order.route.text) if order.route else None
        row["per_day"] = times_per_day(order.frequency.text) if order.frequency else None
        rows.append(row)
    return rows


def relation_rows(note: Note, found: list[Relation]) -> list[dict[str, Any]]:
    """Rows of RELATIONS."""
    return [
        {"note_id": note.note_id, "rule": pair.rule, "code": pair.mention.code if pair.mention else None}
        | _placed(note, {"problem": pair.problem, "treatment": pair.treatment, "trigger": pair.trigger})
        for pair in found
    ]


def _placed(note: Note, spans: dict[str, Span | None]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, span in spans.items():
        start, end = note.source(span) if span else (None, None)
        columns |= {name: span.text if span else None, f"{name}_start": start, f"{name}_end": end}
    return columns


def _count(counts: dict[str, int], note: Note, found: Extracted) -> None:
    listed = [drug for drug in found.medications if drug.form == "entry" and drug.step == 0]
    places = [place for section in note.sections if section.name in LISTS for place in entries(note.text, section)]
    counts["entries"] += sum(1 for start, end in places if names_a_drug(note.text[start:end]))
    counts["entries_named"] += len(listed)
    counts["entries_ordered"] += sum(1 for drug in listed if drug.order != Order())
    for drug in found.medications:
        counts[drug.list] += 1
        counts["rx"] += drug.form == "rx"
        counts["prn"] += drug.order.prn is not None
    counts["pairs"] += len(found.pairs)
    counts["known_pairs"] += sum(1 for pair in found.pairs if pair.mention is not None)


def _published(
    totals: dict[str, int], silver: Artifact, bronze: Artifact, writer: Writer
) -> dict[str, float | int | None]:
    """Counts and shares; where bronze knows orders, how the drugs of the lists agree with them."""
    patients = pc.count_distinct(silver.table("notes.parquet", ["subject_id"])["subject_id"]).as_py()
    numbers = {name: Guarded.count(count) for name, count in totals.items()}
    shares = {"entries_named": "entries", "entries_ordered": "entries", "known_pairs": "pairs"}
    for name, whole in shares.items():
        part, all_of = totals[name], totals[whole]
        numbers[f"{name}_share"] = Guarded(part / all_of if all_of else float("nan"), (part, all_of - part))
        numbers[name] = numbers[name].plus(all_of - part)
    if "prescriptions.parquet" in bronze.names() and bronze.rows("prescriptions.parquet"):
        numbers |= _pharmacy(silver, bronze, writer)
    return publish(numbers, patients)


def _pharmacy(silver: Artifact, bronze: Artifact, writer: Writer) -> dict[str, Guarded]:
    """Drugs of the lists beside the orders of the stay, by the first word of their names, each once an admission.

    `listed_ordered`: share of the listed drugs that were ordered; `ordered_listed`: share of the ordered drugs listed.
    """

    def first(name: Any) -> Any:
        return name.lower().re_extract(r"([a-z][a-z\-]{2,})", 1)

    with engine.engine() as connection:
        stays = engine.table(connection, silver, "notes.parquet").select("note_id", "hadm_id")
        read = partial(connection.read_parquet, writer.path("medications.parquet").as_posix())
        found = read().filter(lambda rows: rows.form == "entry").join(stays, "note_id")
        listed = found.select("hadm_id", word=first(found.drug)).filter(lambda rows: rows.word != "").distinct()
        orders = engine.table(connection, bronze, "prescriptions.parquet").semi_join(stays, "hadm_id")
        ordered = orders.select("hadm_id", word=first(orders.drug)).filter(lambda rows: rows.word != "").distinct()
        both = listed.semi_join(ordered, ["hadm_id", "word"])
        counts = [int(rows.count().execute()) for rows in (listed, ordered, both)]
    of_listed, of_ordered, shared = counts
    return {
        "listed_ordered": Guarded(shared / of_listed if of_listed else float("nan"), (shared, of_listed - shared)),
        "ordered_listed": Guarded(shared / of_ordered if of_ordered else float("nan"), (shared, of_ordered - shared)),
    }
