"""Brings the open CodiEsp corpus to the place the pipeline reads: from Zenodo, or as a link to a folder on this disk.

Pinned: sha256 over the notes, codes and spans of the official train and dev splits (`contents_digest`), measured on a
copy of CodiEsp v4. The official test split was not at hand: its bytes are NOT pinned.
Not pinned: the zip itself. No source that can be cited was found for its checksum, so `Release.md5` is None, that is,
unverified; the md5 that Zenodo prints on the page of the record can be given by hand (`chartcode fetch codiesp --md5`).
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import stat
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chartcode.errors import DataError
from chartcode.sources import codiesp

RECORD = "https://zenodo.org/records/3837305"
LARGEST_ZIP = 200 << 20  # bytes
LARGEST_UNPACKED = 500 << 20
TIMEOUT = 60  # seconds without a byte
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Release:
    """A published zip: where it is, its md5 (None = unverified), and digests of the splits that are known by heart."""

    url: str
    md5: str | None
    contents: Mapping[str, str]  # official split -> contents_digest


CODIESP = Release(
    url=f"{RECORD}/files/codiesp.zip?download=1",
    md5=None,
    contents={
        "train": "63f5396c6af6edbbe8f550e1aed36b477e4f54d096f377ef19db36beef7ccccf",
        "dev": "85fb2fb70d807655b1c10803efd2a5e24ffb354f61ec186526e8e6a707e3d417",
    },
)


def contents_digest(root: Path, split: str) -> str:
    """sha256 over a split's notes (both languages, by name, to the byte) and the sorted lines of its three tables."""
    digest = hashlib.sha256()
    for texts in sorted(codiesp.TEXTS.values()):
        for path in sorted((root / split / texts).glob("*.txt")):
            body = path.read_bytes()
            digest.update(f"{texts}/{path.name}\0{len(body)}\0".encode() + body)
    for kind in "DPX":
        lines = sorted((root / split / f"{split}{kind}.tsv").read_bytes().splitlines())
        digest.update(f"{kind}\0{len(lines)}\0".encode() + b"\n".join(lines))
    return digest.hexdigest()


def fetch(release: Release = CODIESP, target: Path = codiesp.FOLDER) -> Path:
    """Download, check and unpack `release` to `target`, which appears whole or not at all; returns it.

    The unlabelled background set is left out. Raises DataError when `target` exists, the download fails, a checksum
    differs, or the zip holds an entry that leads outside.
    """
    _refuse_existing(target)
    work = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        archive = work / "codiesp.zip"
        _download(release, archive)
        _unpack(archive, work / "unpacked")
        root = codiesp.locate(work / "unpacked")
        for split, expected in release.contents.items():
            if contents_digest(root, split) != expected:
                raise DataError(
                    f"{_name(release)}: {split} is not the published CodiEsp v4 (checksum differs); nothing was kept"
                )
        _refuse_existing(target)
        root.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def link(folder: Path, target: Path = codiesp.FOLDER) -> Path:
    """Make `target` a link to a copy of the published folder; the same link again is no error. Returns `target`.

    Raises DataError when `folder` is not a CodiEsp folder or `target` is something else already.
    """
    root = codiesp.locate(folder).resolve()
    if target.is_symlink() and target.resolve() == root:
        return target
    _refuse_existing(target)
    if root.is_relative_to(target.absolute()):
        raise DataError(f"{target}: cannot be a link into itself; name the published folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(root, target_is_directory=True)
    return target


def _refuse_existing(target: Path) -> None:
    if target.is_symlink():
        raise DataError(f"{target}: is a link already; remove the link first (rm {target})")
    if target.exists():
        raise DataError(f"{target}: is there already and is never overwritten; move it away first")


def _name(release: Release) -> str:
    return PurePosixPath(urllib.parse.urlsplit(release.url).path).name


def _download(release: Release, archive: Path) -> None:
    """Stream the zip to `archive`; plain http only from this machine itself, where a mirror may stand."""
    parts = urllib.parse.urlsplit(release.url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise DataError(f"{_name(release)}: only https addresses are fetched")
    remedy = f"download it by hand from {RECORD}, unpack it, then `chartcode fetch codiesp --from FOLDER`"
    md5 = hashlib.md5(usedforsecurity=False)
    size = 0
    try:
        with urllib.request.urlopen(release.url, timeout=TIMEOUT) as reply, archive.open("wb") as file:  # noqa: S310 - scheme checked above
            expected = reply.length
            while chunk := reply.read(_CHUNK):
                size += len(chunk)
                if size > LARGEST_ZIP:
                    raise DataError(f"{_name(release)}: larger than {LARGEST_ZIP >> 20} MB; this is not CodiEsp")
                md5.update(chunk)
                file.write(chunk)
    except urllib.error.HTTPError as error:
        raise DataError(f"{_name(release)}: the server answered {error.code}; {remedy}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError):
        raise DataError(f"{_name(release)}: could not be downloaded; {remedy}") from None
    if expected is not None and size != expected:
        raise DataError(f"{_name(release)}: the download broke off; run the command again")
    if release.md5 is not None and md5.hexdigest() != release.md5.removeprefix("md5:").lower():
        raise DataError(f"{_name(release)}: md5 differs from the one pinned; nothing was kept")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack regular files of train, dev and test, and top-level papers; refuse whatever leads elsewhere."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            if sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
                raise DataError(f"{archive.name}: unpacks to more than {LARGEST_UNPACKED >> 20} MB; nothing was kept")
            for entry in entries:
                _refuse_outside(archive, entry)
            for entry in entries:
                if not entry.is_dir() and _wanted(PurePosixPath(entry.filename)):
                    zipped.extract(entry, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        raise DataError(f"{archive.name}: not a whole zip file; run the command again") from None


def _refuse_outside(archive: Path, entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    drive = "\\" in entry.filename or ":" in path.parts[0] if path.parts else True
    if path.is_absolute() or ".." in path.parts or drive:
        raise DataError(f"{archive.name}: holds an entry that leads outside its folder; nothing was kept")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(f"{archive.name}: holds a link; nothing was kept")


def _wanted(path: PurePosixPath) -> bool:
    """Whether an entry belongs to train, dev or test, at the top or inside the published folder."""
    parts = path.parts[1:] if path.parts[0] == codiesp.PUBLISHED else path.parts
    return len(parts) == 1 or parts[0] in codiesp.SPLIT_OF
