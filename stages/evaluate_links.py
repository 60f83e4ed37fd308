"""Judge the mentions of stage link: what share of the codes the text names, how often names are right, and p.

Reads    data/gold, data/mentions
Writes   metrics/stages/link.json, link_groups.json (Git: aggregates only)
Params   evaluate (bootstrap)
Alone    python -m stages.evaluate_links
"""

from chartcode.artifacts import Artifact
from chartcode.evaluation.links import measure, save
from chartcode.logs import log, run_stage
from chartcode.params import EvaluateParams, load


def main() -> None:
    """Run the stage."""
    numbers, groups = measure(Artifact("data/gold"), Artifact("data/mentions"), load(EvaluateParams))
    folder, test = save(numbers, groups), numbers["test"]
    log("evaluate_links").info(
        "test", evidence_recall=test["evidence_recall"], p_ece=test["p_ece"], metrics=f"{folder}"
    )


if __name__ == "__main__":
    run_stage(main)
