"""Is the synthetic hospital MIMIC-IV's twin? Every published statistic beside what the generator gives.

    python -m benchmarks.twin [--patients N] [--seed S]
    python -m benchmarks.twin --difficulty --patients 65665 [--seed S]

Generates into a temporary folder (10,700 patients give 20,000 ICD-10 notes, about a minute on two cores) and prints
statistic | published | here | tolerance | within? together with the generator's speed and peak memory.

`--difficulty` prints what the linear coder of params.yaml reaches instead (difficulty.py), beside its published scores
on MIMIC-IV, code by code. They hold at the size that the rates were fitted at (rates.csv names it): with fewer notes to
learn from it finds less.

Tolerances: 5% for token quantiles. A share, a mean or a lift may differ by 3.3 standard errors (one false alarm in a
thousand), taken over patients because a patient's admissions are alike, plus half a unit of the last published digit.
Statistics published as "about" have the tolerance printed beside them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.difficulty import Judged
from benchmarks.difficulty import measure as measure_difficulty
from chartcode import artifacts, params
from chartcode.coders.tfidf import TfidfParams
from chartcode.logs import configure
from chartcode.sources.synthetic.codes import PUBLISHED_PERCENT, TOP, catalogue
from chartcode.sources.synthetic.copula import EXCLUSIONS, PUBLISHED_LIFT
from chartcode.sources.synthetic.generate import generate
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.rates import published as published_f1

TOKEN_QUANTILES = {0.01: 486, 0.50: 1501, 0.90: 2447, 0.95: 2806, 0.99: 3691}
COHORT = 1.08  # notes with ICD-10 codes are longer
CHARACTERS = 9_850
ERRORS = 3.3  # standard errors
FULL = 100_000  # notes, from which on the vocabulary can be compared
KIDNEY, HEART = "N18", "I50"
_WORD = re.compile(r"(?u)\b\w*[^\W\d]\w*\b")


@dataclass
class Measured:
    """One pass over a generated folder; M ICD-10 notes."""

    tokens: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)
    masks: int = 0
    types: Counter[str] = field(default_factory=Counter)  # notes in which a word occurs
    hadm: list[str] = field(default_factory=list)
    subject: list[str] = field(default_factory=list)
    codes: dict[str, list[str]] = field(default_factory=dict)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def measure(folder: Path) -> Measured:
    """Read the notes and codes of the ICD-10 admissions."""
    csv.field_size_limit(1 << 30)
    found = Measured()
    for row in _rows(folder / "hosp/diagnoses_icd.csv.gz"):
        if row["icd_version"] == "10":
            found.codes.setdefault(row["hadm_id"], []).append(row["icd_code"])
    for row in _rows(folder / "note/discharge.csv.gz"):
        if row["hadm_id"] not in found.codes:
            continue
        tokens = row["text"].split()
        found.tokens.append(len(tokens))
        found.characters.append(len(row["text"]))
        found.masks += sum("___" in token for token in tokens)
        found.types.update(set(_WORD.findall(row["text"].lower())))
        found.hadm.append(row["hadm_id"])
        found.subject.append(row["subject_id"])
    return found


class Table:
    """Prints the comparison and counts what is out of tolerance."""

    def __init__(self) -> None:
        self.missed = 0
        print(f"{'statistic':48} {'published':>10} {'here':>10} {'tolerance':>10}  within?")

    def row(self, name: str, published: float, here: float, tolerance: float, digits: int = 3) -> None:
        """One comparison by absolute difference."""
        within = abs(here - published) <= tolerance
        self.missed += not within
        numbers = " ".join(f"{number:10.{digits}f}" for number in (published, here, tolerance))
        print(f"{name:48} {numbers}  {'yes' if within else 'NO'}")

    def least(self, name: str, floor: float, here: float, digits: int = 0) -> None:
        """At least `floor`."""
        self.missed += here < floor
        wanted = f">= {floor:.{digits}f}"
        print(f"{name:48} {wanted:>10} {here:10.{digits}f} {'':10}  {'yes' if here >= floor else 'NO'}")

    def note(self, name: str, value: str) -> None:
        """Something without a published counterpart."""
        print(f"{name:48} {'':10} {value:>10}")


def clustered_error(influence: np.ndarray, cluster: np.ndarray) -> float:
    """Standard error of a mean whose influence values (n,) are summed within clusters (n,)."""
    return float(np.sqrt((np.bincount(cluster, influence) ** 2).sum()) / len(influence))


def compare(found: Measured) -> int:
    """Print the table; returns the number of statistics out of tolerance."""
    table = Table()
    notes = len(found.tokens)
    index = {code: position for position, code in enumerate(catalogue().codes[:TOP])}
    labels = np.zeros((notes, TOP), dtype=bool)
    kidney, heart = np.zeros(notes, dtype=bool), np.zeros(notes, dtype=bool)
    for row, hadm in enumerate(found.hadm):
        codes = found.codes[hadm]
        labels[row, [index[code] for code in codes if code in index]] = True
        kidney[row] = any(code.startswith(KIDNEY) for code in codes)
        heart[row] = any(code.startswith(HEART) for code in codes)
    patient = np.unique(found.subject, return_inverse=True)[1]

    def share(name: str, published: float, values: np.ndarray, unit: float, digits: int = 3) -> None:
        error = clustered_error(values - values.mean(), patient)
        table.row(name, published, float(values.mean()), ERRORS * error + unit / 2, digits)

    for quantile, published in TOKEN_QUANTILES.items():
        wanted = published * COHORT
        table.row(
            f"tokens p{quantile * 100:02.0f} (x 1.08)",
            wanted,
            float(np.quantile(found.tokens, quantile)),
            0.05 * wanted,
            0,
        )
    share("notes over 512 tokens", 0.987, np.array(found.tokens) > 512, 0.01)
    table.row(
        "characters p50 (x 1.08)",
        CHARACTERS * COHORT,
        float(np.median(found.characters)),
        0.05 * CHARACTERS * COHORT,
        0,
    )
    table.row("masked share of tokens, per cent", 3.7, 100 * found.masks / sum(found.tokens), 0.2, 2)

    admissions = np.bincount(patient)
    more = admissions > 1
    table.row(
        "patients with more than one admission",
        0.35,
        float(more.mean()),
        ERRORS * float(np.sqrt(0.35 * 0.65 / len(more))) + 0.005,
    )
    table.row(
        "admissions per patient (122,288 / 65,665)",
        1.862,
        float(admissions.mean()),
        ERRORS * float(admissions.std() / np.sqrt(len(admissions))),
    )
    table.note("most admissions of a patient", str(admissions.max()))

    counts = np.array([len(found.codes[hadm]) for hadm in found.hadm])
    share("codes per admission, mean", 13.6, counts, 0.1, 2)
    histogram = np.bincount(counts, minlength=41)
    table.row("codes per admission, median", 12, float(np.median(counts)), 0, 0)
    table.row("codes per admission, mode (flat top: +-1)", 8, float(histogram.argmax()), 1, 0)
    table.row("codes per admission, p90", 25, float(np.quantile(counts, 0.9)), 1, 0)
    table.row("codes per admission, maximum", 39, float(counts.max()), 0, 0)
    table.least("spike: admissions with 39 over those with 38", 2, histogram[39] / max(histogram[38], 1))
    share("top 50 codes per note, mean", 5.03, labels.sum(1), 0.01, 2)
    share("notes without a top 50 code", 0.059, labels.sum(1) == 0, 0.001)

    for code, position in index.items():
        share(f"prevalence {code}, per cent", PUBLISHED_PERCENT[position], 100.0 * labels[:, position], 0.1, 2)
    for first, second, lift in PUBLISHED_LIFT:
        a, b = labels[:, index[first]].astype(float), labels[:, index[second]].astype(float)
        both = a * b
        here = both.mean() / (a.mean() * b.mean())
        influence = here * (both / both.mean() - a / a.mean() - b / b.mean() + 1)
        table.row(f"lift {first} - {second}", lift, float(here), ERRORS * clustered_error(influence, patient) + 0.05, 2)
    for first, second, _ in EXCLUSIONS:
        table.row(
            f"never together {first} x {second}, notes",
            0,
            float((labels[:, index[first]] & labels[:, index[second]]).sum()),
            0,
            0,
        )
    for code, parts, name in (
        ("I130", kidney & heart, "N18x and I50x"),
        ("I110", heart, "I50x"),
        ("I129", kidney, "N18x"),
        ("E1122", kidney, "N18x"),
    ):
        table.row(f"{code} without {name}, notes", 0, float((labels[:, index[code]] & ~parts).sum()), 0, 0)

    ranks = sorted(Counter(code for hadm in found.hadm for code in found.codes[hadm]).values(), reverse=True)
    table.row(
        "rank 1, per cent",
        36.0,
        100 * ranks[0] / notes,
        100 * ERRORS * float(np.sqrt(0.36 * 0.64 * 2 / notes)) + 0.8,
        2,
    )
    table.row("rank 100, per cent (about: 10%)", 2.4, 100 * ranks[99] / notes, 0.24, 2)
    table.row("rank 1000, per cent (about: 15%)", 0.2, 100 * ranks[999] / notes, 0.03, 3)
    table.least("codes seen fewer than ten times", 2000, sum(count < 10 for count in ranks))
    often = str(sum(count >= 10 for count in ranks))
    table.note("codes in ten or more notes (with procedures 7,942)", often)
    types, common = len(found.types), sum(count >= 3 for count in found.types.values())
    if notes >= FULL:
        table.row("word types (about: 15%)", 180_000, types, 27_000, 0)
        table.row("word types in three or more notes (about: 15%)", 70_000, common, 10_500, 0)
    else:
        table.note("word types (180,000 at full size)", str(types))
        table.note("word types in three or more notes (70,000)", str(common))
    table.note("notes", str(notes))
    return table.missed


def difficulty(linear: Judged, oracle: Judged, blind: Judged) -> int:
    """Print how hard the hospital is beside MIMIC-IV, then code by code; returns the number out of tolerance."""
    table, target = Table(), published_f1()
    ranks = np.argsort(np.argsort([linear.f1, target], axis=1), axis=1)  # ties do not matter among 50 real numbers
    table.row("linear micro-F1", 0.617, linear.micro_f1, 0.03)
    table.row("linear macro-F1", 0.584, linear.macro_f1, 0.04)
    table.row("linear P@5", 0.526, linear.p_at_5, 0.04)
    table.row("linear micro-AUC", 0.928, linear.auroc_micro, 0.02)
    table.row("linear macro-AUC", 0.910, linear.auroc_macro, 0.03)
    table.least("Spearman of a code's F1 with the published", 0.7, float(np.corrcoef(ranks)[0, 1]), 3)
    table.least("oracle micro-F1 above the linear", 0.10, oracle.micro_f1 - linear.micro_f1, 3)
    table.least("oracle micro-F1 above who is blind to context", 0.05, oracle.micro_f1 - blind.micro_f1, 3)
    table.note("linear precision (published 0.547)", f"{linear.precision:.3f}")
    table.note("linear recall (published 0.709)", f"{linear.recall:.3f}")
    table.note("oracle micro-F1", f"{oracle.micro_f1:.3f}")
    table.note("oracle macro-F1", f"{oracle.macro_f1:.3f}")
    table.note("mean distance of a code's F1 from the published", f"{np.abs(linear.f1 - target).mean():.3f}")
    print(f"\n{'code':10} {'published':>10} {'here':>10} {'off':>10} {'oracle':>10}")
    for code, wanted, here, most in zip(catalogue().codes, target, linear.f1, oracle.f1, strict=False):
        print(f"{code:10} {wanted:10.3f} {here:10.3f} {here - wanted:+10.3f} {most:10.3f}")
    return table.missed


class Memory(threading.Thread):
    """Samples the proportional memory of this process and all its descendants; Linux only, elsewhere 0."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        """Sample five times a second."""
        while not self.done.wait(0.2):
            self.peak = max(self.peak, sum(map(self._size, self._family(os.getpid()))))

    def _family(self, process: int) -> list[int]:
        try:
            children = [
                int(c) for t in Path(f"/proc/{process}/task").iterdir() for c in (t / "children").read_text().split()
            ]
        except OSError:
            return [process]
        return [process, *(descendant for child in children for descendant in self._family(child))]

    def _size(self, process: int) -> int:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> int:
    """Generate, measure, print. Status 1 when a statistic is out of tolerance."""
    parser = argparse.ArgumentParser(description="Compare the synthetic hospital with published MIMIC-IV statistics.")
    parser.add_argument("--patients", type=int, default=10_700)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--difficulty", action="store_true", help="scores of the linear coder instead of statistics")
    chosen = parser.parse_args()
    configure()
    settings = params.load(SyntheticParams)
    changes = {"patients": chosen.patients} | ({} if chosen.seed is None else {"seed": chosen.seed})
    settings = params.parse(SyntheticParams, settings.model_dump() | changes)
    if chosen.difficulty:
        missed = difficulty(*measure_difficulty(settings, params.load(TfidfParams)))
        print("all within tolerance" if not missed else f"{missed} scores out of tolerance")
        return int(missed > 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "synthetic"
        memory = Memory()
        memory.start()
        start, before = time.perf_counter(), os.times()
        with artifacts.writing(folder, source="synthetic") as writer:
            generate(settings, writer)
        seconds, after = time.perf_counter() - start, os.times()
        busy = sum(after[:4]) - sum(before[:4])  # this process and its children
        memory.done.set()
        memory.join()
        found = measure(folder)
        missed = compare(found)
        every = artifacts.Artifact(folder, verify=False).rows("note/discharge.csv.gz")
        megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"{every} notes (with ICD-9) in {seconds:.1f} s: {every / seconds:.0f} notes/s, {every / busy:.0f} per CPU s")
    print(f"{megabytes:.0f} MB on disk, peak memory {memory.peak / 1e6:.0f} MB, workers included")
    print("all within tolerance" if not missed else f"{missed} statistics out of tolerance")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
