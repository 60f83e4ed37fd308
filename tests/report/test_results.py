"""Our number stands beside the published one that is counted alike, and is marked where they do not compare."""

from __future__ import annotations

import pytest

from chartcode.report.document import Figure, Table, Text
from chartcode.report.published import literature
from chartcode.report.results import headline

TEST = {"n": 100, "micro_f1": 0.5, "macro_f1": 0.4, "map": 0.45, "micro_f1_all_codes": 0.3, "map_all_codes": 0.2}


@pytest.mark.parametrize(
    ("source", "labels", "beside", "comparable"),
    [
        ("synthetic", 50, ("0.500", "0.400", "0.450"), False),
        ("mimic-iv", 50, ("0.500", "0.400", "0.450"), True),
        ("mimic-iv", 7942, ("0.500", "0.400", "0.450"), True),
        ("codiesp", 1767, ("0.300", "0.400", "0.200"), False),
    ],
)
def test_ours_stands_beside_theirs(source: str, labels: int, beside: tuple[str, ...], comparable: bool) -> None:
    known = literature(source, labels)
    blocks = headline("tfidf", {"test": TEST, "val": {}}, known)
    published = next(block for block in blocks if isinstance(block, Table) and block.rows[0][0] == "this run: tfidf")
    assert tuple(published.rows[0][1:]) == beside
    assert [row[0] for row in published.rows[1:]] == [result.name for result in known.results]
    said = next(block for block in blocks if isinstance(block, Text) and known.task in block.text)
    figure = next(block for block in blocks if isinstance(block, Figure))
    assert ("Not comparable" in said.text) == ("(not comparable)" in figure.svg) == (not comparable)


def test_a_withheld_number_is_a_dash_and_no_dot() -> None:
    blocks = headline("tfidf", {"test": {"n": None, "micro_f1": None}, "val": {}}, literature("synthetic", 50))
    published = next(block for block in blocks if isinstance(block, Table) and block.rows[0][0] == "this run: tfidf")
    assert list(published.rows[0][1:]) == ["–", "–", "–"]
    assert "this run" not in next(block for block in blocks if isinstance(block, Figure)).svg
