"""Judge one coder's evidence: does it agree with what people marked, and is it what moves the score?

Reads    models/<coder>, data/silver, data/gold, data/bronze (marked evidence), data/evaluation/<coder> (threshold)
Writes   metrics/<coder>/evidence.json (Git: aggregates only), data/explained/<coder> (cache: spans)
Params   explain, evaluate (bootstrap)
Alone    python -m stages.explain tfidf
"""

import sys

from chartcode.artifacts import Artifact
from chartcode.coders.known import coder_named, load_coder
from chartcode.evaluation.explain import explain, save
from chartcode.lineage import code_digest
from chartcode.logs import log, run_stage
from chartcode.params import EvaluateParams, ExplainParams, load


def main() -> None:
    """Run the stage."""
    name = coder_named(sys.argv, "explain")
    silver, gold, bronze = (Artifact(f"data/{layer}") for layer in ("silver", "gold", "bronze"))
    model, evaluation = Artifact(f"models/{name}"), Artifact(f"data/evaluation/{name}")
    found = explain(
        name, load_coder(model), silver, gold, bronze, evaluation, load(ExplainParams), load(EvaluateParams)
    )
    metrics, cached = save(found, [silver, gold, bronze, model, evaluation], code_digest("stages/explain.py"))
    test = found.numbers["test"]
    log("explain").info(
        "test",
        coder=name,
        evidence_f1=test["evidence_f1"],
        comprehensiveness=test["comprehensiveness"],
        sufficiency=test["sufficiency"],
        metrics=f"{metrics}",
        cached=f"{cached}",
    )


if __name__ == "__main__":
    run_stage(main)
