"""Raw hospital files to lossless typed Parquet.

Reads   data/raw/<data.source>/ (MIMIC-IV's own files), the list of withdrawn patients `bronze.exclude`
Writes  data/bronze/: one Parquet file per table, quarantine.parquet, report.json
Params  data.source, bronze
Alone   python -m stages.bronze
"""

from pathlib import Path

from chartcode.artifacts import writing
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import BronzeParams, DataParams, load
from chartcode.tables.bronze import write_bronze


def main() -> None:
    """Run the stage."""
    source = load(DataParams).source
    exclude = Path(load(BronzeParams).exclude)
    with writing(Path("data/bronze"), source, code=code_digest("stages/bronze.py")) as writer:
        write_bronze(Path("data/raw") / source, exclude, writer)


if __name__ == "__main__":
    run_stage(main)
