"""One coder judged: from gold and scores to the numbers in Git and the tables that stay in the cache.

- metrics/<coder>/metrics.json, through DVCLive: {coder: {val: {...}, test: {...}}}, rounded, keys sorted;
- metrics/<coder>/slices.json: the same by group of notes and of labels, {coder: {split: {dimension: {group: {...}}}}};
- metrics/<coder>/plots/: precision-recall on a fixed grid of recalls, reliability in merged equal-mass bins, and how
  training went, an epoch a row (no row for a coder without epochs);
- data/evaluation/<coder>/: per_code.parquet (never in Git: recall times support gives small counts away), the tables of
  errors.py, reliability.parquet (curves of the scores as judged and, with evaluate.calibrate, as the coder gave them),
  and thresholds.json and calibration.npz (with evaluate.calibrate), which serving reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chartcode.artifacts import Artifact, atomic_file, writing
from chartcode.errors import DataError
from chartcode.evaluation import calibration, decisions, discrimination, errors
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.fitting import Fitted, fit
from chartcode.evaluation.headline import LabelScores, headline, label_scores
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.recalibration import CALIBRATION, Calibrator
from chartcode.evaluation.slices import Slices, read_facts, slices
from chartcode.params import EvaluateParams
from chartcode.privacy import DECIMALS, SMALLEST, Cut, Guarded, publish
from chartcode.tables.labels import read_gold

SPLITS = ("val", "test")  # thresholds come from the first
SCORES = Path("data/scores")
TABLES = ("per_code", "confusions", "notes", "suspects", "reliability")
CURVES = {"precision_recall": ("recall", "precision"), "reliability": ("predicted", "observed")}
TRAINING = ("loss", "map", "micro_f1")  # of train; of val, in the training loop's own short look


@dataclass(frozen=True)
class Judged:
    """A coder's evaluation: published numbers and slices by split, curves by name and split (points, 2), tables."""

    coder: str
    numbers: dict[str, dict[str, float | int | None]]
    slices: dict[str, Slices]
    curves: dict[tuple[str, str], NDArray[np.float64]]
    tables: dict[str, pa.Table]
    thresholds: dict[str, Any]
    calibrator: Calibrator | None
    history: NDArray[np.float64]  # (E, 3), TRAINING of each epoch


def coder_from(arguments: Sequence[str], scores: Path = SCORES) -> str:
    """The coder named on a stage's command line (sys.argv). Raises DataError when it is not one with scores."""
    if len(arguments) != 2 or not re.fullmatch(r"[a-z][a-z0-9_]*", arguments[1]):
        raise DataError("evaluate: name one coder, as in `python -m stages.evaluate tfidf`")
    if not (scores / arguments[1]).is_dir():
        known = sorted(p.name for p in scores.glob("[a-z]*") if p.is_dir()) or ["none"]
        raise DataError(f"{scores}/{arguments[1]}: no such coder; coders with scores: {', '.join(known)}")
    return arguments[1]


def judge(coder: str, gold: Artifact, scores: Artifact, params: EvaluateParams) -> Judged:
    """Everything that is said about `coder`: thresholds from val, numbers, curves and per-code rows of val and test.

    Raises DataError when a split is empty, no val note has a label, or scores and gold do not belong together.
    """
    everything = read_gold(gold)
    for split in SPLITS:
        everything.rows(split)  # an empty split is reported before any work
    train = np.asarray(everything.truth[everything.split == "train"].sum(axis=0)).ravel()
    fitted = fit(everything, scores, params)
    judged: dict[str, _Split] = {}
    for split in SPLITS:
        rows = everything.rows(split)
        about = _About(everything.hadm_id[rows], read_facts(gold, rows))
        judged[split] = _judge_split(fitted, split, about, train, params)
    return Judged(
        coder,
        {split: found.numbers for split, found in judged.items()},
        {split: found.slices for split, found in judged.items()},
        {(name, split): points for split, found in judged.items() for name, points in found.curves.items()},
        {name: pa.concat_tables([found.tables[name] for found in judged.values()]) for name in TABLES},
        fitted.chosen.as_json(params.threshold),
        fitted.calibrator,
        _history(scores, judged["val"].numbers),
    )


