"""What this repository tracks is clean, and stays easy to keep clean. CI and the pre-commit hook run the same guard."""

from __future__ import annotations

import subprocess

import pytest

from chartcode.guard import blobs, scan
from chartcode.guard.allowed import ALLOWED
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def report() -> scan.Report:
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    return scan.scan(blobs.tracked(ROOT), ROOT)


def test_nothing_of_a_patient_no_weight_no_secret_and_no_machine_path_is_tracked(report: scan.Report) -> None:
    assert [str(finding) for finding in report.findings] == []
    assert report.files > 100


def test_every_exemption_is_still_needed(report: scan.Report) -> None:
    needed = {entry for entry in ALLOWED if entry.rule != scan.TEXT.name}  # that one needs notes to show
    assert needed - report.exempted == set()


def test_exemptions_name_rules_that_exist() -> None:
    assert {entry.rule for entry in ALLOWED} <= {rule.name for rule in (*scan.rules(), scan.TEXT)}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout


def test_no_tracked_file_is_ignored() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == ""


IGNORED = """data models/x reports a.csv docs/a.tsv a.parquet b/c.csv.gz cohort.xlsx w.safetensors w.pt x.ipynb .env
.env.local .netrc metrics/a/notes.txt metrics/a/plot.png patient_ids.txt .venv notes.zip a.duckdb"""
TAKEN = """metrics/laat/metrics.json metrics/laat/plots/metrics/train/loss.tsv metrics/laat/plots/pr.csv
src/chartcode/linking/terms.csv docs/page.png"""


@pytest.mark.parametrize("path", IGNORED.split())
def test_git_add_leaves_out_what_looks_like_data(path: str) -> None:
    assert git("check-ignore", "--no-index", path).strip() == path


@pytest.mark.parametrize("path", TAKEN.split())
def test_git_add_takes_aggregates_and_resources(path: str) -> None:
    assert git("check-ignore", "--no-index", path) == ""
