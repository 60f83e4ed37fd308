"""Patients to train, val and test.

Reads   data/silver/ (the cohort), data/bronze/splits.parquet (the source's official split, or empty)
Writes  data/split/splits.parquet: subject_id, hadm_id, split
Params  split
Alone   python -m stages.split
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import SplitParams, load
from chartcode.tables.split import assign, check_disjoint


def main() -> None:
    """Run the stage."""
    silver, bronze = Artifact("data/silver"), Artifact("data/bronze")
    cohort = silver.table("notes.parquet", ["subject_id", "hadm_id"])
    splits = assign(cohort, bronze.table("splits.parquet"), load(SplitParams))
    check_disjoint(splits)
    with writing(Path("data/split"), silver.source, [silver, bronze], code_digest("stages/split.py")) as writer:
        writer.parquet("splits.parquet", splits)


if __name__ == "__main__":
    run_stage(main)
