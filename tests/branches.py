"""A small repository with a pipeline that takes a second, a main branch, and a change on another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARAMS = "tfidf:\n  C: 1.0\nother:\n  words:\n  - a|b\n  - c\n"
PIPELINE = """\
vars:
- coders:
  - tfidf
stages:
  gold:
    cmd: python make.py gold
    deps:
    - make.py
    outs:
    - data/gold.txt
  tfidf:
    cmd: python make.py tfidf
    deps:
    - make.py
    - data/gold.txt
    params:
    - tfidf
    outs:
    - data/scores.txt
  evaluate:
    matrix:
      coder: ${coders}
    cmd: python make.py ${item.coder} evaluate
    deps:
    - data/scores.txt
    metrics:
    - metrics/${item.coder}/metrics.json:
        cache: false
    plots:
    - metrics/${item.coder}/plots/precision_recall_test.csv:
        cache: false
        title: Precision and recall (${item.coder}, test)
        x: recall
        y: precision
    - metrics/${item.coder}/plots/reliability_test.csv:
        cache: false
        title: Reliability (${item.coder}, test)
        x: predicted
        y: observed
    - metrics/${item.coder}/plots/training.csv:
        cache: false
        title: Training (${item.coder})
        x: epoch
        y: map
"""
# One stage a word; the second word tells evaluation from training. Strong regularisation is worse, as it is in life.
SCRIPT = """\
import json, pathlib, re, sys
stage, evaluated = sys.argv[1], len(sys.argv) > 2
c = float(re.search(r"C: (.+)", pathlib.Path("params.yaml").read_text())[1])
if stage == "gold":
    pathlib.Path("data").mkdir(exist_ok=True)
    pathlib.Path("data/gold.txt").write_text("gold")
elif not evaluated:
    pathlib.Path("data/scores.txt").write_text(str(c))
else:
    c = float(pathlib.Path("data/scores.txt").read_text())
    folder = pathlib.Path("metrics", stage)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    f1 = round(0.6 + 0.02 * c, 4)
    test = {"n": 341, "micro_f1": f1, "micro_f1_lo": f1 - 0.01, "micro_f1_hi": f1 + 0.01, "ece": None, "brier": 0.1 * c}
    (folder / "metrics.json").write_text(json.dumps({stage: {"test": test, "val": {"n": 322, "micro_f1": 0.6}}}))
    (folder / "plots/precision_recall_test.csv").write_text(f"recall,precision\\n0.0,1.0\\n1.0,{c / 10}\\n")
    (folder / "plots/reliability_test.csv").write_text("predicted,observed\\n0.1,0.2\\n0.5,\\n0.9,0.8\\n")
    (folder / "plots/training.csv").write_text("epoch,loss,map\\n")
"""
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "true",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
}  # fmt: skip


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str = "state") -> str:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message, "--allow-empty")
    return run(folder, "git", "rev-parse", "HEAD")


def set_c(folder: Path, value: str) -> None:
    params = folder / "params.yaml"
    params.write_text(re.sub(r"C: .+", f"C: {value}", params.read_text()))


def make_branches(folder: Path) -> Path:
    """`main` with C = 1 and `change` with C = 0.1, both run and committed; `change` is checked out."""
    folder.mkdir(parents=True)
    run(folder, "git", "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("/data/\n/reports/\n")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "make.py").write_text(SCRIPT)
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "repro", "-q")
    commit(folder)
    run(folder, "git", "switch", "-qc", "change")
    set_c(folder, "0.1")
    run(folder, "dvc", "repro", "-q")
    commit(folder)
    return folder


def add_coder(folder: Path, coder: str, metrics: Mapping[str, Any] | str) -> None:
    """Another coder in dvc.yaml, judged; not committed."""
    path = folder / "dvc.yaml"
    path.write_text(path.read_text().replace("  - tfidf\n", f"  - tfidf\n  - {coder}\n", 1))
    (folder / "metrics" / coder).mkdir(parents=True)
    text = metrics if isinstance(metrics, str) else json.dumps({coder: metrics})
    (folder / "metrics" / coder / "metrics.json").write_text(text)
