"""Draws what each part costs against the number of notes, both designs, from the figures of benchmarks.baseline."""

from __future__ import annotations

import json
from typing import Any

from chartcode.plots import COLOURS
from chartcode.plots import png as drawn

PANELS = ("end to end", "bronze", "silver", "split + gold", "tf-idf", "logistic regression", "scoring", "metrics")
COLUMNS = 4
COLOUR = {"ours": COLOURS["here"], "reference": COLOURS["base"]}
SHADE = {"ours": "#005A91", "reference": "#A86F00"}  # the same, dark enough for text
TICKS = {0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h"}  # seconds
THOUSANDS = "format(datum.value / 1000, datum.value < 1e5 ? '.2~r' : '.3~r') + 'k'"
Spec = dict[str, Any]


def seconds(value: float) -> str:
    """For people: two digits, from milliseconds to hours."""
    size, unit = next((s, u) for s, u in ((3600, "h"), (60, "min"), (0.1, "s"), (0, "ms")) if value >= 1.5 * s)
    size = {"s": 1, "ms": 1e-3}.get(unit, size)
    return f"{value / size:.{1 if value < 9.95 * size else 0}f} {unit}"


def figure(figures: dict[str, Any]) -> Spec:
    """A Vega-Lite chart: one panel a part, CPU time against notes, both logarithmic and the same in all panels."""
    sizes = sorted(figures["sizes"], key=lambda size: size["notes"])
    notes = [size["notes"] for size in sizes]
    costs = [size["parts"][name][side]["cpu"] for size in sizes for name in PANELS for side in sides_of(size, name)]
    x = {
        "field": "notes",
        "type": "quantitative",
        "title": "notes",
        "scale": {"type": "log", "domain": [notes[0] / 1.2, notes[-1] * 1.2], "nice": False},
        "axis": {
            "values": notes,
            "labelExpr": "format(datum.value / 1000, datum.value < 1e5 ? '.2~r' : '.3~r') + 'k'",
            "grid": False,
        },
    }
    y = {
        "field": "cpu",
        "type": "quantitative",
        "title": "CPU time",
        "scale": {"type": "log", "domain": [min(costs) / 2.5, max(costs) * 4], "nice": False},
        "axis": {"values": list(TICKS), "labelExpr": f"({json.dumps(TICKS)})[datum.value]"},
    }
    text = {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": "white",
        "padding": 14,
        "title": {
            "text": "From raw notes to test metrics",
            "subtitle": f"CPU time on {figures['machine']['cores']} cores; in figures that of {notes[-1]:,} notes"
            + (", in titles how many times ours the reference design takes there" if sizes[-1]["parity"] else ""),
        },
        "columns": COLUMNS,
        "spacing": {"row": 30, "column": 18},
        "concat": [panel(name, sizes, x, y) for name in PANELS],
        "config": {
            "font": "Helvetica, Arial, sans-serif",
            "view": {"stroke": None},
            "title": {"fontSize": 13, "fontWeight": 600, "anchor": "start", "frame": "group", "offset": 10,
                      "subtitleColor": "#555", "subtitleFontSize": 12, "subtitlePadding": 6},
            "axis": {**text, "titleColor": "#444", "labelColor": "#444", "gridColor": "#e8e8e8",
                     "domainColor": "#999", "tickColor": "#999"},
        },
    }  # fmt: skip


def panel(name: str, sizes: list[dict[str, Any]], x: Spec, y: Spec) -> Spec:
    """One part; what a line comes to stands at its end, and in the first panel whose it is."""
    first, last = (size["parts"][name] for size in (sizes[0], sizes[-1]))
    values = [
        {"notes": size["notes"], "cpu": size["parts"][name][side]["cpu"], "side": side}
        for size in sizes
        for side in sides_of(size, name)
    ]
    place = PANELS.index(name)
    bare = {"labels": False, "title": None}
    axes = {
        "x": x | {"axis": x["axis"] | ({} if place >= len(PANELS) - COLUMNS else {"title": None})},
        "y": y | {"axis": y["axis"] | ({} if place % COLUMNS == 0 else bare)},
    }
    domain = {"domain": list(COLOUR), "range": list(COLOUR.values())}
    colour = {"field": "side", "scale": domain, "legend": None}
    line = {"type": "line", "strokeWidth": 2, "point": {"size": 34, "filled": True}}
    layers: list[Spec] = [{"mark": line, "encoding": axes | {"color": colour}}]
    upper = max(sides_of(sizes[-1], name), key=lambda side: last[side]["cpu"])
    for side in sides_of(sizes[-1], name):
        # Lines rise: above its end and below its start a line is not in the way of text.
        end = {"dy": -12 if side == upper else 20, "dx": 8, "align": "right"}
        start = {"dy": 16, "dx": -4, "align": "left"} if side != upper else {"dy": -34, "dx": -4, "align": "left"}
        said = seconds(last[side]["cpu"])
        if len(sizes) == 1 and place == 0:
            said = f"{side} {said}"
        layers.append(words(said, sizes[-1]["notes"], last[side]["cpu"], side, end, axes))
        if len(sizes) > 1 and place == 0:
            layers.append(words(side, sizes[0]["notes"], first[side]["cpu"], side, start, axes))
    title = name
    if "ratio" in last:
        ratio = last["ratio"]["cpu"]
        title += f": {ratio:.{0 if ratio >= 9.95 else 1}f}x"
    return {"title": title, "width": 200, "height": 190, "data": {"values": values}, "layer": layers}


def words(text: str, notes: int, cpu: float, side: str, where: Spec, axes: Spec) -> Spec:
    """Text beside a point."""
    mark = {"type": "text", "text": text, "color": SHADE[side], "fontSize": 12, "fontWeight": 600, **where}
    return {"data": {"values": [{"notes": notes, "cpu": cpu}]}, "mark": mark, "encoding": axes}


def sides_of(size: dict[str, Any], name: str) -> list[str]:
    """Whose cost of a part is known."""
    return [side for side in COLOUR if side in size["parts"][name]]


def png(figures: dict[str, Any]) -> bytes:
    """The chart as a picture."""
    return drawn(figure(figures))
