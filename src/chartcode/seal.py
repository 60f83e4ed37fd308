"""A checkout that has met credentialed data pushes nothing to a public container.

DVC takes a push's remote from params.yaml as it stands and the objects from dvc.lock: where the two disagree, an
artifact of MIMIC-IV would go where the public ones go. So `chartcode link-mimic` seals the checkout: .dvc/config.local
(never in Git) points the public remotes to a container that does not exist, whose name says why, and makes `mimic-iv`
the default. Public data are pushed from another clone.
"""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from pathlib import Path

from chartcode import revisions
from chartcode.artifacts import atomic_file
from chartcode.errors import DataError

PUBLIC = ("synthetic", "codiesp")  # sources that anyone may read
RESTRICTED = "mimic-iv"  # the one that only its credentialed users may
NOWHERE = "azure://sealed-checkout-pushes-nothing-public/none"
COMMITTED, LOCAL = Path(".dvc/config"), Path(".dvc/config.local")


def seal(root: Path = Path()) -> None:
    """Write the seal into .dvc/config.local; what else stands there stays."""
    local = _read(root, [LOCAL])
    for name in ("core", *map(_section, PUBLIC)):
        if not local.has_section(name):
            local.add_section(name)
    local["core"]["remote"] = RESTRICTED
    for name in PUBLIC:
        local[_section(name)]["url"] = NOWHERE
    with atomic_file(root / LOCAL) as path, path.open("w", encoding="utf-8") as file:
        local.write(file)


def is_sealed(root: Path = Path()) -> bool:
    """Whether the public remotes are out of reach from this checkout."""
    return all(settings(root, name, [LOCAL]).get("url") == NOWHERE for name in PUBLIC)


def refuse_mixing(root: Path, source: str) -> None:
    """Raise DataError, in one line, when a push from `root` could take credentialed data to a public container.

    `source` is data.source of params.yaml. Nothing is contacted.
    """
    made_of = _source_of_lock(root)
    if made_of is not None and made_of != source:
        raise DataError(f"dvc.lock: made of {made_of}, but params.yaml says {source}; `dvc repro`, or git restore both")
    if source in PUBLIC and not (root / "data/raw" / RESTRICTED).exists():
        return
    if not is_sealed(root):
        raise DataError(f"{LOCAL}: this checkout holds credentialed data and is not sealed; run `chartcode seal`")
    ours = _container(settings(root, RESTRICTED))
    if ours and ours in {_container(settings(root, name, [COMMITTED])) for name in PUBLIC}:
        raise DataError(f"{LOCAL}: remote {RESTRICTED}: names the container of public data; name a restricted one")


def settings(root: Path, remote: str, files: Sequence[Path] = (COMMITTED, LOCAL)) -> dict[str, str]:
    """What DVC's configuration says of a remote, a later file over an earlier one; nothing of an unknown one.

    A source's artifacts go to the remote of its name (dvc.yaml). Raises DataError naming a file that is damaged.
    """
    config, section = _read(root, files), _section(remote)
    return dict(config[section]) if config.has_section(section) else {}


def _section(remote: str) -> str:
    return f"'remote \"{remote}\"'"


def _read(root: Path, files: Sequence[Path]) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    for file in files:
        try:
            config.read(root / file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            raise DataError(f"{root / file}: not a configuration of DVC; mend it") from None
    return config


def _container(remote: dict[str, str]) -> str:
    """The container that a remote's Azure URL names, whichever its account; nothing for a folder."""
    url = remote.get("url", "")
    return url.split("://")[1].split("/", maxsplit=1)[0] if "://" in url else ""


def _source_of_lock(root: Path) -> str | None:
    """data.source that bronze was last run with; None without a lock."""
    try:
        return str(revisions.locks(None, root)["bronze"]["params"]["params.yaml"]["data.source"])
    except (KeyError, TypeError):
        return None
