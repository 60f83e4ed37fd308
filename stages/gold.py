"""Label vocabulary, multi-hot labels and row index.

Reads   data/silver/, data/split/
Writes  data/gold/: labels.npz, label_names.json, hadm_ids.parquet, splits.parquet, facts.parquet
Params  gold
Alone   python -m stages.gold
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import GoldParams, load
from chartcode.tables.gold import write_gold


def main() -> None:
    """Run the stage."""
    silver, split = Artifact("data/silver"), Artifact("data/split")
    with writing(Path("data/gold"), silver.source, [silver, split], code_digest("stages/gold.py")) as writer:
        write_gold(silver, split, writer, load(GoldParams))


if __name__ == "__main__":
    run_stage(main)
