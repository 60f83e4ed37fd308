"""Gradient-boosted trees on a frozen encoder's vectors: fit on train, stop by val, score val and test.

Reads   data/silver/, data/gold/, models/encoder/
Writes  models/boosted/ (trees, encoder), data/scores/boosted/{val,test}.npz
Params  boosted
Alone   python -m stages.boosted
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.boosted import BoostedCoder, BoostedParams
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold, encoder = Artifact("data/silver"), Artifact("data/gold"), Artifact("models/encoder")
    labels, code = gold_of(silver, gold), code_digest("stages/boosted.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    model = Path("models/boosted")
    with writing(model, silver.source, [silver, gold, encoder], code) as writer:
        BoostedCoder.fit(load(BoostedParams), train, val, writer, encoder.folder)
    with writing(Path("data/scores/boosted"), silver.source, [silver, gold, encoder], code) as writer:
        write_scores(writer, BoostedCoder.load(Artifact(model)), held_out)


if __name__ == "__main__":
    run_stage(main)
