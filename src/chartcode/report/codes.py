"""Code by code: how well each code is found, and whether the codes that are hard on MIMIC-IV are the hard ones here.

A code is told when 11 test patients or more have it. Of restricted notes its numbers are told only where no count that
follows from them, right, false and missed calls, is 1 to 10; of invented and open notes nothing needs to be withheld.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from chartcode.icd import dotted
from chartcode.privacy import SMALLEST, small
from chartcode.report import svg
from chartcode.report.cells import number
from chartcode.report.document import Block, Columns, Figure, Heading, Table, Text
from chartcode.tables.labels import Gold

SHOWN = 10  # best and worst codes
NAMED = 8  # farthest codes whose name stands in the figure
FEWEST = 5  # codes that a rank correlation is told of
Row = Mapping[str, Any]
FITTED = (
    "On this synthetic hospital the likeness is built in: how clearly notes tell each condition was tuned until a "
    "linear model, at full size, finds it as well as on MIMIC-IV. A dot near the diagonal shows that the tuning held, "
    "not what a coder can do; with fewer notes to learn from most dots lie below."
)
SAME = "The same hospital, other splits and notes: a code far from the diagonal is worth a look."


def told(per_code: pa.Table, gold: Gold, restricted: bool) -> list[Row]:
    """The rows of test that may be shown, in the table's order."""
    rows = gold.rows("test")
    truth = gold.truth[rows].tocsc()
    patients = {
        code: len(np.unique(gold.subject_id[rows][truth[:, [column]].indices]))
        for column, code in enumerate(gold.codes)
    }
    found = [row for row in per_code.to_pylist() if row["split"] == "test"]
    return [row for row in found if patients.get(row["code"], 0) >= SMALLEST and not (restricted and _gives_away(row))]


def _gives_away(row: Row) -> bool:
    """Whether F1 and the count of true notes leave a small count of calls, at either threshold."""
    counts = [
        count
        for kind in ("", "_per_label")
        for count in (
            row[f"right{kind}"],
            row[f"called{kind}"] - row[f"right{kind}"],
            row["positives"] - row[f"right{kind}"],
        )
    ]
    return any(small(count) for count in counts)


def extremes(rows: Sequence[Row], labels: int, titles: Mapping[str, str]) -> list[Block]:
    """Best and worst codes, or all where they are few."""
    if not rows:
        return [Text(f"No code is in {SMALLEST} test patients or more and may be told.", "small")]
    known = sorted(rows, key=lambda row: (-row["f1"], row["code"]))
    how = (
        f"Global threshold. {len(known):,} of {labels:,} codes are in {SMALLEST} test patients or more and may be "
        "told. Lift: F1 above calling the code every time."
    )
    if len(known) <= SHOWN:
        return [Text(how, "small"), _table("all of them", known, titles)]
    best, worst = known[:SHOWN], known[max(SHOWN, len(known) - SHOWN) :][::-1]
    return [Text(how, "small"), Columns([_table("best", best, titles), _table("worst", worst, titles)])]


def _table(name: str, rows: Sequence[Row], titles: Mapping[str, str]) -> Table:
    cells = [
        [f"`{dotted(row['code'])}`", titles.get(row["code"], ""), *(number(row[key]) for key in
         ("positives", "f1", "f1_lift", "auroc"))]
        for row in rows
    ]  # fmt: skip
    return Table(["code", name, "notes", "F1", "lift", "AUROC"], cells, left=(0, 1))


def beside_mimic(
    rows: Sequence[Row], published: Mapping[str, float], source: str, titles: Mapping[str, str]
) -> list[Block]:
    """Each code's F1 at its own threshold over what a linear model reached on MIMIC-IV; nothing without such codes."""
    both = [(r["code"], published[r["code"]], float(r["f1_per_label"])) for r in rows if r["code"] in published]
    if len(both) < FEWEST:
        return []
    farthest = sorted(both, key=lambda each: (-abs(each[2] - each[1]), each[0]))[:NAMED]
    points = [(dotted(each[0]), *each[1:], each in farthest) for each in both]
    x, y = svg.Axis("F1 on MIMIC-IV, published"), svg.Axis("F1 here, own threshold")
    rank = float(spearmanr([theirs for _, theirs, _ in both], [ours for _, _, ours in both]).statistic)
    same = "" if np.isnan(rank) else f"Spearman's rank correlation {number(rank, 2)}; "
    caption = (
        f"Test, {len(both)} of {len(published)} codes: those in {SMALLEST} test patients or more that may be told. "
        f"{same}{sum(ours > theirs for _, theirs, ours in both)} lie above the diagonal. Named: the farthest from it."
    )
    cells = [
        [f"`{dotted(code)}`", titles.get(code, ""), number(theirs), number(ours), number(ours - theirs)]
        for code, theirs, ours in farthest
    ]
    return [
        Heading("Code by code beside MIMIC-IV", 3),
        Text(FITTED if source == "synthetic" else SAME, "note" if source == "synthetic" else ""),
        Columns(
            [
                Figure(svg.scatter("Is a code as hard here as there?", x, y, points), caption),
                Table(["code", "farthest", "MIMIC-IV", "here", "apart"], cells, left=(0, 1)),
            ]
        ),
    ]
