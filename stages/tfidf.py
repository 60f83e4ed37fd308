"""The linear baseline: fit on train, score val and test.

Reads   data/silver/ (its notes once to learn from, once to score), data/gold/
Writes  models/tfidf/ (terms, weights), data/scores/tfidf/{val,test}.npz
Params  tfidf
Alone   python -m stages.tfidf
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, labelled_notes, write_scores
from chartcode.coders.tfidf import TfidfCoder, TfidfParams
from chartcode.lineage import code_digest
from chartcode.logs import run_stage
from chartcode.params import load


def main() -> None:
    """Run the stage."""
    silver, gold = Artifact("data/silver"), Artifact("data/gold")
    labels, code = gold_of(silver, gold), code_digest("stages/tfidf.py")
    train, val, held_out = (labelled_notes(silver, labels, *s) for s in (("train",), ("val",), ("val", "test")))
    model = Path("models/tfidf")
    with writing(model, silver.source, [silver, gold], code) as writer:
        TfidfCoder.fit(load(TfidfParams), train, val, writer)
    with writing(Path("data/scores/tfidf"), silver.source, [silver, gold], code) as writer:
        write_scores(writer, TfidfCoder.load(Artifact(model)), held_out)


if __name__ == "__main__":
    run_stage(main)
