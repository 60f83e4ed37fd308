"""The pipeline as a user runs it: a fresh copy of the checkout, DVC, a hospital of 150 patients."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chartcode.coders.known import CODERS
from tests.checkouts import ENVIRONMENT, UP_TO_DATE, make_checkout, metrics, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this working tree with every coder, after one `dvc repro`, committed."""
    return make_checkout(tmp_path_factory.mktemp("whole"), tuple(CODERS))


def test_one_command_makes_every_artifact_and_a_second_does_nothing(whole: Path) -> None:
    layers = ("data/bronze", "data/silver", "data/split", "data/gold")
    of_coders = ("data/scores", "models", "data/evaluation", "data/explained", "reports")
    for place in (*layers, "models/encoder", *(f"{folder}/{coder}" for folder in of_coders for coder in CODERS)):
        assert (whole / place / "manifest.json").is_file(), place
    for coder in CODERS:
        assert {"n", "micro_f1", "macro_f1", "map"} <= set(metrics(whole, coder)["test"])
    assert UP_TO_DATE in run(whole, "dvc", "repro")
    assert run(whole, "git", "status", "--porcelain") == ""


def test_forced_runs_leave_the_lock_as_it_is_byte_for_byte(whole: Path) -> None:
    run(whole, "dvc", "repro", "--force")
    assert run(whole, "git", "diff", "-U6") == ""


@pytest.mark.parametrize("coder", ["laat", "transformer"])
def test_a_killed_training_goes_on_when_the_same_command_is_typed_again(whole: Path, coder: str) -> None:
    """To the bit: the lock is that of the unbroken run. Killed with all that DVC started, in its second epoch."""
    process = subprocess.Popen(
        ("dvc", "repro", "--force", "--single-item", coder), cwd=whole, env=ENVIRONMENT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if '"event": "epoch"' in line:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() != 0
    assert list((whole / ".checkpoints" / coder).glob("*.safetensors"))
    said = run(whole, "dvc", "repro", "--force", "--single-item", coder)
    assert "goes on from its checkpoint" in said
    assert not list((whole / ".checkpoints" / coder).glob("*.safetensors"))
    assert run(whole, "git", "diff", "-U6") == ""


def test_no_patient_shows_in_what_git_tracks_or_what_was_said(whole: Path) -> None:
    note = pq.read_table(whole / "data/silver/notes.parquet", columns=["subject_id", "hadm_id", "note_id", "text"])
    secrets = {str(value) for name in ("subject_id", "hadm_id", "note_id") for value in note[name].to_pylist()}
    # Twelve words: six of a list of drugs stand in any other list.
    secrets |= {" ".join(text.split()[200:212]) for text in note["text"].to_pylist()}
    tracked = run(whole, "git", "ls-files").splitlines()
    places = [whole.parent / "repro.log", *(whole / name for name in tracked if not name.startswith("src/"))]
    for place in places:
        said = place.read_text(encoding="utf-8", errors="replace")
        assert not any(secret in said for secret in secrets), place.name


def test_no_machine_path_enters_the_lock(whole: Path) -> None:
    for lock in ("dvc.lock", "stages/sources/dvc.lock"):
        text = (whole / lock).read_text()
        assert str(whole) not in text
        assert "path: /" not in text
