"""Seconds and peak memory of each stage from nothing to metrics, at the full size of MIMIC-IV.

Run   python -m benchmarks.scale [--patients 65665] [--stages synthetic bronze silver split gold]
      python -m benchmarks.scale --patients 21400 --all-codes     40,000 notes, every code with 10 train notes
Everything is written to a temporary folder (--keep FOLDER to look at it afterwards; 65,665 patients need 8 GB). Memory
is that of a stage's largest process. What the linear coder costs from raw notes to metrics: benchmarks.baseline.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chartcode.lineage import ROOT

STAGES = ("synthetic", "bronze", "silver", "split", "gold", "tfidf", "evaluate")
SAID = ("labels", "micro_f1", "macro_f1", "micro_f1_per_label", "macro_f1_per_label", "map", "p_at_8", "p_at_15")
NOTES_A_PATIENT = 1.87  # of the synthetic hospital, ICD-10


class Cost(NamedTuple):
    """What some work took: seconds on the clock, CPU seconds of all cores, peak resident memory in MB."""

    wall: float
    cpu: float
    peak: float


def measured(folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> Cost:
    """The cost of a command run in a folder, its children included; ends this process when it fails."""
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command[1:])} failed: {(said.read().splitlines() or ['silently'])[-1]}")
    return Cost(wall, used.ru_utime + used.ru_stime, _megabytes(used.ru_maxrss))


def stage(folder: Path, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """The cost of one stage, run as DVC runs it."""
    module = f"stages.sources.{name}" if name == "synthetic" else f"stages.{name}"
    return measured(folder, sys.executable, "-m", module, *arguments, environment=environment)


@contextmanager
def part(costs: dict[str, Cost], name: str) -> Iterator[None]:
    """Put the cost of a block of this process under `name`; its memory is the process's peak until then."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    peak = _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    costs[name] = Cost(time.perf_counter() - wall, time.process_time() - cpu, peak)


def _megabytes(kilobytes: int) -> float:
    return kilobytes * 1024 / 1e6


def set_patients(folder: Path, patients: int) -> None:
    """So many patients in the params of a checkout."""
    params = folder / "params.yaml"
    lines = params.read_text().splitlines()
    lines = [f"  patients: {patients}" if line.startswith("  patients:") else line for line in lines]
    params.write_text("\n".join(lines) + "\n")


def workspace(folder: Path, patients: int, all_codes: bool = False) -> None:
    """The checkout's code and params in a folder of its own, with so many patients, and every code as a label or 50."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", folder)
    set_patients(folder, patients)
    if all_codes:
        params = folder / "params.yaml"
        params.write_text(params.read_text().replace("\n  top_k: 50\n  # notes", "\n  top_k:\n  # notes"))


def rows_of(folder: Path, name: str) -> int:
    """Notes that a stage wrote, as its manifest says."""
    place, file = {
        "synthetic": ("data/raw/synthetic", "note/discharge.csv.gz"),
        "bronze": ("data/bronze", "discharge.parquet"),
        "silver": ("data/silver", "notes.parquet"),
        "split": ("data/split", "splits.parquet"),
    }.get(name, ("data/gold", "hadm_ids.parquet"))
    manifest = json.loads((folder / place / "manifest.json").read_text())
    return int(manifest["files"][file]["rows"])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; every column but the first is flush right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=65_665)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--all-codes", action="store_true", help="gold.top_k empty: every code, not the commonest 50")
    parser.add_argument("--keep", type=Path, help="work here and leave it (an older run's data are used)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = chosen.keep or Path(temporary)
        if not (folder / "src").exists():
            folder.mkdir(parents=True, exist_ok=True)
            workspace(folder, chosen.patients, chosen.all_codes)
        print(f"{chosen.patients:,} patients, {os.cpu_count()} cores\n")
        print(f"{'stage':<10} {'notes':>8} {'seconds':>8} {'CPU s':>8} {'peak MB':>8} {'notes/s':>8}")
        for name in chosen.stages:
            wall, cpu, peak = stage(folder, name, *(["tfidf"] if name == "evaluate" else []))
            notes = rows_of(folder, name)
            print(f"{name:<10} {notes:>8,} {wall:>8.1f} {cpu:>8.1f} {peak:>8.0f} {notes / wall:>8.0f}", flush=True)
        if "evaluate" in chosen.stages:
            test = json.loads((folder / "metrics/tfidf/metrics.json").read_text())["tfidf"]["test"]
            print("\ntest: " + ", ".join(f"{key} {test[key]:,}" for key in SAID))


if __name__ == "__main__":
    main()
