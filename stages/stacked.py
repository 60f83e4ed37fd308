"""What notes name and what other coders score, weighed together: fit on train, score val and test.

Reads   data/silver/, data/gold/, data/mentions/, models/linked/, models/<member>/, data/scores/<member>/
Writes  models/stacked/ (trees, linked, members), data/scores/stacked/{val,test}.npz
Params  stacked
Alone   python -m stages.stacked
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.linked_features import stored
from chartcode.coders.stacked import StackedCoder, StackedParams, stored_scores
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold, mentions, params = *map(Artifact, ("data/silver", "data/gold", "data/mentions")), load(StackedParams)
    labels, code = gold_of(silver, gold), code_digest("stages/stacked.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    members = [Artifact(folder) for name in params.members for folder in (f"data/scores/{name}", f"models/{name}")]
    model, inputs = Path("models/stacked"), [silver, gold, mentions, Artifact("models/linked"), *members]
    with writing(model, silver.source, inputs, code) as writer:
        StackedCoder.fit(params, train, val, writer)
    with writing(Path("data/scores/stacked"), silver.source, inputs, code) as writer:
        coder = StackedCoder.load(Artifact(model))
        scores = coder.scored(stored(mentions, held_out), stored_scores(coder, held_out))
        write_scores(writer, coder, held_out, scores)


if __name__ == "__main__":
    run_stage(main)
