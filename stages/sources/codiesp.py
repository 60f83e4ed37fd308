"""Real open hospital: CodiEsp's clinical cases as MIMIC-IV's files, with official splits and evidence spans.

Reads   data/external/codiesp (`chartcode fetch codiesp`, or a link to the published folder)
Writes  data/raw/codiesp/{note,hosp}, splits.csv, evidence.parquet, id_map.csv
Params  codiesp.language
Alone   python -m stages.sources.codiesp
"""

from __future__ import annotations

from pathlib import Path

from chartcode import artifacts, lineage, params
from chartcode.logs import log, run_stage
from chartcode.sources import codiesp

SCRIPT = "stages/sources/codiesp.py"


def main() -> None:
    """Run the stage."""
    settings = params.load(codiesp.CodiespParams)
    code = lineage.code_digest(SCRIPT)
    with artifacts.writing(Path("data/raw/codiesp"), source="codiesp", code=code) as writer:
        counts = codiesp.generate(codiesp.FOLDER, settings, writer)
    log("codiesp").info("clinical cases read", language=settings.language, **counts)


if __name__ == "__main__":
    run_stage(main)
