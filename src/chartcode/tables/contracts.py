"""Holds raw rows against the contract of their table: typed values for the sound, a reason for each of the others.

Works on whole columns (pyarrow kernels); the row-by-row paths run only for a batch in which something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode import icd
from chartcode.tables.schemas import Column, RawTable

EARLIEST, LATEST = datetime(1900, 1, 1), datetime(2300, 1, 1)  # MIMIC-IV shifts dates to 2100-2212


@dataclass
class Checked:
    """`rows`: typed batch of the sound rows. `reasons`: for each input row "" or "column: what is wrong"."""

    rows: pa.RecordBatch
    reasons: np.ndarray[Any, Any]  # (n,) object


class _Reasons:
    """The first thing wrong with each row of a batch."""

    def __init__(self, rows: int) -> None:
        self.text = np.full(rows, "", dtype=object)

    def add(self, wrong: pa.BooleanArray, reason: str) -> None:
        if wrong.true_count:
            self.text[np.asarray(pc.fill_null(wrong, False)).astype(bool) & (self.text == "")] = reason


def check(batch: pa.RecordBatch, table: RawTable, dictionary: Mapping[int, pa.Array] | None = None) -> Checked:
    """Type a batch of binary cells by the contract of `table`.

    `dictionary` maps ICD version to the codes of d_icd_diagnoses, if the source has it: with it, codes that lost a
    leading zero or carry the wrong version are told from sound ones.
    """
    reasons = _Reasons(batch.num_rows)
    typed: dict[str, pa.Array] = {}
    for column in table.columns:
        text = _decode(batch.column(column.name), column, reasons)
        if column.kind != "string":  # only text tells "" from nothing
            nothing = pc.equal(text, "")
            text = pc.if_else(nothing, None, text) if nothing.true_count else text
        if column.required:
            empty = pc.is_null(batch.column(column.name)) if column.kind == "string" else pc.is_null(text)
            reasons.add(empty, f"{column.name}: empty")
        typed[column.name] = _typed(text, column, reasons)
    for earlier, later in table.ordered:
        reasons.add(pc.less(typed[later], typed[earlier]), f"{later}: before {earlier}")
    if "icd_code" in typed:
        _check_codes(table, typed["icd_code"], typed["icd_version"], dictionary or {}, reasons)
    rows = pa.RecordBatch.from_arrays([typed[c.name] for c in table.columns], schema=table.schema)
    sound = reasons.text == ""
    return Checked(rows if sound.all() else rows.filter(pa.array(sound)), reasons.text)


def _decode(cells: pa.Array, column: Column, reasons: _Reasons) -> pa.Array:
    """Bytes to text; rows whose bytes are not UTF-8 (latin-1, lone surrogates) or hold NUL are marked."""
    try:
        text = cells.cast(pa.string())
    except pa.ArrowInvalid:
        values: list[str | None] = []
        broken = np.zeros(len(cells), bool)
        for row, cell in enumerate(cells.to_pylist()):
            try:
                values.append(None if cell is None else cell.decode("utf-8"))
            except UnicodeDecodeError:
                values.append(None)
                broken[row] = True
        reasons.add(pa.array(broken), f"{column.name}: not UTF-8")
        text = pa.array(values, pa.string())
    if column.kind == "string" and _may_hold_nul(text):
        reasons.add(pc.match_substring(text, "\0"), f"{column.name}: holds a NUL character")
    return text


def _may_hold_nul(text: pa.Array) -> bool:
    """Whether a NUL may stand in these cells: their bytes at once, those that a null cell hides among them."""
    _, offsets, values = text.buffers()
    if not len(text) or values is None:
        return False
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    return bool(np.frombuffer(values, np.uint8)[ends[0] : ends[-1]].min(initial=1) == 0)


def _typed(text: pa.Array, column: Column, reasons: _Reasons) -> pa.Array:
    if column.kind in ("id", "integer"):
        return _integers(text, column, reasons)
    if column.kind in ("timestamp", "date"):
        times = _times(text, column, reasons)
        reasons.add(pc.or_(pc.less(times, EARLIEST), pc.greater(times, LATEST)), f"{column.name}: outside 1900-2300")
        return times.cast(pa.date32()) if column.kind == "date" else times
    return text


def _integers(text: pa.Array, column: Column, reasons: _Reasons) -> pa.Array:
    # The shape comes first: a cast alone takes 0x10 for 16. Decimal digits throughout are the usual case, and quick.
    if not pc.ascii_is_decimal(text).false_count and (pc.max(pc.binary_length(text)).as_py() or 0) <= 18:
        numbers = text.cast(pa.int64())
    else:
        whole = pc.match_substring_regex(text, "^-?[0-9]{1,18}$")
        reasons.add(pc.invert(whole), f"{column.name}: not a whole number")
        numbers = pc.if_else(pc.fill_null(whole, False), text, None).cast(pa.int64())
    low = 1 if column.kind == "id" else column.minimum
    if low is not None:
        reasons.add(pc.less(numbers, low), f"{column.name}: below {low}")
    if column.maximum is not None:
        reasons.add(pc.greater(numbers, column.maximum), f"{column.name}: above {column.maximum}")
    return numbers


def _times(text: pa.Array, column: Column, reasons: _Reasons) -> pa.Array:
    kind = pa.timestamp("s")
    # The shape comes first: a cast alone also takes 2180-05-07T14:30 and zones.
    shaped = pc.match_substring_regex(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}:[0-9]{2})?$")
    if not shaped.false_count:
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            pass  # a day like 2180-02-30: tell which
    times = pa.nulls(len(text), kind)
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        # strptime reads 2180-02-30 as some day of March: only a date that prints as it was read is one.
        parsed = pc.strptime(text, format=form, unit="s", error_is_null=True)
        same = pc.equal(pc.strftime(parsed, format=form), text)
        times = pc.coalesce(times, pc.if_else(pc.fill_null(same, False), parsed, None))
    reasons.add(pc.and_(pc.is_valid(text), pc.is_null(times)), f"{column.name}: not a date like 2180-05-07 00:00:00")
    return times


def _check_codes(
    table: RawTable, codes: pa.Array, versions: pa.Array, dictionary: Mapping[int, pa.Array], reasons: _Reasons
) -> None:
    reasons.add(pc.invert(pc.is_in(versions, pa.array([9, 10]))), "icd_version: neither 9 nor 10")
    reasons.add(pc.match_substring(codes, "."), "icd_code: dotted; write codes without the dot")
    reasons.add(pc.match_substring_regex(codes, "[a-z]"), "icd_code: lower case")
    for version in (9, 10):
        shape = pc.match_substring_regex(codes, icd.pattern(table.name, version))
        reasons.add(
            pc.and_(pc.equal(versions, version), pc.invert(shape)), f"icd_code: not the shape of an ICD-{version} code"
        )
    if table.name != "diagnoses_icd" or not dictionary:
        return
    for version, other in ((9, 10), (10, 9)):
        if version not in dictionary:
            continue
        unknown = pc.and_(pc.equal(versions, version), pc.invert(pc.is_in(codes, dictionary[version])))
        if not unknown.true_count:
            continue
        if version == 9:
            for zeros in ("0", "00"):
                padded = pc.binary_join_element_wise(zeros, codes, "")
                found = pc.is_in(padded, dictionary[9])
                reasons.add(pc.and_(unknown, found), "icd_code: lost its leading zero (read as a number?)")
        if other in dictionary:
            found = pc.is_in(codes, dictionary[other])
            reasons.add(pc.and_(unknown, found), f"icd_code: an ICD-{other} code marked as ICD-{version}")
