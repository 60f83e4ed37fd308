"""Silver: one clean note per coded admission, its codes, and a reason for every note left out.

The cohort is planned as Ibis expressions over bronze and run on DuckDB, without the text: that is read once, waits on
disk and goes through the cleaning kernel in the order of patients and admissions, a few notes at a time.
Notes in = notes out + excluded, and the waterfall says where each went.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.params import DataParams, GoldParams, SilverParams
from chartcode.tables import engine
from chartcode.tables.cleaning import EDITS_TYPE, SECTIONS_TYPE, clean_batch
from chartcode.tables.codes import codes, label_codes

SILVER_SCHEMA = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("hadm_id", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),  # whitespace tokens of the clean text
        pa.field("sections", SECTIONS_TYPE, nullable=False),
        pa.field("edits", EDITS_TYPE, nullable=False),  # segments for cleaning.to_source
        pa.field("age", pa.int16()),  # years at admission
        pa.field("sex", pa.string()),
        pa.field("race", pa.string()),
        pa.field("year", pa.int16()),  # of admission, un-shifted to the middle of anchor_year_group
    ]
)
CODES_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("hadm_id", pa.int64(), nullable=False),
        pa.field("table", pa.string(), nullable=False),  # diagnoses | procedures
        pa.field("icd_version", pa.int64(), nullable=False),
        pa.field("icd_code", pa.string(), nullable=False),
        pa.field("seq_num", pa.int64(), nullable=False),  # the first place the code takes
    ]
)
# Why a note stays out, in the order of the waterfall; the reference cohort is counted the same way.
REASONS = (
    "note type not in silver.note_types",
    "no such admission",
    "no such patient",
    "no code of gold.icd_version in gold.tables",
    "a later note of the admission is used",
    "patient not in the sample of data.max_patients",
    "fewer tokens than silver.min_tokens",
    "the same words stand for several patients",
)
_KEPT = ""
OLDEST = 120  # years


def cohort(discharge: Any, admissions: Any, patients: Any, coded: Any, note_types: Sequence[str]) -> Any:
    """Every note with the reason it is left out ("" if none yet), and the facts of its admission.

    `coded` has one row per admission (hadm_id, subject_id) that carries a code of the label tables.
    """
    notes = discharge.select("note_id", "subject_id", "hadm_id", "note_type", "note_seq")
    stays = admissions.select(
        "subject_id", "hadm_id", "race", stay=ibis.literal(True), admitted=admissions.admittime.year()
    )
    people = patients.mutate(known=ibis.literal(True))
    coded = coded.select("subject_id", "hadm_id", coded=ibis.literal(True)).distinct()
    rows = notes.left_join(stays, ["subject_id", "hadm_id"]).drop("subject_id_right", "hadm_id_right")
    rows = rows.left_join(people, "subject_id").drop("subject_id_right")
    rows = rows.left_join(coded, ["subject_id", "hadm_id"]).drop("subject_id_right", "hadm_id_right")
    rows = rows.mutate(
        reason=ibis.cases(
            (~rows.note_type.isin(list(note_types)), REASONS[0]),
            (rows.stay.isnull(), REASONS[1]),
            (rows.known.isnull(), REASONS[2]),
            (rows.coded.isnull(), REASONS[3]),
            else_=_KEPT,
        )
    )
    of_stay = ibis.window(group_by=[rows.hadm_id, rows.reason], order_by=[rows.note_seq.desc(), rows.note_id.desc()])
    rows = rows.mutate(place=ibis.row_number().over(of_stay))
    rows = rows.mutate(reason=((rows.reason == _KEPT) & (rows.place > 0)).ifelse(REASONS[4], rows.reason))
    since_anchor = rows.admitted - rows.anchor_year
    # anchor_year_group is `2008 - 2010`: the middle year, moved by the years since the patient's anchor.
    group = rows.anchor_year_group.substr(0, 4).try_cast("int64") + 1
    age = rows.anchor_age + since_anchor
    plausible = age.between(0, OLDEST)  # an anchor far from the admission gives a 300-year age: unknown, then
    return rows.select(
        "note_id",
        "subject_id",
        "hadm_id",
        "reason",
        "race",
        age=plausible.ifelse(age, None).cast("int16"),
        sex=rows.gender,
        year=(plausible.ifelse(group, None) + since_anchor).cast("int16"),
    )


def sample_patients(subjects: pa.Array, most: int) -> pa.Array:
    """At most `most` of the patients, the same ones on every machine: those with the smallest keyed hash."""
    unique = sorted(set(subjects.to_pylist()), key=lambda s: sha256(f"sample:{s}".encode()).digest())
    return pa.array(sorted(unique[:most]), pa.int64())


def write_silver(
    bronze: Artifact, writer: Writer, data: DataParams, silver: SilverParams, gold: GoldParams
) -> list[dict[str, Any]]:
    """notes.parquet, codes.parquet, excluded.parquet and waterfall.json; returns the waterfall.

    Raises DataError when the source has no notes or none is left.
    """
    if bronze.rows("discharge.parquet") == 0:
        raise DataError(
            f"data/raw/{bronze.source}/note/discharge.csv.gz: no notes (header only); "
            "silver needs discharge summaries, link them with `chartcode link-mimic --note`"
        )
    with engine.engine() as connection:
        tables = {n: engine.table(connection, bronze, f"{n}.parquet") for n in _TABLES}
        every_code = codes(tables["diagnoses_icd"], tables["procedures_icd"])
        coded = label_codes(every_code, gold)
        planned = cohort(
            tables["discharge"], tables["admissions"], tables["patients"], coded, silver.note_types
        ).to_pyarrow()
        planned = _sampled(planned, data.max_patients)
        _check_plan(planned, bronze.rows("discharge.parquet"))
        written: list[pa.Table] = []
        notes = _long_enough(bronze, _kept(planned), max(silver.min_tokens, 1), writer.folder, written)
        writer.parquet("notes.parquet", notes, SILVER_SCHEMA, _ENCODED)
        found = pa.concat_tables(written)
        planned = _left_out(planned, pc.invert(pc.is_in(planned["note_id"], found["note_id"])), REASONS[6])
        shared = _shared(found)
        if len(shared):
            writer.filter_parquet(
                "notes.parquet", lambda batch: pc.invert(pc.is_in(batch["note_id"], shared)), _ENCODED
            )
            planned = _left_out(planned, pc.is_in(planned["note_id"], shared), REASONS[7])
        _check_notes(_kept(planned), writer.rows("notes.parquet"))
        admitted = every_code.semi_join(
            ibis.memtable(_kept(planned).select(["subject_id", "hadm_id"])), ["subject_id", "hadm_id"]
        ).order_by(["subject_id", "hadm_id", "table", "seq_num", "icd_code", "icd_version"])
        writer.parquet("codes.parquet", admitted.to_pyarrow().select(CODES_SCHEMA.names).cast(CODES_SCHEMA))
    excluded = _excluded(planned)
    writer.parquet("excluded.parquet", excluded)
    waterfall = _waterfall(planned, excluded)
    if waterfall[-1]["notes"] == 0:
        raise DataError("data/silver: no note is left; the waterfall above says which rule took them")
    writer.json("waterfall.json", waterfall)
    return waterfall


_TABLES = ("discharge", "admissions", "patients", "diagnoses_icd", "procedures_icd")
_ENCODED = ["sex", "race", "age", "year"]


_BATCH = 512  # notes; 6 MB of discharge summaries


def _kept(planned: pa.Table) -> pa.Table:
    """The notes of the plan that are to be kept, in the order of patients and admissions."""
    kept = planned.filter(pc.equal(planned["reason"], _KEPT)).drop_columns(["reason"])
    return kept.sort_by([("subject_id", "ascending"), ("hadm_id", "ascending")]).combine_chunks()


def _texts(bronze: Artifact, notes: list[str], folder: Path) -> Iterator[pa.Array]:
    """The texts of these notes in their order, a batch at a time.

    The raw notes stand in any order and are read once: their bytes wait in a nameless file of `folder`.
    """
    places = {note: place for place, note in enumerate(notes)}
    starts, sizes = np.zeros((2, len(notes)), np.int64)
    with tempfile.TemporaryFile(dir=folder) as waiting:
        end = 0
        for batch in bronze.batches("discharge.parquet", ["note_id", "text"], _BATCH):
            texts = batch["text"].view(pa.binary())
            for row, note in enumerate(batch["note_id"].to_pylist()):
                place = places.get(note)
                if place is not None:
                    text = texts[row].as_buffer()
                    starts[place], sizes[place] = end, text.size
                    end += waiting.write(text)
        waiting.flush()
        for first in range(0, max(len(notes), 1), _BATCH):  # without notes, one batch without texts
            some = slice(first, first + _BATCH)
            stretches = zip(sizes[some].tolist(), starts[some].tolist(), strict=True)
            texts = [os.pread(waiting.fileno(), size, start) for size, start in stretches]
            yield pa.array(texts, pa.binary()).view(pa.string())


def _long_enough(
    bronze: Artifact, kept: pa.Table, min_tokens: int, folder: Path, written: list[pa.Table]
) -> Iterator[pa.RecordBatch]:
    """Cleaned notes of enough tokens; `written` collects note_id, subject_id and the digest of the words of each."""
    with tqdm(desc="silver notes", total=kept.num_rows, unit=" notes", disable=None, leave=False) as bar:
        first = 0
        for texts in _texts(bronze, kept["note_id"].to_pylist(), folder):
            cleaned = clean_batch(texts)
            notes = kept.slice(first, len(texts))
            for field in cleaned.type:
                notes = notes.append_column(field.name, cleaned.field(field.name))
            notes = notes.filter(pc.greater_equal(notes["n_tokens"], min_tokens))
            written.append(notes.select(["note_id", "subject_id", "words"]))
            yield from notes.select(SILVER_SCHEMA.names).cast(SILVER_SCHEMA).to_batches()
            first += len(texts)
            bar.update(len(texts))


def _shared(notes: pa.Table) -> pa.Array:
    """note_id of those whose words stand for several patients."""
    patients = notes.group_by("words").aggregate([("subject_id", "count_distinct")])
    several = patients.filter(pc.greater(patients["subject_id_count_distinct"], 1))["words"]
    return notes.filter(pc.is_in(notes["words"], several))["note_id"].combine_chunks()


def _sampled(planned: pa.Table, most: int | None) -> pa.Table:
    """The plan, with at most `most` patients among the notes to be kept."""
    if most is None:
        return planned
    chosen = sample_patients(planned.filter(pc.equal(planned["reason"], _KEPT))["subject_id"], most)
    return _left_out(planned, pc.invert(pc.is_in(planned["subject_id"], chosen)), REASONS[5])


def _left_out(planned: pa.Table, which: pa.ChunkedArray, reason: str) -> pa.Table:
    """The plan, with `reason` for those of the notes to be kept that `which` marks."""
    lost = pc.and_(pc.equal(planned["reason"], _KEPT), which)
    place = planned.schema.get_field_index("reason")
    return planned.set_column(place, "reason", pc.if_else(lost, reason, planned["reason"]))


def _excluded(planned: pa.Table) -> pa.Table:
    """Notes that are not in silver, each with its reason, sorted."""
    out = planned.filter(pc.not_equal(planned["reason"], _KEPT)).select(["note_id", "subject_id", "hadm_id", "reason"])
    return out.sort_by([("subject_id", "ascending"), ("note_id", "ascending")])


def _check_plan(planned: pa.Table, notes_in: int) -> None:
    """No note is multiplied or lost by a join."""
    if planned.num_rows != notes_in or pc.count_distinct(planned["note_id"]).as_py() != notes_in:
        raise DataError("data/bronze: a note meets several admissions or patients; run `dvc repro --force bronze`")


def _check_notes(kept: pa.Table, written: int) -> None:
    """The contract of silver: what the plan keeps is written, one note an admission, nothing required missing."""
    if kept.num_rows != written:
        raise DataError("data/silver: notes.parquet: not the notes of the plan; run `dvc repro --force silver`")
    if pc.count_distinct(kept["hadm_id"]).as_py() != kept.num_rows:
        raise DataError("data/silver: hadm_id: an admission has two notes; run `dvc repro --force silver`")
    for name in ("note_id", "subject_id", "hadm_id"):
        if kept[name].null_count:
            raise DataError(f"data/silver: {name}: missing in some row; run `dvc repro --force silver`")


def _waterfall(planned: pa.Table, excluded: pa.Table) -> list[dict[str, Any]]:
    """The cohort step by step: how many notes each rule takes out and how many are left."""
    removed = {row["values"]: row["counts"] for row in pc.value_counts(excluded["reason"]).to_pylist()}
    left = planned.num_rows
    steps: list[dict[str, Any]] = [{"step": "discharge notes", "removed": 0, "notes": left}]
    for reason in REASONS:
        count = removed.get(reason, 0)
        left -= count
        steps.append({"step": reason, "removed": count, "notes": left})
    logger = log("silver")
    for step in steps:
        logger.info(step["step"], removed=step["removed"], notes=step["notes"])
    return steps
