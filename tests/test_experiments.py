"""Experiments of a param, of code, on real cases, queued; and those that are killed, then restored or typed again."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from chartcode.lineage import code_digest
from tests.checkouts import ENVIRONMENT, UP_TO_DATE, hear_interrupts, make, make_checkout, metrics, run
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
COMMAND = ("dvc", "exp", "run", "-S", "tfidf.C=3e-2")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this working tree with the linear coder alone, after one `dvc repro`, committed."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


def reset(folder: Path) -> None:
    """Back to the last commit; code, which `make reset` leaves alone, too."""
    make(folder, "reset")
    run(folder, "git", "checkout", "-q", ".")


def test_an_experiment_changes_one_param_and_shows_what_it_did(checkout: Path) -> None:
    out = run(checkout, "dvc", "exp", "run", "-S", "tfidf.C=3e-5")
    assert "'bronze' didn't change, skipping" in out
    assert "tfidf.C" in run(checkout, "dvc", "params", "diff", "--md")
    assert "test.macro_f1" in run(checkout, "dvc", "metrics", "diff", "--md") or metrics(checkout)["test"]["n"] is None
    assert "index.html" in run(checkout, "dvc", "plots", "diff", "-o", "dvc_plots")
    difference = run(checkout, "git", "diff", "--stat", "HEAD", "--", "params.yaml")
    assert "1 insertion(+), 1 deletion(-)" in difference, "an experiment changes one line"
    reset(checkout)
    assert UP_TO_DATE in run(checkout, "dvc", "repro")


def test_a_changed_coder_reruns_that_coder_alone(checkout: Path) -> None:
    path = checkout / "src/chartcode/coders/tfidf.py"
    text = path.read_text()
    path.write_text(text + "\n# changed\n")
    dry = run(checkout, "dvc", "repro", "--dry")
    path.write_text(text)
    for stage in ("bronze", "silver", "split", "gold"):
        assert f"'{stage}' didn't change, skipping" in dry
    assert "Running stage 'tfidf'" in dry


def test_a_queued_experiment_runs_the_code_it_was_queued_with(checkout: Path) -> None:
    """An editable install of a src layout would run the workspace's code: stages put their own checkout first."""
    path = checkout / "src/chartcode/coders/tfidf.py"
    text = path.read_text()
    path.write_text(text + "\nQUEUED = True\n")
    queued = code_digest("stages/tfidf.py", checkout)
    run(checkout, "dvc", "exp", "run", "--queue", "--name", "queued", "-S", "tfidf.C=0.25")
    path.write_text("raise SystemExit('the workspace, not the queue')\n")
    run(checkout, "dvc", "exp", "run", "--run-all")
    path.write_text(text)
    run(checkout, "dvc", "exp", "apply", "queued")
    assert json.loads((checkout / "models/tfidf/manifest.json").read_text())["code"] == queued
    assert queued != code_digest("stages/tfidf.py", ROOT)
    reset(checkout)


def test_a_wrong_param_stops_the_run_in_one_line(checkout: Path) -> None:
    path = checkout / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("  C: 1.0", "  C: strong"))
    out = run(checkout, "dvc", "repro", status=255)
    path.write_text(text)
    assert "error: params.yaml: tfidf.C: Input should be a valid number" in out
    assert "Traceback" not in out
    reset(checkout)
    assert UP_TO_DATE in run(checkout, "dvc", "repro")


def test_the_same_pipeline_runs_on_real_cases_by_one_param(checkout: Path, shared_data: Path) -> None:
    (checkout / "data/external").mkdir(parents=True, exist_ok=True)
    (checkout / "data/external/codiesp").symlink_to(shared_data / "codiesp")
    run(checkout, "dvc", "exp", "run", "-S", "data.source=codiesp", "-S", "silver.min_tokens=0")
    made = metrics(checkout)
    assert (made["val"]["n"], made["test"]["n"]) == (125, 125)
    assert str(shared_data) not in (checkout / "dvc.lock").read_text()
    assert str(shared_data) not in (checkout / "stages/sources/dvc.lock").read_text()
    reset(checkout)


def test_the_open_demo_of_mimic_iv_passes_bronze_row_for_row(checkout: Path, shared_data: Path) -> None:
    demo = shared_data / "mimic-iv-demo"
    said = run(checkout, "chartcode", "link-mimic", "--hosp", str(demo / "hosp"))
    assert "2.2" in said
    run(checkout, "dvc", "exp", "run", "-S", "data.source=mimic-iv", "bronze")
    report = json.loads((checkout / "data/bronze/report.json").read_text())["tables"]
    for table in ("admissions", "patients", "diagnoses_icd", "procedures_icd", "prescriptions"):
        with gzip.open(demo / f"hosp/{table}.csv.gz", "rt", newline="") as file:
            rows = sum(1 for _ in csv.reader(file)) - 1
        assert report[table] == {"rows_in": rows, "rows_out": rows, "quarantined": {}, "withdrawn": 0}
    assert (report["admissions"]["rows_out"], report["diagnoses_icd"]["rows_out"]) == (275, 4506)
    assert report["discharge"]["rows_in"] == report["d_icd_diagnoses"]["rows_in"] == 0
    said = run(checkout, "dvc", "repro", "silver", status=255)
    assert "error: data/raw/mimic-iv/note/discharge.csv.gz: no notes" in said
    assert str(demo) not in (checkout / "dvc.lock").read_text()
    reset(checkout)


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
