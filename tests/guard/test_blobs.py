"""The guard sees what Git keeps: the index behind a cleaned work tree, every commit, and names made to hide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.guard import blobs
from chartcode.guard.blobs import Blob
from tests.guard.conftest import Repository


def contents(found: list[Blob]) -> dict[str, bytes]:
    return {blob.path: blob.content for blob in found}


def test_the_index_is_read_from_the_index(repository: Repository) -> None:
    repository.stage("a.py", "leak = 1\n")
    repository.put("a.py", "clean = 1\n")
    assert contents(list(blobs.staged(repository.root))) == {"a.py": b"leak = 1\n"}
    assert contents(list(blobs.tracked(repository.root)))["a.py"] == b"clean = 1\n"
    (repository.root / "a.py").unlink()
    assert contents(list(blobs.tracked(repository.root)))["a.py"] == b"leak = 1\n"


def test_only_what_the_next_commit_changes_is_staged(repository: Repository) -> None:
    repository.stage("same.py", "x\n")
    repository.stage("gone.py", "y\n")
    repository.commit()
    assert list(blobs.staged(repository.root)) == []
    repository.git("rm", "--quiet", "gone.py")
    repository.git("mv", "same.py", "moved.py")
    assert contents(list(blobs.staged(repository.root))) == {"moved.py": b"x\n"}


def test_before_the_first_commit_everything_staged_is_new(tmp_path: Path) -> None:
    fresh = Repository(tmp_path / "fresh")
    fresh.root.mkdir()
    fresh.git("init", "--quiet")
    fresh.stage("a", "1\n")
    assert contents(list(blobs.staged(fresh.root))) == {"a": b"1\n"}


def test_a_leak_that_was_added_and_removed_again_is_in_the_history(repository: Repository) -> None:
    start = repository.commit()
    repository.stage("notes.txt", "leak\n")
    leaked = repository.commit("one")
    repository.git("rm", "--quiet", "notes.txt")
    repository.commit("two")
    found = [blob for blob in blobs.since(repository.root, start) if not blob.path.startswith("message")]
    assert [(blob.path, blob.content, blob.origin) for blob in found] == [
        ("notes.txt", b"leak\n", f"in commit {leaked[:10]}")
    ]
    assert "notes.txt" not in contents(list(blobs.tracked(repository.root)))


def test_a_merge_counts_with_what_it_alone_holds(repository: Repository) -> None:
    start = repository.commit()
    repository.git("switch", "--quiet", "--create", "side")
    repository.stage("side.txt", "side\n")
    repository.commit()
    repository.git("switch", "--quiet", "main")
    repository.stage("main.txt", "main\n")
    repository.commit()
    repository.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
    repository.stage("merged.txt", "only here\n")
    repository.commit("merge")
    assert {"side.txt", "main.txt", "merged.txt"} <= set(contents(list(blobs.since(repository.root, start))))


def test_messages_of_commits_are_looked_at(repository: Repository) -> None:
    start = repository.commit()
    repository.commit("fix\n\nwith a long tail\n")
    assert b"with a long tail\n" in b"".join(blob.content for blob in blobs.since(repository.root, start))


@pytest.mark.parametrize(
    "name", ["a b.txt", "é.txt", "line\nbreak.txt", 'quo"te.txt', "-dash.txt", ":colon.txt", "tab\t.txt"]
)
def test_no_file_name_hides_a_file(repository: Repository, name: str) -> None:
    start = repository.commit()
    repository.put(name, "here\n")
    repository.git("add", "--all")
    assert contents(list(blobs.staged(repository.root))) == {name: b"here\n"}
    assert contents(list(blobs.tracked(repository.root)))[name] == b"here\n"
    repository.commit()
    assert contents(list(blobs.since(repository.root, start)))[name] == b"here\n"


def test_a_link_is_the_path_it_holds(repository: Repository) -> None:
    (repository.root / "link").symlink_to("/nowhere/at/all")
    repository.git("add", "link")
    for found in (blobs.staged(repository.root), blobs.tracked(repository.root)):
        link = next(blob for blob in found if blob.path == "link")
        assert (link.mode, link.content) == (blobs.SYMLINK, os.fsencode("/nowhere/at/all"))


def test_a_file_that_became_a_link_is_looked_at(repository: Repository) -> None:
    (repository.root / "README.md").unlink()
    (repository.root / "README.md").symlink_to("/nowhere")
    repository.git("add", "README.md")
    assert contents(list(blobs.staged(repository.root))) == {"README.md": b"/nowhere"}


def test_of_a_huge_file_the_beginning_is_kept_and_the_next_is_read_whole(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "LIMIT", 100)
    repository.stage("a.txt", b"a" * 1000)
    repository.stage("b.txt", b"b" * 10)
    assert [(b.path, len(b.content), b.size) for b in blobs.staged(repository.root)] == [
        ("a.txt", 100, 1000),
        ("b.txt", 10, 10),
    ]


@pytest.mark.parametrize("revision", ["nowhere", "--all", "", "HEAD:README.md"])
def test_a_revision_that_is_not_there_is_said_in_one_line(repository: Repository, revision: str) -> None:
    with pytest.raises(DataError, match="no such commit here"):
        list(blobs.since(repository.root, revision))


def test_outside_of_a_checkout_there_is_nothing_to_guard(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Git checkout"):
        blobs.top(tmp_path)
