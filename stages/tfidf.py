"""The linear baseline: fit on train, score val and test.

Reads   data/silver/, data/gold/
Writes  models/tfidf/ (terms, weights), data/scores/tfidf/{val,test}.npz
Params  tfidf
Alone   python -m stages.tfidf
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import labelled_notes, write_scores
from chartcode.coders.tfidf import TfidfCoder, TfidfParams
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold = Artifact("data/silver"), Artifact("data/gold")
    code = code_digest("stages/tfidf.py")
    train, val, test = (labelled_notes(silver, gold, split) for split in ("train", "val", "test"))
    coder = TfidfCoder(load(TfidfParams))
    coder.fit(train, val)
    with writing(Path("models/tfidf"), silver.source, [silver, gold], code) as writer:
        coder.save(writer)
    with writing(Path("data/scores/tfidf"), silver.source, [silver, gold], code) as writer:
        for split, notes in (("val", val), ("test", test)):
            write_scores(writer, split, notes, coder, coder.scores(notes.read()))


if __name__ == "__main__":
    run_stage(main)
