"""The pipeline: one thin script a stage, run as `python -m stages.<name>` from the root of the repository.

An editable install points at one checkout, but DVC runs queued experiments in a copy; so the library is always taken
from beside the scripts that run. No stage may reach a model hub; `encoder`, which may, says so itself.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
os.environ["HF_HUB_OFFLINE"] = "1"
