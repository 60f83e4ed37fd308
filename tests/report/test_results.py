"""Our number stands beside the published one that is counted alike, and is marked where they do not compare."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chartcode.report.document import Block, Columns, Figure, Table, Text
from chartcode.report.published import literature
from chartcode.report.results import headline

TEST = {"n": 100, "micro_f1": 0.5, "macro_f1": 0.4, "map": 0.45, "micro_f1_all_codes": 0.3, "map_all_codes": 0.2}


def flat(blocks: Sequence[Block]) -> list[Block]:
    return [inner for block in blocks for inner in (block.blocks if isinstance(block, Columns) else [block])]


def beside_published(blocks: Sequence[Block]) -> Table:
    tables = [block for block in flat(blocks) if isinstance(block, Table)]
    return next(table for table in tables if table.rows[0][0] == "this run: tfidf")


@pytest.mark.parametrize(
    ("source", "labels", "beside", "comparable"),
    [
        ("synthetic", 50, ("0.500", "0.400"), False),
        ("mimic-iv", 50, ("0.500", "0.400"), True),
        ("mimic-iv", 7942, ("0.500", "0.400"), True),
        ("codiesp", 1767, ("0.300", "0.200"), False),
    ],
)
def test_ours_stands_beside_theirs(source: str, labels: int, beside: tuple[str, ...], comparable: bool) -> None:
    known = literature(source, labels)
    blocks = headline("tfidf", {"test": TEST, "val": {}}, known)
    published = beside_published(blocks)
    assert tuple(published.rows[0][1:]) == beside
    assert [row[0] for row in published.rows[1:]] == [result.name for result in known.results]
    said = next(block for block in blocks if isinstance(block, Text) and known.task in block.text)
    figure = next(block for block in flat(blocks) if isinstance(block, Figure))
    assert ("Not comparable" in said.text) == ("(not comparable)" in figure.svg) == (not comparable)


def test_a_withheld_number_is_a_dash_and_no_dot() -> None:
    blocks = headline("tfidf", {"test": {"n": None, "micro_f1": None}, "val": {}}, literature("synthetic", 50))
    assert list(beside_published(blocks).rows[0][1:]) == ["–", "–"]
    assert "this run" not in next(block for block in flat(blocks) if isinstance(block, Figure)).svg
