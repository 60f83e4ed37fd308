"""A reviewer sees what moved and nothing else, whatever state the branch and its base are in."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chartcode import cli, pull_request, revisions
from chartcode.errors import DataError
from chartcode.pull_request import Evidence
from chartcode.revisions import Sides, State
from tests.branches import add_coder, commit, make_branches, run, set_c

SIDES = Sides("f" * 40, "main", "fffffff", "abcdef0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_branches(tmp_path_factory.mktemp("made") / "repo")


@pytest.fixture
def branch(made: Path, tmp_path: Path) -> Path:
    """A repository of one's own, on branch `change`."""
    return Path(shutil.copytree(made, tmp_path / "repo"))


def written(root: Path, base: str | None = None) -> str:
    pull_request.write(base, root / "reports/pr", root=root)
    return (root / "reports/pr/report.md").read_text()


def evidence(base: dict[str, object], here: dict[str, object]) -> Evidence:
    return Evidence(SIDES, State({}, base), State({}, here), (), ())


def cells(report: str, metric: str) -> list[str]:
    line = next(line for line in report.splitlines() if line.startswith(f"| {metric} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_change_of_one_param_shows_what_it_moved(branch: Path) -> None:
    report = written(branch)
    assert report.startswith(pull_request.MARKER)
    assert "**tfidf: test micro-F1 0.620 → 0.602 (-0.018, outside the 95% interval).**" in report
    assert "| `tfidf.C` | `1.0` | `0.1` |" in report
    assert cells(report, "micro_f1") == ["micro_f1", "0.620 [0.610, 0.630]", "0.602 [0.592, 0.612]", "-0.018 ▼"]
    assert cells(report, "brier")[1:] == ["0.100", "0.010", "-0.090"]
    assert "1 of 3 numbers did not move." in report
    assert "tfidf, val" not in report, "what did not move is not listed"
    assert "other.words" not in report
    assert "| `tfidf` | `tfidf.C` |  |  | `data/scores.txt` |" in report
    assert "| `evaluate@tfidf` |  |  | `data/scores.txt` | `metrics/` |" in report
    assert "`gold`" not in report
    assert "WARNING" not in report
    assert "![Curves of tfidf: base dashed, here solid](tfidf.png)" in report
    assert (branch / "reports/pr/tfidf.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_needed_but_git(branch: Path, tmp_path: Path) -> None:
    """As in CI: a clone without data, cache or a branch `main` of its own."""
    whole = written(branch)
    run(tmp_path, "git", "clone", "-q", str(branch), "clone")
    assert written(tmp_path / "clone") == whole.replace("left `main`", "left `origin/main`")


def test_the_same_on_both_sides_says_so(branch: Path) -> None:
    report = written(branch, "change")
    for sentence in ("**No metric changed.**", "None changed.", "No lock entry changed", "No curve changed."):
        assert sentence in report
    assert not list((branch / "reports/pr").glob("*.png"))


def test_what_main_did_since_is_not_the_work_of_the_branch(branch: Path) -> None:
    before = written(branch)
    run(branch, "git", "switch", "-q", "main")
    set_c(branch, "7.0")
    commit(branch)
    run(branch, "git", "switch", "-q", "change")
    assert written(branch) == before


def test_uncommitted_work_is_called_workspace_and_a_stale_lock_is_said(branch: Path) -> None:
    set_c(branch, "0.5")
    report = written(branch)
    assert "here `workspace`" in report
    assert "The lock is not fresh: `dvc repro` would run `tfidf` and what follows." in report
    assert "| `tfidf.C` | `1.0` | `0.5` |" in report


def test_a_lock_that_cannot_be_judged_is_no_fresh_lock(branch: Path) -> None:
    set_c(branch, "0.5")
    (branch / "make.py").unlink()
    assert "DVC could not tell whether the lock is fresh" in written(branch)


def test_base_without_metrics_makes_every_coder_new(branch: Path) -> None:
    run(branch, "git", "switch", "-q", "main")
    run(branch, "git", "rm", "-rq", "metrics", "dvc.lock")
    commit(branch)
    run(branch, "git", "switch", "-qC", "other")
    shutil.copytree(make_again(branch), branch / "metrics")
    report = written(branch, "main")
    assert "**tfidf is new: test micro-F1 0.602.**" in report
    assert cells(report, "micro_f1")[1:] == ["-", "0.602 [0.592, 0.612]", ""]


def make_again(branch: Path) -> Path:
    """The metrics of branch `change`, in a folder beside the repository."""
    run(branch.parent, "git", "clone", "-q", "-b", "change", str(branch), "again")
    return branch.parent / "again/metrics"


def test_metrics_that_base_broke_are_named_and_count_as_absent(branch: Path) -> None:
    run(branch, "git", "switch", "-q", "main")
    (branch / "metrics/tfidf/metrics.json").write_text("<<<<<<< HEAD")
    commit(branch)
    run(branch, "git", "switch", "-qC", "repair")
    shutil.copy(make_again(branch) / "tfidf/metrics.json", branch / "metrics/tfidf/metrics.json")
    report = written(branch, "main")
    assert "`metrics/tfidf/metrics.json` of base cannot be read; it counts as absent there." in report
    assert "tfidf is new" in report


def test_metrics_that_are_broken_here_are_an_error(branch: Path) -> None:
    (branch / "metrics/tfidf/metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"^metrics/tfidf/metrics\.json: cannot be read; [^\n]+$"):
        written(branch)


@pytest.mark.parametrize("command", ["pr", "plots"])
@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "dvc.lock", "metrics/tfidf/plots/reliability_test.csv"])
def test_a_file_that_a_merge_left_broken_is_named_in_one_line_and_not_quoted(
    branch: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    monkeypatch.chdir(branch)
    (branch / name).write_text("<<<<<<< HEAD\npredicted: a word of a note\n")
    assert cli.main([command]) == 1
    said = capfd.readouterr().err
    assert re.fullmatch(rf"error: {re.escape(name)}: [^\n]+\n", said)
    assert "a word" not in said


def test_a_coder_that_came_and_one_that_went(branch: Path) -> None:
    add_coder(branch, "laat", {"test": {"n": 341, "micro_f1": 0.611}})
    assert "laat is new: test micro-F1 0.611; tfidf: test micro-F1 0.620 → 0.602" in written(branch)
    run(branch, "git", "checkout", "-q", "-b", "laat")
    commit(branch)
    run(branch, "git", "checkout", "-q", "change")
    report = written(branch, "change")
    assert "No metric changed." in report
    run(branch, "git", "checkout", "-q", "--detach", "laat")
    text = (branch / "dvc.yaml").read_text()
    (branch / "dvc.yaml").write_text(text.replace("  - laat\n", ""))
    shutil.rmtree(branch / "metrics/laat")
    commit(branch)
    assert "**laat is gone: test micro-F1 was 0.611.**" in written(branch, "laat"), "and a detached HEAD is no obstacle"


def test_errors_are_one_line(branch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(branch)
    run(branch, "git", "branch", "-qm", "main", "trunk")
    assert cli.main(["pr"]) == 1
    assert capsys.readouterr().err == (
        "error: origin/main or main: no such revision; git fetch, or name another base: --base REV\n"
    )
    assert cli.main(["pr", "--base", "trunk"]) == 0
    assert capsys.readouterr().out.endswith(f"written: {pull_request.FOLDER}/report.md\n")
    run(branch, "git", "switch", "-q", "--orphan", "alone")
    commit(branch)
    run(branch, "git", "checkout", "-q", "trunk", "--", ".")
    assert cli.main(["pr", "--base", "trunk"]) == 1
    assert re.fullmatch(r"error: trunk: shares no commit with HEAD; [^\n]+\n", capsys.readouterr().err)


def test_a_shallow_clone_says_what_to_fetch(branch: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "clone", "-q", "--depth", "1", f"file://{branch}", "shallow")
    with pytest.raises(DataError, match=r"origin/main or main: not reached by this shallow clone; .*fetch-depth: 0\)$"):
        revisions.sides(root=tmp_path / "shallow")


def test_outside_of_git_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^this is no Git checkout with a commit; [^\n]+$"):
        revisions.sides(root=tmp_path)


def test_a_change_inside_the_interval_is_not_marked() -> None:
    before = {"a.test.micro_f1": 0.605, "a.test.micro_f1_lo": 0.55, "a.test.micro_f1_hi": 0.65}
    after = {"a.test.micro_f1": 0.615, "a.test.micro_f1_lo": 0.605, "a.test.micro_f1_hi": 0.66}
    report = pull_request.report(evidence(before, after))
    assert "(+0.010, inside the 95% interval)" in report, "the bound itself is inside"
    assert cells(report, "micro_f1")[3] == "+0.010"
    assert "micro_f1_lo" not in report


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(None, 0.5, "test micro-F1 - → 0.500 (withheld)", id="now-published"),
        pytest.param(0.5, None, "test micro-F1 0.500 → - (withheld)", id="now-withheld"),
        pytest.param(0.5, 0.50004, "test micro-F1 0.500 → 0.500 (+0.0000)", id="hardly"),
        pytest.param(0.5, 0.5002, "test micro-F1 0.500 → 0.500 (+0.0002)", id="a-little"),
    ],
)
def test_a_number_that_is_withheld_or_moves_a_little(before: float | None, after: float | None, said: str) -> None:
    both = evidence({"a.test.micro_f1": before}, {"a.test.micro_f1": after})
    assert pull_request.summary(both) == f"a: {said}."


def test_other_numbers_of_any_shape() -> None:
    before = {
        "a.test.micro_f1": 0.5,
        "a.test.n": 1000,
        "a.loss": 1.5,
        "b.test.x": "text",
        "c.val.d.e": 1,
        "a.test.t": True,
    }
    after = {
        "a.test.micro_f1": 0.5,
        "a.test.n": 2500,
        "a.loss": 1.25,
        "b.test.x": "word",
        "c.val.d.e": 1,
        "a.test.t": False,
    }
    report = pull_request.report(evidence(before, after))
    assert pull_request.summary(evidence(before, after)) == "a: test micro-F1 stays at 0.500, other numbers moved."
    assert cells(report, "n")[1:] == ["1,000", "2,500", "+1,500"]
    assert cells(report, "loss")[1:] == ["1.500", "1.250", "-0.250"]
    assert "Unchanged: b, c." in report
    loss = {"outcomes.test.auroc": 0.7, "outcomes.val.auroc": 0.7}
    assert pull_request.summary(evidence(loss, dict.fromkeys(loss, 0.8))) == "outcomes: 2 numbers moved."
    assert pull_request.summary(evidence({}, loss)) == "outcomes is new."


def test_an_interval_that_moved_alone_is_shown() -> None:
    bounds = {"a.test.map": 0.5, "a.test.map_lo": 0.4}
    report = pull_request.report(evidence(bounds | {"a.test.map_hi": 0.6}, bounds | {"a.test.map_hi": 0.7}))
    assert cells(report, "map")[1:] == ["0.500 [0.400, 0.600]", "0.500 [0.400, 0.700]", "interval only"]


def test_a_comment_always_fits() -> None:
    before = {f"coder{c}.{split}.metric_{i}": 0.1 for c in range(9) for split in ("test", "val") for i in range(200)}
    report = pull_request.report(evidence(before, dict.fromkeys(before, 0.2)))
    assert len(report) < 65_536
    assert "chartcode compare --all coder3" in report


def test_params_of_any_kind_stand_in_one_cell() -> None:
    before, after = {"a.b": ["x|y"], "gone": None, "same": 1}, {"a.b": "`\n" + "z" * 90, "same": 1.0, "new": None}
    both = Evidence(SIDES, State(before, {}), State(after, {}), (), ())
    table = pull_request.report(both).split("### Params\n\n")[1].split("\n\n")[0].splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [4] * 5
    assert table[2].startswith('| `a.b` | `["x\\|y"]` | `"\'\\nzzz')
    assert table[3:] == ["| `gone` | `null` | - |", "| `new` | - | `null` |"]


def test_figures_are_linked_where_a_comment_cannot_hold_them() -> None:
    both = replace(evidence({}, {}), figures=("a.png", "b.png"))
    assert "[a.png, b.png](https://x.org/run)" in pull_request.report(both, "https://x.org/run")
    assert "](a.png)" not in pull_request.report(both, "https://x.org/run")


def stage(command: str = "c", out: str = "1", **deps: str) -> dict[str, object]:
    return {
        "cmd": command,
        "deps": [{"path": path.replace("_py", ".py"), "md5": md5} for path, md5 in deps.items()],
        "outs": [{"path": "data/out", "md5": out}],
    }


def test_what_changed_in_a_lock_is_told_by_kind() -> None:
    base = {"a": stage(make_py="1", data="1"), "b": stage(), "gone": stage(), "same": stage()}
    here = {"a": stage(make_py="2", data="2", out="2"), "b": stage("other"), "same": stage(), "new": stage()}
    changes = {change.stage: change for change in revisions.lock_changes(base, here)}
    assert set(changes) == {"a", "b", "gone", "new"}
    assert (changes["a"].code, changes["a"].data, changes["a"].outs) == (("make.py",), ("data",), ("data/out",))
    assert changes["b"].code == ("command",)
    assert (changes["gone"].state, changes["new"].state) == ("gone", "new")
    report = pull_request.report(replace(evidence({}, {}), stages=tuple(changes.values())))
    assert "| `a` |  | `make.py` | `data` | `data/out` |" in report
    assert "| `new` (new) |  |  |  |  |" in report


def test_results_that_nothing_explains_are_a_warning() -> None:
    (change,) = revisions.lock_changes({"a": stage()}, {"a": stage(out="2")})
    assert change.unexplained
    report = pull_request.report(replace(evidence({}, {}), stages=(change,)))
    assert "> `a` has other results from the same code, params and data" in report


def test_a_report_never_waits_for_the_network(branch: Path) -> None:
    """The remote of the repository is unreachable here; a report must not try it."""
    (branch / ".dvc/config").write_text("[core]\n    remote = r\n['remote \"r\"']\n    url = azure://nowhere/dvc\n")
    shutil.rmtree(branch / ".dvc/cache")
    shutil.rmtree(branch / "data")
    assert "test micro-F1" in written(branch)
