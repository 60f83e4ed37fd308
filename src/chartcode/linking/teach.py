"""Stage `link`: spots every name in every note, learns from train what the names come to, and judges all mentions.

Notes are read once, in batches, by as many processes as there are cores; what was spotted waits on disk. p of train
notes comes from the other folds of patients (keyed hash), so that a model may learn from it; p of val and test from
all of train. Codes are counted in the latest edition and told in that of the note's year.
Legend: N notes, M mentions, S surfaces, C codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from scipy import sparse as sp
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import DataError
from chartcode.folds import patient_folds
from chartcode.linking.calibration import BAG, Occurrences, learn, untaught, with_factors
from chartcode.linking.dictionary import Dictionary, compile_terms
from chartcode.linking.flags import ORDER
from chartcode.linking.linker import OF_ALL, SIDES, Judge, contexts, save, years_of
from chartcode.linking.marks import mark_terms, marked_train
from chartcode.linking.mentions import MENTIONS, SPOTTED
from chartcode.linking.places import TRAIN_FILE
from chartcode.linking.places import learn as learn_places
from chartcode.linking.spotting import spot
from chartcode.linking.terminology.editions import Codes
from chartcode.pair_trees import PairParams
from chartcode.params import NonNegative, Positive, Section, Seed
from chartcode.tables.labels import Gold

Array = np.ndarray[Any, Any]
# Contexts (linker.contexts) in which a surface counts as seen: affirmed, historical, uncertain; none found by a bag.
COUNTED = (0, *(1 + ORDER.index(flag) for flag in ("historical", "uncertain")))


class LinkParams(Section):
    """How names are matched, and what p is learned from."""

    section: ClassVar[str] = "link"
    language: Literal["en", "es"]
    learn_from: Literal["codes", "evidence", "nothing"]
    year: NonNegative
    max_words: Positive
    strength: Annotated[float, Field(gt=0)]
    min_p: Annotated[float, Field(gt=0, lt=1)]
    alternatives: Positive
    folds: Annotated[int, Field(ge=2, le=20)]
    seed: Seed
    places: PairParams


def link(
    silver: Artifact,
    gold: Gold,
    bronze: Artifact,
    terminology: Artifact,
    params: LinkParams,
    tables: Sequence[str],
    model: Writer,
    mentions: Writer,
) -> dict[str, Any]:
    """Write the linker and the mentions of every note; returns counts for the log.

    `tables` are those of silver's codes.parquet that count (gold.tables).
    """
    codes_table = terminology.table("codes.parquet")
    codes = Codes(codes_table)
    truth = silver.table("codes.parquet").filter((pc.field("icd_version") == 10) & pc.field("table").isin(list(tables)))
    if params.learn_from != "nothing" and not len(truth):
        raise DataError(
            f"{silver.folder}/codes.parquet: no ICD-10 code in gold.tables, and link learns from no other; "
            "set link.learn_from to nothing"
        )
    terms = terminology.table("terms.parquet")
    marked = marked_train(gold, bronze, truth) if params.learn_from == "evidence" else {}
    if marked:
        terms = pa.concat_tables([terms, mark_terms(marked, bronze.source, params.language)])
    dictionary = compile_terms(terms, [params.language], params.max_words)
    notes = silver.table("notes.parquet", ["note_id", "subject_id", "hadm_id", "year"])
    rows = {note_id: row for row, note_id in enumerate(notes["note_id"].to_pylist())}
    spotted = mentions.path("spotted.parquet")
    mentions.parquet(
        "spotted.parquet", spot(silver, dictionary.surfaces, params.language, np.full(len(rows), OF_ALL), {}), SPOTTED
    )
    train = gold.split == "train"
    folds = patient_folds(gold.subject_id.tolist(), params.folds, params.seed)
    taught, without = untaught(dictionary.candidates, len(dictionary.surfaces), params.strength), None
    if params.learn_from != "nothing":
        held = _occurrences(mentions, rows, gold.hadm_id, truth, codes, train, folds, len(dictionary.surfaces))
        taught, *left_out = learn(dictionary.candidates, held, params.strength, params.min_p)
        without = (left_out[0], left_out[1])
    keys = dictionary.surfaces["key"].to_pylist()
    years, of_fold = years_of(notes, params.year), np.where(train, folds, OF_ALL)
    if without is not None:
        judge = Judge(taught, keys, codes, params.alternatives, without)
        if marked:
            hidden = {fold: _of_fold_alone(dictionary, judge, fold) for fold in range(params.folds)}
            again = spot(silver, dictionary.surfaces, params.language, of_fold, hidden)
            mentions.parquet("spotted.parquet", again, SPOTTED)
        taught = with_factors(taught, *_promises(judge, mentions, rows, gold.hadm_id, truth, train, years, of_fold))
    judge = Judge(taught, keys, codes, params.alternatives, without)
    written = mentions.parquet(
        "mentions.parquet",
        _judged(judge, mentions, rows, years, of_fold),
        MENTIONS,
        ["section", "key", "code", "source"],
    )
    spotted.unlink()
    save(model, dictionary.surfaces, taught, codes_table, params.language, params.alternatives, params.year)
    if marked:
        fold_of_note = dict(zip(gold.hadm_id.tolist(), folds.tolist(), strict=True))
        own = {note_id: fold_of_note[note.hadm_id] for note_id, note in marked.items()}
        learned = learn_places(params.places, marked, own, _of_notes(mentions, list(marked)), params.language)
        if learned is not None:
            learned[0].save(model)
            mentions.parquet(TRAIN_FILE, learned[1], ["note_id", "code"])
    return {"notes": len(rows), "mentions": written, "surfaces": len(keys), "factors": dict(taught.factors)}


def _of_fold_alone(dictionary: Dictionary, judge: Judge, fold: int) -> Array:
    """The surfaces that nothing but this fold of train gives."""
    marked = np.flatnonzero(pc.equal(dictionary.surfaces["kind"], "mention").to_numpy(zero_copy_only=False))
    asked = pa.table({"surface": pa.array(marked, pa.int32())})
    found: Array = marked[~judge.offered(asked, np.zeros_like(marked), np.full_like(marked, fold))]
    return found


def _batches(mentions: Writer, rows: Mapping[str, int]) -> Iterator[tuple[pa.Table, Array]]:
    """What was spotted, in batches, and the row of silver of each mention (M,)."""
    from pyarrow import parquet as pq

    with (
        pq.ParquetFile(mentions.path("spotted.parquet"), page_checksum_verification=True) as file,
        tqdm(total=file.metadata.num_rows, desc="link", unit=" mentions", disable=None, leave=False) as bar,
    ):
        for batch in file.iter_batches(1 << 16):
            ids = batch.column("note_id").dictionary_encode()
            of_id = np.array([rows[note_id] for note_id in ids.dictionary.to_pylist()], np.int64)
            yield pa.Table.from_batches([batch]), of_id[ids.indices.to_numpy()]
            bar.update(batch.num_rows)


def _occurrences(
    mentions: Writer,
    rows: Mapping[str, int],
    hadm_ids: Array,
    truth: pa.Table,
    codes: Codes,
    train: Array,
    folds: Array,
    surfaces: int,
) -> Occurrences:
    """Affirmed surfaces and codes of the train notes."""
    notes, found = [], []
    for table, row in _batches(mentions, rows):
        kept = train[row] & np.isin(contexts(table), COUNTED)
        notes.append(row[kept])
        found.append(table["surface"].to_numpy()[kept])
    note, surface = np.concatenate([*notes, np.zeros(0, np.int64)]), np.concatenate([*found, np.zeros(0, np.int32)])
    place = np.cumsum(train) - 1
    shape = (int(train.sum()), surfaces)
    held = sp.csr_matrix((np.ones(len(note), np.int8), (place[note], surface)), shape)
    held.data[:] = 1  # named twice is named
    return Occurrences(held, *coded(truth, codes, hadm_ids[train]), folds[train])


def coded(truth: pa.Table, codes: Codes, hadm_ids: Array) -> tuple[Any, list[str]]:
    """Codes of these admissions, binary CSR, in the latest edition, and their names."""
    place = {hadm_id: row for row, hadm_id in enumerate(hadm_ids.tolist())}
    truth = truth.filter(pc.is_in(truth["hadm_id"], pa.array(hadm_ids)))
    said = [codes.of_year(code, 0) for code in truth["icd_code"].to_pylist()]
    names = sorted(set(said))
    column = {code: number for number, code in enumerate(names)}
    pairs = ([place[h] for h in truth["hadm_id"].to_pylist()], [column[code] for code in said])
    found = sp.csr_matrix((np.ones(len(said), np.int8), pairs), (len(hadm_ids), len(names)))
    found.data[:] = 1
    return found, names


def _promises(
    judge: Judge,
    mentions: Writer,
    rows: Mapping[str, int],
    hadm_ids: Array,
    truth: pa.Table,
    train: Array,
    years: Array,
    folds: Array,
) -> tuple[dict[str, float], dict[str, float]]:
    """What p of an affirmed mention promises for the mentions of each context in train, and what came.

    Of notes where the surface is never affirmed; a surface counts once a note and context.
    """
    promised, came = dict.fromkeys((*ORDER, BAG), 0.0), dict.fromkeys((*ORDER, BAG), 0.0)
    true = set(zip(truth["hadm_id"].to_pylist(), truth["icd_code"].to_pylist(), strict=True))
    for spotted, row in _batches(mentions, rows):
        context = contexts(spotted)
        pair = row * (1 << 32) + spotted["surface"].to_numpy().astype(np.int64)
        alone = train[row] & ~np.isin(pair, pair[context == 0]) & judge.offered(spotted, years[row], folds[row])
        if not alone.any():
            continue
        _, first = np.unique(np.stack([pair[alone], context[alone]]), axis=1, return_index=True)
        some = np.flatnonzero(alone)[first]
        judged = judge.judge(spotted.take(pa.array(some)), years[row[some]], folds[row[some]], np.zeros_like(some))
        said = zip(
            row[some].tolist(), context[some].tolist(), judged["code"].to_pylist(), judged["p"].to_pylist(), strict=True
        )
        for note, of, code, p in said:
            name = ORDER[of % SIDES - 1] if of % SIDES else BAG
            promised[name] += p
            came[name] += (int(hadm_ids[note]), code) in true
    return promised, came


def _judged(
    judge: Judge, mentions: Writer, rows: Mapping[str, int], years: Array, folds: Array
) -> Iterator[pa.RecordBatch]:
    for found, of in _batches(mentions, rows):
        offered = judge.offered(found, years[of], folds[of])
        spotted, row = found.filter(pa.array(offered)), of[offered]
        yield from judge.judge(spotted, years[row], folds[row]).combine_chunks().to_batches()


def _of_notes(mentions: Writer, note_ids: list[str]) -> pa.Table:
    """What places.py reads of the mentions written of these notes."""
    from pyarrow import parquet as pq

    columns, wanted = ["note_id", "start", "end", "alternatives"], pa.array(note_ids, pa.string())
    with pq.ParquetFile(mentions.path("mentions.parquet"), page_checksum_verification=True) as file:
        batches = file.iter_batches(1 << 16, columns=columns)
        some = [batch.filter(pc.is_in(batch.column("note_id"), wanted)) for batch in batches]
        return pa.Table.from_batches(some, schema=pa.schema([MENTIONS.field(column) for column in columns]))
