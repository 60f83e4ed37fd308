"""Medications, problem-treatment pairs and a structured summary of every note.

Reads   data/silver/, data/mentions/, data/bronze/ (what the pharmacy knows of the same stays)
Writes  data/extracted/: medications.parquet, relations.parquet, summaries.parquet; metrics/stages/extract.json
Params  extract
Alone   python -m stages.extract
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.extraction.tables import ExtractParams, record, write_extracted
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, mentions, bronze = (Artifact(f"data/{name}") for name in ("silver", "mentions", "bronze"))
    inputs, code = [silver, mentions, bronze], code_digest("stages/extract.py")
    with writing(Path("data/extracted"), silver.source, inputs, code) as writer:
        numbers = write_extracted(silver, mentions, bronze, writer, load(ExtractParams))
    record(Path("metrics/stages/extract.json"), numbers)


if __name__ == "__main__":
    run_stage(main)
