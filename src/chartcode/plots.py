"""The curves of two revisions, overlaid: PNG figures for a pull request, one HTML page that needs no network.

DVC reads and pairs the curves (every `plots:` entry of dvc.yaml, all of them CSV in Git); Vega-Lite draws them, through
vl-convert, which carries the library, its fonts and a renderer. `dvc plots` alone would load it from the internet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from chartcode.errors import DataError
from chartcode.revisions import WORKSPACE, Sides, opened, refuse_unreadable, sides, unreadable

# Okabe and Ito's blue and orange, told apart with any colour vision; dashes tell them apart in grey.
COLOURS = {"base": "#E69F00", "here": "#0072B2"}
DASHES = {"base": [5, 3], "here": [1, 0]}
PANEL = 330, 260  # pixels, width and height: two panels and their axes fill a comment
FOLDER = Path("reports/plots")
COLUMNS = 2
SCALE = 1.25  # pixels of the picture for one of the chart
UNGROUPED = "pipeline"  # group of a plot that belongs to no coder
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data: blob:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'\">"
)

Points = list[tuple[str, float, float]]  # series, x, y in the order of the file
Spec = dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """One plot of dvc.yaml, on both sides; a side without the file has no points."""

    group: str  # the coder, or UNGROUPED
    title: str
    x_label: str
    y_label: str
    diagonal: bool  # whether a perfect coder lies on y = x
    base: Points
    here: Points


def read(compared: Sides, root: Path = Path()) -> list[Plot]:
    """Every plot that has points in base or here, sorted by name; a coder without epochs has none of its training.

    Raises DataError when DVC cannot read the plots of the checkout; what cannot be read in base has no points there.
    """
    from dvc.render.match import match_defs_renderers  # type: ignore[import-untyped, unused-ignore]

    with opened(root) as repo:
        read_by_dvc = repo.plots.show(revs=[compared.commit, WORKSPACE])
        found = sorted(match_defs_renderers(read_by_dvc), key=lambda each: str(each.renderer.name))
    here = read_by_dvc.get(WORKSPACE, {})
    broken = [name for kind in ("definitions", "sources") for name in unreadable(here.get(kind, {}))]
    refuse_unreadable(broken + [str(each.renderer.name) for each in found if WORKSPACE in each.definition_errors])
    plots = [_plot(each.renderer, compared) for each in found]
    return [plot for plot in plots if plot.base or plot.here]


def write(base: str | None = None, out: Path = FOLDER, root: Path = Path()) -> Path:
    """Write every curve of here over that of base to one page, `out`/index.html, that loads nothing; returns it."""
    compared = sides(base, root)
    found = read(compared, root)
    if not found:
        raise DataError("dvc.yaml: no plot has data here or in base; run `dvc repro`")
    out.mkdir(parents=True, exist_ok=True)
    target = out / "index.html"
    target.write_text(page(figure(found, compared)), encoding="utf-8")
    return target


def _plot(renderer: Any, compared: Sides) -> Plot:
    about, rows = renderer.properties, renderer.datapoints
    x = str(about.get("x", "step"))
    coder = re.match(r"metrics/([^/]+)/plots/", str(renderer.name))
    points: dict[str, Points] = {WORKSPACE: [], compared.commit: []}
    for row in rows:
        try:
            point = float(row[x]), float(row[row["field"]])
        except (KeyError, ValueError, TypeError):
            continue  # an empty cell: withheld, or not defined there
        points[row["rev"]].append((f"{row['filename']} {row['field']}", *point))
    return Plot(
        group=coder[1] if coder else UNGROUPED,
        title=str(about.get("title", renderer.name)),
        x_label=str(about.get("x_label", x)),
        y_label=str(about.get("y_label", about.get("y", "value"))),
        diagonal=x == "predicted",
        base=points[compared.commit],
        here=points[WORKSPACE],
    )


def moved(plot: Plot) -> bool:
    """Whether the curve of here is another than that of base."""
    return plot.base != plot.here


def grouped(plots: Sequence[Plot]) -> dict[str, list[Plot]]:
    """Plots by coder, in order."""
    groups: dict[str, list[Plot]] = {}
    for plot in plots:
        groups.setdefault(plot.group, []).append(plot)
    return groups


def figure(plots: Sequence[Plot], compared: Sides) -> Spec:
    """A Vega-Lite chart: one panel a plot, two in a row, base dashed under here, one legend on top."""
    labels = {"base": f"base {compared.base}", "here": f"here {compared.here}"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": "white",
        "padding": 12,
        "columns": COLUMNS,
        "spacing": 28,
        "concat": [_panel(plot, labels) for plot in plots],
        "config": {
            "font": "Helvetica, Arial, sans-serif",
            "view": {"stroke": None},
            "title": {"fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 8},
            "axis": {
                "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "titleColor": "#444",
                "labelColor": "#444", "gridColor": "#e8e8e8", "domainColor": "#999", "tickColor": "#999",
            },
            "legend": {
                "orient": "top", "title": None, "labelFontSize": 13, "symbolSize": 500, "symbolStrokeWidth": 2.5,
                "symbolType": "stroke", "columnPadding": 24,
            },
        },
    }  # fmt: skip


def _panel(plot: Plot, labels: dict[str, str]) -> Spec:
    values = [
        {"x": x, "y": y, "series": series, "side": labels[side], "order": order}
        for side, points in (("base", plot.base), ("here", plot.here))
        for order, (series, x, y) in enumerate(points)
    ]
    names = list(labels.values())
    curves = {
        "data": {"values": values},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 26, "filled": True} if plot.diagonal else False},
        "encoding": {
            "x": _axis("x", plot.x_label, [x for _, x, _ in (*plot.base, *plot.here)]),
            "y": _axis("y", plot.y_label, [y for _, _, y in (*plot.base, *plot.here)]),
            "order": {"field": "order"},
            "detail": {"field": "series"},
            "color": {"field": "side", "scale": {"domain": names, "range": [COLOURS[side] for side in labels]}},
            "strokeDash": {"field": "side", "scale": {"domain": names, "range": [DASHES[side] for side in labels]}},
            "tooltip": [{"field": "side", "title": "revision"}, *({"field": a, "format": ".4f"} for a in "xy")],
        },
    }
    ideal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "color": "#bbb", "strokeWidth": 1},
        "encoding": {axis: {"field": axis, "type": "quantitative"} for axis in "xy"},
    }
    width, height = PANEL
    layers = [ideal, curves] if plot.diagonal else [curves]
    return {"title": plot.title, "width": width, "height": height, "layer": layers}


def _axis(name: str, label: str, values: Sequence[float]) -> Spec:
    """Shares and scores get the whole of 0 to 1, so that panels can be compared; other units what they need."""
    share = all(0 <= value <= 1 for value in values)
    scale: Spec = {"domain": [0, 1]} if share else {"zero": False}
    return {"field": name, "type": "quantitative", "title": label, "scale": scale, "axis": {"tickCount": 5}}


def png(spec: Spec) -> bytes:
    """The chart as a picture."""
    return bytes(_converter().vegalite_to_png(spec, scale=SCALE))


def page(spec: Spec) -> str:
    """The chart as one HTML page with the drawing library inside; its policy forbids the browser any request."""
    without_editor = spec | {
        "usermeta": {"embedOptions": {"actions": {"export": True, "source": False, "editor": False}}}
    }
    drawn = str(_converter().vegalite_to_html(without_editor, bundle=True))
    return drawn.replace("<head>", f"<head>\n    {POLICY}", 1).replace(
        "<title>Chart</title>", "<title>Curves</title>", 1
    )


def _converter() -> ModuleType:
    try:
        import vl_convert
    except ImportError:
        raise DataError("vl-convert-python is not installed; run `make install-dev`") from None
    return vl_convert
