"""A team shares through the committed remotes: artifacts, run cache, experiments, queue. Azurite stands for Azure."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.azurite import CONNECTION, Azurite
from tests.checkouts import UP_TO_DATE, clone, commit, make_checkout, metrics, run, storage

pytestmark = pytest.mark.remote
Files = dict[str, bytes]
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def azure() -> Iterator[Azurite]:
    with storage() as running:
        yield running


@pytest.fixture(scope="module")
def author(azure: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who made the results: the whole pipeline on 150 patients, committed; artifacts and run cache pushed."""
    folder = make_checkout(tmp_path_factory.mktemp("author"))
    dvc(folder, azure, "push")
    dvc(folder, azure, "push", "--run-cache")
    return folder


@pytest.fixture
def teammate(author: Path, tmp_path: Path) -> Path:
    """A fresh clone of the author's commit: no data, no cache."""
    return clone(author, tmp_path / "teammate")


def dvc(folder: Path, azure: Azurite, *arguments: str, status: int = 0) -> str:
    """DVC with the storage account at hand, as after `az login`."""
    return run(folder, "dvc", *arguments, status=status, **{CONNECTION: azure.connection_string})


def cached(folder: Path) -> Files:
    """Every cached object, by its md5."""
    objects = folder / ".dvc/cache/files/md5"
    return {p.relative_to(objects).as_posix(): p.read_bytes() for p in objects.rglob("*") if p.is_file()}


def files(folder: Path) -> Files:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def ran(said: str) -> set[str]:
    """Stages whose command was run."""
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}


def set_param(folder: Path, old: str, new: str) -> None:
    path = folder / "params.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_fresh_clone_pulls_every_byte_and_has_nothing_to_run(author: Path, teammate: Path, azure: Azurite) -> None:
    makefile = ("make", "-o", ".venv/base", "pull", f"BIN={Path(sys.executable).parent}")
    run(teammate, *makefile, **{CONNECTION: azure.connection_string})
    assert cached(teammate).items() <= cached(author).items()
    for place in ("data", "models", "metrics"):
        assert files(teammate / place) == files(author / place)
    assert UP_TO_DATE in run(teammate, "dvc", "repro")
    assert run(teammate, "git", "status", "--porcelain") == ""
    pulled = cached(teammate)
    shutil.rmtree(teammate / ".dvc/cache")
    shutil.rmtree(teammate / "data")
    dvc(teammate, azure, "pull")  # strictly: nothing that was pushed is missing, and nothing else is wanted
    assert cached(teammate) == pulled
    assert files(teammate / "data") == files(author / "data")


def test_a_changed_coder_downloads_only_what_it_reads(author: Path, teammate: Path, azure: Azurite) -> None:
    set_param(teammate, "  C: 1.0", "  C: 0.5")
    said = dvc(teammate, azure, "repro", "--pull", "--allow-missing", "evaluate@tfidf")
    assert ran(said) == {"tfidf", "evaluate@tfidf"}
    assert metrics(teammate) != metrics(author)
    assert not (teammate / "data/raw").exists()
    assert not (teammate / "data/bronze").exists()
    needed = {"data/silver", "data/gold"}
    assert {p for p in needed if files(teammate / p) == files(author / p)} == needed


def test_the_run_cache_spares_every_stage_but_those_with_uncached_files(
    author: Path, teammate: Path, azure: Azurite
) -> None:
    """Someone ran this and pushed the run cache; dvc.lock does not know of it. What writes to Git runs."""
    (teammate / "dvc.lock").unlink()
    (teammate / "stages/sources/dvc.lock").unlink()
    shutil.rmtree(teammate / "metrics")
    writing_to_git = {"terminology", "evaluate_links", "evaluate@tfidf", "explain@tfidf"}
    assert ran(dvc(teammate, azure, "repro", "--pull")) == writing_to_git
    for lock in ("dvc.lock", "stages/sources/dvc.lock"):
        assert (teammate / lock).read_text() == (author / lock).read_text()
    assert files(teammate / "metrics") == files(author / "metrics")


def test_a_guest_with_a_read_only_sas_pulls_and_cannot_push(author: Path, teammate: Path, azure: Azurite) -> None:
    for line in run(teammate, "dvc", "remote", "list").splitlines():
        if "azure://" in line:
            login = azure.shared_access("chartcode")
            run(teammate, "dvc", "remote", "modify", "--local", line.split()[0], "connection_string", login)
    run(teammate, "dvc", "pull", "--allow-missing")
    assert files(teammate / "models") == files(author / "models")
    set_param(teammate, "  C: 1.0", "  C: 2.0")
    run(teammate, "dvc", "repro")
    before = azure.blobs("chartcode")
    said = run(teammate, "dvc", "push", status=1)
    assert "ErrorCode:AuthorizationPermissionMismatch" in said
    assert azure.blobs("chartcode") == before
    (teammate / ".dvc/config.local").unlink()
    dvc(teammate, azure, "push")
    assert azure.blobs("chartcode") > before


