"""Each rule finds what it is there for, and lets ordinary work pass."""

from __future__ import annotations

import gzip
import io
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from chartcode.guard.blobs import SYMLINK, Blob, made
from chartcode.guard.scan import rules

TABLE = pa.table({"n": [1, 2, 3]})
RULES = {rule.name: rule for rule in rules(Path("/srv9/checkouts/main"), Path("/srv9/people/ada"))}
ID = "1" + "0045678"
SALT = "Zx81"  # split words so that this file holds no secret


def caught(blob: Blob) -> set[str]:
    return {name for name, rule in RULES.items() if any(True for _ in rule.look(blob))}


def in_text(text: str, path: str = "docs/page.md") -> set[str]:
    return caught(made(path, text.encode()))


def buffered(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def sqlite(folder: Path) -> bytes:
    with sqlite3.connect(folder / "x") as connection:
        connection.execute("create table t (n)")
    return (folder / "x").read_bytes()


FORMATS: dict[str, Callable[[Path], bytes]] = {
    "parquet": lambda _: buffered(lambda out: pq.write_table(TABLE, out)),
    "gzip": lambda _: gzip.compress(b"a,b\n", mtime=0),
    "npy": lambda _: buffered(lambda out: np.save(out, np.arange(3))),
    "npz": lambda _: buffered(lambda out: np.savez(out, a=np.arange(3))),
    "zip": lambda _: buffered(lambda out: zipfile.ZipFile(out, "w").writestr("a", "b")),
    "feather": lambda _: buffered(lambda out: feather.write_feather(TABLE, out)),
    "arrow stream": lambda _: buffered(lambda out: pa.ipc.new_stream(out, TABLE.schema).write_table(TABLE)),
    "sqlite": sqlite,
    "hdf5": lambda _: b"\x89HDF\r\n\x1a\n" + b"abc" * 9,
    "safetensors": lambda _: struct.pack("<Q", 64) + b'{"w":{"dtype":"F32"}}',
    "pickled": lambda _: b"\x80\x04K\x2a.",
    "pickled, protocol 0": lambda _: b"(dp0\nVa\np1\nI1\ns.",
    "pdf": lambda _: b"%PDF-1.7\n",
    "png": lambda _: b"\x89PNG\r\n\x1a\nabc",
    "jpeg": lambda _: b"\xff\xd8\xff\xe0abc",
    "gguf": lambda _: b"GGUFabc",
    "unknown binary": lambda _: b"abc\0def",
    "notebook": lambda _: b'{"cells": [{"outputs": [{"text": "x"}]}], "nb' + b'format": 4}',
    "base64": lambda _: b"x = '" + b"QUJD" * 400 + b"'\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_data_are_known_under_a_false_name(name: str, tmp_path: Path) -> None:
    content = FORMATS[name](tmp_path)
    assert "formats" in caught(made("docs/notes.txt", content))
    assert "formats" in caught(made("src/chartcode/x.py", content))


NAMES = (
    "a.parquet b/c.CSV.GZ w.pt w.safetensors x.ipynb t.csv .env .netrc deep/id_ed25519 .dvc/config.local m.onnx c.xlsx"
)


@pytest.mark.parametrize("path", NAMES.split())
def test_data_are_known_by_their_name(path: str) -> None:
    assert "formats" in caught(made(path, b"nothing\n"))


@pytest.mark.parametrize(
    "path", ["metrics/a/plots/b.csv", "src/chartcode/codes.csv", "stages/no_exclusions.csv", "a.py"]
)
def test_aggregates_resources_and_code_pass(path: str) -> None:
    assert caught(made(path, b"recall,precision\n0.1,0.2\n")) == set()


def test_pictures_belong_in_docs_and_utf_16_is_read_as_text() -> None:
    assert caught(made("docs/page.png", b"\x89PNG\r\n\x1a\n")) == set()
    assert caught(made("docs/page.txt", "plain".encode("utf-16"))) == set()
    assert in_text("x") == set()
    hidden = f"seen {ID}"
    assert caught(made("docs/page.txt", hidden.encode("utf-16"))) == {"ids"}


@pytest.mark.parametrize("path", ["data/x", "models/tfidf/a.json", "reports/r.md", ".dvc/cache/files/md5/00/1"])
def test_places_of_dvc_stay_out(path: str) -> None:
    assert "place" in caught(made(path, b"{}"))
    assert "place" not in caught(made(f"src/{path}", b"{}"))


def test_large_files_stay_out_and_locks_may_be_larger() -> None:
    def large(path: str, size: int) -> bool:
        return any(True for _ in RULES["size"].look(Blob(path, b"", size)))

    assert (large("docs/a.md", 300_000), large("docs/a.md", 300_001)) == (False, True)
    assert (large("requirements/base.lock", 2_000_000), large("requirements/base.lock", 2_000_001)) == (False, True)


OUTSIDE = {"/srv9/people": True, "../../elsewhere": True, "../..": True, "../README.md": False, "page.md": False}


@pytest.mark.parametrize("target", OUTSIDE)
def test_links_stay_inside(target: str) -> None:
    assert ("link" in caught(made("docs/link", target.encode(), SYMLINK))) is OUTSIDE[target]


LEAKS = {
    "id": ("ids", f"see patient {ID} for why"),
    "id in a comment": ("ids", f"x = 1  # {ID}"),
    "id as float": ("ids", f"{ID}.0,3"),
    "note id": ("ids", f"{ID}-DS-21"),
    "folder of waveforms": ("ids", f"files/p10/p{ID}/"),
    "id in a name": ("ids", f"fig_{ID}_b"),
    "mask": ("masks", "Mr. " + "_" * 3 + " was seen"),
    "mask at a letter": ("masks", "a " + "_" * 3 + "yo woman"),
    "mask of MIMIC-III": ("masks", "seen by [*" + "*Last Name 12*" + "*]"),
    "row of a table": ("ids", "1001" + "3456,2001" + "3456,3001" + "3456"),
    "index of a frame": ("ids", "0,1001" + "3456"),
    "compact JSON": ("ids", '{"ids":[1001' + "3456,1001" + '3457]}'),
    "date": ("dates", "on 21" + "34-05-06 he"),
    "date and time": ("dates", "21" + "34-05-06 22:23:00"),
    "ISO time": ("dates", "21" + "34-05-06T22:23:00"),
    "date, American": ("dates", "on 5/6/21" + "34"),
    "SAS": ("secrets", f"url: https://x.blob.core.windows.net/c?sv=2024&sig={SALT * 11}%3D"),
    "account key": ("secrets", f"AccountName=x;AccountKey={SALT * 21}ab==;"),
    "netrc": ("secrets", f"machine physionet.org\n  login ada\n  password {SALT}"),
    "wget": ("secrets", "wget -r --user ada --pass" + f"word {SALT}abc https://physionet.org/files/"),
    "hugging face": ("secrets", f"token = 'hf_{SALT * 9}'"),
    "private key": ("secrets", "-----BEGIN " + "RSA PRIVATE KEY-----"),
    "encrypted key": ("secrets", "-----BEGIN " + "ENCRYPTED PRIVATE KEY-----"),
    "github": ("secrets", f"ghp_{SALT * 9}"),
    "aws": ("secrets", "AKIA" + "IOSFODNN7EXAMPL9"),
    "slack": ("secrets", "xox" + f"b-123456789012-1234567890123-{SALT * 6}"),
    "stripe": ("secrets", "sk_" + f"live_{SALT * 6}"),
    "basic auth": ("secrets", f"https://ada:{SALT}" + "@example.org/"),
    "quoted": ("secrets", f"""{{"client_secret": "{SALT * 8}"}}"""),
    "home": ("paths", "open('/ho" + "me/ada/notes')"),
    "macOS home": ("paths", "/Us" + "ers/ada/mimic"),
    "root's home": ("paths", "cd /ro" + "ot/work"),
    "Windows home": ("paths", "C:\\Us" + "ers\\ada"),
    "mounted disk": ("paths", "/mn" + "t/nas/mimic"),
    "scratch": ("paths", "--data=/scr" + "atch/ada"),
    "this checkout": ("paths", "File /srv9/checkouts/main/src/x.py"),
    "this home": ("paths", "cache: /srv9/people/ada/.cache"),
    "index": ("hosts", "pip install --index-url " + "https://pypi.example.org/simple x"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_in_text_is_found(name: str) -> None:
    rule, text = LEAKS[name]
    assert rule in in_text(f"first line\n{text}\nlast line\n")


@pytest.mark.parametrize("before", [0, 3580, 4000, 4090, 9000])
def test_a_secret_in_a_very_long_line_is_found(before: int) -> None:
    assert "secrets" in in_text("x," * (before // 2) + f" hf_{SALT * 9} " + ",y" * 5000)


INNOCENT = {
    "invented ids": "10000000 10000009 20000003 30000001",
    "hash": "sha256:1234567890abcdef12345678",
    "uuid": "12345678-1234-1234-1234-123456789012",
    "fraction": "0.12345678 1.23456789 12345678.25",
    "thousands": "12,345,678 bytes; 123456789; 1234567",
    "identifier": "self.__init__(a___b)",
    "examples' dates": "2180-05-07 14:30:00 and 2151-03-09",
    "our dates": "2026-11-22, 2100 notes, 2150",
    "placeholders": "/home/NAME/x /home/<you>/x /Users/$USER/x /mnt/{disk}/x src/home/x ~/.azure",
    "url": "https://example.org/home/ada https://docs.example.org/Users/x",
    "account without key": "account_name = chartcodeprivate; AccountName=x;AccountKey=",
    "settings read": 'if "sas_token" in settings or "account_key" in settings:',
    "sas placeholder": "dvc remote modify --local azure sas_token '<token>'",
    "email": "mail@example.org",
}


@pytest.mark.parametrize("name", INNOCENT)
def test_ordinary_text_passes(name: str) -> None:
    assert in_text(INNOCENT[name]) == set()


@pytest.mark.parametrize("unit", ["://", "[**", "subject_id,", "password ", "/home/", "\n", " ", "1"])
def test_a_file_of_one_repeated_word_is_read_in_linear_time(unit: str) -> None:
    """Patterns that backtrack took minutes here; the suite's patience is the limit."""
    caught(made("docs/long.csv", (unit * (60_000 // len(unit))).encode()))


def test_sizes_in_a_lock_are_no_ids() -> None:
    assert caught(made("dvc.lock", f"      size: {ID}\n".encode())) == set()
    assert caught(made("dvc.lock", f"      rows: {ID}\n".encode())) == {"ids"}
    assert caught(made("notes.yaml", f"size: {ID}\n".encode())) == {"ids"}


def test_a_table_with_a_column_of_ids_may_have_no_rows() -> None:
    assert caught(made("stages/none.csv", b"subject_id\n")) == set()
    assert caught(made("stages/some.csv", b"subject_id\n17\n")) == {"ids"}


@pytest.mark.parametrize(
    "line",
    ["      path: /secure/raw", "- /secure/raw", "    url = /secure/remote", "  - path: ~/mimic", "deps: C:/mimic"],
    ids=["path", "item", "url", "home", "drive"],
)
def test_files_dvc_follows_hold_no_absolute_path(line: str) -> None:
    for path in ("dvc.lock", "stages/sources/dvc.lock", "params.yaml", ".dvc/config", "raw.dvc"):
        assert "paths" in in_text(f"stages:\n{line}\n", path)
    assert in_text("      path: data/raw\n    url = azure://chartcode/dvc\n", "dvc.lock") == set()


@pytest.mark.parametrize("key", ["account_key", "sas_token", "connection_string", "client_secret"])
def test_a_remote_keeps_no_key_in_git(key: str) -> None:
    assert "secrets" in in_text(f"    {key} = {SALT * 4}\n", ".dvc/config")


def test_locks_name_no_host() -> None:
    assert in_text("x==1 --hash=sha256:ab\n", "requirements/base.lock") == set()
    assert "hosts" in in_text("x @ https://files.example.org/x.whl\n", "requirements/base.lock")
    assert "hosts" in in_text('"resolved": "https://registry.example.org/x.tgz"', "tests/azurite/package-lock.json")
    assert in_text('"funding": {"url": "https://example.org"}', "tests/azurite/package-lock.json") == set()


@pytest.mark.parametrize(
    "text",
    ['{"a": {"n": 3}}', '{"patients": 10}', '{"rare_positives": 1}', '{"subject_id": 4}', '{"by": {"hadm_ids": 1}}',
     '{"example": "he was seen in clinic by his doctor today"}'],
)  # fmt: skip
def test_metrics_hold_aggregates_only(text: str) -> None:
    assert in_text(text, "metrics/tfidf/metrics.json") == {"metrics"}
    assert in_text(text, "docs/example.json") == set()


def test_metrics_of_many_patients_pass() -> None:
    assert in_text('{"n": 11, "patients": 0, "labels": 5, "p_at_5": 0.3}', "metrics/a/metrics.json") == set()
    assert in_text("n,positives\n11,12\n0,3.5\n", "metrics/a/plots/b.csv") == set()
    assert in_text("n,positives\n11,12\n20,3\n", "metrics/a/plots/b.csv") == {"metrics"}
    assert in_text("note_id,score\n", "metrics/a/plots/b.csv") == {"metrics"}
    assert "metrics" in in_text("hello", "metrics/a/notes.txt")
