"""Which codes the text of a note names: the mentions of stage link, gathered by note and code.

A mention names its likeliest code and every other that its words are a name of, each with its own p. It affirms them
unless it is denied, a relative's or only spoken of (negated, family, hypothetical); what is past or uncertain still
speaks for the code. Codes that train alone puts beside the words are no names: it hints at them.
Legend: N notes, E codes of mentions, P note-code pairs, C codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact
from chartcode.coders.linked_mentions import FILE
from chartcode.linking.flags import TAKEN_BACK
from chartcode.tables.labels import Gold

Array = np.ndarray[Any, Any]
KINDS = ("named", "category", "denied", "hinted", "unnamed")  # how the text supports a code: support.py
WITHOUT = "without"  # all but the first
UNSAID = -1.0  # in place of p where there is no such mention
_COLUMNS = ("note_id", "alternatives", *TAKEN_BACK)
WIDTH = 1 << 31  # more codes than there are


class Named(NamedTuple):
    """Codes that notes name: row of the note and column of the code (P,), sorted by both.

    `affirmed`, `said` and `hinted`: the largest p of a mention that affirms the code, of any that names it, and of one
    that hints at it; UNSAID without one.
    """

    rows: Array
    columns: Array
    affirmed: Array
    said: Array
    hinted: Array


def named(mentions: Artifact, note_ids: Sequence[str], number: dict[str, int]) -> Named:
    """What these notes name. `number` gives the column of a code; codes it lacks are added to it.

    The table is read batch by batch.
    """
    asked = pa.array(note_ids, pa.string())
    parts = [_merged(_entries(batch, asked, number)) for batch in mentions.batches(FILE, list(_COLUMNS))]
    if not parts:
        parts = [_nothing()]
    return _merged(Named(*(np.concatenate(values) for values in zip(*parts, strict=True))))


def _nothing() -> Named:
    return Named(*(np.zeros(0, kind) for kind in (np.int64, np.int64, *[np.float32] * 3)))


def _entries(batch: pa.RecordBatch, asked: pa.Array, number: dict[str, int]) -> Named:
    """A row a code of a mention (E,), unsorted."""
    place = pc.index_in(batch.column("note_id"), asked)
    here = batch.filter(pc.is_valid(place))
    if not here.num_rows:
        return _nothing()
    lists = here.column("alternatives")
    sizes = lists.value_lengths().to_numpy(zero_copy_only=False)
    mention = np.repeat(np.arange(len(sizes)), sizes)
    held = lists.flatten()
    codes = held.field("code").dictionary_encode()
    columns = np.array([number.setdefault(code, len(number)) for code in codes.dictionary.to_pylist()], np.int64)
    p = held.field("p").to_numpy(zero_copy_only=False).astype(np.float32)
    taken_back = np.any([here.column(flag).to_numpy(zero_copy_only=False) for flag in TAKEN_BACK], axis=0)[mention]
    likeliest = np.append(True, np.diff(mention) != 0)
    names = likeliest | held.field("dictionary").to_numpy(zero_copy_only=False)
    rows = place.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)[mention]
    kinds = (np.where(which, p, np.float32(UNSAID)) for which in (names & ~taken_back, names, ~names & ~taken_back))
    return Named(rows, columns[codes.indices.to_numpy(zero_copy_only=False)], *kinds)


def _merged(entries: Named) -> Named:
    """One row a note and code."""
    key = keys(entries.rows, entries.columns)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.append(True, np.diff(key) != 0)[: len(key)])
    if not len(starts):
        return entries
    most = (np.maximum.reduceat(values[order], starts) for values in (entries.affirmed, entries.said, entries.hinted))
    return Named(entries.rows[order][starts], entries.columns[order][starts], *most)


def keys(rows: Array, columns: Array) -> Array:
    """One number a pair, in the order of rows, then columns."""
    found: Array = rows.astype(np.int64) * WIDTH + columns
    return found


def coded(gold: Gold, rows: Array, number: dict[str, int]) -> tuple[Array, Array]:
    """The true pairs of these notes of gold, labels and other codes: row among them and column by `number`, sorted."""
    found = []
    for truth, codes in ((gold.truth, gold.codes), (gold.others, gold.other_codes)):
        columns = np.array([number.setdefault(code, len(number)) for code in codes], np.int64)
        cells = truth[rows].tocoo()
        true = cells.data > 0
        found.append(keys(cells.row[true], columns[cells.col[true]] if len(columns) else np.zeros(0, np.int64)))
    both = np.sort(np.concatenate(found))
    return both // WIDTH, both % WIDTH


def largest(wanted: Array, held: Array, values: Array) -> Array:
    """Of each wanted key the value beside it among `held`, sorted; UNSAID where it is not held."""
    if not len(held):
        return np.full(len(wanted), UNSAID, np.float32)
    place = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.where(held[place] == wanted, values[place], np.float32(UNSAID))


def by_category(found: Named, codes: Sequence[str]) -> tuple[Array, Array]:
    """For each code (C,) the number of its category; and of `found` the keys (P,) of note and category."""
    _, category = np.unique(np.array([code[:3] for code in codes], dtype=str), return_inverse=True)
    return category, keys(found.rows, category[found.columns] if len(codes) else found.columns)
