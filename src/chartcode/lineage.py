"""Which files of our own a stage's values depend on, found by reading its imports.

dvc.yaml lists them as `deps`, so that a code change re-runs what it can change (tests/test_structure.py compares), and
every manifest records their digest. Modules that cannot change a value are left out: `NEUTRAL`.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the checkout this code runs from
PACKAGE = "chartcode"

# Modules that cannot change a value, so a change in them re-runs nothing. Short on purpose, and tested.
NEUTRAL = frozenset(
    {
        "src/chartcode/__init__.py",  # the version; manifests carry it, releases re-run all with --force
        "src/chartcode/artifacts.py",  # bytes to and from disk, checked by hash
        "src/chartcode/errors.py",  # messages
        "src/chartcode/lineage.py",  # this file
        "src/chartcode/logs.py",  # messages
        "src/chartcode/params.py",  # values come from params.yaml, which DVC tracks key by key
    }
)


def _module_file(module: str, root: Path) -> Path | None:
    base = root / "src" / Path(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, anywhere in it; packages above a module count, they run first."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                found.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return found


def code_files(script: Path | str, root: Path = ROOT) -> list[str]:
    """The script and every library file it imports, transitively, less NEUTRAL and bare package docstrings.

    Returns repository paths, sorted. Data files of the package that a module reads stand beside it under the same
    stem (`lexicon.py`, `lexicon.csv`) and count with it.
    """
    queue = [root / script]
    seen: set[Path] = set()
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in _imports(path):
            file = _module_file(module, root)
            if file is not None:
                queue.append(file)
    files: set[str] = set()
    for path in seen:
        name = path.relative_to(root).as_posix()
        if name in NEUTRAL or (path.name == "__init__.py" and len(ast.parse(path.read_text("utf-8")).body) <= 1):
            continue
        files.add(name)
        if name.startswith("src/"):
            files.update(p.relative_to(root).as_posix() for p in path.parent.glob(f"{path.stem}.*") if p.suffix in DATA)
    return sorted(files)


DATA = frozenset({".css", ".csv", ".tsv", ".json", ".yaml", ".txt"})


def code_digest(script: Path | str, root: Path = ROOT) -> str:
    """sha256 over the names and bytes of `code_files(script)`: what made an artifact, whatever the revision."""
    digest = hashlib.sha256()
    for name in code_files(script, root):
        digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return digest.hexdigest()
