"""What linking, its coders and extraction cost as notes grow: seconds and memory of each stage at several sizes.

Run   python -m benchmarks.linking_scale [--patients 6450 19350] [--stages link linked ...]     12,000 and 36,000 notes
      python -m benchmarks.linking_scale --labels 100 ...      a code with 100 train notes is a label (default: 10)
      python -m benchmarks.linking_scale --keep FOLDER ...     leaves all there, and goes on where it stopped
Hospitals are invented ones, larger than the pipeline's. Stages run as DVC runs them. Memory is that of all processes of
a stage at one time, sampled. The last columns lay a straight line through the smallest and the largest size, to
MIMIC-IV's 122,000 notes: a forecast, no measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.scale import Cost, rows_of, stage, table, workspace

BEFORE = ("synthetic", "bronze", "silver", "split", "gold")
STAGES = (
    "terminology", "link", "evaluate_links", "tfidf", "linked", "stacked", "extract",
    "evaluate@linked", "explain@linked", "report@linked", "evaluate@stacked", "explain@stacked", "report@stacked",
)  # fmt: skip
FULL = 122_000  # notes of MIMIC-IV coded in ICD-10
EVERY = 0.2  # seconds between two looks at memory


class Found(NamedTuple):
    """What a stage cost, and the most that its processes held together, in MB."""

    notes: int
    cost: Cost
    together: float


class Watch(threading.Thread):
    """Looks at the memory of the processes below this one until `stop`; pages that two of them share count twice."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._done = 0.0, threading.Event()

    def run(self) -> None:
        """Look again and again."""
        while not self._done.wait(EVERY):
            self.look()

    def look(self) -> None:
        """Add up what the processes hold now."""
        held = 0
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                held += child.memory_info().rss
        self.most = max(self.most, held / 1e6)

    def stop(self) -> float:
        """The most that was seen, in MB."""
        self._done.set()
        self.join()
        return self.most


def found(folder: Path, name: str) -> Found:
    """Run one stage (stage@coder) in a folder."""
    watch = Watch()
    watch.start()
    module, *coder = name.split("@")
    try:
        cost = stage(folder, module, *coder)
    finally:
        together = watch.stop()
    return Found(rows_of(folder, name), cost, max(together, cost.peak))


def hospital(folder: Path, patients: int, labels: int) -> None:
    """A hospital as far as gold, unless it stands."""
    if not folder.exists():
        folder.mkdir(parents=True)
        workspace(folder, patients, all_codes=True)
        params = folder / "params.yaml"
        params.write_text(params.read_text().replace("  min_count: 10\n", f"  min_count: {labels}\n"))
    if not (folder / "data/gold").exists():
        for name in BEFORE:
            stage(folder, name)


def line(sizes: Sequence[Found], value: str) -> str:
    """Where the straight line through the smallest and the largest size is at FULL notes."""
    first, last = sizes[0], sizes[-1]
    if first.notes == last.notes:
        return ""
    a, b = (each.together if value == "together" else getattr(each.cost, value) for each in (first, last))
    return f"{b + (b - a) * (FULL - last.notes) / (last.notes - first.notes):,.0f}"


def shown(figures: Mapping[str, Mapping[str, Found]]) -> str:
    """The table, from figures by hospital and stage: a row a stage, three columns a size, and the line."""
    header, names = ["stage"], [name for name in STAGES if any(name in held for held in figures.values())]
    for held in figures.values():
        header += [f"{next(iter(held.values())).notes:,} notes: wall s", "CPU s", "MB"]
    rows = []
    for name in names:
        row = [name]
        for held in figures.values():
            one = held.get(name)
            row += [f"{value:,.0f}" for value in (one.cost.wall, one.cost.cpu, one.together)] if one else [""] * 3
        sizes = [held[name] for held in figures.values() if name in held]
        rows.append([*row, line(sizes, "cpu"), line(sizes, "together")])
    return table([*header, f"{FULL:,} notes, CPU s", "MB"], rows)


def kept(file: Path) -> dict[str, dict[str, Found]]:
    """What an earlier run measured, by hospital (patients) and stage."""
    held = json.loads(file.read_text()) if file.exists() else {}
    return {
        patients: {name: Found(notes, Cost(*cost), together) for name, (notes, cost, together) in stages.items()}
        for patients, stages in held.items()
    }


def main() -> None:
    """Print the table; each stage as it is done goes to the error stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs="+", default=[6450, 19350])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--labels", type=int, default=10, help="train notes that a code must have to be a label")
    parser.add_argument("--keep", type=Path, help="work here and leave it; what was measured here is not run again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        whole = chosen.keep or Path(temporary)
        figures = kept(whole / "figures.json")
        for patients in sorted(chosen.patients):
            folder, held = whole / str(patients), figures.setdefault(str(patients), {})
            missing = [name for name in chosen.stages if name not in held]
            if missing:
                hospital(folder, patients, chosen.labels)
            for name in missing:
                held[name] = one = found(folder, name)
                print(f"{one.notes:>8,} {name:<16} {one.cost.wall:8.1f} s", file=sys.stderr, flush=True)
                (whole / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
        print(f"{os.cpu_count()} cores\n\n{shown(dict(sorted(figures.items(), key=lambda item: int(item[0]))))}")


if __name__ == "__main__":
    main()
