"""Two states of the repository, side by side: where a branch left its base, and the checkout as it stands.

Everything a reviewer compares is in Git (params, metrics, curves, locks), so no data, cache or login is needed. DVC
itself reads params, metrics and curves at both revisions; locks are plain YAML. DVC is imported where it is used, since
that takes longer than all else here.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chartcode.errors import DataError

BASES = ("origin/main", "main")
LOCKS = ("dvc.lock", "stages/sources/dvc.lock")
FRESH = "Data and pipelines are up to date."
WORKSPACE = "workspace"  # DVC's own word for the files as they lie on disk

Flat = dict[str, Any]  # dotted key -> value
Stages = dict[str, dict[str, Any]]  # stage -> its entry in the lock


@dataclass(frozen=True)
class Sides:
    """What is compared; `base` and `here` are short names for people."""

    commit: str  # the full hash of the base
    branch: str  # what it is the merge base of
    base: str
    here: str


@dataclass(frozen=True)
class State:
    """One side: `params` and `metrics` by dotted key, `unreadable` files of metrics or params."""

    params: Flat = field(default_factory=dict)
    metrics: Flat = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class LockChange:
    """A stage whose lock entry changed: the names of what changed, by kind."""

    stage: str
    state: str  # changed | new | gone
    params: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()

    @property
    def unexplained(self) -> bool:
        """Other results from the same command, code, params and data."""
        return self.state == "changed" and bool(self.outs) and not (self.params or self.code or self.data)


def git(*arguments: str, root: Path = Path()) -> str | None:
    """What git prints; None when it fails."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def commit_of(revision: str, root: Path = Path()) -> str | None:
    """The full hash of the commit that a revision names; None when there is none."""
    return git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", root=root)


def text_at(revision: str | None, name: str, root: Path = Path()) -> str:
    """A file at a commit, or on disk when `revision` is None; nothing where it is absent."""
    if revision is not None:
        return git("show", f"{revision}:{name}", root=root) or ""
    return (root / name).read_text(encoding="utf-8") if (root / name).is_file() else ""


def sides(base: str | None = None, root: Path = Path()) -> Sides:
    """The merge base of `base` (default: origin/main, or main) and HEAD, against the checkout.

    "workspace" is the name of here when work is uncommitted. Raises DataError when there is no such base, or when a
    shallow clone does not reach back to it.
    """
    if commit_of("HEAD", root) is None:
        raise DataError("this is no Git checkout with a commit; run chartcode in a clone of the repository")
    wanted = (base,) if base else BASES
    found = [name for name in wanted if commit_of(name, root)]
    commit = git("merge-base", found[0], "HEAD", root=root) if found else None
    if commit is None:
        if git("rev-parse", "--is-shallow-repository", root=root) == "true":
            remedy = "fetch the rest: git fetch --unshallow (GitHub Actions: actions/checkout with fetch-depth: 0)"
            raise DataError(f"{' or '.join(wanted)}: not reached by this shallow clone; {remedy}")
        if found:
            raise DataError(f"{found[0]}: shares no commit with HEAD; name another base: --base REV")
        raise DataError(f"{' or '.join(wanted)}: no such revision; git fetch, or name another base: --base REV")
    here = WORKSPACE if git("status", "--porcelain", root=root) else _short("HEAD", root)
    return Sides(commit, found[0], _short(commit, root), here)


def _short(revision: str, root: Path) -> str:
    return git("rev-parse", "--short", revision, root=root) or revision


def states(compared: Sides, root: Path = Path()) -> tuple[State, State]:
    """Params and metrics of base and here. A file that DVC cannot read is listed; here that is a DataError."""
    revisions = [compared.commit, WORKSPACE]
    with opened(root) as repo:
        params = repo.params.show(revs=revisions, hide_workspace=False)
        metrics = repo.metrics.show(revs=revisions, hide_workspace=False)
    base, here = (_state(params.get(revision, {}), metrics.get(revision, {})) for revision in revisions)
    refuse_unreadable(here.unreadable)
    return base, here


@contextmanager
def opened(root: Path = Path()) -> Iterator[Any]:
    """DVC's own view of a checkout, without its warnings: they can quote a file. What it refuses is a DataError."""
    from dvc.exceptions import DvcException  # type: ignore[import-untyped, unused-ignore]
    from dvc.repo import Repo  # type: ignore[import-untyped, unused-ignore]

    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with redirect_stderr(StringIO()), Repo(str(root)) as repo:
            yield repo
    except DvcException as error:
        raise DataError(f"dvc.yaml: DVC cannot read it ({type(error).__name__}); `dvc status` says why") from None
    finally:
        logger.setLevel(level)


