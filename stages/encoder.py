"""The encoder that the transformer starts from: a pinned snapshot of the hub, a folder, or a tiny one made here.

Reads   data/silver/, data/gold/ (train notes, for `tiny` alone); the hub, for a model that has a revision
Writes  models/encoder/: config.json, model.safetensors, tokenizer.json, encoder.json
Params  transformer (encoder, revision, tiny_*)
Alone   python -m stages.encoder
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes
from chartcode.coders.encoders import EncoderParams, write_encoder
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold = Artifact("data/silver"), Artifact("data/gold")
    train = labelled_notes(silver, gold_of(silver, gold), "train")
    with writing(Path("models/encoder"), silver.source, [silver, gold], code_digest("stages/encoder.py")) as writer:
        write_encoder(load(EncoderParams), train.texts, writer)


if __name__ == "__main__":
    run_stage(main)
