"""The pipeline: one thin script a stage, run as `python -m stages.<name>` from the root of the repository.

An editable install points at one checkout, but DVC runs queued experiments in a copy; so the library is always taken
from beside the scripts that run.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
