"""`chartcode compare A B`: the difference, its interval and its p, from gold and scores alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chartcode import cli
from tests.checkouts import ENVIRONMENT
from tests.evaluation.conftest import SPLIT, truth_and_scores, write_gold, write_params, write_scores


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gold and two coders, the second one blurred, in a folder without Git and DVC."""
    monkeypatch.chdir(tmp_path)
    truth, scores = truth_and_scores()
    write_gold(tmp_path, truth)
    write_scores(tmp_path, scores)
    blur = np.random.default_rng(5).random(scores.shape)
    write_scores(tmp_path, (0.5 * scores + 0.5 * blur).astype(np.float32), coder="blurred")
    write_params(tmp_path, top_k=[3], bootstrap_rounds=200)
    return tmp_path


def judged(folder: Path, coder: str) -> None:
    path = folder / "metrics" / coder / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({coder: {"test": {"n": 160, "micro_f1": 0.5}}}))


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.split("  ")[0] == name).split()


def test_a_blurred_coder_is_worse_and_that_is_no_chance(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "data/scores/tfidf", "data/scores/blurred"]) == 0
    text = capsys.readouterr().out
    _, first, second, difference, low, high, p = row(text, "micro_f1")
    assert float(difference) == pytest.approx(float(second) - float(first), abs=0.0011)
    assert float(low[1:-1]) < float(difference) < float(high[:-1]) < 0
    assert float(p) == pytest.approx(1 / 201, abs=0.0005)
    assert {"macro_f1", "map", "p_at_3", "r_precision"} <= {line.split("  ")[0] for line in text.splitlines()}
    assert "160 notes of 80 patients, 200 rounds" in text


def test_two_judged_coders_have_their_metrics_above(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged(ward, "tfidf"), judged(ward, "blurred")
    assert cli.main(["compare", "tfidf", "blurred"]) == 0
    table, _, tested = capsys.readouterr().out.partition("written:")
    assert row(table, "n") == ["n", "160", "160"]
    assert row(tested, "micro_f1")[3].startswith("-")


def test_without_scores_the_metrics_are_shown_and_the_fault_named(
    ward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(ward, "tfidf"), judged(ward, "laat")
    assert cli.main(["compare", "tfidf", "laat"]) == 1
    said = capsys.readouterr()
    assert row(said.out, "n") == ["n", "160", "160"]
    assert "data/scores/laat: no scores there" in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (["data/scores/tfidf"], "needs one other"),
        (["data/scores/tfidf", "data/scores/none"], "data/scores/none: no scores there; name a folder"),
        (["data/scores/tfidf", "data/scores/tfidf", "x/y"], "needs one other"),
    ],
)
def test_a_wrong_side_is_one_line(
    ward: Path, capsys: pytest.CaptureFixture[str], sides: list[str], message: str
) -> None:
    assert cli.main(["compare", *sides]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_scores_of_other_admissions_are_refused(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(ward, truth_and_scores()[1], coder="turned", order=slice(None, None, -1))
    assert cli.main(["compare", "data/scores/tfidf", "data/scores/turned"]) == 1
    assert "hadm_ids are not the val rows" in capsys.readouterr().err


def test_what_would_show_a_small_cell_is_withheld(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, _ = truth_and_scores()
    rows = np.flatnonzero(SPLIT == "test")
    truth[rows[5:]] = 0  # five labelled notes
    write_gold(ward, truth)
    assert cli.main(["compare", "data/scores/tfidf", "data/scores/blurred"]) == 0
    text = capsys.readouterr().out
    assert row(text, "micro_f1") == ["micro_f1", "-", "-", "-", "-"]
    assert row(text, "map") == ["map", "-", "-", "-", "-"]


def test_another_revision_comes_out_of_dvc(ward: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*command: str) -> None:
        subprocess.run(command, cwd=ward, env=ENVIRONMENT, check=True, capture_output=True)

    run("git", "init", "-q", "-b", "main")
    run("dvc", "init", "-q")
    run("dvc", "add", "-q", "data/scores/tfidf")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "first")
    blurred = ward / "data/scores/blurred"
    _, scores = truth_and_scores()
    write_scores(ward, np.sqrt(scores).astype(np.float32))  # order and calls stay
    assert cli.main(["compare", "tfidf@HEAD", "tfidf"]) == 0
    assert row(capsys.readouterr().out, "map")[3:] == ["+0.000", "[+0.000,", "+0.000]", "1.000"]
    assert cli.main(["compare", "tfidf@HEAD", str(blurred)]) == 0
    assert float(row(capsys.readouterr().out, "map")[3]) < -0.01
    for wrong, message in (("tfidf@nowhere", "nowhere: no such revision"), ("laat@HEAD", "laat@HEAD: ")):
        assert cli.main(["compare", wrong, "tfidf"]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
