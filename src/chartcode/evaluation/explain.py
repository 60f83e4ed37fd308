"""Whether a coder's evidence holds: on val and test, against what people marked, and by taking words away.

Plausibility is measured on the codes that a note truly has and that somebody marked evidence for; faithfulness on the
codes that are called at the global threshold, where there is a decision to explain. Measures and their sources:
plausibility.py, faithfulness.py. Beside them, whether what is called stands in the text at all: support.py.

- metrics/<coder>/evidence.json (Git): {coder: {val | test: {...}}}, aggregates through privacy.publish;
- data/explained/<coder>/ (cache): spans.parquet, a row a span of each true or called code; codes.parquet, a row for
  each code that a note has, is said to have, or names; and explained.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact, atomic_file, writing
from chartcode.coders.base import Coder, gold_of
from chartcode.evaluation import faithfulness, intervals, plausibility, support
from chartcode.evaluation.evidence import Looked, Pair, by_key, look
from chartcode.evaluation.recalibration import Calibrator
from chartcode.evaluation.thresholds import thresholds_of
from chartcode.params import EvaluateParams, ExplainParams
from chartcode.privacy import Guarded, ends, publish

SPLITS = ("val", "test")  # the boundary between evidence and the rest comes from the first
SPANS = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("true", pa.bool_(), nullable=False),
        pa.field("called", pa.bool_(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # code points of the source note, end exclusive
        pa.field("end", pa.int32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
    ]
)
Numbers = dict[str, float | int | None]


@dataclass(frozen=True)
class Explained:
    """A coder's evidence: published numbers by split, the spans, the codes, and what the numbers rest on."""

    coder: str
    numbers: dict[str, Numbers]
    spans: pa.Table
    codes: pa.Table
    about: dict[str, Any]


def explain(
    name: str,
    coder: Coder[Any],
    silver: Artifact,
    gold: Artifact,
    bronze: Artifact,
    mentions: Artifact,
    scores: Artifact,
    evaluation: Artifact,
    params: ExplainParams,
    evaluate: EvaluateParams,
) -> Explained:
    """The coder's evidence on val and test; `evaluation` gives the global threshold, and the calibration before it.

    What is called stands or does not stand in the text (`mentions`) of every note (`scores`), not of those looked at
    alone.

    Raises DataError when a split is empty, ArtifactError when gold is not of this silver.
    """
    labels = gold_of(silver, gold)
    threshold = thresholds_of(evaluation, coder.codes, "global")
    calibrator = Calibrator.of(evaluation, coder.codes)
    numbers: dict[str, Numbers] = {}
    spans: list[pa.Table] = []
    codes: list[pa.Table] = []
    note_ids = silver.table("notes.parquet", ["note_id"])["note_id"]
    boundary: float | None = None
    of_mentions: float | None = None
    for split in SPLITS:
        looked = look(coder, silver, bronze, labels, split, threshold, calibrator, params.notes)
        if boundary is None:
            boundary = plausibility.best_boundary([(p.shares, p.gold) for p in looked.pairs if p.gold is not None])
        numbers[split] = _plausible(looked, boundary, evaluate) | _faithful(looked, coder, params, evaluate)
        spans.append(_spans(looked))
        called = support.called_in(split, labels, note_ids, scores, coder.codes, threshold, calibrator)
        supported = support.support(called, labels, mentions)
        if split == SPLITS[0]:
            of_mentions = support.boundary_of(supported)
        numbers[split] |= support.numbers(supported, of_mentions, called)
        codes.append(supported.filter(pc.is_in(supported["note_id"], looked.notes.column("note_id"))))
    about = {
        "boundary": boundary if boundary != plausibility.NOTHING else None,
        "mentions_from": of_mentions,
        "words": list(faithfulness.WORDS),
    }
    return Explained(name, numbers, pa.concat_tables(spans), pa.concat_tables(codes), about)


def _plausible(looked: Looked, boundary: float, evaluate: EvaluateParams) -> Numbers:
    """How the coder's evidence agrees with what people marked, on the pairs where they marked something."""
    pairs = [pair for pair in looked.pairs if pair.gold is not None]
    both = [(pair.shares, pair.gold) for pair in pairs if pair.gold is not None]
    found = [plausibility.agreement(shares, gold, boundary) for shares, gold in both]
    words = np.array([agreement.words for agreement in found]).reshape(-1, 3)
    runs = np.array([agreement.runs for agreement in found]).reshape(-1, 3).sum(axis=0)
    hits, called, true = words.sum(axis=0).tolist()
    guard = (hits, called - hits, true - hits)
    notes = len({pair.row for pair in pairs})
    total = sum(len(gold) for _, gold in both)
    f1 = _ratio(2 * hits, called + true)
    low, high = _interval(
        looked, pairs, f1, np.stack([2 * words[:, 0], words[:, 1] + words[:, 2]]).astype(float), evaluate
    )
    numbers = {
        "evidence_notes": Guarded.count(notes, looked.notes.num_rows),
        "evidence_pairs": Guarded.count(len(pairs), looked.positives),
        "evidence_precision": Guarded(_ratio(hits, called), guard),
        "evidence_recall": Guarded(_ratio(hits, true), guard),
        "evidence_f1": Guarded(f1, guard),
        "evidence_f1_lo": Guarded(low, guard),
        "evidence_f1_hi": Guarded(high, guard),
        "evidence_f1_all_words": Guarded(_ratio(2 * true, total + true), (true, total - true)),
        "evidence_auprc": Guarded(plausibility.auprc(both), guard),
        "evidence_iou": _mean([a.iou for a in found]),
        "evidence_iou_f1": Guarded(
            _ratio(2 * runs[0], runs[1] + runs[2]), (runs[0], runs[1] - runs[0], runs[2] - runs[0])
        ),
        "evidence_span_recall": _mean([a.span_recall for a in found]),
        "evidence_span_cover": _mean([a.cover for a in found]),
        "evidence_empty": _mean([float(a.empty) for a in found]),
    }
    return publish(numbers, len(_patients(looked, pairs)))


