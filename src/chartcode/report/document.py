"""A report as a list of blocks, and its two forms: one HTML file without any request, and Markdown.

Text is escaped here and nowhere else, so nothing of a note can become markup. A figure is SVG that inherits its colours
from the page, so that it follows light, dark and print. Equal blocks give equal bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

NOTHING = "–"
WHOLE = ",\u00a0"  # an interval is not broken in two
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Heading:
    """A section's title; level 2 enters the table of contents."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; `code` in backquotes, **strong** in asterisks. `kind` note is set apart."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text. The first column is on the left, the others on the right unless `left` names them.

    `plots`, a small SVG a row, stand behind the last column of the page; Markdown leaves them out. `kind` codes: rows
    in groups, named in the first of each, that a narrow page writes one cell below the other.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    left: Sequence[int] = (0,)
    plots: Sequence[str] = ()
    kind: str = ""


@dataclass(frozen=True)
class Figure:
    """SVG made by svg.py, and what it shows in words."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Columns:
    """Figures and tables side by side where there is room."""

    blocks: Sequence[Figure | Table]


@dataclass(frozen=True)
class Tiles:
    """Headline numbers: label, value, what stands below."""

    tiles: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a note in pieces: text, whether the coder points at it (0 to 1), whether people marked it."""

    title: str
    pieces: Sequence[tuple[str, float, bool]]


Block = Heading | Text | Table | Figure | Columns | Tiles | Excerpt


def to_html(title: str, subtitle: str, blocks: Sequence[Block]) -> str:
    """The whole page: style inside, no script, a policy that forbids every request."""
    style = resources.files("chartcode.report").joinpath("document.css").read_text(encoding="utf-8")
    contents = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<a href="#{anchor(text)}">{escape(text)}</a>' for text in contents)
    body = "\n".join(map(_html, blocks))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="subtitle">{inline(subtitle)}</p>'
        f'<nav aria-label="Contents">{links}</nav></header>\n'
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def to_markdown(title: str, subtitle: str, blocks: Sequence[Block]) -> str:
    """The same without figures, which are named."""
    return "\n\n".join([f"# {title}", subtitle, *filter(None, map(_markdown, blocks))]) + "\n"


def escape(text: str) -> str:
    """Text for HTML, in element or attribute."""
    return html.escape(text, quote=True)


def inline(text: str) -> str:
    """Escaped text with `code` and **strong** as elements."""
    found = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", found)


def anchor(text: str) -> str:
    """The id of a heading."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            here = anchor(text)
            return f'<h{level} id="{here}"><a href="#{here}">{inline(text)}</a></h{level}>'
        case Text(text, kind):
            return f'<p class="{escape(kind)}">{inline(text)}</p>' if kind else f"<p>{inline(text)}</p>"
        case Table():
            return _table_html(block)
        case Figure(svg, caption):
            return f"<figure>{svg}<figcaption>{inline(caption)}</figcaption></figure>"
        case Columns(some):
            return f'<div class="columns">{"".join(map(_html, some))}</div>'
        case Tiles(tiles):
            return f'<div class="tiles">{"".join(_tile(*tile) for tile in tiles)}</div>'
        case Excerpt(title, pieces):
            return f'<div class="excerpt"><h4>{inline(title)}</h4><p>{"".join(_piece(*p) for p in pieces)}</p></div>'


def _table_html(table: Table) -> str:
    def row(cells: Sequence[str], tag: str, plot: str | None = None) -> str:
        made = [
            f"<{tag}>{inline(cell)}</{tag}>"
            if place in table.left
            else f'<{tag} class="number">{inline(cell).replace(", ", WHOLE)}</{tag}>'
            for place, cell in enumerate(cells)
        ]
        made += [] if plot is None else [f'<{tag} class="plot">{plot}</{tag}>']
        return f"<tr>{''.join(made)}</tr>"

    shape = f"scroll {escape(table.kind)}".strip()
    plots: Sequence[str | None] = table.plots or [None] * len(table.rows)
    caption = f"<caption>{inline(table.caption)}</caption>" if table.caption else ""
    rows = "\n".join(row(cells, "td", plot) for cells, plot in zip(table.rows, plots, strict=True))
    return (
        f'<div class="{shape}"><table>{caption}<thead>{row(table.header, "th", "" if table.plots else None)}</thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _tile(label: str, value: str, below: str) -> str:
    return (
        f'<div class="tile"><span class="label">{inline(label)}</span><span class="value">{inline(value)}</span>'
        f'<span class="below">{inline(below)}</span></div>'
    )


def _piece(text: str, strength: float, marked: bool) -> str:
    if not strength and not marked:
        return escape(text)
    kinds = " ".join(name for name, on in (("said", strength > 0), ("marked", marked)) if on)
    depth = f' style="--depth:{min(strength, 1):.2f}"' if strength else ""
    return f'<mark class="{kinds}"{depth}>{escape(text)}</mark>'


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text, kind):
            return f"> {text}" if kind else text
        case Table():
            return _table_markdown(block)
        case Figure(_, caption):
            return f"*Figure: {caption}*"
        case Columns(some):
            return "\n\n".join(map(_markdown, some))
        case Tiles(tiles):
            return "\n".join(f"- {label}: **{value}** {below}".rstrip() for label, value, below in tiles)
        case Excerpt(title, pieces):
            said = "".join(_marked_markdown(*piece) for piece in pieces)
            return f"**{title}**\n\n> {' '.join(said.split())}"


def _marked_markdown(text: str, strength: float, marked: bool) -> str:
    plain = re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", text)
    if not plain.strip() or not (strength or marked):
        return plain
    sign = "**" if strength and marked else "*" if strength else "\\_"
    return f"{sign}{plain}{sign}"


def _cell_markdown(cell: str) -> str:
    """Nothing of a note becomes a tag, an entity, a link or a further cell."""
    plain = cell.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")
    return plain.replace("|", "&#124;")


def _table_markdown(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(map(_cell_markdown, cells))} |"

    rules = ":--" if 0 in table.left else "--:"
    rest = [":--" if place in table.left else "--:" for place in range(1, len(table.header))]
    lines = [line(table.header), f"|{'|'.join([rules, *rest])}|", *map(line, table.rows)]
    return "\n".join([*([f"*{table.caption}*", ""] if table.caption else []), *lines])