def _history(scores: Artifact, val: dict[str, float | int | None]) -> NDArray[np.float64]:
    """What was learned epoch by epoch (E, 3), where as much is told of val as it is now."""
    told = all(val[name] is not None for name in ("map", "micro_f1"))
    held = scores.json("history.json") if told and "history.json" in scores.names() else []
    return np.array([[entry[name] for name in TRAINING] for entry in held]).reshape(-1, len(TRAINING))


@dataclass(frozen=True)
class _About:
    """The notes of a split: hadm_ids (N,) and what gold's facts.parquet says of them."""

    hadm_ids: NDArray[np.int64]
    facts: pa.Table


@dataclass(frozen=True)
class _Split:
    numbers: dict[str, float | int | None]
    slices: Slices
    curves: dict[str, NDArray[np.float64]]
    tables: dict[str, pa.Table]


def _judge_split(fitted: Fitted, split: str, about: _About, train: NDArray[np.int64], params: EvaluateParams) -> _Split:
    cohort, tau = fitted.judged[split], fitted.tau[split]
    cells, labels = discrimination.over_all(cohort), label_scores(cohort)
    ranking = rank_notes(cohort, sorted(set(params.top_k)))
    numbers = headline(cohort, tau, labels, cells, ranking, params)
    calls = decisions.Calls.of(cohort, tau["global"])
    curves = _curves(cohort, cells, (int(calls.right.sum()), int(calls.false.sum())))
    before = fitted.raw[split]
    if fitted.calibrator is not None and before.probabilities:
        sorted_before, counts = discrimination.over_all(before), numbers["ece"].counts
        curves["reliability_raw"], _ = calibration.reliability(sorted_before)
        numbers |= {
            "brier_raw": Guarded(calibration.brier(sorted_before), counts),
            "ece_raw": Guarded(calibration.calibration_error(sorted_before), counts),
        }
    parts = slices(cohort, calls, about.facts, train, ranking.average_precision, params)
    tables = {
        "per_code": _per_code(cohort, fitted, labels, train),
        "confusions": errors.confusions(cohort, calls),
        "notes": errors.notes(cohort, calls, about.hadm_ids),
        "suspects": errors.suspects(cohort, calls, about.hadm_ids),
        "reliability": _reliability(split, curves),
    }
    return _Split(publish(numbers, cohort.size), parts | errors.summary(cohort, calls), curves, tables)


def _curves(cohort: Cohort, cells: discrimination.Sorted, called: Cut) -> dict[str, NDArray[np.float64]]:
    """The published curves, none for fewer than 11 patients; precision and recall tell of the cells `called`."""
    if cohort.size < SMALLEST:
        return {}
    curves, known = {}, [called]
    if cohort.probabilities:
        curves["reliability"], cuts = calibration.reliability(cells, known)
        known += cuts
    precision = discrimination.precision_at_recall(cells, known)
    return curves | {"precision_recall": np.stack([discrimination.GRID, precision], axis=1)}


def _reliability(split: str, curves: dict[str, NDArray[np.float64]]) -> pa.Table:
    """The reliability curve of the scores as judged, and before any calibration: `scores` is judged or raw."""
    shown = {"judged": curves.get("reliability"), "raw": curves.get("reliability_raw")}
    points = [(split, name, *point) for name, curve in shown.items() if curve is not None for point in curve.tolist()]
    kinds = {"split": pa.string(), "scores": pa.string(), "predicted": pa.float64(), "observed": pa.float64()}
    columns = list(zip(*points, strict=True)) or [()] * len(kinds)
    return pa.table({name: pa.array(values, kinds[name]) for name, values in zip(kinds, columns, strict=True)})


