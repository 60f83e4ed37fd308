"""The benchmark of linking's growth: what it measures, what it keeps, and where its line leads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.linking_scale import FULL, Found, Watch, kept, shown
from benchmarks.scale import Cost

HELD = "import sys; held = b'x' * 300_000_000; print(flush=True); sys.stdin.read(1)"


def test_memory_is_that_of_all_processes_below() -> None:
    watch = Watch()
    watch.start()
    children = [
        subprocess.Popen([sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    watch.look()
    for child in children:
        child.communicate(b"\n")
    assert 600 < watch.stop() < 1200


def test_the_line_goes_through_the_sizes_and_an_earlier_run_is_taken_up(tmp_path: Path) -> None:
    small = {"link": Found(10_000, Cost(9.0, 100.0, 400.0), 500.0), "linked": Found(10_000, Cost(5.0, 5.0, 9.0), 9.0)}
    large = {"link": Found(30_000, Cost(30.0, 300.0, 450.0), 550.0)}
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"50": small, "150": large}))
    figures = kept(file)
    assert figures == {"50": small, "150": large}
    assert kept(tmp_path / "none.json") == {}
    _, _, link, linked = shown(figures).splitlines()
    assert (FULL, link) == (122_000, "| link | 9 | 100 | 500 | 30 | 300 | 550 | 1,220 | 780 |")
    assert linked == "| linked | 5 | 5 | 9 |  |  |  |  |  |"
