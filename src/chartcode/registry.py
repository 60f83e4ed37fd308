"""A model out of the house: the exact weights behind a revision, verified, and stamped with where they came from.

Inside, no artifact knows its Git revision: that would change every hash. The path from a number in a pull request to
the weights is the commit, whose dvc.lock names them. `bring` follows it with DVC's own `get`, checks every byte against
the manifest and writes `origin.json` beside it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from chartcode.artifacts import ORIGIN, Artifact, atomic_file
from chartcode.errors import DataError


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

    if to.exists():
        raise DataError(f"{to}: exists; name a new folder with --to")
    try:
        with Repo.open(repository, rev=revision, uninitialized=True) as repo:
            known = repo.artifacts.read().get("dvc.yaml", {})
            commit = str(repo.get_rev())
            judged = f"metrics/{name}/metrics.json"
            metrics = json.loads(repo.dvcfs.read_text(judged))[name]["test"] if repo.dvcfs.exists(judged) else None
    except (DvcException, SCMError):
        where = "" if repository == "." else " of that repository"
        raise DataError(f"{revision}: no such revision{where}; `git fetch --tags origin`, or see --rev") from None
    if name not in known:
        raise DataError(f"dvc.yaml: no model {name} at {revision}; there are: {', '.join(known) or 'none'}")

    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        Repo.get(repository, known[name].path, out=str(partial), rev=commit)
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