def _per_code(cohort: Cohort, fitted: Fitted, labels: LabelScores, train: NDArray[np.int64]) -> pa.Table:
    """One row a label: support, threshold, calls, precision, recall and F1 at both thresholds, AUROC, AUPRC, the floor.

    The worst labels are those of the smallest `f1_lift`.
    """
    floor = decisions.predict_all_f1(cohort.label_positives, cohort.n)
    columns: dict[str, Any] = {
        "code": list(cohort.codes),
        "split": [cohort.split] * cohort.labels,
        "train_positives": train.astype(np.int64),
        "positives": cohort.label_positives,
        "prevalence": cohort.label_positives / cohort.n,
    }
    for kind, suffix in (("global", ""), ("per_label", "_per_label")):
        made = decisions.decide(cohort, fitted.tau[cohort.split][kind])
        columns |= {
            f"threshold{suffix}": fitted.chosen.arrays()[kind],
            f"called{suffix}": made.label_called,
            f"right{suffix}": made.label_hits,
            f"precision{suffix}": decisions.ratio(made.label_hits, made.label_called),
            f"recall{suffix}": decisions.ratio(made.label_hits, made.label_true),
            f"f1{suffix}": decisions.f1(made.label_hits, made.label_called, made.label_true),
        }
    columns |= {"auroc": labels.auroc, "auprc": labels.auprc, "ece": labels.ece, "f1_predict_all": floor}
    columns["f1_lift"] = columns["f1"] - floor
    undefined = {"auroc", "auprc"}
    return pa.table({key: pa.array(value, from_pandas=key in undefined) for key, value in columns.items()})


def save(
    judged: Judged,
    gold: Artifact,
    scores: Artifact,
    code: str,
    *,
    metrics: Path = Path("metrics"),
    data: Path = Path("data"),
) -> tuple[Path, Path]:
    """Write the metrics folder and the artifact; returns where they stand. `code` is the digest of the stage's code."""
    cached = data / "evaluation" / judged.coder
    with writing(cached, gold.source, [gold, scores], code) as writer:
        for name, table in judged.tables.items():
            writer.parquet(f"{name}.parquet", table)
        writer.json("thresholds.json", judged.thresholds)
        if judged.calibrator is not None:
            writer.npz(CALIBRATION, None, **judged.calibrator.arrays())
    folder = metrics / judged.coder
    _log_numbers(folder, judged)
    with atomic_file(folder / "slices.json") as path:  # groups in their own order, not sorted
        path.write_text(json.dumps({judged.coder: judged.slices}, indent=2) + "\n", encoding="utf-8")
    for name, header in CURVES.items():
        for split in SPLITS:
            # A file stands even without points: DVC wants every declared plot.
            points = judged.curves.get((name, split), np.zeros((0, 2)))
            _write_curve(folder / "plots" / f"{name}_{split}.csv", header, points)
    epochs = np.arange(1, len(judged.history) + 1)[:, None]
    _write_curve(folder / "plots/training.csv", ("epoch", *TRAINING), np.hstack([epochs, judged.history]))
    return folder, cached


def _write_curve(target: Path, header: Sequence[str], points: NDArray[np.float64]) -> None:
    with atomic_file(target) as path:
        np.savetxt(path, points, f"%.{DECIMALS}f", ",", header=",".join(header), comments="", encoding="utf-8")


def _log_numbers(folder: Path, judged: Judged) -> None:
    """metrics.json through DVCLive: keys enter sorted and rounded, so its dump is the same bytes every time."""
    from dvclive.live import Live  # a second to import; nothing else here needs it
    from scmrepo.exceptions import SCMError

    try:
        live = Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None)
    except SCMError:
        raise DataError("git: the repository has no commit yet, and DVCLive needs one; run `git commit`") from None
    with live:
        for split in sorted(judged.numbers):
            for key, value in judged.numbers[split].items():
                if value is None:  # DVCLive logs numbers; a withheld one is null in its summary
                    live.summary.setdefault(judged.coder, {}).setdefault(split, {})[key] = None
                else:
                    live.log_metric(f"{judged.coder}/{split}/{key}", value, plot=False)
