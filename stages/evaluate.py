"""Judge one coder: how right, how well ranked, how well calibrated, and how sure we are.

Reads    data/gold, data/scores/<coder>
Writes   metrics/<coder> (Git: aggregates only), data/evaluation/<coder> (cache: per code, errors, thresholds)
Params   evaluate
Alone    python -m stages.evaluate tfidf
"""

import sys

from chartcode.artifacts import Artifact
from chartcode.evaluation.record import coder_from, judge, save
from chartcode.lineage import code_digest
from chartcode.logs import log, run_stage
from chartcode.params import EvaluateParams, load


def main() -> None:
    params = load(EvaluateParams)
    coder = coder_from(sys.argv)
    gold, scores = Artifact("data/gold"), Artifact(f"data/scores/{coder}")
    judged = judge(coder, gold, scores, params)
    folder, cached = save(judged, gold, scores, code_digest("stages/evaluate.py"))
    test = judged.numbers["test"]
    log("evaluate").info(
        "test",
        coder=coder,
        micro_f1=test["micro_f1"],
        macro_f1=test["macro_f1"],
        metrics=f"{folder}",
        cached=f"{cached}",
    )


if __name__ == "__main__":
    run_stage(main)
