"""Fit rates.csv: make the synthetic hospital as hard, code by code, as MIMIC-IV is for the linear model.

    python -m benchmarks.fit_twin --patients 65665 --rounds 6          from nothing
    python -m benchmarks.fit_twin --patients 65665 --rounds 3 --resume  from the rates that stand

Each round makes a hospital with the rates so far, fits the linear coder and the oracle (difficulty.py) and corrects,
for each code, two aims: what the linear model and what the oracle should reach. A closed form turns aims into rates: a
condition stated in a share t of its notes and in a share f of the others has F1 = 2t / (1 + t + f (1 - p) / p); where
READABLE of f is not affirmed, a reader of context gets a higher one. One seed for all rounds: what is said of a
condition changes only where the rates do. The best round is kept, and written to rates.csv as soon as it is found.

Its scores belong to the seed it was fitted on: report those of another (python -m benchmarks.twin --difficulty).
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.difficulty import TRAIN, Judged, measure, say
from chartcode import params
from chartcode.coders.tfidf import TfidfParams
from chartcode.logs import configure
from chartcode.sources.synthetic import rates as rates_file
from chartcode.sources.synthetic import resources
from chartcode.sources.synthetic.codes import PUBLISHED_PERCENT
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.rates import Fitted

Array = np.ndarray[Any, Any]
PATH = Path(resources.__file__).parent / rates_file.FILE
STEP = 0.8  # of an error corrected in a round
SLOPES = (0.3, 1.0)  # how far a score follows its aim, at the least and at the most
FIRST_SLOPE = 0.8  # before a second round tells
READABLE = 0.88  # share of false mentions that context gives away
GAP = 0.15  # F1 that reading the context adds
MOST_FALSE = 0.5  # share of notes without the code that name the condition
CUES = (0.04, 0.54)  # chance of a cue without the code, and with it where the code is found best
SPARE = 0.25  # added to the latter where mentions cannot do more
SILENT = ("Z23",)  # no note says why it was coded
PLACES = ("Y929", "Y92239", "Y92230")  # nearly so: complications are all there is to go by
MASKED = ("Z87891", "F17210")  # told in the Social History, which MIMIC-IV masks
FACTORS = (  # params that multiply the rates: 1 while these are fitted
    "unmentioned", "uncoded", "negated", "family", "ruled_out", "historical",
    "implied_coded", "implied_uncoded", "shared_form",
)  # fmt: skip
SHARE = np.array(PUBLISHED_PERCENT) / 100


class Aims(NamedTuple):
    """F1 asked of the closed form, (K,) each."""

    linear: Array
    oracle: Array


def codes() -> list[str]:
    """The common codes in catalogue order."""
    return [row["icd_code"] for row in resources.rows(rates_file.FILE)]


def _among(some: tuple[str, ...]) -> Array:
    return np.isin(codes(), some)


def targets() -> Aims:
    """What the two should reach: the published F1, and more for who reads the context."""
    linear = rates_file.published()
    gap = np.where(_among((*SILENT, *PLACES)), 0.03, np.where(_among(MASKED), 0.05, GAP))
    return Aims(linear, np.minimum(linear + gap, linear + 0.75 * (1 - linear)))


def closed_form(aims: Aims) -> Fitted:
    """Rates at which a reader of mentions, and a reader of affirmed ones, would reach the aims."""
    linear = np.clip(aims.linear, 0.03, 0.97)
    oracle = np.clip(aims.oracle, linear + 0.005, 0.98)
    least = linear / (2 - linear) + 1e-3
    mention = oracle * READABLE / (2 - oracle * READABLE - 2 * (1 - READABLE) * oracle / linear)
    mention = np.clip(np.where((mention <= 0) | (mention > 0.97), 0.97, mention), least, 0.97)
    false = np.clip(SHARE / (1 - SHARE) * (2 * mention / linear - mention - 1), 2e-4, MOST_FALSE)
    said = ~_among(SILENT)
    # Cues tell more of conditions that are found well, and less where mentions and other words say too much without
    # them. Where the aim nears what mentions can do, cues and words of the condition's own must help; where it nears
    # nothing, cues must not.
    clarity = np.clip((linear - 0.1) / 0.77, 0, 1) ** 2
    wanting, giving = np.clip((linear - 0.85) / 0.12, 0, 1), np.clip((linear - 0.03) / 0.25, 0, 1)
    return Fitted(
        mention=mention * said,
        stray=(1 - READABLE) * false * said,
        unaffirmed=READABLE * false * said,
        cue_coded=(CUES[0] + (CUES[1] - CUES[0]) * clarity * giving + SPARE * wanting) * said,
        cue_uncoded=CUES[0] * said,
        shared=rates_file.SHARED * (1 - wanting) * said,
    )


def corrected(aims: Aims, linear: Judged, oracle: Judged, slope: Array) -> Aims:
    """Aims of the next round; `slope` (K,) says how far the linear score followed its aim so far."""
    wanted = targets()
    first = np.clip(aims.linear - STEP / slope * (linear.both - wanted.linear), 0.03, 0.97)
    second = aims.oracle - STEP * (oracle.both - wanted.oracle)
    return Aims(first, np.clip(second, first + 0.005, 0.98))


def followed(before: tuple[Array, Array], now: tuple[Array, Array], slope: Array) -> Array:
    """Slope of score over aim (K,) between two rounds, (aim, score) each; the old one where the aim hardly moved."""
    moved = now[0] - before[0]
    found = (now[1] - before[1]) / np.where(np.abs(moved) > 0.01, moved, np.inf)
    return np.clip(np.where(np.abs(moved) > 0.01, found, slope), *SLOPES)


def read_aims() -> Aims:
    """Where the fit that wrote rates.csv stood."""
    rows = resources.rows(rates_file.FILE)
    return Aims(*(np.array([float(row[f"aim_{name}"]) for row in rows]) for name in Aims._fields))


def write(path: Path, aims: Aims, comments: list[str]) -> None:
    """rates.csv: comments, then a row a code."""
    found, text = closed_form(aims), io.StringIO()
    text.writelines(f"# {comment}\n" for comment in comments)
    names = [column.name for column in fields(Fitted)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["icd_code", "published_f1", *names, *(f"aim_{name}" for name in Aims._fields)])
    columns = zip(*(getattr(found, name) for name in names), *aims, strict=True)
    for code, published, values in zip(codes(), rates_file.published(), columns, strict=True):
        writer.writerow([code, f"{published:.3f}", *(f"{value:.5f}" for value in values)])
    path.write_text(text.getvalue(), encoding="utf-8")


def fit(
    settings: SyntheticParams, coder: TfidfParams, aims: Aims, rounds: int, path: Path, train: float = TRAIN
) -> float:
    """Rounds of measuring and correcting; writes the best to `path` and returns its error."""
    wanted, best = targets(), np.inf
    slope, before = np.full(len(SHARE), FIRST_SLOPE), None
    for number in range(1, rounds + 1):
        linear, oracle = measure(settings, coder, closed_form(aims), 1e-2, train)
        off, off_oracle = linear.both - wanted.linear, oracle.both - wanted.oracle
        error = float(np.abs(off).mean() + np.abs(off_oracle).mean() / 2)
        told = (
            f"linear micro-F1 {linear.micro_f1:.3f}, macro-F1 {linear.both.mean():.3f}, P@5 {linear.p_at_5:.3f}, "
            f"micro-AUC {linear.auroc_micro:.3f}; oracle micro-F1 {oracle.micro_f1:.3f}; "
            f"mean error of a code {np.abs(off).mean():.3f} (oracle {np.abs(off_oracle).mean():.3f})"
        )
        worst = ", ".join(f"{codes()[k]} {off[k]:+.2f}" for k in np.argsort(-np.abs(off))[:8])
        say(f"round {number} of {rounds}: {told}; farthest off: {worst}")
        if error < best:
            best = error
            write(path, aims, _comments(settings, train, number, told))
        now = aims.linear, linear.both
        slope = slope if before is None else followed(before, now, slope)
        before, aims = now, corrected(aims, linear, oracle, slope)
    return best


def _comments(settings: SyntheticParams, train: float, number: int, told: str) -> list[str]:
    return [
        "Written by `python -m benchmarks.fit_twin`; rates.py says what the columns mean. aim_linear and aim_oracle",
        "are the state of the fit, from which --resume goes on.",
        f"{settings.patients} patients, {train:.0%} to learn from, seed {settings.seed}, round {number}; on that seed:",
        told,
    ]


def main() -> int:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=65_665)
    parser.add_argument("--seed", type=int, default=5, help="of the hospital that is fitted on")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--train", type=float, default=TRAIN, help="share of patients to learn from (default: %(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the rates that stand")
    parser.add_argument("--out", type=Path, default=PATH, help="default: the generator's own rates.csv")
    given = parser.parse_args()
    configure()
    settings = params.load(SyntheticParams).model_dump()
    factors = {name: 1.0 for name in settings if name in FACTORS}
    changes = {"patients": given.patients, "seed": given.seed, "icd9_share": 0.0} | factors
    aims = read_aims() if given.resume else targets()
    hospital, coder = params.parse(SyntheticParams, settings | changes), params.load(TfidfParams)
    fit(hospital, coder, aims, given.rounds, given.out, given.train)
    return 0


if __name__ == "__main__":
    sys.exit(main())
