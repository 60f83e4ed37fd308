"""Every coder on the same notes: how right, how well its evidence holds, and what it costs.

Run   python -m benchmarks.coders                                        the default params, some twenty minutes
      python -m benchmarks.coders --rows tfidf laat --patients 10700 --set laat.max_words=4000 laat.epochs=5
Rows are coders, and `transformer:POOLING` the transformer under another head. Everything is written to a temporary
folder; `--keep FOLDER` works there, uses what an earlier run of it left (hospital and rows of the same params), and so
goes on where one was stopped. Scores are those of stage `evaluate` on test, evidence those of stage `explain`; seconds
and memory are of the coder's own stage, a process. The gain is over `tfidf`, by `chartcode compare tfidf CODER`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.scale import rows_of, set_patients, stage, table, workspace

ROWS = (
    "tfidf",
    "laat",
    "boosted",
    "transformer:max",
    "transformer:mean",
    "transformer:cross_attention",
    "transformer",
    "ensemble",
)
HOSPITAL = ("synthetic", "bronze", "silver", "split", "gold")
SCORES = ("micro_f1", "macro_f1", "map", "p_at_5")
EVIDENCE = (
    "evidence_f1",
    "evidence_span_recall",
    "comprehensiveness",
    "comprehensiveness_random",
    "sufficiency",
    "sufficiency_random",
)


def set_params(folder: Path, changes: Sequence[str]) -> None:
    """Put SECTION.KEY=VALUE into the params of a workspace, as `dvc exp run -S` does."""
    yaml, path = YAML(), folder / "params.yaml"
    values = yaml.load(path)
    for change in changes:
        name, _, value = change.partition("=")
        section, key = name.split(".")
        if key not in values[section]:
            sys.exit(f"--set {name}: no such key in params.yaml")
        values[section][key] = YAML(typ="safe").load(value)
    yaml.dump(values, path)


def begin(folder: Path, patients: int, changes: Sequence[str]) -> None:
    """A workspace with its hospital, and the params of this run: one that was stopped left those of its row."""
    params, untouched = folder / "params.yaml", folder / "untouched.yaml"
    if not untouched.exists():
        folder.mkdir(parents=True, exist_ok=True)
        workspace(folder, patients)
        shutil.copy(params, untouched)
    shutil.copy(untouched, params)
    set_patients(folder, patients)
    set_params(folder, changes)
    if not (folder / "data/gold/manifest.json").exists():
        for name in HOSPITAL:
            stage(folder, name)


def measure(folder: Path, row: str) -> dict[str, Any]:
    """Run the stages of one row in a workspace that has its hospital; its cost, scores and evidence."""
    coder, _, pooling = row.partition(":")
    before = (folder / "params.yaml").read_text()
    if pooling:
        set_params(folder, [f"transformer.pooling={pooling}"])
    cost = stage(folder, coder)
    stage(folder, "evaluate", coder)
    stage(folder, "explain", coder)
    (folder / "params.yaml").write_text(before)
    found: dict[str, Any] = {"cost": cost._asdict()}
    for name in ("metrics", "evidence"):
        found[name] = json.loads((folder / f"metrics/{coder}/{name}.json").read_text())[coder]["test"]
    if coder != "tfidf" and (folder / "data/scores/tfidf").is_dir():
        found["gain"] = gain(folder, coder)
    return found


def measured_once(folder: Path, row: str) -> dict[str, Any]:
    """What an earlier run found for this row with these params, or `measure`."""
    kept, params = folder / "rows" / f"{row}.json", (folder / "params.yaml").read_text()
    if kept.exists():
        before: dict[str, Any] = json.loads(kept.read_text())
        if before["params"] == params:
            return before
    if row.partition(":")[0] in ("transformer", "boosted"):
        stage(folder, "encoder")
    found = measure(folder, row) | {"params": params}
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


def gain(folder: Path, coder: str) -> str:
    """What the coder has over the linear one in micro-F1, with the interval that `chartcode compare` gives it."""
    command = "import sys; from chartcode.cli import main; sys.exit(main(sys.argv[1:]))"
    said = subprocess.run(
        [sys.executable, "-c", command, "compare", "tfidf", coder],
        cwd=folder, env={"PYTHONPATH": str(folder / "src")}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"^micro_f1 .*?([+-]\d\.\d+ \[.+?\])", said, re.MULTILINE)
    return found[1] if found else "."


def number(values: dict[str, Any], name: str) -> str:
    """A metric with its interval, where it has one."""
    if values.get(name) is None:
        return "."
    low, high = values.get(f"{name}_lo"), values.get(f"{name}_hi")
    return f"{values[name]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def report(found: dict[str, dict[str, Any]]) -> str:
    """Two tables in Markdown: scores and cost, evidence."""
    scored = [
        [
            row,
            *(number(of["metrics"], name) for name in SCORES),
            of.get("gain", ""),
            *(f"{of['cost'][name]:.0f}" for name in ("wall", "cpu", "peak")),
        ]
        for row, of in found.items()
    ]
    shown = [[row, *(number(of["evidence"], name) for name in EVIDENCE)] for row, of in found.items()]
    return "\n\n".join(
        (
            table(["coder", *SCORES, "gain in micro_f1", "seconds", "CPU s", "peak MB"], scored),
            table(["coder", *EVIDENCE], shown),
        )
    )


def main() -> None:
    """Measure the rows that are not yet measured, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--patients", type=int, default=1700)
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.KEY=VALUE", help="other params")
    parser.add_argument("--keep", type=Path, help="work here and leave it")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coders-") as temporary:
        folder = chosen.keep or Path(temporary)
        begin(folder, chosen.patients, chosen.set)
        found = {}
        for row in [row for row in ROWS if row in chosen.rows]:
            found[row] = measured_once(folder, row)
            print(f"{row}: micro_f1 {found[row]['metrics']['micro_f1']}", file=sys.stderr, flush=True)
        print(f"{rows_of(folder, 'gold'):,} notes, {found[row]['metrics']['n']} of them test\n\n{report(found)}")


if __name__ == "__main__":
    main()
