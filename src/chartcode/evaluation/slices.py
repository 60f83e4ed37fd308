"""How good a coder is for whom: by how often train saw a code, by length of note, codes, sex, age, race and time.

Notes are parted by what gold's facts.parquet says of them, labels by their number of train notes. A group of fewer than
11 notes or patients is put together with the next smallest one as REST; a number that would still show a small cell, by
itself or as the whole less the other groups, is withheld (privacy.publish_parts).

F1 at the global threshold; intervals as in intervals.py, over all patients of the split. `map` is over all notes of
the group. Race is MIMIC's own wording in six groups, the era three years of admission, un-shifted.

Shapes: N notes, L labels, G groups, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.evaluation import intervals
from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.decisions import Calls, counted_by_mean, f1
from chartcode.params import EvaluateParams
from chartcode.privacy import SMALLEST, Guarded, ends, publish_parts

REST = "rest"
UNKNOWN = "unknown"
FACTS = ("n_tokens", "age", "sex", "race", "year")
Slices = dict[str, dict[str, dict[str, float | int | None]]]  # dimension -> group -> number

# Where a group begins, ascending, and its name; the last begins the group that has no end.
TRAIN_NOTES = ((0, "0"), (1, "1-10"), (11, "11-50"), (51, "51-100"), (101, "101-500"), (501, "501+"))
CODES = ((0, "0"), (1, "1-5"), (6, "6-10"), (11, "11-15"), (16, "16-20"), (21, "21+"))
AGES = ((0, "0-17"), (18, "18-39"), (40, "40-59"), (60, "60-74"), (75, "75+"))
QUARTILES = ("shortest", "short", "long", "longest")
RACES = (
    ("WHITE", "white"),
    ("BLACK", "black"),
    ("HISPANIC", "hispanic"),
    ("SOUTH AMERICAN", "hispanic"),
    ("ASIAN", "asian"),
    ("UN", UNKNOWN),  # UNKNOWN, UNABLE TO OBTAIN
    ("PATIENT DECLINED", UNKNOWN),
)
ORDER = {name: place for place, name in enumerate([*QUARTILES, *(name for _, name in (*CODES, *AGES))])}


def read_facts(gold: Artifact, rows: NDArray[np.int64]) -> pa.Table:
    """What is known of these notes (rows of gold). Raises DataError when the file is not of gold's notes."""
    facts = gold.table("facts.parquet", list(FACTS))
    if facts.num_rows != gold.rows("hadm_ids.parquet"):
        raise DataError(f"{gold.folder}/facts.parquet: not a row a note; run `dvc repro gold`")
    return facts.take(pa.array(rows))


def slices(
    cohort: Cohort,
    calls: Calls,
    facts: pa.Table,
    train: NDArray[np.int64],
    precision: NDArray[np.float64],
    params: EvaluateParams,
) -> Slices:
    """Every dimension with its groups; none for fewer than 11 patients.

    `train` (L,) train notes of a label, `precision` (N,) average precision.
    """
    if cohort.size < SMALLEST:
        return {}
    drawn = intervals.weights(cohort.size, params.bootstrap_rounds, params.seed)
    published: Slices = {"train_notes": _of_labels(cohort, calls, train, drawn)}
    for dimension, groups in note_groups(facts, cohort.n_codes).items():
        whole = together(groups, cohort.patients)
        names = sorted(set(whole.tolist()), key=lambda name: (name == REST, name == UNKNOWN, ORDER.get(name, 0), name))
        if len(names) > 1:
            published[dimension] = _of_notes(cohort, calls, whole, names, precision, drawn)
    return published


def note_groups(facts: pa.Table, n_codes: NDArray[np.int64]) -> dict[str, NDArray[np.str_]]:
    """The group of each note (N,) in each dimension."""
    tokens, age, year = (facts[name].to_pandas().to_numpy(dtype=np.float64) for name in ("n_tokens", "age", "year"))
    quarter = np.searchsorted(np.quantile(tokens, [0.25, 0.5, 0.75]), tokens, "left")
    return {
        "note_length": np.array(QUARTILES)[quarter],
        "codes": banded(n_codes.astype(np.float64), CODES),
        "sex": np.array([sex or UNKNOWN for sex in facts["sex"].to_pylist()]),
        "age": banded(age, AGES),
        "race": np.array([race_group(race) for race in facts["race"].to_pylist()]),
        "era": np.array([era(value) for value in year]),
    }


def banded(values: NDArray[np.float64], bands: Sequence[tuple[int, str]]) -> NDArray[np.str_]:
    """The name of the band of each value; NaN and what lies before the first are unknown."""
    names = np.array([UNKNOWN, *(name for _, name in bands)])
    known = np.where(np.isnan(values), -np.inf, values)
    return names[np.searchsorted([start for start, _ in bands], known, "right")]


def race_group(race: str | None) -> str:
    """MIMIC's wording of race in six groups."""
    wording = (race or UNKNOWN).upper()
    return next((group for start, group in RACES if wording.startswith(start)), "other")


def era(year: float) -> str:
    """The three years a year is in, counted as MIMIC-IV's anchor_year_group does from 2008."""
    if np.isnan(year):
        return UNKNOWN
    start = 2008 + (int(year) - 2008) // 3 * 3
    return f"{start}-{start + 2}"


