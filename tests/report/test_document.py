"""A report's two forms: nothing in a note becomes markup, nothing is asked of a network, equal blocks equal bytes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from chartcode.report.document import (
    Block,
    Columns,
    Excerpt,
    Figure,
    Heading,
    Table,
    Text,
    Tiles,
    anchor,
    to_html,
    to_markdown,
)
from chartcode.report.svg import Axis, Series, lines

NASTY = "<script>alert(1)</script> & \"'> |x| `code` **b** </p> ${x}"


class Reader(HTMLParser):
    """Elements in their order, balance of open ones, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "line", "rect", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "circle", "polyline"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def every_block(text: str) -> list[Block]:
    figure = Figure(lines(text, Axis(text), Axis(text), [Series(text, [(0, 0), (1, 1)])]), text)
    table = Table([text, text], [[text, text]], text)
    return [
        Heading(text), Heading(text, 3), Text(text), Text(text, "note"), table, figure, Columns([figure, table]),
        Tiles([(text, text, text)]), Excerpt(text, [(text, 0.0, False), (text, 0.5, True), (text, 1.0, False)]),
    ]  # fmt: skip


def test_nothing_becomes_markup_that_was_text() -> None:
    page = to_html(NASTY, NASTY, every_block(NASTY))
    reader = Reader()
    reader.feed(page)
    assert "script" not in reader.tags
    assert not reader.open
    plain = Reader()
    plain.feed(to_html("a", "a", every_block("a")))
    assert [tag for tag in reader.tags if tag not in ("code", "strong")] == plain.tags
    assert "<script>alert(1)</script>" in reader.text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_an_excerpt_is_read_as_it_was_written(text: str) -> None:
    reader = Reader()
    reader.feed(to_html("t", "s", [Excerpt("here", [("before ", 0.0, False), (text, 0.3, True)])]))
    assert f"before {text}" in reader.text


def test_the_page_asks_nothing_of_a_network() -> None:
    page = to_html("t", "s", every_block("a"))
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(|@import|<script|<link", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_equal_blocks_give_equal_bytes_and_headings_are_linked() -> None:
    blocks = [Heading("Groups of codes & notes"), Heading("Results")]
    page = to_html("t", "s", blocks)
    assert page == to_html("t", "s", list(blocks))
    for text in ("Groups of codes & notes", "Results"):
        assert f'href="#{anchor(text)}"' in page and f'id="{anchor(text)}"' in page


def test_markdown_tables_keep_their_columns_whatever_a_cell_holds() -> None:
    text = to_markdown("t", "s", [Table(["a|b", "c"], [["x|y", "1"], ["z", "2"]], left=(0,))])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and {row.count("|") for row in rows} == {3}
    assert rows[1] == "|:--|--:|"
