"""The linear baseline from raw notes to test metrics, beside the reference design: time, memory, and the same answers.

Run   python -m benchmarks.baseline [--notes 10000 20000 40000] [--full] [--out FOLDER]
      python -m benchmarks.baseline --notes 2000 --rounds 1 --skip-reference      ours alone, a few minutes
Works in a temporary checkout (a copy of this tree; 122,000 notes need 20 GB) on invented hospitals. Ours are the stages
as DVC runs them, each a process; the reference is benchmarks/reference.py, a process a stage. They take turns, stage by
stage, and ratios are of turns next to each other. Loops are compiled beforehand. FOLDER gets table.md, figures.json and
cost.png; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.baseline_report import END, PARTS, SIDES, report, write
from benchmarks.scale import NOTES_A_PATIENT, Cost, measured, part, rows_of, set_patients, stage
from chartcode.parallel import cores
from tests.checkouts import ENVIRONMENT, commit, copy_tree, run

SIZES = (10_000, 20_000, 40_000)
FULL = 65_665  # patients of MIMIC-IV's cohort, 122,288 notes
SMALL, MANY = 10_000, 3  # up to so many notes so many rounds, above one
# Part, our stages, the reference's stage.
STAGES: dict[str, tuple[tuple[tuple[str, ...], ...], str]] = {
    "bronze": ((("bronze",),), "bronze"),
    "silver": ((("silver",),), "silver"),
    "split + gold": ((("split",), ("gold",)), "gold"),
    "linear coder": ((("tfidf",),), "linear"),
    "metrics": ((("evaluate", "tfidf"),), "metrics"),
}
Round = dict[str, dict[str, Cost]]  # side, part


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def linear_parts() -> dict[str, Cost]:
    """The calls of stages/tfidf.py one by one, in a checkout where that stage has run."""
    from chartcode.artifacts import Artifact
    from chartcode.coders.base import gold_of, labelled_notes
    from chartcode.coders.logistic import Solver
    from chartcode.coders.terms import TfidfTerms
    from chartcode.coders.tfidf import BLOCK, TfidfCoder, TfidfParams
    from chartcode.params import load

    costs: dict[str, Cost] = {}
    silver = Artifact("data/silver")
    gold, params = gold_of(silver, Artifact("data/gold")), load(TfidfParams)
    train, held_out = labelled_notes(silver, gold, "train"), labelled_notes(silver, gold, "val", "test")
    terms = TfidfTerms(params.ngram_range, params.min_df, params.max_features, params.sublinear_tf)
    with part(costs, "tf-idf"):
        features = terms.fit_transform(batch.column("text") for batch in train.read(["text"]))
    with part(costs, "logistic regression"):
        solver = Solver(C=params.C, class_weight=params.class_weight, block=BLOCK)
        for _ in solver.blocks(features, train.labels, overwrite_X=True):
            pass
    del features, terms
    with part(costs, "scoring"):
        coder = TfidfCoder.load(Artifact("models/tfidf"))
        coder.scores(held_out.read(coder.reads))
    return costs


class Checkout:
    """A copy of this tree in which stages are measured."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.jobs = copy_tree(folder), jobs
        run(folder, "git", "init", "-q", "-b", "main")
        commit(folder)
        self.environment = ENVIRONMENT | {"PYTHONPATH": str(folder / "src")}

    def module(self, name: str, *arguments: str) -> Cost:
        """The cost of `python -m name`."""
        return measured(self.folder, sys.executable, "-m", name, *arguments, environment=self.environment)

    def parts(self, path: str) -> dict[str, Cost]:
        """Costs that a process wrote down itself."""
        return {name: Cost(*cost) for name, cost in json.loads((self.folder / path).read_text()).items()}

    def hospital(self, patients: int, raw: Path | None = None) -> None:
        """Raw data of so many invented patients, or those of a folder; all else is gone."""
        for name in ("data", "models", "metrics", "reference"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        set_patients(self.folder, patients)
        if raw is None:
            stage(self.folder, "synthetic", environment=self.environment)
        else:
            (self.folder / "data/raw").mkdir(parents=True)
            (self.folder / "data/raw/synthetic").symlink_to(raw.resolve())

    def ours(self, stages: tuple[tuple[str, ...], ...]) -> Cost:
        return together([stage(self.folder, *words, environment=self.environment) for words in stages])

    def reference(self, name: str) -> dict[str, Cost]:
        """The cost of one of its stages as `whole`, and of what is inside; what it writes for us is not counted."""
        whole = self.module("benchmarks.reference", name, "--jobs", str(self.jobs))
        return {"whole": whole} | self.parts(f"reference/{name}.cost.json")

    def round(self, with_reference: bool) -> Round:
        """Every part once, on both sides."""
        found: Round = {"ours": {}, "reference": {}}
        for name, (stages, other) in STAGES.items():
            found["ours"][name] = self.ours(stages)
            said = f"  {name}: ours {found['ours'][name].cpu:.1f} CPU s"
            if name == "linear coder":
                self.module("benchmarks.baseline", "--parts")
                found["ours"] |= self.parts("parts.json")
            if with_reference:
                costs = self.reference(other)
                found["reference"] |= {name: costs.pop("whole"), **costs}
                said += f", reference {found['reference'][name].cpu:.1f}"
            say(said)
        for costs in found.values():
            if costs:
                costs[END] = together([costs[name] for name in STAGES])
        return found

    def parity(self) -> dict[str, Any]:
        """What benchmarks.parity prints."""
        command = [sys.executable, "-m", "benchmarks.parity"]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, check=True)
        return dict(json.loads(done.stdout))

    def dvc(self) -> dict[str, Cost]:
        """The same stages, and no other coder's, by `dvc repro`, and the same again when there is nothing to do."""
        run(self.folder, "dvc", "commit", "--quiet", "--force", "stages/sources/dvc.yaml:synthetic")
        return {
            name: measured(self.folder, "dvc", "repro", "evaluate@tfidf", environment=self.environment)
            for name in ("dvc repro", "dvc repro, nothing to do")
        }


