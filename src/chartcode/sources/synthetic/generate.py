"""The synthetic hospital as files: patients in fixed chunks, each chunk written by one process, joined in order.

A chunk is compressed where it is made and the compressed members are joined (a gzip file may have several), so memory
stays flat and the bytes depend on nothing but the params: not on the number of processes, not on their order.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from isal import igzip
from tqdm import tqdm

from chartcode.artifacts import Writer, parquet_writer
from chartcode.logs import log
from chartcode.parallel import cores
from chartcode.sources.synthetic import icd9, labels
from chartcode.sources.synthetic.codes import catalogue
from chartcode.sources.synthetic.hospital import TABLES, Blueprint, Hospital, Rows, length_table, to_csv
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.rates import rates
from chartcode.tables.schemas import EVIDENCE_FILE, EVIDENCE_SCHEMA, RAW_TABLES, SPLITS_FILE, SPLITS_HEADER

CHUNK = 100  # patients; part of the format, for it decides where gzip members end
_LEVEL = 1  # of igzip: 0 to 3; the bytes of 3 differ from CPU to CPU (seen under emulation), those of 0 to 2 do not

# The truth about every condition a note names, also those it takes back: order of discharge, then of the text.
MENTIONS_FILE = "mentions.parquet"
MENTIONS_SCHEMA = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("icd_code", pa.string(), nullable=False),  # ICD-10-CM, undotted, of ICD-9 stays too
        pa.field("start", pa.int32(), nullable=False),  # code points of the raw note
        pa.field("end", pa.int32(), nullable=False),  # exclusive
        pa.field("kind", pa.string(), nullable=False),  # as in the evidence
        pa.field("context", pa.string(), nullable=False),  # affirmed | negated | family | ruled_out | historical
        pa.field("coded", pa.bool_(), nullable=False),  # the stay carries its code; if affirmed too, it is evidence
    ]
)

Made = TypeVar("Made")
_hospital: Hospital | None = None  # of a worker process


@dataclass(frozen=True)
class Chunk:
    """The files' parts for some patients: a gzip member and a number of rows for each table, evidence and mentions."""

    members: dict[str, bytes]
    rows: dict[str, int]
    evidence: pa.RecordBatch
    mentions: pa.RecordBatch


def blueprint(params: SyntheticParams) -> Blueprint:
    """Fit the hospital to the published statistics; some five seconds."""
    known = catalogue()
    return Blueprint(params, labels.model(), rates(params), known.codes, known.titles, length_table(), params.seed)


def make_chunk(hospital: Hospital, first: int, last: int) -> Chunk:
    """Patients `first` to `last` - 1."""
    rows = Rows()
    for number in range(first, last):
        hospital.patient(number, rows)
    members = {name: _member(to_csv(name, rows.tables[name])) for name in TABLES}
    return Chunk(
        members,
        {name: len(rows.tables[name]) for name in TABLES},
        _batch(rows.evidence, EVIDENCE_SCHEMA),
        _batch(rows.truth, MENTIONS_SCHEMA),
    )


def _batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _member(data: bytes) -> bytes:
    return igzip.compress(data, _LEVEL, mtime=0) if data else b""


def _start(plan: Blueprint) -> None:
    global _hospital  # noqa: PLW0603  # a worker's only way to keep what it was started with
    _hospital = Hospital(plan)


def _work(make: Callable[[Hospital, int, int], Made], first: int, last: int) -> Made:
    if _hospital is None:
        raise RuntimeError("worker was not started")
    return make(_hospital, first, last)


def chunks(plan: Blueprint, workers: int, make: Callable[[Hospital, int, int], Made]) -> Iterator[Made]:
    """What `make` makes of each chunk of patients, in order, from `workers` processes; a few are held at a time."""
    spans = [(first, min(first + CHUNK, plan.params.patients)) for first in range(0, plan.params.patients, CHUNK)]
    if workers <= 1 or len(spans) == 1:
        hospital = Hospital(plan)
        for span in spans:
            yield make(hospital, *span)
        return
    # A fresh interpreter each: forking a process that has run threads (Arrow, BLAS) can lock up.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(plan,)) as pool:
        waiting: deque[Future[Made]] = deque()
        for first, last in spans:
            waiting.append(pool.submit(_work, make, first, last))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def generate(params: SyntheticParams, writer: Writer, workers: int | None = None) -> None:
    """Write every file of the source folder through `writer`. `workers` (default: one a CPU) never changes a byte."""
    plan = blueprint(params)
    counts = dict.fromkeys((*TABLES, "mentions"), 0)
    with ExitStack() as stack:
        files = {name: stack.enter_context(writer.path(RAW_TABLES[name].path).open("wb")) for name in TABLES}
        for name, file in files.items():
            file.write(_member((",".join(RAW_TABLES[name].header) + "\n").encode()))
        mentions = stack.enter_context(parquet_writer(writer.path(MENTIONS_FILE), MENTIONS_SCHEMA))
        progress = stack.enter_context(
            tqdm(total=params.patients, unit=" patients", file=sys.stderr, disable=not sys.stderr.isatty())
        )

        def evidence() -> Iterator[pa.RecordBatch]:
            for chunk in chunks(plan, workers or cores(), make_chunk):
                for name in TABLES:
                    files[name].write(chunk.members[name])
                    counts[name] += chunk.rows[name]
                mentions.write_batch(chunk.mentions)
                counts["mentions"] += chunk.mentions.num_rows
                progress.update(chunk.rows["patients"])
                yield chunk.evidence

        evidence_rows = writer.parquet(EVIDENCE_FILE, evidence(), EVIDENCE_SCHEMA, row_group=1 << 16)
    for name in TABLES:
        writer.count(RAW_TABLES[name].path, counts[name])
    writer.count(MENTIONS_FILE, counts["mentions"])
    _dictionary(plan, writer)
    writer.path(SPLITS_FILE, 0).write_text(",".join(SPLITS_HEADER) + "\n", encoding="utf-8")
    log("synthetic").info(
        "synthetic hospital written",
        notes=counts["discharge"],
        patients=counts["patients"],
        evidence=evidence_rows,
        mentions=counts["mentions"],
    )


def _dictionary(plan: Blueprint, writer: Writer) -> None:
    """d_icd_diagnoses: every code in use, both versions, with its long title."""
    rows = [(code, 9, title) for code, title in icd9.titles().items()]
    rows += [(code, 10, title) for code, title in zip(plan.codes, plan.titles, strict=True)]
    table = RAW_TABLES["d_icd_diagnoses"]
    header = (",".join(table.header) + "\n").encode()
    writer.path(table.path, len(rows)).write_bytes(
        _member(header + to_csv("d_icd_diagnoses", sorted(rows, key=lambda row: (row[1], row[0]))))
    )
