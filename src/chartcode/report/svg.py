"""Charts as SVG text: lines, histograms, bars, intervals and a heat map, in the colours of the page they stand in.

Colours are classes of document.css (f1..f3 fill, s1..s3 stroke), told apart with any colour vision and in grey by dash
or place. Coordinates are rounded, so equal data give equal bytes. Nothing is escaped twice: labels are given plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chartcode.report.document import escape

Point = tuple[float, float]
WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 30, 44
CHARACTER = 6.3  # pixels of an average character at 12 px


@dataclass(frozen=True)
class Series:
    """A curve: its name in the legend, its points, whether they are marked."""

    name: str
    points: Sequence[Point]
    marked: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis: its label, ends, and whether it is logarithmic (ends above 0)."""

    label: str
    low: float = 0.0
    high: float = 1.0
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        if self.logarithmic:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values between the ends, about five."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            return [10.0**power for power in powers if self.low <= 10.0**power <= self.high]
        step = nice((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def nice(step: float) -> float:
    """The next round number of 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def short(value: float) -> str:
    """A number as an axis shows it: 0.25, 1,500, 20k, 1e-4."""
    size = abs(value)
    if size >= 10_000:
        return f"{value / 1000:,.4g}k"
    if size >= 1 or value == 0:
        return f"{value:,.4g}" if size < 1000 else f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def lines(title: str, x: Axis, y: Axis, series: Sequence[Series], diagonal: bool = False) -> str:
    """Curves over two axes, the second dashed, with a legend where there is more than one."""
    place = _place(x, y)
    parts = [_frame(title, x, y)]
    if diagonal:
        (x1, y1), (x2, y2) = place((x.low, y.low)), place((x.high, y.high))
        parts.append(f'<line class="ideal" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    for number, each in enumerate(series, start=1):
        dots = [place(point) for point in each.points]
        path = " ".join(f"{a},{b}" for a, b in dots)
        parts.append(f'<polyline class="line s{number}{" dashed" if number == 2 else ""}" points="{path}"/>')
        if each.marked:
            parts += [f'<circle class="f{number}" cx="{a}" cy="{b}" r="3"/>' for a, b in dots]
    if len(series) > 1:
        parts.append(_legend([each.name for each in series]))
    return _svg(title, parts, HEIGHT)


def histogram(title: str, x: Axis, y_label: str, bins: Sequence[tuple[float, float, float]]) -> str:
    """Bars (left, right, height) of any width."""
    y = Axis(y_label, 0, top([height for _, _, height in bins]))
    place = _place(x, y)
    parts = [_frame(title, x, y)]
    for left, right, height in bins:
        (x1, y1), (x2, y0) = place((left, height)), place((right, 0))
        wide = max(round(x2 - x1 - 1, 1), 0.5)
        parts.append(f'<rect class="f1" x="{x1}" y="{y1}" width="{wide}" height="{round(y0 - y1, 1)}"/>')
    return _svg(title, parts, HEIGHT)


def top(values: Sequence[float]) -> float:
    """A round end of an axis above every value."""
    most = max(values, default=0)
    if most <= 0:
        return 1.0
    step = nice(most / 5)
    return step * math.ceil(most / step - 1e-9)


def bars(title: str, rows: Sequence[tuple[str, float, str]], width: int = 2 * WIDTH, grey: float = 0.0) -> str:
    """Horizontal bars (label, value, what stands behind it); with `grey`, each over a bar of that length."""
    most = max([grey, *(value for _, value, _ in rows)], default=0) or 1
    left = round(max((len(label) for label, _, _ in rows), default=0) * CHARACTER + 12)
    room = width - left - round(max((len(text) for _, _, text in rows), default=0) * CHARACTER) - 16
    parts = [_title(title)]
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
    return _svg(title, parts, TOP + 24 * len(rows) + 6, width)


def intervals(title: str, x: Axis, rows: Sequence[tuple[str, float, float | None, float | None, str]]) -> str:
    """A dot a row with its interval: label, value, low, high, and the class of its colour (1 ours, 2 others)."""
    width, left = 2 * WIDTH, round(max((len(row[0]) for row in rows), default=0) * CHARACTER + 16)
    height = TOP + 26 * len(rows)
    room = width - left - 60

    def at(value: float) -> float:
        return round(left + room * x.share(min(max(value, x.low), x.high)), 1)

    parts = [_title(title)]
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
    return _svg(title, parts, height + 26, width)


def heat(title: str, labels: Sequence[str], cells: Sequence[Sequence[float | None]], most: float) -> str:
    """A square of lifts on a logarithmic scale: more than 1 in the first colour, less in the second, None blank."""
    size, left = 34, round(max((len(label) for label in labels), default=0) * CHARACTER + 12)
    above = round(max((len(label) for label in labels), default=0) * 5.0) + TOP
    parts = [_title(title)]
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
    return _svg(title, parts, above + size * len(labels) + 8, left + size * len(labels) + 60)


def _cell(x: int, y: int, size: int, colour: str, opacity: float, text: str) -> str:
    return (
        f'<rect class="{colour}" x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" fill-opacity="{opacity:.2f}"/>'
        f'<text class="ink" x="{x + size / 2 - 0.5}" y="{y + 21}" text-anchor="middle">{text}</text>'
    )


def _place(x: Axis, y: Axis) -> Callable[[Point], Point]:
    """From values to pixels."""

    def place(point: Point) -> Point:
        across, up = x.share(point[0]), y.share(point[1])
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    return place


def _frame(title: str, x: Axis, y: Axis) -> str:
    place = _place(x, y)
    base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [_title(title)]
    for tick in y.ticks():
        _, at = place((x.low, tick))
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x.ticks():
        at, _ = place((tick, y.low))
        parts.append(f'<line class="axis" x1="{at}" y1="{base}" x2="{at}" y2="{base + 4}"/>')
        parts.append(f'<text x="{at}" y="{base + 17}" text-anchor="middle">{short(tick)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{base}" x2="{right}" y2="{base}"/>')
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    y_middle = (TOP + base) / 2
    parts.append(
        f'<text x="13" y="{y_middle}" text-anchor="middle" transform="rotate(-90 13 {y_middle})">'
        f"{escape(y.label)}</text>"
    )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    """On the right above the chart, in the line of the title."""
    parts, right = [], float(WIDTH - RIGHT)
    for number, name in reversed(list(enumerate(names, start=1))):
        right -= len(name) * CHARACTER
        parts.append(f'<text x="{right:.1f}" y="16">{escape(name)}</text>')
        dashed = " dashed" if number == 2 else ""
        parts.append(
            f'<line class="line s{number}{dashed}" x1="{right - 28:.1f}" y1="12" x2="{right - 6:.1f}" y2="12"/>'
        )
        right -= 40
    return "".join(parts)


def _title(title: str) -> str:
    return f'<text class="title" x="0" y="16">{escape(title)}</text>'


def _svg(title: str, parts: Sequence[str], height: float, width: float = WIDTH) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}" style="max-width:{1.2 * width:.0f}px;min-width:{0.62 * width:.0f}px">'
        f"{''.join(parts)}</svg>"
    )