def together(costs: list[Cost]) -> Cost:
    """One after another."""
    return Cost(sum(c.wall for c in costs), sum(c.cpu for c in costs), max(c.peak for c in costs))


def summary(rounds: list[Round]) -> dict[str, dict[str, Any]]:
    """Medians of each part and side, and the median ratio of paired turns."""
    found: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        found[name] = {
            side: Cost(*(median(column) for column in zip(*(r[side][name] for r in rounds), strict=True)))._asdict()
            for side in SIDES
            if rounds[0][side]
        }
        if "reference" in found[name]:
            found[name]["ratio"] = {
                kind: median(getattr(r["reference"][name], kind) / getattr(r["ours"][name], kind) for r in rounds)
                for kind in ("cpu", "wall")
            }
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All sizes, smallest first."""
    hospitals: list[tuple[int, Path | None]] = [(round(n / NOTES_A_PATIENT), None) for n in sorted(given.notes)]
    hospitals += [(FULL, given.raw)] if given.full or given.raw else []
    of_dvc = max([p for p, _ in hospitals if p * NOTES_A_PATIENT < 1.1 * SMALL] or [hospitals[0][0]])
    machine = {
        "cores": cores(),
        "versions": {name: version(name) for name in ("scikit-learn", "pandas", "numpy", "numba", "pyarrow", "dvc")},
    }
    figures: dict[str, Any] = {"machine": machine, "jobs": given.jobs, "sizes": [], "dvc": None}
    with tempfile.TemporaryDirectory(prefix="baseline-") as temporary:
        checkout = Checkout(Path(temporary) / "checkout", given.jobs)
        say("compiling, on a small hospital")
        checkout.hospital(150)
        checkout.round(with_reference=False)
        for patients, raw in hospitals:
            checkout.hospital(patients, raw)
            rounds: list[Round] = []
            wanted = given.rounds or (MANY if patients * NOTES_A_PATIENT < 1.1 * SMALL else 1)
            for number in range(1, wanted + 1):
                say(f"{patients:,} patients, round {number} of {wanted}")
                rounds.append(checkout.round(not given.skip_reference))
            size = {"notes": rows_of(checkout.folder, "silver"), "patients": patients, "rounds": wanted}
            parity = None if given.skip_reference else checkout.parity()
            figures["sizes"].append({**size, "parts": summary(rounds), "parity": parity})
            if patients == of_dvc:
                say("dvc repro")
                costs = {"the stages": rounds[-1]["ours"][END], **checkout.dvc()}
                figures["dvc"] = size | {"costs": {name: cost._asdict() for name, cost in costs.items()}}
            if given.out:  # after each size: the next one may take an hour
                write(figures, given.out)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, nargs="+", default=list(SIZES), metavar="N", help="sizes (about)")
    parser.add_argument("--full", action="store_true", help="MIMIC-IV's size too, 122,288 notes")
    parser.add_argument("--raw", type=Path, metavar="FOLDER", help="full size from this data/raw/synthetic")
    parser.add_argument("--rounds", type=int, metavar="K", help="at every size (default: 3 up to 10,000 notes, then 1)")
    parser.add_argument("--skip-reference", action="store_true", help="ours alone")
    parser.add_argument("--jobs", type=int, default=1, help="codes that the reference fits side by side (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the table, the figures and a chart here")
    parser.add_argument("--parts", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.parts:
        Path("parts.json").write_text(json.dumps(linear_parts()))
    else:
        print(report(measure(given)), end="")


if __name__ == "__main__":
    main()
