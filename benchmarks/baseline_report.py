"""What benchmarks.baseline measured, as Markdown and a chart; the sizes of several runs together, if asked.

Run   python -m benchmarks.baseline_report OUT FOLDER [FOLDER ...]     of folders with figures.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.scale import table

INSIDE = ("tf-idf", "logistic regression", "scoring")  # of the linear coder
END = "end to end"
PARTS = ("bronze", "silver", "split + gold", "linear coder", *INSIDE, "metrics", END)
SIDES = ("ours", "reference")
FLAT = 0.15


def size_table(size: dict[str, Any]) -> str:
    """Every part at one size."""
    rows = []
    for name, sides in size["parts"].items():
        row = [f"&nbsp;&nbsp;{name}" if name in INSIDE else f"**{name}**" if name == END else name]
        for kind, digits in (("cpu", ".1f"), ("wall", ".1f"), ("peak", ",.0f")):
            row += [format(sides[side][kind], digits) if side in sides else "-" for side in SIDES]
            if kind != "peak":
                row.append(f"{sides['ratio'][kind]:.1f}x" if "ratio" in sides else "-")
        rows.append(row)
    header = ["part", "CPU s, ours", "reference", "ratio", "wall s, ours", "reference", "ratio"]
    rounds = f"median of {size['rounds']} rounds" if size["rounds"] > 1 else "1 round"
    return f"### {size['notes']:,} notes, {rounds}\n\n" + table([*header, "peak MB, ours", "reference"], rows)


def per_note_table(sizes: list[dict[str, Any]]) -> str:
    """What a note costs us, by size."""
    names = [name for name in PARTS if name not in INSIDE]
    rows = []
    for size in sizes:
        costs = [size["parts"][name]["ours"] for name in names]
        each = [*(cost["cpu"] for cost in costs), costs[-1]["wall"]]
        rows.append([f"{size['notes']:,}", *(f"{1e3 * s / size['notes']:.2f}" for s in each)])
        rows[-1].append(f"{costs[-1]['peak']:,.0f}")
    header = ["notes", *(f"{name}, CPU ms" for name in names), f"{END}, wall ms", "peak MB"]
    blocks = ["### Cost of a note, ours", table(header, rows)]
    for kind, name in (("cpu", "CPU"), ("wall", "wall")) if len(sizes) > 1 else ():
        first, last = (size["parts"][END]["ours"][kind] / size["notes"] for size in (sizes[0], sizes[-1]))
        verdict = "falls" if last < first * (1 - FLAT) else "grows" if last > first * (1 + FLAT) else "flat"
        blocks.append(f"{name} a note, largest over smallest size: {last / first:.2f} ({verdict}; margin {FLAT:.0%})")
    return "\n\n".join(blocks)


def parity_table(sizes: list[dict[str, Any]]) -> str:
    """Whether both say the same, a column a size."""

    def pair(value: dict[str, float]) -> str:
        return f"{value['ours']:.4f} / {value['reference']:.4f}"

    def same_notes(p: dict[str, Any]) -> str:
        rows = "same admissions and labels" if p["same cohort"] and p["same labels"] else "OTHER ADMISSIONS OR LABELS"
        return f"{rows}; {p['same texts']:,} of {p['notes']:,} clean texts equal"

    def same_terms(p: dict[str, Any]) -> str:
        return f"{'all' if p['terms equal'] else 'NOT ALL'} {p['terms']:,} equal"

    kinds = [key for key in sizes[0]["parity"] if "-F1, " in key]
    lines: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("notes", same_notes),
        ("terms, with scikit-learn's ties", same_terms),
        ("terms that our tie rule takes instead", lambda p: f"{p['others by our tie rule']:,}"),
        ("largest difference of a TF-IDF weight", lambda p: f"{p['dx']:.1e}" if "dx" in p else "-"),
        ("largest difference of a weight, same matrix", lambda p: f"{p['dw']:.1e} (of {p['largest weight']:.1f})"),
        ("largest excess of an objective over the reference's", lambda p: f"{p['excess']:.1e}"),
        ("the same, the reference's over ours", lambda p: format(p["excess, reference's over ours"], ".1e")),
        ("largest difference of a test score", lambda p: f"{p['scores']:.1e}"),
        *((f"test {kind} (ours / reference)", lambda p, kind=kind: pair(p[kind])) for kind in kinds),  # type: ignore[misc]
        ("largest difference of a code's test F1, own thresholds", lambda p: f"{p['label F1, own thresholds']:.4f}"),
        ("the same, ours on both sides", lambda p: f"{p['label F1, our thresholds']:.4f}"),
    ]
    rows = [[name, *(value(size["parity"]) for size in sizes)] for name, value in lines]
    return "### The same answers\n\n" + table(["", *(f"{size['notes']:,} notes" for size in sizes)], rows)


def dvc_table(found: dict[str, Any]) -> str:
    """What DVC adds."""
    rows = [[name, *(f"{cost[kind]:.1f}" for kind in ("wall", "cpu"))] for name, cost in found["costs"].items()]
    return f"### What DVC adds, {found['notes']:,} notes, 1 round\n\n" + table(["", "wall s", "CPU s"], rows)


def report(figures: dict[str, Any]) -> str:
    """Everything as Markdown."""
    machine, sizes = figures["machine"], figures["sizes"]
    blocks = [f"{machine['cores']} cores; {', '.join(f'{k} {v}' for k, v in machine['versions'].items())}."]
    if figures["jobs"] > 1:
        blocks.append(f"The reference fits {figures['jobs']} codes side by side.")
    blocks += [size_table(size) for size in sizes]
    blocks.append(per_note_table(sizes))
    if figures["dvc"]:
        blocks.append(dvc_table(figures["dvc"]))
    judged = [size for size in sizes if size["parity"]]
    return "\n\n".join([*blocks, *([parity_table(judged)] if judged else [])]) + "\n"


def write(figures: dict[str, Any], folder: Path) -> None:
    """table.md, figures.json, cost.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / "table.md").write_text(report(figures))
    (folder / "cost.png").write_bytes(chart.png(figures))


def main(out: Path, *folders: Path) -> None:
    """Print and write the sizes of several runs, the first of which names the machine."""
    runs = [json.loads((folder / "figures.json").read_text()) for folder in folders]
    sizes = sorted((size for each in runs for size in each["sizes"]), key=lambda size: size["notes"])
    figures = runs[0] | {"sizes": sizes, "dvc": next((each["dvc"] for each in runs if each["dvc"]), None)}
    write(figures, out)
    print(report(figures), end="")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
