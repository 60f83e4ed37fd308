"""The benchmark of the baseline runs: every promised row is there, and both designs give the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chart import PANELS, seconds
from tests.checkouts import ENVIRONMENT
from tests.conftest import ROOT


@pytest.mark.slow
def test_it_measures_every_part_on_both_sides_and_finds_the_same_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.baseline", "--notes", "300", "--rounds", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    (size,) = figures["sizes"]
    assert set(size["parts"]) == {*PANELS, "linear coder"}
    for part in size["parts"].values():
        assert set(part["ratio"]) == {"cpu", "wall"}
        assert all(part[side][kind] > 0 for side in ("ours", "reference") for kind in ("cpu", "wall", "peak"))
    assert set(figures["dvc"]["costs"]) == {"the stages", "dvc repro", "dvc repro, nothing to do"}
    same = size["parity"]
    assert same["same cohort"]
    assert same["same labels"]
    assert same["terms equal"]
    assert same["same texts"] == same["notes"] == size["notes"] > 200
    assert same["dx"] < 1e-6
    assert same["excess"] < 1e-6
    assert done.stdout == (tmp_path / "table.md").read_text()
    assert all(f"| {part} |" in done.stdout.replace("&nbsp;", "").replace("**", "") for part in size["parts"])
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        pytest.param(0.0404, "40 ms", id="milliseconds"),
        pytest.param(0.0012, "1.2 ms", id="short"),
        pytest.param(9.94, "9.9 s", id="seconds"),
        pytest.param(84.0, "84 s", id="minute"),
        pytest.param(100.0, "1.7 min", id="minutes"),
        pytest.param(4920.0, "82 min", id="hour"),
        pytest.param(36_000.0, "10 h", id="hours"),
    ],
)
def test_a_time_is_said_as_people_say_it(time: float, said: str) -> None:
    assert seconds(time) == said
