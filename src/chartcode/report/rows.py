"""Charts in rows as SVG text: bars, dots with intervals, whiskers for the cells of a table, and a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chartcode.report.document import escape
from chartcode.report.svg import CHARACTER, TOP, WIDTH, Axis, drawing, heading, short

SLIM = (104, 16)  # pixels of a whisker


def bars(title: str, rows: Sequence[tuple[str, float, str]], width: int = 2 * WIDTH, grey: float = 0.0) -> str:
    """Horizontal bars (label, value, what stands behind it); with `grey`, each over a bar of that length."""
    most = max([grey, *(value for _, value, _ in rows)], default=0) or 1
    left = round(max((len(label) for label, _, _ in rows), default=0) * CHARACTER + 12)
    room = width - left - round(max((len(text) for _, _, text in rows), default=0) * CHARACTER) - 16
    parts = [heading(title)]
    for number, (label, value, text) in enumerate(rows):
        y = TOP + 24 * number
        long = round(room * value / most, 1)
        parts.append(f'<text class="ink" x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>')
        if grey:
            parts.append(
                f'<rect class="fq" x="{left}" y="{y + 2}" width="{round(room * grey / most, 1)}" height="15"/>'
            )
        parts.append(f'<rect class="f1" x="{left}" y="{y + 2}" width="{long}" height="15"/>')
        at = round(left + (room * grey / most if grey else long) + 6, 1)
        parts.append(f'<text x="{at}" y="{y + 13}">{escape(text)}</text>')
    return drawing(title, parts, TOP + 24 * len(rows) + 6, width)


def intervals(title: str, x: Axis, rows: Sequence[tuple[str, float, float | None, float | None, str]]) -> str:
    """A dot a row with its interval: label, value, low, high, and the class of its colour (1 ours, 2 others)."""
    width, left = WIDTH, round(max((len(row[0]) for row in rows), default=0) * CHARACTER + 16)
    height = TOP + 26 * len(rows)
    room = width - left - 52

    def at(value: float) -> float:
        return round(left + room * x.share(min(max(value, x.low), x.high)), 1)

    parts = [heading(title)]
    for tick in x.ticks():
        parts.append(f'<line class="grid" x1="{at(tick)}" y1="{TOP}" x2="{at(tick)}" y2="{height}"/>')
        parts.append(f'<text x="{at(tick)}" y="{height + 16}" text-anchor="middle">{short(tick)}</text>')
    for number, (label, value, low, high, colour) in enumerate(rows):
        y = TOP + 26 * number + 13
        parts.append(f'<text class="ink" x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        if low is not None and high is not None:
            parts.append(f'<line class="line s{colour}" x1="{at(low)}" y1="{y}" x2="{at(high)}" y2="{y}"/>')
        shape = (
            f'<circle class="f{colour}" cx="{at(value)}" cy="{y}" r="4.5"/>'
            if colour == "1"
            else f'<rect class="f{colour}" x="{at(value) - 4:.1f}" y="{y - 4}" width="8" height="8"/>'
        )
        parts.append(shape)
        parts.append(f'<text x="{width - 6}" y="{y + 4}" text-anchor="end">{value:.3f}</text>')
    return drawing(title, parts, height + 26, width)


def whisker(x: Axis, value: float, low: float | None, high: float | None, line: float | None) -> str:
    """A dot with its interval as small as a word, over a line where the whole lies."""
    width, height = SLIM
    middle = height / 2

    def at(number: float) -> float:
        return round(4 + (width - 8) * x.share(min(max(number, x.low), x.high)), 1)

    parts = []
    if line is not None:
        parts.append(f'<line class="ideal" x1="{at(line)}" y1="0" x2="{at(line)}" y2="{height}"/>')
    if low is not None and high is not None:
        parts.append(f'<line class="line s1" x1="{at(low)}" y1="{middle:g}" x2="{at(high)}" y2="{middle:g}"/>')
    parts.append(f'<circle class="f1" cx="{at(value)}" cy="{middle:g}" r="3.5"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="whisker" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" aria-hidden="true">{"".join(parts)}</svg>'
    )


def heat(title: str, labels: Sequence[str], cells: Sequence[Sequence[float | None]], most: float) -> str:
    """A square of lifts on a logarithmic scale: more than 1 in the first colour, less in the second, None blank."""
    size, left = 34, round(max((len(label) for label in labels), default=0) * CHARACTER + 12)
    above = round(max((len(label) for label in labels), default=0) * 5.0) + TOP
    parts = [heading(title)]
    for row, (label, values) in enumerate(zip(labels, cells, strict=True)):
        y = above + size * row
        parts.append(f'<text class="ink" x="{left - 8}" y="{y + 21}" text-anchor="end">{escape(label)}</text>')
        x = left + size * row + 20
        parts.append(
            f'<text class="ink" x="{x}" y="{above - 6}" transform="rotate(-45 {x} {above - 6})">{escape(label)}</text>'
        )
        for column, value in enumerate(values):
            if column == row or value is None:
                text = "" if column == row else "·"
                parts.append(_cell(left + size * column, y, size, "fq", 0.35 if column == row else 0.0, text))
            else:
                strength = min(abs(math.log(max(value, 1e-3))) / math.log(most), 1)
                colour = "f1" if value >= 1 else "f2"
                parts.append(_cell(left + size * column, y, size, colour, 0.85 * strength, f"{value:.1f}"))
    return drawing(title, parts, above + size * len(labels) + 8, left + size * len(labels) + 60)


def _cell(x: int, y: int, size: int, colour: str, opacity: float, text: str) -> str:
    return (
        f'<rect class="{colour}" x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" fill-opacity="{opacity:.2f}"/>'
        f'<text class="ink" x="{x + size / 2 - 0.5}" y="{y + 21}" text-anchor="middle">{text}</text>'
    )
