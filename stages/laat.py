"""LAAT, a BiLSTM with label attention: fit on train, stop by val, score val and test.

Reads   data/silver/, data/gold/
Writes  models/laat/ (words, weights, history), data/scores/laat/{val,test}.npz
Params  laat
Alone   python -m stages.laat; killed, it goes on where it was; on several GPUs: accelerate launch -m stages.laat
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.checkpoints import forget_finished
from chartcode.coders.laat import LaatCoder, LaatParams
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold = Artifact("data/silver"), Artifact("data/gold")
    labels, code = gold_of(silver, gold), code_digest("stages/laat.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    model = Path("models/laat")
    with writing(model, silver.source, [silver, gold], code) as writer:
        LaatCoder.fit(load(LaatParams), train, val, writer)
    with writing(Path("data/scores/laat"), silver.source, [silver, gold], code) as writer:
        write_scores(writer, LaatCoder.load(Artifact(model)), held_out)
    forget_finished("laat")


if __name__ == "__main__":
    run_stage(main)
