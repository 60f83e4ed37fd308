"""Where the coder goes wrong: notes coded too fully or too thinly, codes taken for others, labels worth a second look.

Confusions and suspects speak of few patients each and stay in the cache; told here are pairs of codes of 11 patients or
more, and how many suspects there are where they are of 11 patients or more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from chartcode.artifacts import Artifact
from chartcode.icd import dotted
from chartcode.privacy import SMALLEST
from chartcode.report.cells import number, percent
from chartcode.report.document import Block, Figure, Heading, Table, Text
from chartcode.report.groups import Cells
from chartcode.report.rows import bars
from chartcode.report.svg import WIDTH
from chartcode.tables.labels import Gold

SHOWN = 12  # confusions
TITLE = 44  # characters of a code's title
KINDS = {
    "missing": "called though not coded, with a score as high as true notes of that code have: perhaps nobody coded it",
    "unsupported": "coded though not called, with a score as low as other notes have: perhaps the note does not say it",
}


def mistakes(
    slices: Mapping[str, Cells],
    micro_f1: float | None,
    evaluation: Artifact,
    gold: Gold,
    titles: Mapping[str, str],
) -> list[Block]:
    """The section of that name, of the test split; `evaluation` holds the tables of errors.py."""
    confusions, suspects = (evaluation.table(f"{name}.parquet") for name in ("confusions", "suspects"))
    return [
        Heading("Mistakes"),
        *_balance(slices.get("balance", {}), slices.get("siblings", {}).get("all", {}), micro_f1),
        *_confused([row for row in confusions.to_pylist() if row["split"] == "test"], titles),
        *_suspects(suspects, gold),
    ]


def _balance(balance: Cells, siblings: Mapping[str, Any], micro_f1: float | None) -> list[Block]:
    blocks: list[Block] = []
    known = [(group, values["n"]) for group, values in balance.items() if values.get("n") is not None]
    if known:
        chart = bars("Codes called, less true codes", [(g, float(n), number(n)) for g, n in known], WIDTH)
        withheld = "" if len(known) == len(balance) else " A group that is not shown would give away 1 to 10 notes."
        caption = f"Test notes. How many codes a person would have to add or strike out at least.{withheld}"
        blocks.append(Figure(chart, caption))
    beside, category = siblings.get("false_beside_missed_sibling"), siblings.get("category_micro_f1")
    said = []
    if beside is not None:
        said.append(
            f"In {percent(beside)} of the false calls a sibling, a code of the same first three characters, was missed "
            "in the same note: there the coder found the condition and chose the wrong detail."
        )
    if category is not None and micro_f1 is not None:
        said.append(
            f"Were the first three characters enough, micro-F1 would be {number(category)} and not {number(micro_f1)}."
        )
    return [*blocks, *([Text(" ".join(said))] if said else [])]


def _confused(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Block]:
    """Pairs of 11 patients or more by lift, siblings first."""
    told = [row for row in rows if row["patients"] >= SMALLEST]
    heading = Heading("Codes taken for others", 3)
    if not told:
        return [heading, Text(f"No code is missed beside the same false call in {SMALLEST} test patients or more.")]
    how = (
        "A code missed beside a code falsely called in the same note. Lift: how much oftener than the two errors would "
        "meet by chance; 1 is chance, and a high lift means that one is taken for the other or that both hang on the "
        f"same words. Pairs of {SMALLEST} test patients or more."
    )
    blocks: list[Block] = [heading, Text(how, "small")]
    tables = []
    for caption, some in (
        ("**Siblings**", [row for row in told if row["sibling"]]),
        ("**Others**", [row for row in told if not row["sibling"]]),
    ):
        cells = [
            [_named(row["missed"], titles), _named(row["called"], titles), number(row["notes"]), number(row["lift"], 1)]
            for row in sorted(some, key=lambda row: (-row["lift"], row["missed"], row["called"]))[:SHOWN]
        ]
        if cells:
            tables.append(Table(["missed", "called", "notes", "lift"], cells, caption, left=(0, 1)))
    return [*blocks, *tables]


def _named(code: str, titles: Mapping[str, str]) -> str:
    title = titles.get(code, "")
    return f"`{dotted(code)}` {title if len(title) <= TITLE else title[:TITLE].rsplit(' ', 1)[0] + ' …'}".strip()


def _suspects(suspects: pa.Table, gold: Gold) -> list[Block]:
    subject = dict(zip(gold.hadm_id.tolist(), gold.subject_id.tolist(), strict=True))
    rows = [row for row in suspects.to_pylist() if row["split"] == "test"]
    cells = []
    for kind, meaning in KINDS.items():
        some = [row for row in rows if row["kind"] == kind]
        patients = len({subject[row["hadm_id"]] for row in some})
        if patients >= SMALLEST:
            cells.append(
                [kind, number(len(some)), number(float(np.median([row["strength"] for row in some])), 1), meaning]
            )
    if not cells:
        return []
    how = (
        "Labels that the coder contradicts most (confident learning, Northcutt et al. 2021), at most the 1,000 "
        "strongest; strength: how far beyond, in distances of the code's two mean scores. They are questions to the "
        "people who coded, not errors found: a weak coder contradicts good labels too. The list stays in the cache "
        "(`suspects.parquet`)."
    )
    return [
        Heading("Labels worth a second look", 3),
        Text(how, "small"),
        Table(["kind", "pairs", "median strength", "what it may mean"], cells, "", left=(0, 3)),
    ]
