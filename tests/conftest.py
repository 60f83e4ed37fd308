"""What the tests share: where open data lies, and a small hospital that a test may damage."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.hospital import Hospital

# No deadlines: two cores may be shared. Fixed examples in CI, so that a change is judged by itself; new ones at home.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "home"))

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real open data beside the checkout; a test that needs it is skipped where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("open data (../shared/data) is not beside the checkout")
    return SHARED_DATA


@pytest.fixture
def hospital() -> Hospital:
    """Twelve patients, one admission and one note each, all sound."""
    return Hospital.of(patients=12)
