"""Bronze tables to one clean note per coded admission.

Reads   data/bronze/
Writes  data/silver/: notes.parquet, codes.parquet, excluded.parquet (notes left out, with reasons), waterfall.json
Params  data.max_patients, silver, gold.icd_version and gold.tables (they say which admissions are coded)
Alone   python -m stages.silver
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import DataParams, GoldParams, SilverParams, load
from chartcode.tables.silver import write_silver


def main() -> None:
    """Run the stage."""
    bronze = Artifact("data/bronze")
    with writing(Path("data/silver"), bronze.source, [bronze], code_digest("stages/silver.py")) as writer:
        write_silver(bronze, writer, load(DataParams), load(SilverParams), load(GoldParams))


if __name__ == "__main__":
    run_stage(main)
