"""A checkout of one's own for tests of the pipeline: a copy of this working tree, and commands run in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from chartcode.coders.known import CODERS
from tests.azurite import Azurite, AzuriteError, azurite, containers_of, install
from tests.conftest import ROOT

ENVIRONMENT = {
    # No test may meet a real storage account.
    **{name: value for name, value in os.environ.items() if not name.startswith("AZURE_")},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "true",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
}  # fmt: skip
UP_TO_DATE = "Data and pipelines are up to date."
# What is tested of DVC does not depend on it: few words taken away (each is 24 readings), small networks, few trees.
LESS = {"faithful_pairs": 4, "tiny_pieces": 1000, "max_tokens": 384, "trees": 50}
PUBLISHED = ("title", "inclusion", "lead", "index", "neoplasm", "gem", "ontology", "cognate")  # kinds of names


def run(folder: Path, *command: str, status: int = 0, **environment: str) -> str:
    """Run a command in a checkout; its output, both streams."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT | environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def hear_interrupts() -> None:
    """Processes that a shell puts in the background, as some CI runners are, ignore SIGINT, and so would theirs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def commit(folder: Path) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "state", "--allow-empty")


def copy_tree(folder: Path) -> Path:
    """A copy of this working tree, without results and without Git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # With equal source times numba takes its compiled loops as they are; each copy would compile for many seconds.
    for path in ROOT.glob("src/**/__pycache__/*.nb[ci]"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    for lock in ("dvc.lock", "stages/sources/dvc.lock"):
        (folder / lock).unlink(missing_ok=True)
    return folder


def keep_coders(folder: Path, coders: Sequence[str]) -> None:
    """Take the stages of all other coders out of dvc.yaml; what is tested of DVC takes a fraction of the time then."""
    yaml, path = YAML(), folder / "dvc.yaml"
    pipeline = yaml.load(path)
    others = set(CODERS) - set(coders)
    others |= {"encoder"} if {"transformer", "boosted"} <= others else set()
    others |= {"extract"} if {"linked", "stacked"} <= others else set()
    pipeline["vars"][0]["coders"] = list(coders)
    for part in ("stages", "artifacts"):
        pipeline[part] = {name: value for name, value in pipeline[part].items() if name not in others}
    yaml.dump(pipeline, path)


def lighten(folder: Path, **values: object) -> None:
    """Params of a pipeline that does all there is to do, in little time; `values` of others, by key."""
    path = folder / "params.yaml"
    text = path.read_text()
    for key, value in {**LESS, **values}.items():
        text, count = re.subn(rf"^  {key}: .*$", f"  {key}: {value}", text, flags=re.MULTILINE)
        assert count, key
    path.write_text(text)


def keep_own_names(folder: Path) -> None:
    """Take the names of all codes out of the terminology; for the notes of the synthetic hospital our lists will do."""
    path = folder / "params.yaml"
    path.write_text(re.sub(rf"^  - (?:{'|'.join(PUBLISHED)})\n", "", path.read_text(), flags=re.MULTILINE))


def make_checkout(folder: Path, coders: Sequence[str] = ("tfidf",)) -> Path:
    """A copy of this working tree with a hospital of 150 patients, after one `dvc repro`, committed.

    `coders` are those that stay in its pipeline.
    """
    copy_tree(folder)
    keep_coders(folder, coders)
    lighten(folder, source="synthetic", patients=150)  # whatever the branch's own source is
    keep_own_names(folder)
    run(folder, "git", "init", "-q", "-b", "main")
    commit(folder)  # DVCLive needs a commit
    (folder.parent / "repro.log").write_text(run(folder, "dvc", "repro"))
    commit(folder)
    return folder


def make(folder: Path, target: str) -> str:
    """`make TARGET` with this environment's programs: `-o` keeps make from installing the copy into it."""
    programs = f"BIN={Path(sys.executable).parent}"
    return run(folder, "make", "-o", ".venv/base", "-o", ".venv/dev", target, programs)


def metrics(folder: Path, coder: str = "tfidf") -> dict[str, dict[str, float | None]]:
    return dict(json.loads((folder / f"metrics/{coder}/metrics.json").read_text())[coder])


def clone(origin: Path, folder: Path) -> Path:
    """A fresh clone: what Git holds and nothing else."""
    run(origin, "git", "clone", "-q", str(origin), str(folder))
    return folder


@contextmanager
def storage() -> Iterator[Azurite]:
    """A fresh Azurite with the containers of `.dvc/config`; skips where it cannot be had, in CI only without npm."""
    try:
        install()
    except AzuriteError as error:
        if os.environ.get("CI") and not error.absent:
            raise
        pytest.skip(str(error))
    with azurite(containers_of()) as running:
        yield running
