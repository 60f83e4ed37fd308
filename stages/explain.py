"""Judge one coder's evidence: does it agree with what people marked, and is it what moves the score?

Reads    models/<coder>, data/silver, data/gold, data/bronze, data/mentions, data/{scores,evaluation}/<coder>
Writes   metrics/<coder>/evidence.json (Git: aggregates only), data/explained/<coder> (cache: spans, codes)
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
    silver, gold, bronze, mentions = (Artifact(f"data/{layer}") for layer in ("silver", "gold", "bronze", "mentions"))
    model, scores, evaluation = (
        Artifact(f"{folder}/{name}") for folder in ("models", "data/scores", "data/evaluation")
    )
    layers = (silver, gold, bronze, mentions, scores, evaluation)
    found = explain(name, load_coder(model), *layers, load(ExplainParams), load(EvaluateParams))
    inputs = [*layers, model]
    metrics, cached = save(found, inputs, code_digest("stages/explain.py"))
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
