"""Which concepts each note names, with place, context and p, learned from train.

Reads   data/silver/, data/gold/, data/terminology/, data/bronze/ (marked evidence, if link.learn_from asks for it)
Writes  models/linker/ (reads any note by itself), data/mentions/ (mentions.parquet; of marked notes
        also places.parquet: what people would mark, by the other folds)
Params  link, gold (tables)
Alone   python -m stages.link
"""

from pathlib import Path

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of
from chartcode.lineage import code_digest
from chartcode.linking.teach import LinkParams, link
from chartcode.logs import log, run_stage
from chartcode.params import GoldParams, load


def main() -> None:
    """Run the stage."""
    silver, gold, bronze, terminology = (
        Artifact(f"data/{name}") for name in ("silver", "gold", "bronze", "terminology")
    )
    inputs, code = [silver, gold, bronze, terminology], code_digest("stages/link.py")
    with (
        writing(Path("models/linker"), silver.source, inputs, code) as model,
        writing(Path("data/mentions"), silver.source, inputs, code) as mentions,
    ):
        done = link(
            silver,
            gold_of(silver, gold),
            bronze,
            terminology,
            load(LinkParams),
            load(GoldParams).tables,
            model,
            mentions,
        )
    log("link").info("linked", **done)


if __name__ == "__main__":
    run_stage(main)
