"""The numbers by which a coder is judged, for one split, with what the small-cell rule needs to know about each.

Left out on purpose, because nobody reads them in a diff: macro precision and recall, weighted and sample averages other
than example-F1, Hamming loss, log loss, R@k over notes without labels (undefined there; R@k is over labelled notes).
Per-code numbers stay in the DVC cache (per_code.parquet).

Keys: `macro_f1` and `macro_f1_harmonic` are the two macro-F1 of the literature (decisions.py); `_labelled` = over notes
with at least one label; `_per_label`, `_at_half` = threshold other than the global one; `_all_codes` = gold codes
outside the label space count as well: missed, but for those that a coder with a label space of its own named
(beyond.py); `_predict_all` = the F1 of calling every label on every note, `_lift` = what
the coder adds to it; `_lo`, `_hi` = 95% patient bootstrap, of evaluate.bootstrap_rounds rounds; for the areas and `ece`
of `auc_rounds`, which are 100 beyond 1,000 labels.

F1 on val is at thresholds chosen on the same notes and so a little high, without evaluate.cross_fit; compare coders on
test, or by MAP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chartcode.evaluation import calibration, decisions, discrimination, intervals
from chartcode.evaluation.areas import area_rounds, calibration_rounds
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.ranking import NoteRanking
from chartcode.evaluation.thresholds import OTHERS
from chartcode.params import EvaluateParams
from chartcode.privacy import SMALLEST, Guarded, ends

Numbers = dict[str, Guarded]
MANY_LABELS = 1000
FEW_ROUNDS = 100


@dataclass(frozen=True)
class LabelScores:
    """Per label (L,): AUROC, AUPRC (NaN for a constant label), calibration error, and true notes not ahead of all
    others."""

    auroc: NDArray[np.float64]
    auprc: NDArray[np.float64]
    ece: NDArray[np.float64]
    behind: NDArray[np.float64]


def label_scores(cohort: Cohort) -> LabelScores:
    """One sort per label gives all four."""
    measures = (
        discrimination.auroc,
        discrimination.average_precision,
        calibration.calibration_error,
        discrimination.behind,
    )
    rows = [[measure(scores) for measure in measures] for scores in discrimination.per_label(cohort)]
    return LabelScores(*np.asarray(rows, dtype=np.float64).reshape(-1, len(measures)).T)


def headline(
    cohort: Cohort,
    tau: Mapping[str, NDArray[np.float32]],
    labels: LabelScores,
    cells: discrimination.Sorted,
    ranking: NoteRanking,
    params: EvaluateParams,
) -> Numbers:
    """Every headline number of the split; `tau` are its thresholds by kind, (L,) or (N, L), and `cells` all its scores
    sorted (discrimination.over_all)."""
    ks = sorted(ranking.hits)
    numbers = _size(cohort, labels) | _ranking(cohort, ranking, ks) | _decisions(cohort, tau)
    whole, few = _whole(cohort), _few_labels(cohort)
    # An area close to 1 counts the true pairs that are not ahead of all false ones.
    micro, macro = (*whole, discrimination.behind(cells)), (*whole, *few, labels.behind.sum())
    numbers |= {
        "auprc_macro": Guarded(discrimination.mean_over_labels(labels.auprc), macro),
        "auprc_micro": Guarded(discrimination.average_precision(cells), micro),
        "auroc_macro": Guarded(discrimination.mean_over_labels(labels.auroc), macro),
        "auroc_micro": Guarded(discrimination.auroc(cells), micro),
    }
    if cohort.probabilities:  # without them a calibration means nothing
        # A coder that scores every cell alike has the prevalence for a calibration error.
        numbers |= {
            "brier": Guarded(calibration.brier(cells), whole),
            "ece": Guarded(calibration.calibration_error(cells), whole),
            "ece_macro": Guarded(float(labels.ece.mean()), whole + few),
        }
    if params.bootstrap_rounds:
        found, few_rounds = _rounds(cohort, tau, ranking, cells, params)
        numbers["auc_rounds"] = Guarded(few_rounds)
        for key, rounds in found.items():
            low, high = intervals.interval(rounds, numbers[key].value)
            counts = numbers[key].counts
            numbers |= {f"{key}_lo": Guarded(low, counts), f"{key}_hi": Guarded(high, counts)}
    return numbers


def _whole(cohort: Cohort) -> tuple[int, ...]:
    """True pairs, false pairs, labelled notes and their patients: with few of them any number about them is about few
    patients."""
    positives = int(cohort.label_positives.sum())
    labelled = np.flatnonzero(cohort.note_positives)
    patients = len(np.unique(cohort.patients[labelled]))
    return positives, cohort.n * cohort.labels - positives, len(labelled), patients


def _few_labels(cohort: Cohort) -> tuple[int, ...]:
    """True and false notes of each label where few have any: a mean over them and `positives` leave few choices, of
    which each may hold a small one (three labels of 5, 40 and 60 notes of 100: four choices, all do)."""
    support = cohort.label_positives[cohort.label_positives > 0].tolist()
    return (*support, *(cohort.n - m for m in support)) if len(support) < SMALLEST else ()


def _size(cohort: Cohort, labels: LabelScores) -> Numbers:
    positives, negatives, labelled, theirs = _whole(cohort)
    return {
        "labels": Guarded(cohort.labels),
        "labels_with_auc": Guarded(int(np.count_nonzero(~np.isnan(labels.auroc)))),
        "labels_with_positives": Guarded(int(np.count_nonzero(cohort.label_positives))),
        "n": Guarded.count(cohort.n),
        # Labels beyond the first of a note follow from positives.
        "n_labelled": Guarded.count(labelled, cohort.n).plus(positives - labelled, theirs),
        # As many notes beyond the first of a patient.
        "patients": Guarded.count(cohort.size, cohort.n),
        "positives": Guarded(positives, (positives, negatives, theirs)),
    }


def _ranking(cohort: Cohort, ranking: NoteRanking, ks: list[int]) -> Numbers:
    n, labelled, whole = cohort.n, cohort.note_positives > 0, _whole(cohort)
    positives, _, notes, _ = whole
    one_each = positives == notes  # every labelled note has one label
    # map / map_labelled gives the number of labelled notes away, and so does every other such pair.
    both = (notes, n - notes, positives - notes)
    numbers: Numbers = {}
    for k in ks:
        found, counts = int(ranking.hits[k].sum()), whole + _list_counts(cohort, ranking, ks, k)
        recall = decisions.ratio(ranking.hits[k], cohort.note_positives)
        # With one label a note, r_at_k is found / labelled: beside p_at_k it gives the labelled notes away.
        alone = both if one_each else ()
        numbers[f"p_at_{k}"] = Guarded(found / (k * n), counts)
        numbers[f"p_at_{k}_labelled"] = Guarded(_mean(ranking.hits[k][labelled] / k), counts + both)
        numbers[f"r_at_{k}"] = Guarded(_mean(recall[labelled]), counts + alone + ends(recall, notes))
    # With one label a note R-precision is P@1 under another name, and would be compared with every other P@k; average
    # precision counts the notes whose first suggestion is right.
    measures = {
        "map": ranking.average_precision,
        "r_precision": np.full(n, np.nan) if one_each else ranking.r_precision,
    }
    for key, values in measures.items():
        counts = whole + ends(values, n) + ends(values, notes)
        if one_each:
            counts += (int(np.count_nonzero(values >= 1)),)
        numbers[key] = Guarded(float(values.mean()), counts)
        numbers[f"{key}_labelled"] = Guarded(_mean(values[labelled]), counts + both)
    every, outside = ranking.average_precision_all_codes, int(cohort.n_codes.sum()) - positives
    numbers["map_all_codes"] = Guarded(float(every.mean()), numbers["map"].counts).plus(*ends(every, n), outside)
    return numbers


def _list_counts(cohort: Cohort, ranking: NoteRanking, ks: list[int], k: int) -> tuple[int, ...]:
    """What P@k gives away: codes found, missed and wrongly suggested in the first k, and the same between every
    shorter list and this one (every, not the next shorter: that one may be withheld)."""
    positives, _, notes, _ = _whole(cohort)
    width = {place: min(place, cohort.labels) for place in ks}
    found = {place: int(ranking.hits[place].sum()) for place in ks}
    counts = [positives - found[k]]
    for places, hits in [(width[k], found[k])] + [(width[k] - width[j], found[k] - found[j]) for j in ks if j < k]:
        counts += [hits, places * cohort.n - hits, places * notes - hits]
    return tuple(counts)


def _decisions(cohort: Cohort, tau: Mapping[str, NDArray[np.float32]]) -> Numbers:
    numbers: Numbers = {}
    whole, few = _whole(cohort), _few_labels(cohort)
    theirs = whole[-1]
    for kind, suffix in (("per_label", "_per_label"), ("none", "_at_half"), ("global", "")):
        made = decisions.decide(cohort, tau[kind])
        right, false, missed = made.errors
        cells = (right, false, missed, cohort.n * cohort.labels - right - false - missed, theirs)
        numbers[f"micro_f1{suffix}"] = Guarded(decisions.micro_f1(made), cells)
        # The macro-F1 of a single label is that label's F1.
        present = made.label_true > 0
        by_label = np.stack([made.label_hits, made.label_called, made.label_true])[:, present]
        alone = cells if np.count_nonzero(present) < 2 else ()
        counts = (*decisions.counted_by_mean(by_label, cohort.n), theirs, *alone)
        numbers[f"macro_f1{suffix}"] = Guarded(decisions.macro_f1(made), counts)
    # The rest is at the global threshold, which came last.
    gold, exact = int(cohort.n_codes.sum()), decisions.exact_matches(made)
    floor = decisions.predict_all_f1(made.label_true, cohort.n)[made.label_true > 0]
    micro_floor = float(decisions.predict_all_f1(made.true, cohort.n * cohort.labels))
    micro, macro = numbers["micro_f1"], numbers["macro_f1"]
    outside = (
        (0, 0)
        if cohort.beyond is None
        else tuple(int(counted(float(tau[OTHERS])).sum()) for counted in (cohort.beyond.right, cohort.beyond.called))
    )
    named = () if cohort.beyond is None else (outside[0], outside[1] - outside[0], gold - made.true - outside[0])
    some = int(np.count_nonzero((made.note_hits > 0) | (made.note_called + made.note_true == 0)))  # F1 above 0
    return numbers | {
        "exact_match": Guarded(exact / cohort.n, (exact, cohort.n - exact)),
        "example_f1": Guarded(decisions.example_f1(made), (some, cohort.n - exact)),
        "macro_f1_harmonic": Guarded(decisions.macro_f1_harmonic(made), cells),
        # macro_f1 less its lift is the floor.
        "macro_f1_lift": Guarded(macro.value - _mean(floor), (*macro.counts, *whole, *few)),
        "macro_f1_predict_all": Guarded(_mean(floor), whole + few),
        "micro_f1_all_codes": Guarded(
            decisions.micro_f1_all_codes(made, gold, *outside), (*cells, gold - made.true, *named)
        ),
        "micro_f1_lift": Guarded(micro.value - micro_floor, cells),
        "micro_f1_predict_all": Guarded(micro_floor, whole),
        "micro_precision": Guarded(float(decisions.ratio(made.hits, made.called)), cells),
        "micro_recall": Guarded(float(decisions.ratio(made.hits, made.true)), cells),
    }


def _rounds(
    cohort: Cohort,
    tau: Mapping[str, NDArray[np.float32]],
    ranking: NoteRanking,
    cells: discrimination.Sorted,
    params: EvaluateParams,
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Every bootstrapped metric by round, and how many rounds the areas and the calibration error have."""
    drawn = intervals.weights(cohort.size, params.bootstrap_rounds, params.seed)
    values = {f"p_at_{k}": hits / k for k, hits in ranking.hits.items()}
    values |= {"map": ranking.average_precision, "r_precision": ranking.r_precision}
    values["map_all_codes"] = ranking.average_precision_all_codes
    rounds = intervals.note_means(cohort, drawn, values)
    calls = decisions.Calls.of(cohort, tau["global"])
    parts = {name: cells.sum(axis=1) for name, cells in (("right", calls.right), ("called", calls.called))}
    if cohort.beyond is not None:
        limit = float(tau[OTHERS])
        parts = {
            "right": parts["right"] + cohort.beyond.right(limit),
            "called": parts["called"] + cohort.beyond.called(limit),
        }
    sums = intervals.note_sums(cohort, drawn, {**parts, "gold": cohort.n_codes.astype(np.float64)})
    rounds["micro_f1_all_codes"] = decisions.f1(sums["right"], sums["called"], sums["gold"])
    for kind, suffix in (("global", ""), ("per_label", "_per_label")):
        micro, macro = intervals.f1_rounds(cohort, drawn, tau[kind])
        rounds |= {f"micro_f1{suffix}": micro, f"macro_f1{suffix}": macro}
    # These look at every cell, not at calls alone: with thousands of labels a tenth of the rounds has to do.
    some = drawn[:FEW_ROUNDS] if cohort.labels > MANY_LABELS else drawn
    rounds |= area_rounds(cohort, some, cells)._asdict()
    if cohort.probabilities:
        rounds["ece"] = calibration_rounds(cohort, some, cells)
    return rounds, len(some)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
