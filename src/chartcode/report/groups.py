"""Groups of codes and notes: the slices that `evaluate` gave, one table a dimension, under headings for people."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chartcode.report.cells import with_interval
from chartcode.report.document import Block, Columns, Heading, Table, Text
from chartcode.report.rows import whisker
from chartcode.report.svg import Axis

Cells = Mapping[str, Mapping[str, Any]]  # group -> number
DIMENSIONS = {
    "train_notes": "Train notes of the code",
    "note_length": "Length of the note, in quarters",
    "codes": "Codes of the note",
    "sex": "Sex",
    "age": "Age, years",
    "race": "Race, as the hospital words it",
    "era": "Years of admission",
}
MISTAKES = ("balance", "siblings")  # told in their own section
COLUMNS = {
    "labels": "codes",
    "n": "notes",
    "patients": "patients",
    "positives": "true pairs",
    "map": "MAP",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
}
RANGE = re.compile(r"(?<=\d)-(?=\d)")
ALONE = "macro_f1"  # shown where there is no MAP


def groups(slices: Mapping[str, Cells], whole: float | None) -> list[Block]:
    """A table a dimension of test, two side by side; `whole` is the micro-F1 of all test notes."""
    given = {name: cells for name, cells in slices.items() if name not in MISTAKES}
    axis = _axis(given.values())
    tables = [_dimension(name, cells, axis, whole) for name, cells in given.items()]
    if not tables:
        return [Heading("Groups of codes and notes"), Text("None: fewer than 11 patients were judged.", "small")]
    how = (
        f"Test, at the global threshold, with 95% intervals. Dots: micro-F1 on an axis from {axis.low:.1f} to "
        f"{axis.high:.1f}; dashed: all notes. Groups of fewer than 11 patients are put together (rest). Intervals that "
        "overlap widely tell no difference, and several groups are compared at once."
    )
    return [Heading("Groups of codes and notes"), Text(how, "small"), Columns(tables)]


def _axis(dimensions: Sequence[Cells] | Any) -> Axis:
    """From the lowest to the highest interval's end of all groups, in tenths."""
    ends = [
        float(cells[key])
        for groups_ in dimensions
        for cells in groups_.values()
        for key in ("micro_f1", "micro_f1_lo", "micro_f1_hi")
        if cells.get(key) is not None
    ] or [0.0, 1.0]
    low = math.floor(10 * min(ends) + 1e-9) / 10
    return Axis("", low, max(math.ceil(10 * max(ends) - 1e-9) / 10, low + 0.1))


def _dimension(name: str, cells: Cells, axis: Axis, whole: float | None) -> Table:
    known = {key for values in cells.values() for key in values}
    keys = [key for key in COLUMNS if key in known and (key != ALONE or "map" not in known)]
    rows = [[RANGE.sub("–", group), *(with_interval(values, key) for key in keys)] for group, values in cells.items()]
    plots = [
        "" if values.get("micro_f1") is None
        else whisker(axis, values["micro_f1"], values.get("micro_f1_lo"), values.get("micro_f1_hi"), whole)
        for values in cells.values()
    ]  # fmt: skip
    title = DIMENSIONS.get(name, name.replace("_", " ").capitalize())
    return Table(["", *(COLUMNS[key] for key in keys)], rows, f"**{title}**", plots=plots if any(plots) else ())