def _faithful(looked: Looked, coder: Coder[Any], params: ExplainParams, evaluate: EvaluateParams) -> Numbers:
    """How far the evidence moves the score, on codes that are called: at most `faithful_pairs` of them."""
    notes = looked.notes.column("note_id").to_pylist()
    called = [pair for pair in looked.pairs if pair.called]
    kept = by_key([f"{notes[pair.row]}:{pair.code}" for pair in called], params.faithful_pairs)
    pairs = [called[place] for place in kept]
    column = {code: place for place, code in enumerate(coder.codes)}
    questions = []
    for pair in pairs:
        order = np.argsort(-pair.shares, kind="stable")
        strongest = order[pair.shares[order] > 0]
        questions.append(faithfulness.Question(pair.row, column[pair.code], looked.words[pair.row].clean, strongest))
    after = faithfulness.curves(coder, looked.notes, questions, params.seed)
    numbers = {"faithful_pairs": Guarded.count(len(pairs))}
    for name, values in faithfulness.measures([pair.score for pair in pairs], after).items():
        numbers[name] = mean = _mean(values.tolist())
        if not name.endswith("_random"):
            sums = np.stack([values, np.ones(len(values))])
            low, high = _interval(looked, pairs, mean.value, sums, evaluate)
            numbers |= {f"{name}_lo": Guarded(low, mean.counts), f"{name}_hi": Guarded(high, mean.counts)}
    return publish(numbers, len(_patients(looked, pairs)))


def _interval(
    looked: Looked, pairs: Sequence[Pair], estimate: float, sums: NDArray[np.float64], evaluate: EvaluateParams
) -> tuple[float, float]:
    """95% bootstrap over patients of a ratio of two sums over pairs (2, M)."""
    patients, place = np.unique(looked.patients[[pair.row for pair in pairs]], return_inverse=True)
    if not len(patients) or not evaluate.bootstrap_rounds:
        return float("nan"), float("nan")
    by_patient = np.stack([np.bincount(place, values, len(patients)) for values in sums])
    drawn = intervals.weights(len(patients), evaluate.bootstrap_rounds, evaluate.seed)
    above, below = csr_array(by_patient) @ drawn.T  # (R,) each
    rounds = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return intervals.interval(rounds, estimate)


def _patients(looked: Looked, pairs: Sequence[Pair]) -> set[int]:
    return {int(looked.patients[pair.row]) for pair in pairs}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Sequence[float]) -> Guarded:
    """A mean over pairs."""
    if not values:
        return Guarded(float("nan"))
    return Guarded(sum(values) / len(values), ends(np.asarray(values), len(values)))


def _spans(looked: Looked) -> pa.Table:
    """A row a span, pairs in the order of notes and codes, the strongest span first."""
    notes = looked.notes.column("note_id").to_pylist()
    rows = [
        (looked.split, notes[pair.row], pair.code, pair.score, pair.true, pair.called, *span)
        for pair in looked.pairs
        for span in pair.spans
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SPANS)
    return pa.table([pa.array(c, field.type) for c, field in zip(columns, SPANS, strict=True)], schema=SPANS)


def save(
    explained: Explained,
    inputs: Sequence[Artifact],
    code: str,
    *,
    metrics: Path = Path("metrics"),
    data: Path = Path("data"),
) -> tuple[Path, Path]:
    """Write the metrics file and the artifact; returns where they stand. `code` is the digest of the stage's code."""
    cached = data / "explained" / explained.coder
    with writing(cached, inputs[0].source, inputs, code) as writer:
        writer.parquet("spans.parquet", explained.spans)
        writer.parquet("codes.parquet", explained.codes)
        writer.json("explained.json", explained.about)
    target = metrics / explained.coder / "evidence.json"
    with atomic_file(target) as path:
        shown = {explained.coder: explained.numbers}
        path.write_text(json.dumps(shown, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    return target, cached
