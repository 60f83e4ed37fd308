"""A model out of the house: the exact weights behind a revision, verified, and stamped with where they came from.

Inside, no artifact knows its Git revision: that would change every hash. The path from a number in a pull request to
the weights is the commit, whose dvc.lock names them. `bring` follows it with DVC's own `get`, checks every byte against
that lock (and the manifest, which says what the model was made of) and writes `origin.json` beside it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from chartcode import revisions
from chartcode.artifacts import ORIGIN, Artifact, atomic_file
from chartcode.errors import ArtifactError, DataError


def bring(name: str, to: Path, *, revision: str = "HEAD", repository: str = ".") -> dict[str, Any]:
    """Copy the model registered as `name` (dvc.yaml, `artifacts:`) at a Git revision to the new folder `to`.

    `revision` is a commit, branch, tag (`tfidf@v1.0.0`, as `gto register` makes them) or experiment; nothing that is
    not committed can be brought. The weights come from the local cache or the DVC remote. Returns the stamp: model,
    revision (full hash), source of the training data, and the test metrics of that commit.
    Raises DataError when the revision or the model is not found, the weights are not to be had or `to` exists, and
    ArtifactError when a byte is not what the manifest promises; `to` then does not exist.
    """
    from dvc.exceptions import DvcException  # DVC takes half a second to import
    from dvc.repo import Repo
    from dvc_data.index import DataIndexDirError
    from scmrepo.exceptions import SCMError

    if _git_would_take(to):
        raise DataError(f"{to}: Git would take it, vocabulary and all; name a folder that it ignores, as shelf/{name}")
    try:
        with Repo.open(repository, rev=revision, uninitialized=True) as repo:
            known = repo.artifacts.read().get("dvc.yaml", {})
            commit = str(repo.get_rev())
            lock = revisions.parsed(repo.dvcfs.read_text("dvc.lock"))
            judged = f"metrics/{name}/metrics.json"
            metrics = json.loads(repo.dvcfs.read_text(judged))[name]["test"] if repo.dvcfs.exists(judged) else None
    except (DvcException, SCMError):
        where = "" if repository == "." else " of that repository"
        raise DataError(f"{revision}: no such revision{where}; `git fetch --tags origin`, or see --rev") from None
    if name not in known:
        raise DataError(f"dvc.yaml: no model {name} at {revision}; there are: {', '.join(known) or 'none'}")
    if to.exists():
        raise DataError(f"{to}: exists; name a new folder with --to")

    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        Repo.get(repository, known[name].path, out=str(partial), rev=commit)
        locked = {path: md5 for stage in lock.values() for path, md5 in revisions.hashes(stage, "outs").items()}
        if _md5_of(partial) != locked.get(known[name].path):
            raise ArtifactError(f"{name} at {revision}: not the bytes that dvc.lock names; cache or remote is damaged")
        origin = {"model": name, "revision": commit, "source": Artifact(partial).source, "test": metrics}
        with atomic_file(partial / ORIGIN) as stamp:
            stamp.write_text(json.dumps(origin, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        partial.rename(to)
    except (DvcException, DataIndexDirError, FileNotFoundError):
        raise DataError(
            f"{name} at {revision}: weights neither in the local cache nor on the remote; their maker types `make push`"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return origin


def _git_would_take(folder: Path) -> bool:
    """Whether a folder lies in a checkout that does not ignore it."""
    inside = next(parent for parent in folder.absolute().parents if parent.exists())
    asked = ["git", "-C", str(inside), "check-ignore", "--quiet", str(folder.absolute())]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 1  # 0 ignored, 128 no checkout


def _md5_of(folder: Path) -> str:
    """What DVC calls a folder: the md5 of its list of files, which names theirs (dvc_data.hashfile.tree)."""
    files = (path for path in folder.rglob("*") if path.is_file())
    listed = [
        {"md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(), "relpath": name}
        for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files)
    ]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
