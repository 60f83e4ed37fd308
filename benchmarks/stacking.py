"""What hearing `linked` beside another coder is worth: each coder alone, and both as an ensemble, on val and test.

Run   python -m benchmarks.stacking [CODER ...]      where their scores and those of linked are: after `dvc repro`
Weights of the two logits and the global threshold come from val alone, as stages ensemble and evaluate choose them; val
is shown beside test, since it has seen both. `all codes` counts gold codes that are no labels too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chartcode.artifacts import Artifact
from chartcode.coders.ensemble import SCORES, FloatArray, blended, filled, fit_weights, rate_left_out, scores_of
from chartcode.compare import aligned
from chartcode.evaluation.cohort import Cohort, make, read_cohort
from chartcode.evaluation.decisions import decide, macro_f1, micro_f1
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.thresholds import choose
from chartcode.tables.labels import Gold, read_gold

GOLD, LINKED, SPLITS = Path("data/gold"), "linked", ("val", "test")
HEADER = ["", "micro-F1", "macro-F1", "MAP"]


def together(gold: Gold, names: list[str]) -> dict[str, Cohort]:
    """val and test by the ensemble of these coders, its weights from val."""
    held: dict[str, list[FloatArray]] = {}
    for split in SPLITS:
        ids = gold.hadm_id[gold.rows(split)]
        held[split] = [scores_of(Artifact(SCORES / name), split, gold.codes, ids) for name in names]
    truth = gold.truth[gold.rows("val")]
    rates = [rate_left_out(scores, truth) for scores in held["val"]]
    known = {
        split: [filled(scores, rate) for scores, rate in zip(found, rates, strict=True)]
        for split, found in held.items()
    }
    bias, *weights = fit_weights(known["val"], truth).tolist()
    cohorts = {}
    for split, found in known.items():
        rows = gold.rows(split)
        scores = blended(bias, weights, found)
        cohorts[split] = make(
            split, gold.codes, gold.truth[rows], scores, patients=gold.subject_id[rows], n_codes=gold.n_codes[rows]
        )
    return cohorts


def numbers(cohorts: dict[str, Cohort]) -> dict[str, list[float]]:
    """micro-F1, macro-F1 and MAP by split, at the threshold of val."""
    tau = choose(cohorts["val"], over_all(cohorts["val"])).arrays()["global"]
    found = {}
    for split, cohort in cohorts.items():
        made = decide(cohort, tau)
        found[split] = [micro_f1(made), macro_f1(made), float(rank_notes(cohort, [5]).average_precision.mean())]
    return found


def main() -> None:
    """Print a row a coder and ensemble, for val and test."""
    gold = read_gold(Artifact(GOLD))
    names = sys.argv[1:] or sorted(p.name for p in SCORES.iterdir() if p.is_dir() and p.name != LINKED)
    rows: dict[str, list[list[str]]] = {split: [[split, *HEADER[1:]]] for split in SPLITS}
    alone = {
        name: numbers({split: read_cohort(gold, Artifact(SCORES / name), split) for split in SPLITS})
        for name in (LINKED, *names)
    }
    for name in (LINKED, *names):
        shown = (
            {name: alone[name]}
            if name == LINKED
            else {name: alone[name], f"{name} + {LINKED}": numbers(together(gold, [name, LINKED]))}
        )
        for label, found in shown.items():
            for split in SPLITS:
                rows[split].append([label, *(f"{value:.4f}" for value in found[split])])
    sys.stdout.write("\n\n".join(aligned(rows[split]) for split in SPLITS) + "\n")


if __name__ == "__main__":
    main()
