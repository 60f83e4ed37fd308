"""What a note's mentions say about each code they may stand for: numbers that a model can weigh.

A mention has several codes, each with p; a code has several mentions. Nothing is dropped for its context: a negated
mention, or one of a relative, is a number of its own.
Legend: N notes, M mentions, E mention-code entries, P note-code pairs, F features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode import icd
from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.linking.flags import FLAGS, TAKEN_BACK

Array = np.ndarray[Any, Any]
FILE = "mentions.parquet"
# Where discharge summaries say what was coded, by kind of section.
PLACES = {
    "of_diagnosis": ("discharge_diagnosis", "chief_complaint"),
    "of_history": ("past_medical_history", "past_surgical_history"),
    "of_course": ("history_of_present_illness", "hospital_course"),
    "of_results": ("physical_exam", "pertinent_results", "procedures"),
    "of_drugs": ("medications_on_admission", "discharge_medications"),
}
FEATURES = (
    "p",  # the largest
    "best",  # whether the names prefer this code at some mention
    "named",  # whether some name says so, and not train alone
    "seen",  # log of the train notes with the surface of largest p
    "together",  # log of those with the code
    "mentions",
    "surfaces",
    "first",  # how far down the note it is first named, 0 to 1
    "rival",  # largest p of another code of the mention of largest p
    "either",  # 1 - product of 1 - p over surfaces
    "category",  # largest p of a code of the same category
    "siblings",  # other codes named of that category
    "words",  # of the surface of largest p
    "letters",
    "rank",  # log of the place by p among the note's codes
    *FLAGS,  # share of its mentions
    "affirmed",  # largest p of a mention that is not taken back
    *PLACES,  # largest p in such sections
)
_COLUMNS = ("note_id", "start", "end", "section", "key", "alternatives", *FLAGS)


class Pairs(NamedTuple):
    """Codes of notes: row of the note and column of the code (P,), sorted, and their features float64 (P, F)."""

    rows: Array
    columns: Array
    features: Array


class _Entries(NamedTuple):
    """A code of a mention, each (E,)."""

    mention: Array
    row: Array
    column: Array
    p: Array
    seen: Array
    together: Array
    named: Array
    best: Array


def pairs_of(mentions: pa.Table, rows: Array, lengths: Array, columns: dict[str, int], category: Array) -> Pairs:
    """Of the mentions (M,) of notes `rows` (M,), whose source texts are of `lengths` (N,) code points.

    `columns` numbers the label space, and `category` (L,) the categories of its codes; other codes are left out.
    """
    entries = _entries(mentions, rows, columns)
    order = np.lexsort((-entries.p, entries.column, entries.row))
    e = _Entries(*(values[order] for values in entries))
    if not len(e.row):
        return Pairs(e.row, e.column, np.zeros((0, len(FEATURES))))
    starts = np.flatnonzero(np.append(True, (np.diff(e.row) != 0) | (np.diff(e.column) != 0)))
    sizes = np.diff(np.append(starts, len(e.row)))
    pair = np.repeat(np.arange(len(starts)), sizes)
    row, column, p = e.row[starts], e.column[starts], e.p[starts]
    keys = mentions["key"].combine_chunks().dictionary_encode()
    key = keys.indices.to_numpy()[e.mention]
    names = keys.dictionary.to_pylist()
    words, letters = (np.array(x, np.float64) for x in ([n.count(" ") + 1 for n in names], [len(n) for n in names]))
    place = mentions["start"].to_numpy()[e.mention] / np.maximum(1, lengths[e.row])
    either, surfaces = _over_surfaces(pair, key, e.p, len(starts))
    flags = {flag: mentions[flag].to_numpy().astype(np.float64)[e.mention] for flag in FLAGS}
    taken_back = np.maximum.reduce([flags[flag] for flag in TAKEN_BACK]) > 0
    made = {
        "p": p,
        "best": np.maximum.reduceat(e.best, starts),
        "named": np.maximum.reduceat(e.named, starts),
        "seen": np.log1p(e.seen[starts]),
        "together": np.log1p(e.together[starts]),
        "mentions": sizes,
        "surfaces": surfaces,
        "first": np.minimum.reduceat(place, starts),
        "rival": _rivals(entries)[order][starts],
        "either": either,
        "words": words[key[starts]],
        "letters": letters[key[starts]],
        "rank": np.log1p(_ranks(row, p)),
        "affirmed": _largest(np.where(taken_back, -np.inf, e.p), starts),
    }
    made["category"], made["siblings"] = _categories(row, category[column], p)
    made |= {flag: np.add.reduceat(values, starts) / sizes for flag, values in flags.items()}
    section = mentions["section"].combine_chunks()
    for name, held in PLACES.items():
        inside = pc.is_in(section, pa.array(held)).to_numpy(zero_copy_only=False)[e.mention]
        made[name] = _largest(np.where(inside, e.p, -np.inf), starts)
    return Pairs(row, column, np.stack([made[name] for name in FEATURES], axis=1).astype(np.float64))


def _entries(mentions: pa.Table, rows: Array, columns: dict[str, int]) -> _Entries:
    """Every code of every mention that is in the label space."""
    lists = mentions["alternatives"].combine_chunks()
    held = lists.flatten()
    mention = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
    codes = held.field("code").dictionary_encode()
    number = np.array([columns.get(code, -1) for code in codes.dictionary.to_pylist()], np.int64)
    column = number[codes.indices.to_numpy()] if len(number) else np.zeros(0, np.int64)
    kept = np.flatnonzero(column >= 0)
    numbers = [held.field(name).to_numpy()[kept].astype(np.float64) for name in ("p", "seen", "together")]
    marks = [
        held.field(name).to_numpy(zero_copy_only=False)[kept].astype(np.float64) for name in ("dictionary", "best")
    ]
    return _Entries(mention[kept], rows[mention[kept]], column[kept], *numbers, *marks)


def _rivals(e: _Entries) -> Array:
    """Of each entry (E,), those of a mention together, the largest p of another code of the mention; 0 without one."""
    if not len(e.mention):
        return np.zeros(0)
    starts = np.flatnonzero(np.append(True, np.diff(e.mention) != 0))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(e.mention))))
    most = np.maximum.reduceat(e.p, starts)[group]
    first = np.full(len(starts), len(e.mention))
    at_most = np.flatnonzero(e.p == most)
    np.minimum.at(first, group[at_most], at_most)
    without = e.p.copy()
    without[first] = 0.0
    second = np.maximum.reduceat(without, starts)[group]
    return np.where(np.arange(len(e.mention)) == first[group], second, most)


def _over_surfaces(pair: Array, key: Array, p: Array, pairs: int) -> tuple[Array, Array]:
    """1 - product of 1 - p over the surfaces of each pair (P,), each at its largest p, and how many there are."""
    order = np.lexsort((-p, key, pair))
    first = np.append(True, (np.diff(pair[order]) != 0) | (np.diff(key[order]) != 0))
    own, chosen = pair[order][first], np.minimum(p[order][first], 0.999)
    missed = np.bincount(own, np.log1p(-chosen), pairs)
    return -np.expm1(missed), np.bincount(own, minlength=pairs)


def _ranks(row: Array, p: Array) -> Array:
    """The place of each pair by p within its note (P,), from 1; rows are sorted."""
    order = np.lexsort((-p, row))
    starts = np.searchsorted(row, row)
    found = np.empty(len(row), np.int64)
    found[order] = np.arange(len(row))
    return found - starts + 1


def _categories(row: Array, category: Array, p: Array) -> tuple[Array, Array]:
    """Of each pair (P,): the largest p in its category, and how many other codes of it the note names."""
    _, group = np.unique(row * (int(category.max(initial=0)) + 1) + category, return_inverse=True)
    most = np.zeros(int(group.max(initial=-1)) + 1)
    np.maximum.at(most, group, p)
    return most[group], np.bincount(group)[group] - 1


def _largest(values: Array, starts: Array) -> Array:
    """The largest of each stretch, NaN where all are -inf."""
    found = np.maximum.reduceat(values, starts)
    return np.where(np.isneginf(found), np.nan, found)


def in_step(mentions: Artifact, notes: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, pa.Table, Array]]:
    """Batches of notes (with note_id, in silver's order), each with its stored mentions and their rows in it.

    Reads on as the notes come. Raises DataError when the mentions of a note are not together, or in another order.
    """
    trouble = DataError(f"{mentions.folder}/{FILE}: not in the order of the notes; run `dvc repro link`")
    places = _places(mentions, trouble)
    stored = mentions.batches(FILE, list(_COLUMNS))
    held: list[pa.RecordBatch] = []
    first = stop = 0
    for batch in notes:
        wanted = [places.get(note_id, (stop, stop)) for note_id in batch.column("note_id").to_pylist()]
        begins = np.array([place[0] for place in wanted], np.int64)
        sizes = np.array([place[1] - place[0] for place in wanted], np.int64)
        here = sizes > 0
        if here.any():
            if (np.diff(begins[here]) < 0).any() or begins[here][0] < first:
                raise trouble
            while held and first + held[0].num_rows <= begins[here][0]:
                first += held.pop(0).num_rows
            while stop < (begins + sizes)[here][-1]:
                following = next(stored)
                if not held:
                    first = stop
                held.append(following)
                stop += following.num_rows
        rows = np.repeat(np.arange(len(wanted)), sizes)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        take = np.repeat(begins, sizes) + within - first
        table = pa.Table.from_batches(held, _schema(mentions)).take(pa.array(take))
        yield batch, table, rows


def _schema(mentions: Artifact) -> pa.Schema:
    with mentions.parquet(FILE) as file:
        schema = file.schema_arrow
    return pa.schema([schema.field(name) for name in _COLUMNS])


def _places(mentions: Artifact, trouble: DataError) -> dict[str, tuple[int, int]]:
    """First and last row, exclusive, of each note's mentions."""
    found: dict[str, tuple[int, int]] = {}
    row, open_note = 0, None
    for batch in mentions.batches(FILE, ["note_id"], 1 << 16):
        runs = pc.run_end_encode(batch.column("note_id"))
        start = row
        for note, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            if note == open_note:
                found[note] = (found[note][0], row + end)
            elif note in found:
                raise trouble
            else:
                found[note] = (start, row + end)
            open_note, start = note, row + end
        row += batch.num_rows
    return found


def lengths_of(notes: pa.RecordBatch) -> Array:
    """Code points of the source notes (N,), as far as their edits tell."""
    return np.array(
        [e[-1]["source_start"] + e[-1]["length"] if e else 0 for e in notes.column("edits").to_pylist()], np.int64
    )


def categories_of(codes: Sequence[str]) -> Array:
    """The category of each code (L,), numbered."""
    return np.unique(np.array([icd.category(code) for code in codes], dtype=str), return_inverse=True)[1]
