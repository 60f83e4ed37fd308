"""Charts over two axes as SVG text: lines, histograms and points, in the colours of the page they stand in.

Colours are classes of document.css (f1..f3 fill, s1..s3 stroke), told apart with any colour vision and in grey by dash
or place. Coordinates are rounded, so equal data give equal bytes. Labels are given plain and escaped here. Charts in
rows are in rows.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chartcode.report.document import escape

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom
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
    return drawing(title, parts, HEIGHT)


def histogram(title: str, x: Axis, y_label: str, bins: Sequence[tuple[float, float, float]]) -> str:
    """Bars (left, right, height) of any width."""
    y = Axis(y_label, 0, top([height for _, _, height in bins]))
    place = _place(x, y)
    parts = [_frame(title, x, y)]
    for left, right, height in bins:
        (x1, y1), (x2, y0) = place((left, height)), place((right, 0))
        wide = max(round(x2 - x1 - 1, 1), 0.5)
        parts.append(f'<rect class="f1" x="{x1}" y="{y1}" width="{wide}" height="{round(y0 - y1, 1)}"/>')
    return drawing(title, parts, HEIGHT)


def scatter(title: str, x: Axis, y: Axis, points: Sequence[tuple[str, float, float, bool]]) -> str:
    """Points (label, x, y, whether the label is written beside it) and the diagonal; every label shows on pointing."""
    place = _place(x, y)
    (x1, y1), (x2, y2) = place((x.low, y.low)), place((x.high, y.high))
    parts = [_frame(title, x, y), f'<line class="ideal" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>']
    dots = [place((across, up)) for _, across, up, _ in points]
    for (label, *_), (a, b) in zip(points, dots, strict=True):
        circle = f'<circle class="f1" cx="{a}" cy="{b}" r="3.5" fill-opacity="0.75">'
        parts.append(f"{circle}<title>{escape(label)}</title></circle>")
    boxes = [(a - 3, b - 3, a + 3, b + 3) for a, b in dots]
    for (label, _, _, written), dot in zip(points, dots, strict=True):
        if written:
            box = _beside(dot, len(label) * CHARACTER, boxes)
            boxes.append(box)
            parts.append(f'<text class="ink" x="{box[0]:.1f}" y="{box[3] - 2:.1f}">{escape(label)}</text>')
    return drawing(title, parts, HEIGHT)


def _beside(dot: Point, long: float, boxes: Sequence[Box]) -> Box:
    """Where a label of that length stands: of the places around its dot, the one that covers least."""
    (a, b), high, base = dot, 12, HEIGHT - BOTTOM + 4
    places = [
        (left, up, left + long, up + high)
        for up in (b - 6, b - 18, b + 6)
        for left in (a + 6, a - 6 - long, a - long / 2)
        if (up, left) != (b - 6, a - long / 2) and left > LEFT and left + long < WIDTH and up + high < base
    ] or [(a + 6, b - 6, a + 6 + long, b + 6)]
    return min(places, key=lambda one: sum(_shared(one, other) for other in boxes))


def _shared(one: Box, other: Box) -> float:
    """The area of two boxes (left, top, right, bottom) that is in both."""
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def top(values: Sequence[float]) -> float:
    """A round end of an axis above every value."""
    most = max(values, default=0)
    if most <= 0:
        return 1.0
    step = nice(most / 5)
    return step * math.ceil(most / step - 1e-9)


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
    parts = [heading(title)]
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


def heading(title: str) -> str:
    """The title of a chart, above it on the left."""
    return f'<text class="title" x="0" y="16">{escape(title)}</text>'


def drawing(title: str, parts: Sequence[str], height: float, width: float = WIDTH) -> str:
    """The whole chart; drawn between 0.62 and 1.2 times its size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}" style="max-width:{1.2 * width:.0f}px;min-width:{0.62 * width:.0f}px">'
        f"{''.join(parts)}</svg>"
    )
