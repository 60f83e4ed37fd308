"""The numbers by which a coder is judged, for one split, with what the small-cell rule needs to know about each.

Left out on purpose, because nobody reads them in a diff: macro precision and recall, weighted and sample averages other
than example-F1, Hamming loss, log loss, R@k over notes without labels (undefined there; R@k is over labelled notes).
Per-code numbers stay in the DVC cache (per_code.parquet).

Keys: `_labelled` = over notes with at least one label; `_per_label`, `_at_half` = threshold other than the global one;
`_all_codes` = gold codes outside the label space count as missed; `_predict_all` = the F1 of calling every label on
every note, `_lift` = what the coder adds to it; `_lo`, `_hi` = 95% patient bootstrap.

F1 on val is at thresholds chosen on the same notes and so a little high; compare coders on test, or by MAP.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation import calibration, decisions, discrimination, intervals
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.ranking import NoteRanking, rank_notes
from chartcode.evaluation.thresholds import ChosenThresholds
from chartcode.params import EvaluateParams
from chartcode.privacy import Guarded

Numbers = dict[str, Guarded]


@dataclass(frozen=True)
class LabelScores:
    """Per label (L,): AUROC, AUPRC (NaN for a constant label) and calibration error."""

    auroc: NDArray[np.float64]
    auprc: NDArray[np.float64]
    ece: NDArray[np.float64]


def label_scores(cohort: Cohort) -> LabelScores:
    """One sort per label gives all three."""
    rows = [
        (discrimination.auroc(s), discrimination.average_precision(s), calibration.calibration_error(s))
        for s in discrimination.per_label(cohort)
    ]
    return LabelScores(*np.asarray(rows, dtype=np.float64).reshape(-1, 3).T)


def headline(
    cohort: Cohort,
    chosen: ChosenThresholds,
    labels: LabelScores,
    cells: discrimination.Sorted,
    params: EvaluateParams,
) -> Numbers:
    """Every headline number of the split; `cells` are all its scores sorted (discrimination.over_all)."""
    ks = sorted(set(params.top_k))
    ranking = rank_notes(cohort, ks)
    numbers = _size(cohort, labels) | _ranking(cohort, ranking, ks) | _decisions(cohort, chosen)
    numbers |= {
        "auprc_macro": Guarded(discrimination.mean_over_labels(labels.auprc)),
        "auprc_micro": Guarded(discrimination.average_precision(cells)),
        "auroc_macro": Guarded(discrimination.mean_over_labels(labels.auroc)),
        "auroc_micro": Guarded(discrimination.auroc(cells)),
    }
    if cohort.probabilities:  # without them a calibration means nothing
        numbers |= {
            "brier": Guarded(calibration.brier(cells)),
            "ece": Guarded(calibration.calibration_error(cells)),
            "ece_macro": Guarded(float(labels.ece.mean())),
        }
    if params.bootstrap_rounds:
        for key, rounds in _rounds(cohort, chosen, ranking, params).items():
            low, high = intervals.interval(rounds, numbers[key].value)
            counts = numbers[key].counts
            numbers |= {f"{key}_lo": Guarded(low, counts), f"{key}_hi": Guarded(high, counts)}
    return numbers


def _size(cohort: Cohort, labels: LabelScores) -> Numbers:
    positives = int(cohort.label_positives.sum())
    return {
        "labels": Guarded(cohort.labels),
        "labels_with_auc": Guarded(int(np.count_nonzero(~np.isnan(labels.auroc)))),
        "labels_with_positives": Guarded(int(np.count_nonzero(cohort.label_positives))),
        "n": Guarded.count(cohort.n),
        "n_labelled": Guarded.count(int(np.count_nonzero(cohort.note_positives)), cohort.n),
        "patients": Guarded.count(cohort.size),
        "positives": Guarded.count(positives, cohort.n * cohort.labels),
    }


def _ranking(cohort: Cohort, ranking: NoteRanking, ks: list[int]) -> Numbers:
    labelled = cohort.note_positives > 0
    # map / map_labelled gives the number of labelled notes away, and so does every other such pair.
    both = (int(labelled.sum()), int(cohort.n - labelled.sum()))
    found = {k: int(ranking.hits[k].sum()) for k in ks}
    gained = {ks[0]: 0} | {more: found[more] - found[less] for less, more in pairwise(ks)} if ks else {}
    numbers: Numbers = {"map_all_codes": Guarded(float(ranking.average_precision_all_codes.mean()))}
    for k in ks:
        numbers[f"p_at_{k}"] = Guarded(found[k] / (k * cohort.n), (found[k], gained[k]))
        numbers[f"p_at_{k}_labelled"] = Guarded(found[k] / (k * max(1, both[0])), (found[k], gained[k], *both))
        recall = decisions.ratio(ranking.hits[k], cohort.note_positives)
        numbers[f"r_at_{k}"] = Guarded(_mean(recall[labelled]))
    for key, values in (("map", ranking.average_precision), ("r_precision", ranking.r_precision)):
        numbers[key] = Guarded(float(values.mean()))
        numbers[f"{key}_labelled"] = Guarded(_mean(values[labelled]), both)
    return numbers


def _decisions(cohort: Cohort, chosen: ChosenThresholds) -> Numbers:
    numbers: Numbers = {}
    for kind, suffix in (("per_label", "_per_label"), ("none", "_at_half"), ("global", "")):
        made = decisions.decide(cohort, chosen.arrays()[kind])
        numbers[f"micro_f1{suffix}"] = Guarded(decisions.micro_f1(made), made.errors)
        # The macro-F1 of a single label is that label's F1.
        alone = made.errors if np.count_nonzero(made.label_true) < 2 else ()
        numbers[f"macro_f1{suffix}"] = Guarded(decisions.macro_f1(made), alone)
    # The rest is at the global threshold, which came last.
    gold, right = int(cohort.n_codes.sum()), decisions.exact_matches(made)
    floor = decisions.predict_all_f1(made.label_true, cohort.n)[made.label_true > 0]
    micro_floor = float(decisions.predict_all_f1(made.true, cohort.n * cohort.labels))
    micro, macro = numbers["micro_f1"], numbers["macro_f1"]
    return numbers | {
        "exact_match": Guarded(right / cohort.n, (right, cohort.n - right)),
        "example_f1": Guarded(decisions.example_f1(made)),
        "macro_f1_lift": Guarded(macro.value - _mean(floor), macro.counts),
        "macro_f1_predict_all": Guarded(_mean(floor)),
        "micro_f1_all_codes": Guarded(decisions.micro_f1_all_codes(made, gold), (*made.errors, gold - made.true)),
        "micro_f1_lift": Guarded(micro.value - micro_floor, micro.counts),
        "micro_f1_predict_all": Guarded(micro_floor, (made.true,)),
        "micro_precision": Guarded(float(decisions.ratio(made.hits, made.called)), made.errors),
        "micro_recall": Guarded(float(decisions.ratio(made.hits, made.true)), made.errors),
    }


def _rounds(
    cohort: Cohort, chosen: ChosenThresholds, ranking: NoteRanking, params: EvaluateParams
) -> dict[str, NDArray[np.float64]]:
    drawn = intervals.weights(cohort.size, params.bootstrap_rounds, params.seed)
    values = {f"p_at_{k}": hits / k for k, hits in ranking.hits.items()}
    values |= {"map": ranking.average_precision, "r_precision": ranking.r_precision}
    rounds = intervals.note_means(cohort, drawn, values)
    arrays = chosen.arrays()
    for kind, suffix in (("global", ""), ("per_label", "_per_label")):
        micro, macro = intervals.f1_rounds(cohort, drawn, arrays[kind])
        rounds |= {f"micro_f1{suffix}": micro, f"macro_f1{suffix}": macro}
    return rounds


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
