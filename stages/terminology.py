"""Names of codes, gathered from packages and from publishers' files, each row with its source and licence.

Reads   the folder terminology.folder (none of its files is needed), data/gold/ (its labels, to measure coverage)
Writes  data/terminology/: terms.parquet, codes.parquet, sources.csv; metrics/stages/terminology.json
Params  terminology
Alone   python -m stages.terminology
"""

from chartcode.artifacts import Artifact
from chartcode.lineage import code_digest
from chartcode.linking.terminology.build import TerminologyParams, build
from chartcode.linking.terminology.measure import save
from chartcode.logs import log, run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    gold = Artifact("data/gold")
    built = build(load(TerminologyParams))
    save(built, gold, code_digest("stages/terminology.py"))
    log("terminology").info(
        "names gathered", names=built.terms.num_rows, files=", ".join(built.kinds), absent=", ".join(built.absent)
    )


if __name__ == "__main__":
    run_stage(main)
