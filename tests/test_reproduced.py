"""A run that is not the committed one is found out: data by their bytes, coders by their numbers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from chartcode import cli
from tests.branches import commit, make_branches, run, set_c


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_branches(tmp_path_factory.mktemp("made") / "repo")


@pytest.fixture
def branch(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "repo"))
    return tmp_path / "repo"


def set_md5(lock: Path, path: str, md5: str) -> None:
    """Another hash for an output, wherever the lock names it."""
    text, count = re.subn(rf"(path: {re.escape(path)}\n +hash: md5\n +md5: )\w+", rf"\g<1>{md5}", lock.read_text())
    assert count
    lock.write_text(text)


def set_metric(branch: Path, split: str, name: str, value: float | None) -> None:
    path = branch / "metrics/tfidf/metrics.json"
    values = json.loads(path.read_text())
    values["tfidf"][split][name] = value
    path.write_text(json.dumps(values))


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and both streams."""
    code = cli.main(["reproduced", *arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_forced_run_is_the_committed_one(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(branch, "dvc", "repro", "--force", "-q")
    code, said = status(capsys)
    assert code == 0
    for name in ("gold", "tfidf", "evaluate@tfidf", "metrics of tfidf"):
        assert re.search(rf"^ok  {name} +same$", said, re.M)


def test_other_bytes_of_a_data_stage_are_a_violation(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_md5(branch / "dvc.lock", "data/gold.txt", "0" * 32)
    code, said = status(capsys)
    assert code == 1
    assert re.search(r"^no  gold +differs: data/gold.txt$", said, re.M)
    assert said.endswith("error: not reproduced: gold; see the lines above\n")


def test_other_bytes_of_a_trained_coder_are_not(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_md5(branch / "dvc.lock", "data/scores.txt", "0" * 32)
    code, said = status(capsys)
    assert code == 0
    assert re.search(r"^ok  tfidf +differs: data/scores.txt$", said, re.M)


def test_another_commit_can_be_the_measure(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = status(capsys, "--base", "main")
    assert code == 1
    assert re.search(r"^no  metrics of tfidf +largest difference 0\.0900, tfidf\.test\.brier$", said, re.M)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        pytest.param(0.005, False, id="at the tolerance"),
        pytest.param(-0.005, False, id="at the tolerance, below"),
        pytest.param(0.0051, True, id="beyond"),
        pytest.param(float("nan"), True, id="not a number"),
    ],
)
def test_metrics_may_differ_by_the_tolerance_and_no_more(
    branch: Path, capsys: pytest.CaptureFixture[str], change: float, wrong: bool
) -> None:
    set_metric(branch, "val", "micro_f1", 0.6 + change)
    assert status(capsys)[0] == int(wrong)


@pytest.mark.parametrize(("coder", "change", "wrong"), [("laat", 0.1, 0), ("laat", 0.11, 1), ("boosted", 0.006, 1)])
def test_a_coder_trained_by_steps_may_differ_by_more(
    branch: Path, capsys: pytest.CaptureFixture[str], coder: str, change: float, wrong: int
) -> None:
    path = branch / f"metrics/{coder}/metrics.json"
    path.parent.mkdir()
    path.write_text(json.dumps({coder: {"test": {"micro_f1": 0.6}}}))
    commit(branch)
    path.write_text(json.dumps({coder: {"test": {"micro_f1": 0.6 + change}}}))
    assert status(capsys)[0] == wrong


@pytest.mark.parametrize(("name", "value"), [("micro_f1", None), ("ece", 0.2), ("new", 0.2)])
def test_a_number_on_one_side_only_is_a_violation(
    branch: Path, capsys: pytest.CaptureFixture[str], name: str, value: float | None
) -> None:
    set_metric(branch, "test", name, value)
    code, said = status(capsys)
    assert code == 1
    assert f"cannot be compared: tfidf.test.{name}" in said


def test_a_stage_or_coder_that_is_not_there_is_a_violation(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(branch / "metrics")
    lock = branch / "dvc.lock"
    lock.write_text(lock.read_text().replace("\n  gold:", "\n  golden:"))
    code, said = status(capsys)
    assert code == 1
    assert re.search(r"^no  gold +not in the lock$", said, re.M)
    assert re.search(r"^no  golden +not in the committed lock$", said, re.M)
    assert "metrics of tfidf" in said.splitlines()[-1]


def test_stages_run_after_the_commit_count(branch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_c(branch, "1.0")
    run(branch, "dvc", "repro", "-q")
    assert status(capsys)[0] == 1
    assert status(capsys, "--base", "main")[0] == 0


@pytest.mark.parametrize("lock", ["", "<<<<<<< HEAD\n", "- a list\n", "stages: 3\n"])
def test_a_damaged_lock_or_none_is_one_line(branch: Path, capsys: pytest.CaptureFixture[str], lock: str) -> None:
    (branch / "dvc.lock").write_text(lock)
    assert status(capsys)[0] == 1
    commit(branch)
    code, said = status(capsys)
    assert code == 1
    assert re.fullmatch(r"error: [^\n]+\n", said)
    assert re.fullmatch(r"error: nonsuch: no such revision; [^\n]+\n", status(capsys, "--base", "nonsuch")[1])
