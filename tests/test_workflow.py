"""The CI workflow cannot run here; every command in it can. Each is checked against what this repository offers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chartcode import cli
from chartcode.pull_request import MARKER
from tests.conftest import ROOT

GITHUB = ROOT / ".github"
DVC = {"repro", "push"}
PLAIN = {"git", "gh", "echo", "cat"}
KEYWORDS = {"if", "then", "else", "fi"}


def load(path: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(path))  # YAML 1.2: `on` is no boolean


CI = load(GITHUB / "workflows/ci.yml")
INSTALL = load(GITHUB / "actions/install/action.yml")
JOBS: dict[str, dict[str, Any]] = CI["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
STEPS += [("install", step) for step in INSTALL["runs"]["steps"]]
SCRIPTS = [pytest.param(step["run"], id=f"{job}-{i}") for i, (job, step) in enumerate(STEPS) if "run" in step]


def commands(script: str) -> list[list[str]]:
    """Simple commands of a script, in words; assignments, keywords and redirections left out."""
    found = []
    for line in re.split(r"[\n;]", script):
        words = shlex.split(line.replace("$'\\n'", "newline"), comments=True)
        while words and (words[0] in KEYWORDS or words[0] == "[" or re.match(r"\w+=", words[0])):
            words = [] if words[0] == "[" or "=" in words[0] else words[1:]
        if words:
            found.append(words[: words.index(">>")] if ">>" in words else words)
    return found


def test_it_runs_on_main_and_on_pull_requests_with_a_token_that_reads() -> None:
    assert set(CI["on"]) == {"push", "pull_request"}, "pull_request_target would hand secrets to a fork's code"
    assert CI["on"]["push"] == {"branches": ["main"]}
    assert CI["permissions"] == {"contents": "read"}
    raised = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert raised == {
        "report": {"contents": "read", "pull-requests": "write"},
        "publish": {"contents": "read", "id-token": "write"},
    }


def test_no_key_is_stored_anywhere() -> None:
    for path in GITHUB.rglob("*.yml"):
        text = path.read_text()
        assert "secrets." not in text, path.name
        assert not re.search(r"https?://", text), path.name


def test_every_job_sees_the_whole_history_and_ends() -> None:
    for name, job in JOBS.items():
        first = job["steps"][0]
        assert first["uses"].startswith("actions/checkout@"), name
        assert first["with"] == {"fetch-depth": 0, "persist-credentials": False}, name
        assert job["timeout-minutes"] <= 60, name


def test_actions_are_pinned() -> None:
    for _, step in STEPS:
        if "uses" in step and not step["uses"].startswith("./"):
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40})", step["uses"])
        elif "uses" in step:
            assert (ROOT / step["uses"] / "action.yml").is_file()


def test_only_main_reaches_azure_and_only_where_a_team_set_it_up() -> None:
    publish = JOBS["publish"]
    assert "github.event_name == 'push'" in publish["if"]
    assert "vars.AZURE_CLIENT_ID != ''" in publish["if"]
    assert publish["environment"] == "azure"
    assert set(publish["needs"]) == {"check", "reproduce"}
    for name, job in JOBS.items():
        assert ("azure/login" in str(job)) == (name == "publish")


def test_the_comment_is_found_by_the_marker_of_the_report_and_never_written_for_a_fork() -> None:
    step = next(step for step in JOBS["report"]["steps"] if "gh api" in step.get("run", ""))
    assert MARKER in step["run"]
    assert step["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


@pytest.mark.parametrize(
    ("there", "call"),
    [
        pytest.param("", "--method POST repos/o/r/issues/7/comments", id="first"),
        pytest.param("41\n42\n", "--method PATCH repos/o/r/issues/comments/41", id="again"),
    ],
)
def test_the_comment_is_written_once_and_then_kept_current(tmp_path: Path, there: str, call: str) -> None:
    script = next(step["run"] for step in JOBS["report"]["steps"] if "gh api" in step.get("run", ""))
    (tmp_path / "there").write_text(there)
    gh = tmp_path / "gh"  # answers a list of comments, and writes down any other call
    gh.write_text('#!/bin/bash\ncase "$*" in *--paginate*) cat there ;; *) echo "$*" >> calls ;; esac\n')
    gh.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "o/r", "NUMBER": "7"}
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=True)
    (said,) = (tmp_path / "calls").read_text().splitlines()
    assert said == f"api --silent {call} --field body=@reports/pr/report.md"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_sound_bash_and_takes_no_text_of_an_author(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "${{" not in script, "a branch name could hold a command: pass it by env"


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_is_one_that_a_laptop_can_run(script: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for program, *arguments in commands(script):
        if program == "make":
            assert set(arguments) <= targets
        elif program == "chartcode":
            cli._parser().parse_args(arguments)  # argparse exits on a command or an option it does not know
        elif program == "dvc":
            assert arguments[0] in DVC
        elif program == "pytest":
            files = [argument for argument in arguments if not argument.startswith("-")]
            assert files
            assert all((ROOT / file).is_file() for file in files)
        else:
            assert program in PLAIN, program


def test_the_reader_of_scripts_sees_what_is_in_them() -> None:
    script = (
        'x="a b"\nif git rev-parse "$B"; then chartcode guard --since "$B"; else chartcode guard; fi\ncat a >> "$S"'
    )
    assert [words[0] for words in commands(script)] == ["git", "chartcode", "chartcode", "cat"]
    called = {words[0] for each in SCRIPTS for words in commands(str(each.values[0]))}
    assert {"make", "chartcode", "dvc", "pytest", "git", "gh"} <= called


def test_dependencies_are_watched() -> None:
    ecosystems = {update["package-ecosystem"] for update in load(GITHUB / "dependabot.yml")["updates"]}
    assert ecosystems == {"github-actions", "pip"}