def test_two_clones_exchange_an_experiment_with_its_model(
    author: Path, teammate: Path, azure: Azurite, tmp_path: Path
) -> None:
    hub = tmp_path / "hub.git"
    run(tmp_path, "git", "clone", "-q", "--bare", str(author), str(hub))
    one, two = clone(hub, tmp_path / "one"), clone(hub, tmp_path / "two")
    said = dvc(one, azure, "exp", "run", "--pull", "--allow-missing", "-S", "tfidf.C=3e-5", "-n", "weak")
    assert ran(said) == {"tfidf", "evaluate@tfidf", "explain@tfidf", "report@tfidf"}
    dvc(one, azure, "exp", "push", "origin", "weak")

    assert "weak" in dvc(two, azure, "exp", "list", "origin")
    dvc(two, azure, "exp", "pull", "origin", "weak")
    assert "tfidf.C" in dvc(two, azure, "exp", "diff", "main", "weak", "--md")
    dvc(two, azure, "exp", "apply", "weak")
    assert metrics(two) == metrics(one) != metrics(author)
    for place in ("models/tfidf", "data/scores/tfidf", "data/evaluation/tfidf"):
        assert files(two / place) == files(one / place)
    assert files(two / "models/tfidf") != files(author / "models/tfidf")


def test_a_grid_runs_in_the_queue_and_leaves_no_worker(teammate: Path, azure: Azurite) -> None:
    dvc(teammate, azure, "pull", "--allow-missing")
    dvc(teammate, azure, "exp", "run", "--queue", "-S", "tfidf.C=0.5,2")
    dvc(teammate, azure, "queue", "start", "-j", "2")
    status = wait_for(lambda: dvc(teammate, azure, "queue", "status"), lambda said: "Worker status: 0 active" in said)
    assert status.count("Success") == 2, status
    table = dvc(teammate, azure, "exp", "show", "--only-changed", "--md", "--no-pager")
    assert {"0.5", "1", "2"} <= {cell.strip() for line in table.splitlines() for cell in line.split("|")}
    dvc(teammate, azure, "queue", "remove", "--all")
    assert wait_for(lambda: workers(teammate), lambda found: not found, 60) == []
    assert run(teammate, "git", "status", "--porcelain") == "", "the workspace took no part"


def test_a_temporary_run_leaves_the_workspace_alone(author: Path, teammate: Path, azure: Azurite) -> None:
    dvc(teammate, azure, "pull", "--allow-missing")
    dvc(teammate, azure, "exp", "run", "--temp", "-S", "tfidf.C=4", "-n", "aside")
    assert run(teammate, "git", "status", "--porcelain") == ""
    assert files(teammate / "models") == files(author / "models")
    dvc(teammate, azure, "exp", "apply", "aside")
    assert metrics(teammate) != metrics(author)


def test_two_branches_merge_by_running_what_they_describe_together(teammate: Path, azure: Azurite) -> None:
    """As docs/share.md types it: params merge, dvc.lock and metrics conflict, `dvc repro` settles it."""
    for branch, old, new in (
        ("theirs", "  C: 1.0", "  C: 0.5"),
        ("mine", "  bootstrap_rounds: 1000", "  bootstrap_rounds: 50"),
    ):
        run(teammate, "git", "checkout", "-q", "-B", branch, "origin/main")
        set_param(teammate, old, new)
        dvc(teammate, azure, "repro", "--pull", "--allow-missing")
        commit(teammate)
    said = run(teammate, "git", "merge", "theirs", status=1)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in said
    assert "params.yaml" not in "".join(line for line in said.splitlines() if "CONFLICT" in line)
    dvc(teammate, azure, "repro", "--pull", "--allow-missing")
    run(teammate, "git", "add", "params.yaml", "dvc.lock", "stages/sources/dvc.lock", "metrics")
    run(teammate, "git", "commit", "-qm", "merged")
    assert UP_TO_DATE in run(teammate, "dvc", "repro", "--allow-missing", "--dry")
    assert run(teammate, "git", "status", "--porcelain") == ""


def wait_for(look: Callable[[], Found], good: Callable[[Found], bool], seconds: float = 300) -> Found:
    """What `look` finds as soon as it is good, or when time is up."""
    deadline = time.monotonic() + seconds
    while not good(found := look()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def workers(folder: Path) -> list[int]:
    """Processes that work in, or for, this checkout."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in part for part in [process.cwd(), *process.cmdline()]):
                found.append(process.pid)
    return found
