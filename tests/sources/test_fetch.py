"""Fetching CodiEsp: only what was pinned arrives, it arrives whole, and nothing that lies there is overwritten."""

from __future__ import annotations

import hashlib
import http.server
import io
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.sources import codiesp, fetch

PUBLISHED = Path(__file__).resolve().parents[2] / "../shared/data/codiesp"


def members() -> dict[str, bytes]:
    """A small corpus as Zenodo's zip holds it, background set included."""
    top = codiesp.PUBLISHED
    files = {f"{top}/README.txt": b"CodiEsp", f"{top}/background/text_files/B-1.txt": b"unlabelled"}
    for split in codiesp.SPLIT_OF:
        for texts in codiesp.TEXTS.values():
            files[f"{top}/{split}/{texts}/{split}-1.txt"] = f"Caso {split} ñ\n".encode()
        for kind in "DPX":
            files[f"{top}/{split}/{split}{kind}.tsv"] = f"{split}-1\ti10\n".encode() if kind == "D" else b""
    return files


def zipped(files: dict[str, bytes], *extra: zipfile.ZipInfo) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        for info in extra:
            archive.writestr(info, b"/etc/hostname")
    return stream.getvalue()


class Mirror:
    """A web server on this machine that serves one body."""

    def __init__(self) -> None:
        self.body, self.status, self.promise = b"", 200, None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                handler.send_response(self.status)
                handler.send_header("Content-Length", str(self.promise or len(self.body)))
                handler.end_headers()
                handler.wfile.write(self.body)

            def log_message(handler, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/codiesp.zip?download=1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    one = Mirror()
    yield one
    one.server.shutdown()
    one.server.server_close()


def release(mirror: Mirror, tmp_path: Path, md5: str | None = None) -> fetch.Release:
    """What the mirror ought to serve: digests of the unspoiled corpus."""
    good = tmp_path / "good"
    if not good.exists():
        for name, body in members().items():
            path = good / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    contents = {split: fetch.contents_digest(good / codiesp.PUBLISHED, split) for split in ("train", "dev")}
    return fetch.Release(mirror.url, md5, contents)


def test_the_corpus_arrives_whole_without_the_background_set(mirror: Mirror, tmp_path: Path) -> None:
    mirror.body = zipped(members())
    target = tmp_path / "external/codiesp"
    fetch.fetch(release(mirror, tmp_path, "md5:" + hashlib.md5(mirror.body).hexdigest()), target)
    files = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    top = len(codiesp.PUBLISHED) + 1
    assert files == {name[top:]: body for name, body in members().items() if "background" not in name}
    assert codiesp.locate(target) == target
    assert [p.name for p in target.parent.iterdir()] == ["codiesp"]


def spoil_note() -> bytes:
    files = members()
    files[f"{codiesp.PUBLISHED}/train/text_files/train-1.txt"] = b"another note"
    return zipped(files)


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (spoil_note(), "train is not the published CodiEsp v4"),
        (zipped(members(), entry("../outside.txt")), "leads outside"),
        (zipped(members(), entry("/etc/outside.txt")), "leads outside"),
        (zipped(members(), entry("a/../../outside.txt")), "leads outside"),
        (zipped(members(), entry("..\\outside.txt")), "leads outside"),
        (zipped(members(), entry("C:/outside.txt")), "leads outside"),
        (zipped(members(), entry("train/link", stat.S_IFLNK | 0o777)), "holds a link"),
        (zipped(members())[:-40], "not a whole zip"),
        (b"<html>try later</html>", "not a whole zip"),
        (zipped({"readme.txt": b"wrong zip"}), "holds no train, dev and test"),
    ],
)
def test_a_spoiled_zip_leaves_nothing_behind(mirror: Mirror, tmp_path: Path, body: bytes, message: str) -> None:
    mirror.body = body
    target = tmp_path / "data/external/codiesp"
    with pytest.raises(DataError, match=message) as error:
        fetch.fetch(release(mirror, tmp_path), target)
    assert "\n" not in str(error.value)
    assert not list(target.parent.iterdir())
    assert not (tmp_path / "data/outside.txt").exists()
    assert not (tmp_path / "outside.txt").exists()


