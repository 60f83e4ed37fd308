"""Layers made from a test hospital, each a sealed artifact in a temporary folder."""

from __future__ import annotations

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.params import DataParams, GoldParams, SilverParams, SplitParams
from chartcode.tables.bronze import write_bronze
from chartcode.tables.gold import write_gold
from chartcode.tables.silver import write_silver
from chartcode.tables.split import assign

NO_EXCLUSIONS = Path(__file__).resolve().parents[2] / "stages" / "no_exclusions.csv"
DATA = DataParams(source="mimic-iv", max_patients=None)
SILVER = SilverParams(min_tokens=100, note_types=["DS"])
GOLD = GoldParams(top_k=50, min_count=1, icd_version=10, select_on="train", tables=["diagnoses"])
SPLIT = SplitParams(train=0.6, val=0.2, test=0.2, seed=42)


def bronze(raw: Path, folder: Path, exclude: Path = NO_EXCLUSIONS) -> Artifact:
    with writing(folder / "bronze", "mimic-iv") as writer:
        write_bronze(raw, exclude, writer)
    return Artifact(folder / "bronze")


def silver(
    made: Artifact, folder: Path, params: SilverParams = SILVER, data: DataParams = DATA, gold: GoldParams = GOLD
) -> Artifact:
    with writing(folder / "silver", "mimic-iv") as writer:
        write_silver(made, writer, data, params, gold)
    return Artifact(folder / "silver")


def split(notes: Artifact, made: Artifact, folder: Path, params: SplitParams = SPLIT) -> Artifact:
    cohort = notes.table("notes.parquet", ["subject_id", "hadm_id"])
    with writing(folder / "split", "mimic-iv") as writer:
        writer.parquet("splits.parquet", assign(cohort, made.table("splits.parquet"), params))
    return Artifact(folder / "split")


def gold(notes: Artifact, dealt: Artifact, folder: Path, params: GoldParams = GOLD) -> Artifact:
    with writing(folder / "gold", "mimic-iv") as writer:
        write_gold(notes, dealt, writer, params)
    return Artifact(folder / "gold")
