"""What the tests share: where open data lies, and a small hospital that a test may damage."""

from pathlib import Path

import pytest

from tests.hospital import Hospital

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
