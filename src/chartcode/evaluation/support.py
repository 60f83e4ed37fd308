"""Whether the codes that a coder calls stand in the text, and what stands there that it does not call.

A called code is, of a note:
- named: a mention affirms it;
- category: none does, but one affirms another code of its category (E11.9 called, E11.65 named);
- denied: all mentions of it and its category are denied, a relative's or only spoken of;
- hinted: neither it nor its category is mentioned, but words that train alone ties to it are: a drug, or chance;
- unnamed: not even that. It may be right all the same: results speak too, and what nobody wrote is coded.

A code counts as named and not called when a mention affirms it at the boundary or above: the p at which calling what
mentions affirm does best on val (micro-F1). What was coded is the truth, labels and other codes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact
from chartcode.coders.base import Scores, cells, listed, restored
from chartcode.errors import DataError
from chartcode.evaluation.mentions import KINDS, UNSAID, WIDTH, WITHOUT, by_category, coded, keys, largest, named
from chartcode.evaluation.recalibration import Calibrator
from chartcode.privacy import SMALLEST, Guarded, publish, publish_parts
from chartcode.tables.labels import Gold

Array = np.ndarray[Any, Any]
CODES = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),  # as it is judged: calibrated where scores are
        pa.field("true", pa.bool_(), nullable=False),
        pa.field("called", pa.bool_(), nullable=False),
        pa.field("p", pa.float32()),  # the largest of a mention that affirms it
        pa.field("support", pa.string(), nullable=False),  # KINDS
    ]
)


@dataclass(frozen=True)
class Called:
    """What a coder says of the notes of a split: notes and patients (N,), rows of gold, codes (L,), scores as they are
    judged (N, L), and keys of the pairs that are called, sorted.
    """

    split: str
    note_ids: list[str]
    patients: Array
    rows: Array
    codes: Sequence[str]
    judged: Scores
    pairs: Array


def called_in(
    split: str,
    gold: Gold,
    note_ids: pa.ChunkedArray,
    scores: Artifact,
    codes: Sequence[str],
    threshold: Array,
    calibrator: Calibrator | None,
) -> Called:
    """Every call of a split, from the stored scores of a coder that knows `codes`; `note_ids` are those of gold.

    Raises DataError when the scores are of other notes or codes.
    """
    held = scores.npz(f"{split}.npz")
    rows = np.flatnonzero(np.isin(gold.hadm_id, held["hadm_ids"]))
    if held["codes"].tolist() != list(codes) or not np.array_equal(gold.hadm_id[rows], held["hadm_ids"]):
        raise DataError(f"{scores.folder}/{split}.npz: not of this model and gold; run `dvc repro`")
    own = restored(held)
    judged = own if calibrator is None else calibrator.apply(own)
    pairs = [
        keys(np.full(1, row), columns[(values >= threshold[columns]) & (raw > 0)].astype(np.int64))
        for row, ((columns, values), (_, raw)) in enumerate(zip(listed(judged), listed(own), strict=True))
    ]
    names = note_ids.take(pa.array(rows)).to_pylist()
    return Called(split, names, gold.subject_id[rows], rows, codes, judged, np.sort(np.concatenate(pairs)))


def support(called: Called, gold: Gold, mentions: Artifact) -> pa.Table:
    """CODES: a row for each code of the coder that a note has, is said to have, or affirms."""
    codes, note_ids = called.codes, called.note_ids
    number = {code: column for column, code in enumerate(codes)}
    true_rows, true_columns = coded(gold, called.rows, number)
    found = named(mentions, note_ids, number)
    true_keys, affirms = keys(true_rows, true_columns), found.affirmed > UNSAID
    named_keys = keys(found.rows, found.columns)
    known = (true_keys[true_columns < len(codes)], named_keys[affirms & (found.columns < len(codes))])
    wanted = np.unique(np.concatenate([called.pairs, *known]))
    rows, columns = wanted // WIDTH, wanted % WIDTH
    p, hinted = (largest(wanted, named_keys, values) for values in (found.affirmed, found.hinted))
    names = sorted(number, key=number.__getitem__)
    category, of_named = by_category(found, names)
    of_wanted = keys(rows, category[columns])
    kind = np.select(
        [
            p > UNSAID,
            np.isin(of_wanted, of_named[affirms]),
            np.isin(of_wanted, of_named[found.said > UNSAID]),
            hinted > UNSAID,
        ],
        KINDS[:4],
        KINDS[4],
    )
    score = cells(called.judged, rows, columns)
    return pa.table(
        [
            pa.array([called.split] * len(wanted), pa.string()),
            pa.array(note_ids, pa.string()).take(pa.array(rows)),
            pa.array(names, pa.string()).take(pa.array(columns)),
            pa.array(np.maximum(score, 0), pa.float32()),
            pa.array(np.isin(wanted, true_keys)),
            pa.array(np.isin(wanted, called.pairs)),
            pa.array(p, pa.float32(), mask=p == UNSAID),
            pa.array(kind.tolist(), pa.string()),
        ],
        schema=CODES,
    )


def boundary_of(table: pa.Table) -> float | None:
    """The p at which calling what mentions affirm has the best micro-F1 in CODES; None where none is ever right."""
    p = table["p"].to_numpy(zero_copy_only=False)
    true = table["true"].to_numpy(zero_copy_only=False)
    said = ~np.isnan(p)
    order = np.argsort(-p[said], kind="stable")
    p, hits = p[said][order], np.cumsum(true[said][order])
    if not len(hits) or not hits[-1]:
        return None
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + true.sum())
    last = np.append(np.diff(p) != 0, True)  # equal p are called together
    return float(p[np.argmax(np.where(last, f1, -1))])


def uncalled(table: pa.Table, boundary: float | None) -> pa.Table:
    """The rows of CODES that stand in the text and are not called."""
    if boundary is None:
        return table.slice(0, 0)
    enough = pc.greater_equal(table["p"], pa.scalar(boundary, pa.float32()))
    return table.filter(pc.and_(enough, pc.invert(table["called"])))


def numbers(table: pa.Table, boundary: float | None, notes: Called) -> dict[str, float | int | None]:
    """How much of what is called stands in the text, how often it is right by that, and what is left."""
    owner = dict(zip(notes.note_ids, notes.patients.tolist(), strict=True))
    called = table.filter(table["called"])
    groups = {kind: called.filter(pc.equal(called["support"], kind)) for kind in KINDS}
    groups[WITHOUT] = called.filter(pc.not_equal(called["support"], KINDS[0]))
    parts: dict[str, dict[str, Guarded]] = {}
    for kind, rows in groups.items():
        n, right, patients = _counted(rows, owner)
        parts[kind] = {
            "": Guarded(n, (n, patients)),
            "_share": Guarded(_ratio(n, called.num_rows), (n, patients)),
            "_precision": Guarded(_ratio(right, n), (right, n - right, patients)),
        }
    n, right, patients = _counted(uncalled(table, boundary), owner)
    left = {
        "named_not_called": Guarded(n, (n, patients)),
        "named_not_called_right": Guarded(_ratio(right, n), (right, n - right, patients)),
    }
    several = len(set(owner.values()))
    told = _told(parts, {kind: rows.num_rows for kind, rows in groups.items()})
    shown = {f"called_{kind}{name}": value for kind, each in told.items() for name, value in each.items()}
    return (dict.fromkeys(shown) if several < SMALLEST else shown) | publish(left, several)


def _told(parts: dict[str, dict[str, Guarded]], sizes: dict[str, int]) -> dict[str, dict[str, float | int | None]]:
    """Named and without make up all calls, the other kinds make up those without."""
    first = (KINDS[0], WITHOUT)
    told = publish_parts({kind: parts[kind] for kind in first}, sizes)
    rest = publish_parts({kind: parts[kind] for kind in KINDS[1:]}, sizes)
    known = told[WITHOUT]
    return told | {kind: {k: None if known[k] is None else v for k, v in each.items()} for kind, each in rest.items()}


def _counted(rows: pa.Table, owner: dict[str, int]) -> tuple[int, int, int]:
    """Pairs, true ones, and patients."""
    right = int(rows["true"].to_numpy(zero_copy_only=False).sum())
    return rows.num_rows, right, len({owner[note] for note in rows["note_id"].to_pylist()})


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
