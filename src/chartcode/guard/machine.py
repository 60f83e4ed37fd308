"""Rules about machines in text: paths of this or another computer, and the package hosts of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chartcode.guard.blobs import Blob
from chartcode.guard.files import Span

# A name in a path that stands for the reader's own: NAME, <name>, $USER, {name}, *, you.
_PLACEHOLDER = r"(?:[A-Z][A-Z_]*\b|[<$\{*%]|\.\.\.|you\b|user\b|username\b|me\b|name\b)"
_BEFORE = r"(?<![\w.~}>$%*)\]-])(?<![\w.]/)"
_PATH = re.compile(
    rf"{_BEFORE}/(?:(?:home|Users|mnt|media|scratch|lustre|gpfs|nfs|srv|workspaces?|Volumes|dbfs)/(?!{_PLACEHOLDER})\w"
    rf"|(?:root|tmp|work|var/(?:tmp|folders|lib))/(?!{_PLACEHOLDER})[\w.])"
    rf"|(?<![A-Za-z])[A-Za-z]:\\{{1,2}}(?:Users|home|data|Documents)\\{{1,2}}(?!{_PLACEHOLDER})\w"
)
# Files whose paths DVC follows: here no value at all may be absolute.
_FOLLOWED = re.compile(r"(?:^|/)(?:dvc\.(?:lock|yaml)|params\.yaml)$|\.dvc$|^\.dvc/config$")
_ABSOLUTE = re.compile(
    r"""(?m)^[ \t]*(?:-[ \t]+)?(?:['"]?[\w./-]+['"]?[ \t]*[:=][ \t]+)?['"]?(?:/[\w.]|~/|file:/|[A-Za-z]:[\\/](?!/))"""
)
_LOCKED = re.compile(
    r"(?:^|/)(?:[^/]*requirements[^/]*/[^/]*|[^/]*requirements[^/]*\.txt|constraints[^/]*|[^/]*\.lock)$"
)
_NPM = re.compile(r"(?:^|/)(?:package-lock|npm-shrinkwrap)\.json$")
_SETTINGS = re.compile(r"(?:^|/)(?:pip\.conf|\.npmrc|\.yarnrc[^/]*|uv\.toml|\.condarc)$")
_INDEX = re.compile(
    r"""(?x) --(?:extra-)?index-url[=\s]+["']?https?: | --(?:find-links|trusted-host)[=\s]+[^\s`]
    | \b(?:extra-)?index[-_]url\s*=\s*["']?https?: | \bPIP_(?:EXTRA_)?INDEX_URL\s*[=:]\s*["']?https?:
    | registry\s*=\s*["']?https?: """
)
_HOST = re.compile(r"https?://")
_RESOLVED = re.compile(r'"resolved"\s*:\s*"https?:')


def paths(root: Path | None = None, home: Path | None = None) -> re.Pattern[str]:
    """A pattern of paths of any machine, and of this one's checkout and home where they are long enough to tell."""
    own = [place for place in (root, home) if place is not None and len(place.parts) > 2]
    return re.compile("|".join([_PATH.pattern, *(rf"{re.escape(str(place))}(?![\w-])" for place in own)]))


def machine_paths(blob: Blob, pattern: re.Pattern[str]) -> Iterator[Span]:
    """Paths of a machine; in files that DVC follows, every absolute path."""
    yield from (found.span() for found in pattern.finditer(blob.text))
    if _FOLLOWED.search(blob.path):
        yield from (found.span() for found in _ABSOLUTE.finditer(blob.text))


def hosts(blob: Blob) -> Iterator[Span]:
    """Package hosts: in lock files any, elsewhere the options that name one."""
    yield from (found.span() for found in _INDEX.finditer(blob.text))
    if _LOCKED.search(blob.path) or _SETTINGS.search(blob.path):
        yield from (found.span() for found in _HOST.finditer(blob.text))
    if _NPM.search(blob.path):
        yield from (found.span() for found in _RESOLVED.finditer(blob.text))
