"""One run as a page for people: results, evidence, data card, model card; HTML that opens offline, and Markdown.

Reads    metrics/<coder>, metrics/stages, data/{bronze,silver,gold,mentions}, models/<coder>,
         data/{evaluation,explained}/<coder>
Writes   reports/<coder>/report.html, report.md
Params   gold
Alone    python -m stages.report tfidf
"""

import sys
from pathlib import Path

from chartcode.artifacts import Artifact
from chartcode.coders.known import coder_named
from chartcode.lineage import code_digest
from chartcode.logs import log, run_stage
from chartcode.params import GoldParams, load
from chartcode.report.write import Run, save


def main() -> None:
    """Run the stage."""
    name = coder_named(sys.argv, "report")
    bronze, silver, gold, mentions = (Artifact(f"data/{layer}") for layer in ("bronze", "silver", "gold", "mentions"))
    model, judged, explained = (Artifact(f"{kind}/{name}") for kind in ("models", "data/evaluation", "data/explained"))
    run = Run(name, bronze, silver, gold, mentions, model, judged, explained, Path("metrics") / name)
    log("report").info("written", page=f"{save(run, load(GoldParams), code_digest('stages/report.py'))}")


if __name__ == "__main__":
    run_stage(main)
