"""Rules about a file as a whole: what kind it is, where it lies, how large it is, where a link points.

A kind is known by its first bytes as well as by its name, so a renamed Parquet file is still one. What is no text at
all is refused unless it is a picture or a PDF of the documentation: default-deny.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from chartcode.guard.blobs import SYMLINK, Blob

Span = tuple[int, int]  # code points of the text where the fault stands
WHOLE: Span = (0, 0)

LARGEST = 300_000  # bytes
LARGEST_LOCK = 2_000_000

_SUFFIX = re.compile(
    r"\.(?:parquet|pq|feather|arrow|orc|avro|csv\.\w+|tsv\.\w+|jsonl|ndjson|xlsx?|ods|dta|sas7bdat|xpt|sav|rds|rdata"
    r"|db|sqlite3?|duckdb|mdb|h5|hdf5|mat|np[yz]|p(?:ic)?kle?|joblib|dill|msgpack|skops"
    r"|pt|pth|ckpt|bin|safetensors|onnx|gguf|ggml|tflite|pb|model|ipynb|hea|dat|edf|dcm|nii"
    r"|zip|gz|tgz|bz2|xz|zst|lz4|7z|rar|tar|whl|eml|docx?|pptx?|rtf|dvc)$",
    re.I,
)
_TABLE = re.compile(r"\.(?:csv|tsv)$", re.I)
_TABLES_ALLOWED = re.compile(r"^(?:metrics|stages|src/chartcode)/")  # aggregates, header-only lists, resources
_PLACES = re.compile(r"^(?:data|models|reports|\.live|\.checkpoints|\.dvc/(?:cache|tmp))/")
_PRIVATE = re.compile(
    r"(?:^|/)(?:\.env(?:\..*)?|\.netrc|\.pgpass|\.pypirc|config\.local|id_(?:rsa|dsa|ecdsa|ed25519))$"
)
_LOCK = re.compile(r"\.lock$|(?:^|/)package-lock\.json$")

# First bytes of what holds data, weights or both.
_MAGIC = re.compile(
    rb"PAR1|ARROW1|FEA1|\xff\xff\xff\xff[^\xff]|Obj\x01|\x1f\x8b|PK(?:\x03\x04|\x05\x06)|\x93NUMPY|\x89HDF\r\n"
    rb"|SQLite format 3\0|.{8}DUCK|BZh[1-9]1AY|\xfd7zXZ\0|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|7z\xbc\xaf|Rar!"
    rb"|.{257}ustar|GGUF|.{6}\0\0\{\"|\x80[\x02-\x05].*\.\Z|.{128}DICM|MATLAB 5|<stata_dta>|HEADER RECORD\*"
    rb"|\xd0\xcf\x11\xe0",
    re.S,
)
_OLD_PICKLED = re.compile(rb"(?:\((?:[dl]p\d+\n|lp\d+\n)|c[\w.]+\n\w+\n[p(]).*\.\Z", re.S)  # protocol 0 is plain ASCII
_PICTURE = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|%PDF-|RIFF....WEBP|(?:II\*\0|MM\0\*)", re.S)
_PICTURES_ALLOWED = re.compile(r"^docs/.*\.(?:png|jpe?g|gif|webp|pdf)$")
_NOTEBOOK = re.compile(r'"nbformat"\s*:\s*\d')
_ENCODED = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{1000,}"
)  # base64 of whole files, as in notebooks and saved pages


def kind(blob: Blob) -> Iterator[Span]:
    """A data, weight or notebook file by its name, its first bytes or, where it is no text, by default."""
    if blob.mode == SYMLINK:
        return
    table = _TABLE.search(blob.path) and not _TABLES_ALLOWED.match(blob.path)
    named = _SUFFIX.search(blob.path) or table or _PRIVATE.search(blob.path)
    holds = _MAGIC.match(blob.content) or _OLD_PICKLED.match(blob.content)
    if _PICTURE.match(blob.content):
        if not _PICTURES_ALLOWED.match(blob.path):
            yield WHOLE
    elif named or holds or "\0" in blob.text or _NOTEBOOK.search(blob.text):
        yield WHOLE
    else:
        yield from (found.span() for found in _ENCODED.finditer(blob.text))


def place(blob: Blob) -> Iterator[Span]:
    """A file where DVC keeps data."""
    if _PLACES.match(blob.path):
        yield WHOLE


def size(blob: Blob) -> Iterator[Span]:
    """A file too large to be written by hand; a lock file may be larger."""
    if blob.size > (LARGEST_LOCK if _LOCK.search(blob.path) else LARGEST):
        yield WHOLE


def link(blob: Blob) -> Iterator[Span]:
    """A symbolic link out of the repository: Git keeps the path it points to, which is one of this machine."""
    if blob.mode == SYMLINK:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(blob.path), blob.text))
        if target.startswith(("/", "../")) or target == "..":
            yield WHOLE
