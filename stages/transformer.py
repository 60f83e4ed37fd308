"""A chunked encoder with label attention: fine-tune on train, stop by val, score val and test.

Reads   data/silver/, data/gold/, models/encoder/
Writes  models/transformer/ (weights, tokenizer, history), data/scores/transformer/{val,test}.npz
Params  transformer
Alone   python -m stages.transformer; killed, it goes on where it was; GPUs: accelerate launch -m stages.transformer
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.checkpoints import forget_finished
from chartcode.coders.transformer import TransformerCoder, TransformerParams
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold, encoder = Artifact("data/silver"), Artifact("data/gold"), Artifact("models/encoder")
    labels, code = gold_of(silver, gold), code_digest("stages/transformer.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    model = Path("models/transformer")
    with writing(model, silver.source, [silver, gold, encoder], code) as writer:
        TransformerCoder.fit(load(TransformerParams), train, val, writer, encoder.folder)
    with writing(Path("data/scores/transformer"), silver.source, [silver, gold, encoder], code) as writer:
        write_scores(writer, TransformerCoder.load(Artifact(model)), held_out)
    forget_finished("transformer")


if __name__ == "__main__":
    run_stage(main)
