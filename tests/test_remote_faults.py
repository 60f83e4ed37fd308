"""When the remote fails: what the check says in one line, that nothing is lost, and that the next push completes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chartcode import remote, seal
from tests.azurite import CONNECTION, KEY, Azurite, connection_string, free_port
from tests.checkouts import ENVIRONMENT, clone, commit, hear_interrupts, run, storage
from tests.conftest import ROOT

pytestmark = pytest.mark.remote
SOURCE = "synthetic"
OBJECTS = "dvc/files/md5/"
OTHER_KEY = KEY.replace("E", "F", 1)


@pytest.fixture(scope="module")
def azure() -> Iterator[Azurite]:
    with storage() as running:
        yield running


@pytest.fixture
def author(azure: Azurite, tmp_path: Path) -> Path:
    """A checkout with the committed remotes and one folder of 30 files that DVC tracks; the container is empty."""
    azure.empty("chartcode")
    folder = tmp_path / "author"
    (folder / "table").mkdir(parents=True)
    for number in range(30):
        seed = hashlib.sha256(str(number).encode()).digest()
        (folder / f"table/{number}.bin").write_bytes(seed * 2_000)
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    run(folder, "dvc", "add", "table")
    commit(folder)
    return folder


def login(text: str) -> dict[str, str]:
    return {CONNECTION: text}


def table(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "table").glob("*")}


def found(root: Path, login: str, monkeypatch: pytest.MonkeyPatch, write: bool = False) -> str:
    """What the check says of the remote, as one line without any secret."""
    monkeypatch.setenv(CONNECTION, login)
    finding = remote.examine(root, SOURCE, write)
    text = finding.text
    assert "\n" not in text
    assert not any(secret in text for secret in (KEY, OTHER_KEY, "sig=", "AccountKey"))
    return f"{finding.level}: {text.partition(f' by {CONNECTION}: ')[2]}"


def test_the_check_says_who_may_read_and_who_may_write_and_writes_nothing(
    author: Path, azure: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, guest = azure.connection_string, azure.shared_access("chartcode")
    assert found(author, member, monkeypatch) == "ok: may read"
    assert found(author, member, monkeypatch, write=True) == "ok: may read and write"
    assert found(author, guest, monkeypatch) == "ok: may read"
    refused = found(author, guest, monkeypatch, write=True)
    assert refused.startswith("missing: may read but not write; to push, ask the owner of the account for the role")
    assert azure.blobs("chartcode") == set()


def test_a_wrong_login_is_one_line_and_costs_nothing(
    author: Path, azure: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = connection_string(azure.port, OTHER_KEY)
    refused = f"login refused (AuthorizationFailure); unset {CONNECTION}, or set it anew"
    assert found(author, wrong, monkeypatch).startswith(f"missing: {refused}")
    assert "logged in, but may not read" in found(author, azure.shared_access("chartcode", "w"), monkeypatch)
    for malformed in ("nonsense", "AccountName=a;AccountKey=b"):
        monkeypatch.setenv(CONNECTION, malformed)
        assert "no usable login" in remote.examine(author, SOURCE).text
    assert "ErrorCode:AuthorizationFailure" in run(author, "dvc", "push", status=255, **login(wrong))
    assert pushed_and_pulled(author, azure)


def test_without_any_login_the_check_says_az_login(author: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(author))  # no az here
    finding = remote.examine(author, SOURCE, seconds=5)
    assert finding.level == "missing"
    assert "az login" in finding.text or "not reachable" in finding.text


def test_a_container_that_does_not_exist_is_named(
    author: Path, azure: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = author / ".dvc/config"
    config.write_text(config.read_text().replace("azure://chartcode/", "azure://nowhere/"))
    said = found(author, azure.connection_string, monkeypatch)
    assert said.startswith("missing: container nowhere does not exist; the owner of the account creates it")
    assert "No such container: 'nowhere'" in run(author, "dvc", "push", status=1, **login(azure.connection_string))
    shutil.rmtree(author / ".dvc/cache")
    shutil.rmtree(author / "table")
    said = run(author, "dvc", "pull", "--allow-missing", **login(azure.connection_string))
    assert "Everything is up to date" in said, "why `make pull` asks the check first: DVC alone calls this a success"


def test_nothing_listens(author: Path, azure: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    said = found(author, connection_string(free_port()), monkeypatch)
    assert said.startswith("missing: not reachable; offline, a proxy or firewall between, or another account is meant")


def test_a_push_that_the_network_cuts_off_is_completed_by_the_next(author: Path, azure: Azurite) -> None:
    with failing_link(azure.port, limit=700_000) as (port, dead):
        environment = ENVIRONMENT | login(connection_string(port))
        push = subprocess.Popen(
                ["dvc", "push", "-j", "2"], cwd=author, env=environment, start_new_session=True,
                preexec_fn=hear_interrupts,  # noqa: PLW1509  # it takes no lock
            )  # fmt: skip
        assert dead.wait(60)
        with pytest.raises(subprocess.TimeoutExpired):
            push.wait(3)  # DVC tries again for more than a minute; its user does not
        os.killpg(push.pid, signal.SIGINT)
        assert push.wait(120) != 0
    assert 0 < len(azure.blobs("chartcode")) < 31
    assert whole_folders(azure)
    assert pushed_and_pulled(author, azure)


def test_a_corrupt_blob_is_refused_and_a_good_copy_takes_its_place(author: Path, azure: Azurite) -> None:
    push, pull = ("dvc", "push"), ("dvc", "pull")
    azurite = login(azure.connection_string)
    run(author, *push, **azurite)
    container = azure.client.get_container_client("chartcode")
    name = next(name for name in sorted(azure.blobs("chartcode")) if not name.endswith(".dir"))
    damaged = bytearray(container.download_blob(name).readall())
    damaged[100] ^= 1
    container.upload_blob(name, bytes(damaged), overwrite=True)

    trusting, careful = (clone(author, author.parent / name) for name in ("trusting", "careful"))
    verify(trusting, "false")
    run(trusting, *pull, **azurite)
    assert table(trusting) != table(author), "without `verify` DVC hands out whatever lies there"
    verify(careful, "true")
    assert "Checkout failed for following targets:\ntable" in run(careful, *pull, status=1, **azurite)
    run(careful, *pull, "--allow-missing", **azurite)  # says nothing of it: not for `make pull`
    assert table(careful).items() <= table(author).items(), "what is there is right"

    run(author, *push, **azurite)
    assert container.download_blob(name).readall() == damaged, "DVC does not look at what it has pushed before"
    container.delete_blob(name)
    container.delete_blob(next(name for name in azure.blobs("chartcode") if name.endswith(".dir")))
    run(author, *push, **azurite)
    run(careful, *pull, **azurite)
    assert table(careful) == table(author)


def test_what_is_withdrawn_leaves_the_cache_and_the_remote(author: Path, azure: Azurite) -> None:
    here = login(azure.connection_string)
    run(author, "dvc", "push", **here)
    before = azure.blobs("chartcode")
    (author / "table/0.bin").unlink()
    run(author, "dvc", "add", "table")
    commit(author)
    run(author, "dvc", "push", **here)
    both = azure.blobs("chartcode")
    name = next(line.split()[0] for line in run(author, "dvc", "remote", "list").splitlines() if "azure://" in line)
    gc = ("dvc", "gc", "--workspace", "--cloud", "--remote", name)
    assert "Removed 2 objects from remote" in run(author, *gc, "--dry", **here)
    assert azure.blobs("chartcode") == both
    run(author, *gc, "--force", **here)
    assert before - azure.blobs("chartcode") == both - azure.blobs("chartcode"), "the old .dir and the file"
    assert len(before - azure.blobs("chartcode")) == 2
    assert pushed_and_pulled(author, azure)


def test_the_run_cache_of_a_restricted_run_sends_hashes_and_no_data(author: Path, azure: Azurite) -> None:
    """`dvc push --run-cache` goes to the default remote; what a run on another source made must not go with it."""
    here = login(azure.connection_string)
    stage = (
        "stages:\n  s:\n    cmd: mkdir -p out && cp in out/a\n    deps: [in]\n    outs:\n    - out:\n        remote: "
    )
    for source, text in (("mimic-iv", "a patient"), ("synthetic", "invented")):
        (author / "dvc.yaml").write_text(f"{stage}{source}\n")
        (author / "in").write_text(text)
        run(author, "dvc", "repro")
        run(author, "dvc", "push", "--run-cache", **here)
    container = azure.client.get_container_client("chartcode")
    blobs = {name: container.download_blob(name).readall() for name in azure.blobs("chartcode")}
    assert sum("/runs/" in name for name in blobs) == 2
    assert any(b"invented" in content for content in blobs.values())
    assert not any(b"a patient" in content for content in blobs.values())


def verify(folder: Path, value: str) -> None:
    for line in run(folder, "dvc", "remote", "list").splitlines():
        if "azure://" in line:
            run(folder, "dvc", "remote", "modify", "--local", line.split()[0], "verify", value)


def pushed_and_pulled(author: Path, azure: Azurite) -> bool:
    """Whether a push completes now, and a fresh clone pulls what the author has."""
    run(author, "dvc", "push", **login(azure.connection_string))
    teammate = clone(author, author.parent / "teammate")
    run(teammate, "dvc", "pull", **login(azure.connection_string))
    return table(teammate) == table(author)


def whole_folders(azure: Azurite) -> bool:
    """Whether every folder that the remote lists has all its files there (DVC does not look again)."""
    names = azure.blobs("chartcode")
    container = azure.client.get_container_client("chartcode")
    listed = {
        entry["md5"]
        for name in names
        if name.endswith(".dir")
        for entry in json.loads(container.download_blob(name).readall())
    }
    return all(f"{OBJECTS}{md5[:2]}/{md5[2:]}" in names for md5 in listed)


@contextmanager
def failing_link(port: int, limit: int) -> Iterator[tuple[int, threading.Event]]:
    """A way to `port` that breaks, for good, when `limit` bytes were sent; its own port, and the event of breaking."""
    server = socket.create_server(("127.0.0.1", 0))
    dead, ends, left = threading.Event(), [server], [limit]

    def carry(source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(16_384):
                left[0] -= len(data) * counted
                if left[0] < 0:
                    cut()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut() -> None:
        dead.set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1], dead
    finally:
        cut()


def test_a_sealed_checkout_reaches_no_public_container_by_any_command(
    tmp_path: Path, azure: Azurite, author: Path
) -> None:
    """Lock and params disagree, a file is added by hand, an old commit is pushed: nothing of it arrives."""
    seal.seal(author)
    before = azure.blobs("chartcode")
    secret = author / "sample.txt"
    secret.write_text("a note")
    run(author, "dvc", "remote", "modify", "--local", "mimic-iv", "url", str(tmp_path / "mine"))
    for remote_of_out in ("synthetic", "mimic-iv"):
        (author / "dvc.yaml").write_text(
            f"stages:\n  made:\n    cmd: cp sample.txt out\n    outs:\n    - out:\n        remote: {remote_of_out}\n"
        )
        run(author, "dvc", "repro", "made", "--force")
        commit(author)
        for options in ((), ("--all-commits",), ("--run-cache",), ("-r", "synthetic"), ("-r", "codiesp")):
            subprocess.run(
                ["dvc", "push", *options],
                cwd=author,
                env=ENVIRONMENT | login(azure.connection_string),
                capture_output=True,
            )
    subprocess.run(
        ["dvc", "gc", "--workspace", "--cloud", "--force"],
        cwd=author,
        env=ENVIRONMENT | login(azure.connection_string),
        capture_output=True,
    )
    assert azure.blobs("chartcode") == before
