"""Build the synthetic hospital: MIMIC-IV's files with invented patients (the default source).

Reads: nothing. Writes: data/raw/synthetic. Params: synthetic.
Alone: python -m stages.sources.synthetic
"""

from pathlib import Path

from chartcode import artifacts, lineage, params
from chartcode.logs import run_stage
from chartcode.sources.synthetic.generate import generate
from chartcode.sources.synthetic.params import SyntheticParams

OUT = Path("data/raw/synthetic")


def main() -> None:
    """One folder, sealed."""
    settings = params.load(SyntheticParams)
    code = lineage.code_digest("stages/sources/synthetic.py")
    with artifacts.writing(OUT, source="synthetic", code=code) as writer:
        generate(settings, writer)


if __name__ == "__main__":
    run_stage(main)