def test_a_zip_with_another_md5_is_refused_before_it_is_opened(mirror: Mirror, tmp_path: Path) -> None:
    mirror.body = zipped(members())
    with pytest.raises(DataError, match="md5 differs"):
        fetch.fetch(release(mirror, tmp_path, "0" * 32), tmp_path / "codiesp")


def test_a_broken_download_says_how_to_do_it_by_hand(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 404
    with pytest.raises(DataError, match=r"answered 404; .* --from FOLDER"):
        fetch.fetch(release(mirror, tmp_path), tmp_path / "codiesp")
    mirror.status, mirror.body, mirror.promise = 200, zipped(members()), 1 << 20
    with pytest.raises(DataError, match=r"could not be downloaded|broke off"):
        fetch.fetch(release(mirror, tmp_path), tmp_path / "codiesp")
    silent = fetch.Release("http://127.0.0.1:9/codiesp.zip", None, {})
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch.fetch(silent, tmp_path / "codiesp")
    assert not (tmp_path / "codiesp").exists()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://example.org/codiesp.zip", "ftp://127.0.0.1/x.zip"])
def test_only_https_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="only https"):
        fetch.fetch(fetch.Release(url, None, {}), tmp_path / "codiesp")


def test_too_large_a_zip_is_refused(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.body = zipped(members())
    monkeypatch.setattr(fetch, "LARGEST_ZIP", 100)
    with pytest.raises(DataError, match="larger than"):
        fetch.fetch(release(mirror, tmp_path), tmp_path / "codiesp")
    monkeypatch.undo()
    monkeypatch.setattr(fetch, "LARGEST_UNPACKED", 10)
    with pytest.raises(DataError, match="unpacks to more than"):
        fetch.fetch(release(mirror, tmp_path), tmp_path / "codiesp")


@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_what_lies_there_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "codiesp"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("kept")
    else:
        target.symlink_to(tmp_path if kind == "link" else tmp_path / "gone")
    with pytest.raises(DataError, match=r"already"):
        fetch.fetch(fetch.Release("https://127.0.0.1:9/x.zip", None, {}), target)
    assert target.is_symlink() or (target / "mine.txt").read_text() == "kept"


def test_a_folder_on_disk_is_linked_after_a_look_inside(tmp_path: Path) -> None:
    for name, body in members().items():
        path = tmp_path / "disk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    target = tmp_path / "data/external/codiesp"
    fetch.link(tmp_path / "disk", target)
    assert target.resolve() == (tmp_path / "disk" / codiesp.PUBLISHED).resolve()
    fetch.link(tmp_path / "disk", target)  # again: the same link is no error
    shutil.copytree(tmp_path / "disk", tmp_path / "other")
    with pytest.raises(DataError, match="is a link already"):
        fetch.link(tmp_path / "other", target)
    with pytest.raises(DataError, match="holds no train, dev and test"):
        fetch.link(tmp_path, tmp_path / "elsewhere")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="CodiEsp is not beside the project")
def test_the_pins_are_those_of_the_published_splits(tmp_path: Path) -> None:
    assert fetch.contents_digest(PUBLISHED, "train") == fetch.CODIESP.contents["train"]
    dev = tmp_path / "dev"  # beside the project the official dev is halved into dev and test
    for texts in codiesp.TEXTS.values():
        (dev / texts).mkdir(parents=True)
        for half in ("dev", "test"):
            for path in (PUBLISHED / half / texts).iterdir():
                shutil.copyfile(path, dev / texts / path.name)
    for kind in "DPX":
        halves = [(PUBLISHED / half / f"{half}{kind}.tsv").read_bytes() for half in ("dev", "test")]
        (dev / f"dev{kind}.tsv").write_bytes(b"".join(halves))
    assert fetch.contents_digest(tmp_path, "dev") == fetch.CODIESP.contents["dev"]
