"""The pipeline as a user runs it: a fresh copy of the checkout, DVC, a hospital of 150 patients."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chartcode.coders.known import CODERS
from chartcode.lineage import code_digest
from tests.checkouts import ENVIRONMENT, UP_TO_DATE, make, make_checkout, metrics, run
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this working tree with the linear coder alone, after one `dvc repro`, committed."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every coder."""
    return make_checkout(tmp_path_factory.mktemp("whole"), tuple(CODERS))


def reset(folder: Path) -> None:
    """Back to the last commit; code, which `make reset` leaves alone, too."""
    make(folder, "reset")
    run(folder, "git", "checkout", "-q", ".")


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
