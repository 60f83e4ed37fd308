"""dvc.lock is fresh: what is committed was made by the code and params that are committed. Needs no data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_the_lock_matches_code_and_params() -> None:
    dvc = Path(sys.executable).parent / "dvc"
    done = subprocess.run(
        [dvc, "repro", "--allow-missing", "--dry"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Data and pipelines are up to date." in done.stdout, "run `dvc repro` and commit dvc.lock and metrics"
