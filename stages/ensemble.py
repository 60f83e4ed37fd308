"""Several coders as one: their weights from val, scores for val and test from what each member stored.

Reads   data/silver/, data/gold/, data/scores/<member>/, models/<member>/
Writes  models/ensemble/ (weights, and the members that count), data/scores/ensemble/{val,test}.npz
Params  ensemble
Alone   python -m stages.ensemble
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes
from chartcode.coders.ensemble import EnsembleCoder, EnsembleParams, write_combined
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold, params = Artifact("data/silver"), Artifact("data/gold"), load(EnsembleParams)
    labels, code = gold_of(silver, gold), code_digest("stages/ensemble.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    members = [Artifact(folder) for name in params.members for folder in (f"data/scores/{name}", f"models/{name}")]
    model = Path("models/ensemble")
    with writing(model, silver.source, [silver, gold, *members], code) as writer:
        EnsembleCoder.fit(params, train, val, writer)
    with writing(Path("data/scores/ensemble"), silver.source, [silver, gold, *members], code) as writer:
        write_combined(writer, EnsembleCoder.load(Artifact(model)), held_out)


if __name__ == "__main__":
    run_stage(main)
