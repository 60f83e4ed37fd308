"""No data, weights, machine paths or identifiers enter Git: run by the pre-commit hook and by CI."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

DATA = re.compile(r"\.(parquet|csv\.gz|npz|npy|pkl|joblib|pt|safetensors|onnx|db|ipynb|feather)$")
HOLDS_NUMBERS = re.compile(r"\.lock$|^tests/|^metrics/")  # hashes, invented ids


def tracked() -> list[str]:
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a Git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_data_or_weights_are_tracked() -> None:
    for name in tracked():
        assert not DATA.search(name), name
        assert not name.startswith(("data/", "models/", "reports/")), name
        assert name.endswith(".lock") or (ROOT / name).stat().st_size <= 300_000, f"{name} is large"


def test_no_machine_path_or_secret_is_tracked() -> None:
    places = {str(ROOT) + "/", str(Path.home()) + "/"}
    key = re.compile(r"AccountKey=|sas_token\s*=|-----BEGIN [A-Z ]*PRIVATE KEY")
    for name in tracked():
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        for place in places:
            assert place not in text, name
        if not name.startswith("tests/"):
            assert not key.search(text), name


def test_metrics_hold_no_identifier_and_no_text() -> None:
    for name in tracked():
        if name.startswith("metrics/"):
            text = (ROOT / name).read_text()
            assert not re.search(r"subject_id|hadm_id|note_id|___", text), name
            assert not re.search(r"(?<![\d.])[12]\d{7}(?!\d)", text), f"{name}: looks like an identifier"


def test_no_identifier_of_eight_digits_stands_outside_tests() -> None:
    for name in tracked():
        if not HOLDS_NUMBERS.search(name):
            text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"(?<![\w.-])[12]\d{7}(?![\w.])", text), (
                f"{name}: looks like a patient or admission id"
            )
