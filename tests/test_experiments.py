"""Experiments that do not end well: interrupted or killed, then restored by one command, or simply typed again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.checkouts import ENVIRONMENT, UP_TO_DATE, hear_interrupts, make, make_checkout, metrics, run

pytestmark = pytest.mark.slow
COMMAND = ("dvc", "exp", "run", "-S", "tfidf.C=3e-2")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"))


def interrupted(checkout: Path, how: signal.Signals) -> None:
    """Start the experiment and stop it, and all it started, while the coder is being trained."""
    process = subprocess.Popen(
        COMMAND, cwd=checkout, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=hear_interrupts,  # noqa: PLW1509  # it takes no lock
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Running stage 'tfidf'" in line:
            os.killpg(process.pid, how)
    assert process.wait() != 0, "".join(said)
    assert not (checkout / "models/tfidf/manifest.json").exists(), "it was to be stopped before it was done"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_one_command_restores_the_workspace(checkout: Path, how: signal.Signals) -> None:
    lock = (checkout / "dvc.lock").read_bytes()
    interrupted(checkout, how)
    assert "C: 0.03" in (checkout / "params.yaml").read_text()
    assert (checkout / "dvc.lock").read_bytes() == lock
    make(checkout, "reset")
    assert run(checkout, "git", "status", "--porcelain") == ""
    assert UP_TO_DATE in run(checkout, "dvc", "repro")


def test_the_same_command_goes_on(checkout: Path) -> None:
    run(checkout, *COMMAND, "--name", "whole")
    whole = (metrics(checkout), (checkout / "models/tfidf/manifest.json").read_bytes())
    make(checkout, "reset")
    shutil.rmtree(checkout / ".dvc/cache/runs")  # or the second would be restored, not run
    interrupted(checkout, signal.SIGINT)
    out = run(checkout, *COMMAND, "--name", "again")
    assert "'gold' didn't change, skipping" in out
    assert (metrics(checkout), (checkout / "models/tfidf/manifest.json").read_bytes()) == whole
    shown = make(checkout, "experiments")
    assert "again" in shown
    assert "tfidf.C" in shown
    make(checkout, "reset")
