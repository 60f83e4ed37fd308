"""Seconds and peak memory of each stage from nothing to gold, at the full size of MIMIC-IV.

Run   python -m benchmarks.scale [--patients 65665] [--stages synthetic bronze silver split gold]
Memory is the sum over a stage's processes, sampled ten times a second; everything is written to a temporary folder
(--keep FOLDER to look at it afterwards; 65,665 patients need 8 GB).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from chartcode.lineage import ROOT

STAGES = ("synthetic", "bronze", "silver", "split", "gold")


def measured(folder: Path, stage: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident memory (MB) of one stage."""
    module = f"stages.sources.{stage}" if stage == "synthetic" else f"stages.{stage}"
    before = os.times()
    start = time.perf_counter()
    process = psutil.Popen([sys.executable, "-m", module], cwd=folder, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    after = os.times()
    if process.returncode:
        sys.exit(f"{stage} failed: {process.stderr.read().splitlines()[-1]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - start, cpu, peak / 1e6


def workspace(folder: Path, patients: int) -> None:
    """The checkout's code and params in a folder of its own, with so many patients."""
    for part in ("src", "stages"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    lines = (ROOT / "params.yaml").read_text().splitlines()
    lines = [f"  patients: {patients}" if line.startswith("  patients:") else line for line in lines]
    (folder / "params.yaml").write_text("\n".join(lines) + "\n")


def rows_of(folder: Path, stage: str) -> int:
    """Notes that a stage wrote, as its manifest says."""
    place, name = {
        "synthetic": ("data/raw/synthetic", "note/discharge.csv.gz"),
        "bronze": ("data/bronze", "discharge.parquet"),
        "silver": ("data/silver", "notes.parquet"),
        "split": ("data/split", "splits.parquet"),
        "gold": ("data/gold", "hadm_ids.parquet"),
    }[stage]
    manifest = json.loads((folder / place / "manifest.json").read_text())
    return int(manifest["files"][name]["rows"])


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=65_665)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--keep", type=Path, help="work here and leave it (an older run's data are used)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = chosen.keep or Path(temporary)
        if not (folder / "src").exists():
            folder.mkdir(parents=True, exist_ok=True)
            workspace(folder, chosen.patients)
        print(f"{chosen.patients:,} patients, {os.cpu_count()} cores\n")
        print(f"{'stage':<10} {'notes':>8} {'seconds':>8} {'CPU s':>8} {'peak MB':>8} {'notes/s':>8}")
        for stage in chosen.stages:
            wall, cpu, peak = measured(folder, stage)
            notes = rows_of(folder, stage)
            print(f"{stage:<10} {notes:>8,} {wall:>8.1f} {cpu:>8.1f} {peak:>8.0f} {notes / wall:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
