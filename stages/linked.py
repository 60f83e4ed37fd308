"""Codes that notes name, weighed by what train teaches: fit on train, score val and test.

Reads   data/silver/, data/gold/, data/mentions/, models/linker/
Writes  models/linked/ (terms, trees, the linker), data/scores/linked/{val,test}.npz
Params  linked
Alone   python -m stages.linked
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.linked import LinkedCoder, LinkedParams
from chartcode.coders.linked_features import stored
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold, linker, mentions = map(Artifact, ("data/silver", "data/gold", "models/linker", "data/mentions"))
    labels, code, inputs = gold_of(silver, gold), code_digest("stages/linked.py"), [silver, gold, linker, mentions]
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    model = Path("models/linked")
    with writing(model, silver.source, inputs, code) as writer:
        LinkedCoder.fit(load(LinkedParams), train, val, writer, linker.folder, mentions.folder)
    with writing(Path("data/scores/linked"), silver.source, inputs, code) as writer:
        coder = LinkedCoder.load(Artifact(model))
        write_scores(writer, coder, held_out, coder.scored(stored(mentions, held_out)))


if __name__ == "__main__":
    run_stage(main)
