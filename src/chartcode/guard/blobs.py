"""What Git keeps, or is about to keep: files of the tracked tree, of the index, and of every commit since one.

Everything is read through Git's own plumbing with NUL-separated output, so that no file name and no setting of a user
can hide a file. The index is read from the index: a work tree that was cleaned after `git add` changes nothing.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chartcode.errors import DataError

LIMIT = 4 << 20  # bytes of a file that are looked at; the size rule refuses such a file anyway
SYMLINK = "120000"
SUBMODULE = "160000"
_GIT = ("git", "--no-replace-objects", "-C")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Blob:
    """One version of one file. `content` is its first `LIMIT` bytes; of a symbolic link, the path it points to."""

    path: str
    content: bytes
    size: int
    mode: str = "100644"
    origin: str = ""  # "in commit 1a2b3c4d" for a file of the history

    @functools.cached_property
    def text(self) -> str:
        """The content as text: UTF-8, or what its byte order mark says; undecodable bytes are replaced."""
        return self.content.decode(_MARKS.get(self.content[:2]) or _MARKS.get(self.content[:3], "utf-8"), "replace")


def made(path: str, content: bytes, mode: str = "100644", origin: str = "") -> Blob:
    """A blob of bytes at hand."""
    return Blob(path, content[:LIMIT], len(content), mode, origin)


def top(folder: Path) -> Path:
    """Root of the checkout that `folder` lies in. Raises DataError outside of one."""
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    except DataError:
        raise DataError(f"{folder}: no Git checkout; run chartcode guard inside one") from None


def tracked(root: Path) -> Iterator[Blob]:
    """Every tracked file as it stands in the work tree, or in the index where the work tree lacks it."""
    entries: dict[str, tuple[str, str]] = {}
    for entry in _fields(_git(root, "ls-files", "--stage", "-z")):
        head, path = entry.split("\t", 1)
        mode, oid, _ = head.split(" ")
        entries[path] = (mode, oid)
    with _store(root) as store:
        for path, (mode, oid) in sorted(entries.items()):
            if mode == SUBMODULE:
                continue
            try:
                yield _on_disk(root, path)
            except OSError:
                yield store.blob(path, oid, mode, "")


def staged(root: Path) -> Iterator[Blob]:
    """Files added or changed in the index against HEAD, as the index holds them."""
    raw = _git(root, "diff-index", "--cached", "--raw", "-z", *_DIFF, _head(root))
    with _store(root) as store:
        for mode, oid, path in sorted(_changes(_fields(raw)), key=lambda change: change[2]):
            yield store.blob(path, oid, mode, "")


def experiment(root: Path, name: str) -> Iterator[Blob]:
    """What an experiment of DVC adds to the commit it started from: it takes every change of tracked files along.

    Raises DataError when there is no such experiment.
    """
    refs = _git(root, "for-each-ref", "--format=%(refname)", "refs/exps").decode().split()
    found = [ref for ref in refs if ref.rsplit("/", 1)[-1] == name]
    if not found:
        raise DataError(f"guard: --experiment {name}: no such experiment here; `dvc exp list` names them")
    return since(root, f"{found[-1]}~1", found[-1])


def since(root: Path, revision: str, tip: str = "HEAD") -> Iterator[Blob]:
    """Every version of every file that a commit of `revision`..`tip` added or changed, and the commits' messages.

    A merge counts with what it changed against each parent. Raises DataError for a revision that is not there.
    """
    try:
        start = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except DataError:
        raise DataError("guard: --since: no such commit here; fetch the whole history (CI: fetch-depth 0)") from None
    commits = _git(root, "rev-list", "--reverse", f"{start.decode().strip()}..{tip}")
    raw = _git(root, "diff-tree", "--stdin", "-m", "-r", "--root", "--raw", "-z", *_DIFF, given=commits)
    seen: set[tuple[str, str]] = set()
    with _store(root) as store:
        for commit in commits.decode().split():
            yield store.message(commit)
        origin = ""
        fields = iter(_fields(raw))
        for field in fields:
            if not field.startswith(":"):
                origin = f"in commit {field.strip()[:10]}"
                continue
            for mode, oid, path in _changes([field, next(fields)]):
                if (path, oid) not in seen:
                    seen.add((path, oid))
                    yield store.blob(path, oid, mode, origin)


_DIFF = ("--no-renames", "--no-abbrev", "--no-ext-diff", "--diff-filter=ACMT")


def _changes(fields: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Mode, object and path of the new side of each pair `:old new old new status`, path."""
    pairs = iter(fields)
    for head in pairs:
        path = next(pairs)
        _, mode, _, oid, _ = head.split(" ")
        if mode != SUBMODULE:
            yield mode, oid, path


def _fields(raw: bytes) -> list[str]:
    return [os.fsdecode(field) for field in raw.split(b"\0") if field]


def _head(root: Path) -> str:
    """HEAD, or the empty tree before the first commit."""
    try:
        _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except DataError:
        return _git(root, "hash-object", "-t", "tree", "--stdin", given=b"").decode().strip()
    return "HEAD"


def _on_disk(root: Path, name: str) -> Blob:
    path = root / name
    if path.is_symlink():
        return made(name, os.fsencode(path.readlink()), SYMLINK)
    with path.open("rb") as file:
        return Blob(name, file.read(LIMIT), os.fstat(file.fileno()).st_size)


class _Store:
    """Objects by name, from one `git cat-file --batch`."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers

    def _object(self, oid: str) -> tuple[bytes, int]:
        self._requests.write(oid.encode() + b"\n")
        self._requests.flush()
        head = self._answers.readline().split()
        if len(head) != 3:
            raise DataError("guard: an object is not in this clone; fetch it whole (no partial clone), or git fsck")
        size = int(head[2])
        content = self._answers.read(min(size, LIMIT))
        left = size - len(content) + 1  # and a line break
        while left:
            left -= len(self._answers.read(min(left, LIMIT)))
        return content, size

    def blob(self, path: str, oid: str, mode: str, origin: str) -> Blob:
        """One version of a file."""
        return Blob(path, *self._object(oid), mode, origin)

    def message(self, commit: str) -> Blob:
        """What the author of a commit wrote about it, as a file of that name."""
        content, _ = self._object(commit)
        return made(f"message of commit {commit[:10]}", content.partition(b"\n\n")[2])


@contextmanager
def _store(root: Path) -> Iterator[_Store]:
    command = [*_GIT, str(root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield _Store(process.stdin, process.stdout)
        process.stdin.close()


def _git(root: Path, *arguments: str, given: bytes | None = None) -> bytes:
    """What a Git command prints. Raises DataError when it fails; its words may quote a file name, so they are kept."""
    try:
        done = subprocess.run([*_GIT, str(root), *arguments], input=given, capture_output=True, check=True)
    except FileNotFoundError:
        raise DataError("git: not installed; the guard looks at what Git keeps") from None
    except subprocess.CalledProcessError:
        raise DataError(f"git {arguments[0]}: failed; run it by hand to see why") from None
    return done.stdout