def together(groups: NDArray[np.str_], patients: NDArray[np.int64]) -> NDArray[np.str_]:
    """The groups, those of fewer than 11 notes or patients put together with the smallest others until none is."""
    groups = groups.astype(object)
    while True:
        sizes = {str(name): len(np.unique(patients[groups == name])) for name in np.unique(groups.astype(str))}
        by_size = sorted(sizes, key=lambda name: (sizes[name], name != REST, name))
        if sizes[by_size[0]] >= SMALLEST or len(sizes) == 1:
            return groups.astype(str)
        groups[(groups == by_size[0]) | (groups == by_size[1])] = REST


def _of_notes(
    cohort: Cohort,
    calls: Calls,
    groups: NDArray[np.str_],
    names: Sequence[str],
    precision: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> dict[str, dict[str, float | int | None]]:
    member = csr_array((groups[None] == np.array(names)[:, None]).astype(np.float64))  # (G, N)
    by_label = np.stack([(member @ cells).toarray() for cells in calls.all])  # (3, G, L)
    by_note = np.stack([cells.sum(axis=1) for cells in calls.all])  # (3, N)
    by_patient = [len(np.unique(cohort.patients[groups == name])) for name in names]
    several = sum(by_patient) - cohort.size  # patients in a second group: the sum of `patients` less the whole
    numbers, sizes = {}, {}
    for g, (name, patients) in enumerate(zip(names, by_patient, strict=True)):
        rows = np.flatnonzero(groups == name)
        right, called, true = by_note[:, rows].sum(axis=1).astype(int).tolist()
        cells = (right, called - right, true - right, len(rows) * cohort.labels - called - true + right)
        labelled = int(np.count_nonzero(by_note[2, rows]))
        values = precision[rows]
        pairs = (true, len(rows) * cohort.labels - true)
        first = int(np.count_nonzero(values >= 1)) if true == labelled else 0
        sizes[name] = len(rows)
        numbers[name] = {
            "n": Guarded(len(rows), (len(rows), cohort.n - len(rows))),
            "patients": Guarded(patients, (patients, len(rows) - patients, several)),
            "positives": Guarded(true, pairs),
            "map": Guarded(
                float(values.mean()), (*pairs, labelled, *ends(values, len(rows)), *ends(values, labelled), first)
            ),
            **_f1(cells, by_label[:, g], _rounds(cohort, drawn, by_note * (groups == name)), len(rows), patients),
        }
    return publish_parts(numbers, sizes)


def _of_labels(
    cohort: Cohort, calls: Calls, train: NDArray[np.int64], drawn: NDArray[np.float64]
) -> dict[str, dict[str, float | int | None]]:
    groups = banded(train.astype(np.float64), TRAIN_NOTES)
    by_label = np.stack([cells.sum(axis=0) for cells in calls.all])  # (3, L)
    numbers, sizes = {}, {}
    for name in [name for _, name in TRAIN_NOTES if (groups == name).any()]:
        own = groups == name
        labels = int(np.count_nonzero(own))
        by_note = np.stack([cells[:, np.flatnonzero(own)].sum(axis=1) for cells in calls.all])  # (3, N)
        right, called, true = by_label[:, own].sum(axis=1).astype(int).tolist()
        cells = (right, called - right, true - right, cohort.n * labels - called - true + right)
        patients = len(np.unique(cohort.patients[by_note[2] > 0]))
        sizes[name] = true
        numbers[name] = {
            "labels": Guarded(labels),
            "positives": Guarded(true, (true, cohort.n * labels - true, patients)),
            **_f1(cells, by_label[:, own], _rounds(cohort, drawn, by_note), cohort.n, patients),
        }
    return publish_parts(numbers, sizes)


def _rounds(cohort: Cohort, drawn: NDArray[np.float64], by_note: NDArray[np.float64]) -> NDArray[np.float64]:
    """Micro-F1 of a group per round (R,), from right, called and true of each note (3, N); NaN without any."""
    if not len(drawn):
        return np.zeros(0)
    sums = intervals.note_sums(cohort, drawn, {str(row): values for row, values in enumerate(by_note)})
    right, called, true = (sums[str(row)] for row in range(3))
    return np.where(true > 0, f1(right, called, true), np.nan)


def _f1(
    cells: tuple[int, ...], by_label: NDArray[Any], rounds: NDArray[np.float64], notes: int, patients: int
) -> dict[str, Guarded]:
    """Micro- and macro-F1 of a group, from its right, false, missed and rightly left cells and (3, labels) sums."""
    right, false, missed, _ = cells
    present = by_label[2] > 0
    micro = float(f1(right, right + false, right + missed)) if right + missed else float("nan")
    macro = float(f1(*by_label[:, present]).mean()) if present.any() else float("nan")
    # The macro-F1 of a single label is that label's F1.
    alone = cells if np.count_nonzero(present) < 2 else (SMALLEST,) * len(cells)
    counts = (*cells, patients)
    numbers = {
        "micro_f1": Guarded(micro, counts),
        "macro_f1": Guarded(macro, (*counted_by_mean(by_label[:, present], notes), *alone, patients)),
    }
    if not np.isnan(rounds).all():
        low, high = intervals.interval(rounds, micro)
        numbers |= {"micro_f1_lo": Guarded(low, counts), "micro_f1_hi": Guarded(high, counts)}
    return numbers
