"""How well what notes name tells what they are coded with; no coder is asked.

- evidence recall: the share of true note-code pairs for which a mention affirms the code. It is the most that a coder
  can show a place for. Also: by a mention in any context, or words that train alone ties to the code, and by any
  code of the category; for labels, and for all codes of the notes.
- precision: how often a note that affirms a name is coded with the likeliest code of that name, by kind of name, by how
  it was found, and by context (of all mentions). A name counts once a note and p.
- reliability: whether a p of 0.3 means three notes in ten, and the expected calibration error of p.

metrics/stages/link.json has the headline, link_groups.json the rest; aggregates alone, through privacy.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact, atomic_file
from chartcode.coders.linked_mentions import FILE
from chartcode.errors import DataError
from chartcode.evaluation import calibration, intervals
from chartcode.evaluation.discrimination import Sorted
from chartcode.evaluation.mentions import UNSAID, Named, by_category, coded, keys, largest, named
from chartcode.evaluation.slices import TRAIN_NOTES, banded
from chartcode.linking.flags import FLAGS, ORDER, TAKEN_BACK
from chartcode.params import EvaluateParams
from chartcode.privacy import DECIMALS, SMALLEST, Guarded, publish, publish_parts
from chartcode.tables.labels import Gold, read_gold

Array = np.ndarray[Any, Any]
Shown = dict[str, float | int | None]
SPLITS = ("val", "test")
METRICS = Path("metrics/stages")
AFFIRMED = "affirmed"
_NAMES = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("code", pa.string()),
        pa.field("p", pa.float32()),
        pa.field("kind", pa.string()),
        pa.field("method", pa.string()),
        pa.field("context", pa.string()),
    ]
)


def measure(
    gold: Artifact, mentions: Artifact, params: EvaluateParams
) -> tuple[dict[str, Shown], dict[str, dict[str, Any]]]:
    """Headline numbers by split, and groups by split. Raises DataError when a split has no note, or both are not of
    one source.
    """
    if gold.source != mentions.source:
        raise DataError(f"{mentions.folder}: of another source than {gold.folder}; run `dvc repro link`")
    labels = read_gold(gold)
    note_ids = gold.table("hadm_ids.parquet", ["note_id"])["note_id"]
    numbers: dict[str, Shown] = {}
    groups: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        rows = labels.rows(split)
        judged = _Judged(labels, rows, note_ids.take(pa.array(rows)).to_pylist(), mentions)
        names = judged.names(mentions)
        numbers[split] = publish(judged.recall(params) | _calibrated(names), len(np.unique(judged.patients)))
        few = len(np.unique(judged.patients)) < SMALLEST
        groups[split] = {} if few else judged.groups(names)
    return numbers, groups


class _Judged:
    """The notes of one split: what they are coded with, and what they name."""

    def __init__(self, gold: Gold, rows: Array, note_ids: list[str], mentions: Artifact) -> None:
        self._gold, self._note_ids = gold, note_ids
        self._number: dict[str, int] = {}
        self.patients = gold.subject_id[rows]
        self._rows, self._columns = coded(gold, rows, self._number)
        self._true = keys(self._rows, self._columns)
        self._label = self._columns < len(gold.codes)  # labels were numbered first
        found = named(mentions, note_ids, self._number)
        self._codes = sorted(self._number, key=self._number.__getitem__)
        self._how = self._found(found)

    def _found(self, found: Named) -> dict[str, Array]:
        """For each true pair whether it is named so."""
        held = keys(found.rows, found.columns)
        category, of_found = by_category(found, self._codes)
        affirms = found.affirmed > UNSAID
        own = keys(self._rows, category[self._columns])
        return {
            "": largest(self._true, held, found.affirmed) > UNSAID,
            "_any_context": largest(self._true, held, found.said) > UNSAID,
            "_hinted": largest(self._true, held, np.maximum(found.affirmed, found.hinted)) > UNSAID,
            "_category": np.isin(own, of_found[affirms]),
        }

    def recall(self, params: EvaluateParams) -> dict[str, Guarded]:
        """Evidence recall of labels and of all codes, the first with its interval."""
        notes, labels, pairs = len(self._note_ids), int(self._label.sum()), len(self._true)
        patients = len(np.unique(self.patients))
        numbers = {
            "n": Guarded.count(notes),
            "patients": Guarded(patients, (patients, notes - patients)),
            "pairs": Guarded(labels, (labels,)),
            "pairs_all_codes": Guarded(pairs, (pairs, pairs - labels)),
        }
        sure = self._how[""]
        for name, hit in self._how.items():
            hits, beside = int(hit[self._label].sum()), int((hit ^ sure)[self._label].sum())
            numbers[f"evidence_recall{name}"] = Guarded(_ratio(hits, labels), (hits, labels - hits, beside))
        hits, of_labels = int(sure.sum()), int(sure[self._label].sum())
        rest = (hits - of_labels, pairs - labels - hits + of_labels)
        numbers["evidence_recall_all_codes"] = Guarded(_ratio(hits, pairs), (hits, pairs - hits, *rest))
        low, high = self._interval(sure, params)
        counts = numbers["evidence_recall"].counts
        return numbers | {"evidence_recall_lo": Guarded(low, counts), "evidence_recall_hi": Guarded(high, counts)}

    def _interval(self, hit: Array, params: EvaluateParams) -> tuple[float, float]:
        """95% bootstrap over patients."""
        known, owner = np.unique(self.patients[self._rows[self._label]], return_inverse=True)
        if not len(known) or not params.bootstrap_rounds:
            return float("nan"), float("nan")
        sums = np.stack([np.bincount(owner, hit[self._label], len(known)), np.bincount(owner, minlength=len(known))])
        above, below = csr_array(sums) @ intervals.weights(len(known), params.bootstrap_rounds, params.seed).T
        rounds = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
        return intervals.interval(rounds, _ratio(float(hit[self._label].sum()), float(self._label.sum())))

    def names(self, mentions: Artifact) -> pa.Table:
        """_NAMES with `true`: the names of the notes, each once a note and p; read batch by batch."""
        asked = pa.array(self._note_ids, pa.string())
        columns = ["note_id", "code", "p", "source", "method", *FLAGS]
        parts = [_of(batch, asked) for batch in mentions.batches(FILE, columns)]
        whole = pa.concat_tables([*parts, _NAMES.empty_table()])
        found = whole.group_by(_NAMES.names, use_threads=False).aggregate([])
        numbers = pc.index_in(found["code"], pa.array(self._codes, pa.string())).to_numpy()
        true = np.isin(keys(found["row"].to_numpy(), numbers), self._true)
        return found.append_column("true", pa.array(true))

    def groups(self, names: pa.Table) -> dict[str, Any]:
        """Recall by how often train saw the code, precision of names by kind, method and context, reliability of p."""
        sure = names.filter(pc.is_in(names["context"], pa.array([AFFIRMED, *set(ORDER) - set(TAKEN_BACK)])))
        return {
            "train_notes": self._by_train_notes(),
            "kind": self._precision(sure, "kind"),
            "method": self._precision(sure, "method"),
            "context": self._precision(names, "context"),
            "reliability": [[round(x, DECIMALS) for x in point] for point in _reliability(names).tolist()],
        }

    def _by_train_notes(self) -> dict[str, Shown]:
        gold = self._gold
        train = gold.split == "train"
        counts = np.concatenate([np.asarray(held[train].sum(axis=0)).ravel() for held in (gold.truth, gold.others)])
        group = banded(counts.astype(np.float64), TRAIN_NOTES)[self._columns]
        parts, sizes = {}, {}
        for name in [name for _, name in TRAIN_NOTES if (group == name).any()]:
            own = group == name
            pairs, hits = int(own.sum()), int(self._how[""][own].sum())
            patients = len(np.unique(self.patients[self._rows[own]]))
            sizes[name] = pairs
            parts[name] = {
                "pairs": Guarded(pairs, (pairs, patients)),
                "evidence_recall": Guarded(_ratio(hits, pairs), (hits, pairs - hits, patients)),
            }
        return publish_parts(parts, sizes)

    def _precision(self, names: pa.Table, by: str) -> dict[str, Shown]:
        """Of note-code pairs, those that names of each group give."""
        once = names.group_by(["row", "code", by, "true"], use_threads=False).aggregate([])
        parts, sizes = {}, {}
        for name in sorted(pc.unique(once[by]).to_pylist()):
            own = once.filter(pc.equal(once[by], name))
            pairs, right = own.num_rows, int(pc.sum(own["true"]).as_py() or 0)
            patients = len(np.unique(self.patients[own["row"].to_numpy()]))
            sizes[name] = pairs
            parts[name] = {
                "pairs": Guarded(pairs, (pairs, patients)),
                "precision": Guarded(_ratio(right, pairs), (right, pairs - right, patients)),
            }
        return publish_parts(parts, sizes)


def _of(batch: pa.RecordBatch, asked: pa.Array) -> pa.Table:
    """_NAMES of the asked notes' mentions, each once."""
    place = pc.index_in(batch.column("note_id"), asked)
    here = batch.filter(pc.is_valid(place))
    cases = pc.make_struct(*(here.column(flag) for flag in ORDER), field_names=list(ORDER))
    context = pc.case_when(cases, *map(pa.scalar, ORDER), pa.scalar(AFFIRMED))
    if isinstance(context, pa.Scalar):
        context = pa.array([], pa.string())
    columns = [place.drop_null().cast(pa.int64()), *(here.column(name) for name in ("code", "p", "source", "method"))]
    table = pa.table([*columns, context], schema=_NAMES)
    return table.group_by(_NAMES.names, use_threads=False).aggregate([])


def _sorted(names: pa.Table) -> Sorted:
    p, true = names["p"].to_numpy(), names["true"].to_numpy(zero_copy_only=False)
    return Sorted(np.sort(p), np.sort(p[true]))


def _reliability(names: pa.Table) -> Array:
    """Mean p and share coded of each bin (B, 2)."""
    points, _ = calibration.reliability(_sorted(names))
    return points


def _calibrated(names: pa.Table) -> dict[str, Guarded]:
    """Names, how often they are right, and the calibration error of p."""
    total, right = names.num_rows, int(pc.sum(names["true"]).as_py() or 0)
    counts = (right, total - right)
    return {
        "names": Guarded(total, (total,)),
        "names_precision": Guarded(_ratio(right, total), counts),
        "p_ece": Guarded(calibration.calibration_error(_sorted(names)) if total else float("nan"), counts),
    }


def save(numbers: Mapping[str, Any], groups: Mapping[str, Any], folder: Path = METRICS) -> Path:
    """Write both files; returns the folder."""
    for name, held in (("link", numbers), ("link_groups", groups)):
        with atomic_file(folder / f"{name}.json") as path:
            text = json.dumps({"link": held}, indent=2, sort_keys=name == "link", allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
    return folder


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
