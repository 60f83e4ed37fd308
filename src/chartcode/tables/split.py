"""Deals patients out to train, validation and test, by a keyed hash or by the source's official split.

No patient is ever in two splits. The hash is computed in Python over unique ids, so every engine, machine and version
deals the same way: `int(sha256("{seed}:{subject_id}")[:8 bytes]) / 2**64` against the cumulative shares.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.params import SplitParams
from chartcode.tables.schemas import SPLITS

UNUSED = "unused"  # an admission that an official split does not name
SPLIT_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("hadm_id", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)


def hashed_fraction(seed: int, subject_id: int) -> float:
    """A patient's place in [0, 1), the same everywhere; as good as uniform over patients."""
    return int.from_bytes(sha256(f"{seed}:{subject_id}".encode()).digest()[:8], "big") / 2**64


def hashed_split(seed: int, subject_id: int, train: float, val: float) -> str:
    """train | val | test, from the patient's place among the cumulative shares."""
    place = hashed_fraction(seed, subject_id)
    if place < train:
        return "train"
    return "val" if place < train + val else "test"


def assign(cohort: pa.Table, official: pa.Table, params: SplitParams) -> pa.Table:
    """A split for each admission of the cohort (subject_id, hadm_id), sorted as SPLIT_SCHEMA.

    `official` has SPLITS_SCHEMA; when it has rows it rules, and admissions it does not name are `unused`. A patient it
    puts in several splits goes whole to the most held-out of them (test, then val), counted aloud: that keeps test
    patients out of training. Raises DataError when the official split names no admission of the cohort.
    """
    subjects = cohort["subject_id"].to_pylist()
    admissions = cohort["hadm_id"].to_pylist()
    if official.num_rows:
        splits = _official(subjects, admissions, official)
    else:
        of_patient = {s: hashed_split(params.seed, s, params.train, params.val) for s in set(subjects)}
        splits = [of_patient[s] for s in subjects]
    table = pa.table({"subject_id": subjects, "hadm_id": admissions, "split": splits}, schema=SPLIT_SCHEMA)
    log("split").info("patients dealt", rule="official" if official.num_rows else "hash", **dict(Counter(splits)))
    return table.sort_by([("subject_id", "ascending"), ("hadm_id", "ascending")])


def _official(subjects: list[int], admissions: list[int], official: pa.Table) -> list[str]:
    named: dict[tuple[int, int], str] = {}
    for subject, hadm, split in zip(*(official[name].to_pylist() for name in SPLIT_SCHEMA.names), strict=True):
        named[subject, hadm] = max(named.get((subject, hadm), split), split, key=SPLITS.index)
    splits = [named.get(stay, UNUSED) for stay in zip(subjects, admissions, strict=True)]
    held_out: dict[int, int] = {}
    moved = set()
    for subject, split in zip(subjects, splits, strict=True):
        if split == UNUSED:
            continue
        rank = SPLITS.index(split)
        if held_out.setdefault(subject, rank) != rank:
            moved.add(subject)
            held_out[subject] = max(held_out[subject], rank)
    if not held_out:
        raise DataError("splits.csv: hadm_id: names no admission of the cohort; is it of another data set?")
    if moved:
        log("split").warning("patients in several official splits moved to the most held-out one", patients=len(moved))
    return [UNUSED if s == UNUSED else SPLITS[held_out[p]] for p, s in zip(subjects, splits, strict=True)]


def check_disjoint(splits: pa.Table) -> None:
    """Raises DataError if any patient is in two splits."""
    dealt = splits.filter(pc.not_equal(splits["split"], UNUSED))
    pairs = dealt.group_by(["subject_id", "split"]).aggregate([])
    if pairs.num_rows != pc.count_distinct(pairs["subject_id"]).as_py():
        raise DataError("data/split: a patient is in two splits; run `dvc repro --force split`")
