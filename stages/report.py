"""One run as a page for people: results, evidence, data card, model card; HTML that opens offline, and Markdown.

Reads    metrics/<coder>, data/{bronze,silver,gold}, models/<coder>, data/evaluation/<coder>, data/explained/<coder>
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
    layers = [Artifact(f"data/{layer}") for layer in ("bronze", "silver", "gold")]
    made = [Artifact(f"{folder}/{name}") for folder in ("models", "data/evaluation", "data/explained")]
    run = Run(name, *layers, *made, Path("metrics") / name)
    log("report").info("written", page=f"{save(run, load(GoldParams), code_digest('stages/report.py'))}")


if __name__ == "__main__":
    run_stage(main)
