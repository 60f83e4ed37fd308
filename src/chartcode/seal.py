"""A checkout that has met credentialed data pushes nothing to a public container.

DVC takes a push's remote from params.yaml as it stands and the objects from dvc.lock: where the two disagree, an
artifact of MIMIC-IV would go where the public ones go. So `chartcode link-mimic` seals the checkout: .dvc/config.local
(never in Git) points the public remotes to a container that does not exist, whose name says why, and makes `mimic-iv`
the default. Public data are pushed from another clone.
"""

from __future__ import annotations

import configparser
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chartcode.artifacts import atomic_file
from chartcode.errors import DataError

PUBLIC = ("synthetic", "codiesp")  # sources that anyone may read
RESTRICTED = "mimic-iv"  # the remote of everything else
NOWHERE = "azure://sealed-checkout-pushes-nothing-public/none"
LOCAL = Path(".dvc/config.local")


def seal(root: Path = Path()) -> None:
    """Write the seal into .dvc/config.local; what else stands there stays."""
    local = _read(root / LOCAL)
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
    local = _read(root / LOCAL)
    return all(local.get(_section(name), "url", fallback="") == NOWHERE for name in PUBLIC)


def refuse_mixing(root: Path, source: str) -> None:
    """Raise DataError, in one line, when a push from `root` could take credentialed data to a public container.

    `source` is data.source of params.yaml. Nothing is contacted.
    """
    made_of = _source_of_lock(root / "dvc.lock")
    if made_of is not None and made_of != source:
        raise DataError(f"dvc.lock: made of {made_of}, but params.yaml says {source}; `dvc repro`, or git restore both")
    if source in PUBLIC and not (root / "data/raw" / RESTRICTED).exists():
        return
    if not is_sealed(root):
        raise DataError(f"{LOCAL}: this checkout holds credentialed data and is not sealed; run `chartcode seal`")
    ours = _container(_read(root / ".dvc/config", root / LOCAL).get(_section(RESTRICTED), "url", fallback=""))
    committed = _read(root / ".dvc/config")
    if ours and ours in {_container(committed.get(_section(name), "url", fallback="")) for name in PUBLIC}:
        raise DataError(f"{LOCAL}: remote {RESTRICTED}: names the container of public data; name a restricted one")


def _section(remote: str) -> str:
    return f"'remote \"{remote}\"'"


def _read(*paths: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(paths, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise DataError(f"{paths[-1]}: not a configuration of DVC; mend it") from None
    return config


def _container(url: str) -> str:
    """The container of an Azure URL, whichever its account; nothing for a folder."""
    return url.split("://")[1].split("/", maxsplit=1)[0] if "://" in url else ""


def _source_of_lock(path: Path) -> str | None:
    """data.source that bronze was last run with; None without a lock."""
    try:
        stages = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["stages"]
        return str(stages["bronze"]["params"]["params.yaml"]["data.source"])
    except (FileNotFoundError, KeyError, TypeError):
        return None
    except YAMLError:
        raise DataError(f"{path}: no lock of DVC; take one side of the merge, then `dvc repro`") from None