def refuse_unreadable(files: Sequence[str]) -> None:
    """Raise DataError, in one line, for files of the checkout that DVC could not read."""
    if files:
        raise DataError(
            f"{', '.join(dict.fromkeys(files))}: cannot be read; mend it, or git restore it, then `dvc repro`"
        )


def unreadable(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Files that DVC could not read, in what one of its `show` functions says of one revision; absent ones are none."""
    whole = [Path(str(getattr(result["error"], "path", "dvc.yaml"))).name] if "error" in result else []
    errors = {path: read["error"] for path, read in result.get("data", {}).items() if "error" in read}
    return (*whole, *(path for path, error in errors.items() if not isinstance(error, FileNotFoundError)))


def _state(params: Mapping[str, Any], metrics: Mapping[str, Any]) -> State:
    """One revision, as `repo.params.show` and `repo.metrics.show` give it."""
    states: list[Flat] = [{}, {}]
    for state, result in zip(states, (params, metrics), strict=True):
        for path, read in result.get("data", {}).items():
            prefix = f"{path}:" if result is params and path != "params.yaml" else ""
            state.update(flatten(read.get("data") or {}, prefix))
    return State(states[0], states[1], (*unreadable(params), *unreadable(metrics)))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    """Nested keys joined by dots. Lists are values."""
    flat: Flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def locks(revision: str | None, root: Path = Path()) -> Stages:
    """Lock entries of every stage at a commit, or on disk when `revision` is None. An absent lock has no stages."""
    return {stage: entry for name in LOCKS for stage, entry in parsed(text_at(revision, name, root), name).items()}


def parsed(lock: str, name: str = LOCKS[0]) -> Stages:
    """Lock entries by stage. Raises DataError for a lock that is no YAML (a merge left its marks)."""
    try:
        return dict((YAML(typ="safe").load(lock) or {}).get("stages") or {})
    except (YAMLError, AttributeError, TypeError, ValueError):
        raise DataError(f"{name}: no lock of DVC; take one side of the merge, then `dvc repro`") from None


def lock_changes(base: Stages, here: Stages) -> tuple[LockChange, ...]:
    """Stages whose lock entries differ, in the order of the lock, and what differs."""
    changes = []
    for stage in dict.fromkeys([*here, *base]):
        if base.get(stage) == here.get(stage):
            continue
        if stage not in base or stage not in here:
            changes.append(LockChange(stage, "new" if stage in here else "gone"))
            continue
        old, new = base[stage], here[stage]
        deps = differing(hashes(old, "deps"), hashes(new, "deps"))
        command = ("command",) if old.get("cmd") != new.get("cmd") else ()
        changes.append(
            LockChange(
                stage,
                "changed",
                params=differing(_lock_params(old), _lock_params(new)),
                code=(*command, *(path for path in deps if _is_code(path))),
                data=tuple(path for path in deps if not _is_code(path)),
                outs=differing(hashes(old, "outs"), hashes(new, "outs")),
            )
        )
    return tuple(changes)


def hashes(stage: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Path to md5 of a stage's `deps` or `outs`."""
    return {entry["path"]: entry.get("md5") for entry in stage.get(kind) or []}


def folded(outs: Sequence[str]) -> tuple[str, ...]:
    """Output paths, those of metrics and curves as one: Git shows them anyway."""
    return tuple(dict.fromkeys("metrics/" if path.startswith("metrics/") else path for path in outs))


def _lock_params(stage: Mapping[str, Any]) -> Flat:
    return flatten({key: value for file in (stage.get("params") or {}).values() for key, value in file.items()})


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys that one side lacks, or that have another value there, in order."""
    return tuple(key for key in dict.fromkeys([*old, *new]) if (key in old, old.get(key)) != (key in new, new.get(key)))


def _is_code(path: str) -> bool:
    return path.startswith("src/") or path.endswith(".py")


def to_run(root: Path = Path()) -> tuple[str, ...] | None:
    """Stages that `dvc repro` would run again: none when the lock is fresh; None when DVC cannot tell.

    Needs no data: a missing artifact is taken for what the lock says it is.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--allow-missing", "--dry"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if FRESH in done.stdout:
        return ()
    stale = tuple(dict.fromkeys(re.findall(r"^Running stage '([^']+)'", done.stdout, re.MULTILINE)))
    return stale or None
