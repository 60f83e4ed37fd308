"""Azure Blob Storage on this machine: Azurite, from npm, for as long as one command or one test session runs.

Run   python -m tests.azurite [COMMAND ...]      (default: your shell; the exit status is the command's)

In it AZURE_STORAGE_CONNECTION_STRING points to Azurite and wins over the account of `.dvc/config`, so the committed
remote, `dvc push` and `make pull` work as they would on Azure. Everything is gone when the command ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "tests/azurite"  # package.json and package-lock.json
FOLDER = ROOT / ".azurite"  # where npm installs; ignored by Git
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
ACCOUNT = "devstoreaccount1"
# No secret: the one key every Azurite has, published by Microsoft. In parts, so that scanners do not take it for one.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4" + "I6tq/K1SZFPTOtr/KBHBeksoGMGw=" + "="
INSTALL_SECONDS = 600
START_SECONDS = 60


class AzuriteError(Exception):
    """Azurite cannot be had here: one line, with the reason. `absent`: there is no Node or npm at all."""

    def __init__(self, message: str, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


@dataclass(frozen=True)
class Azurite:
    """A running Azurite: its port, and the folder its blobs lie in."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        """URL of the account's blob service."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What DVC and the SDK log in with, by the account's key: may do everything."""
        return connection_string(self.port)

    @property
    def client(self) -> BlobServiceClient:
        """The SDK's client, to look behind DVC's back."""
        return BlobServiceClient.from_connection_string(self.connection_string)

    def create(self, container: str) -> None:
        """Create a container (DVC does not)."""
        self.client.create_container(container)

    def empty(self, container: str) -> None:
        """Delete every blob of a container."""
        client = self.client.get_container_client(container)
        for name in list(client.list_blob_names()):
            client.delete_blob(name)

    def blobs(self, container: str) -> set[str]:
        """Names of all blobs of a container."""
        return set(self.client.get_container_client(container).list_blob_names())

    def shared_access(self, container: str, permission: str = "rl") -> str:
        """A connection string that holds no key but a SAS of one hour for one container; `rl` = read and list."""
        token = generate_container_sas(
            ACCOUNT,
            container,
            account_key=KEY,
            permission=ContainerSasPermissions.from_string(permission),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"BlobEndpoint={self.endpoint};SharedAccessSignature={token}"


def connection_string(port: int, key: str = KEY) -> str:
    """A connection string by account key to whatever listens at a port of this machine."""
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={endpoint};"


def install() -> Path:
    """The azurite-blob program, installed by `npm ci` from the lock when it is not there yet, or is another one."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise AzuriteError("Azurite needs Node 20 or newer and npm, and one of them is not installed", absent=True)
    FOLDER.mkdir(exist_ok=True)
    program = FOLDER / "node_modules/.bin/azurite-blob"
    with (FOLDER / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        done = FOLDER / "installed.json"  # written last: the lock that was installed
        wanted = (PINS / "package-lock.json").read_bytes()
        if program.exists() and done.is_file() and done.read_bytes() == wanted:
            return program
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINS / name, FOLDER / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        try:
            made = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AzuriteError(
                f"npm did not install Azurite in {INSTALL_SECONDS} s; is the npm registry near?"
            ) from error
        if made.returncode:
            codes = [line.split()[-1] for line in made.stderr.splitlines() if line.startswith("npm error code")]
            raise AzuriteError(f"npm could not install Azurite ({codes[0] if codes else 'no code'}); is npm online?")
        done.write_bytes(wanted)
    return program


@contextmanager
def azurite(containers: Sequence[str] = ()) -> Iterator[Azurite]:
    """A fresh Azurite with these containers on a free loopback port; stopped, and its blobs deleted, at the end."""
    program = install()
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        port = free_port()
        said = Path(folder) / "said"
        command = [program, "--location", folder, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        # The SDK speaks a newer API version than any Azurite; what DVC needs of it has not changed.
        command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        with said.open("w") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder, start_new_session=True)
        try:
            _wait(process, port, said)
            running = Azurite(port, Path(folder))
            for container in containers:
                running.create(container)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A TCP port of this machine that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    """Until Azurite refuses an anonymous listing, which is how it says that it is up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            reason = " ".join(said.read_text(errors="replace").split())[-200:]
            raise AzuriteError(f"Azurite ended at once with status {process.returncode}: {reason}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{ACCOUNT}?comp=list", timeout=5).close()
        except urllib.error.HTTPError as error:
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AzuriteError(f"Azurite did not answer within {START_SECONDS} s")


def containers_of(config: Path = ROOT / ".dvc/config") -> list[str]:
    """The containers that a DVC config names in azure:// URLs."""
    urls = [line.split("=", 1)[1].strip() for line in config.read_text().splitlines() if line.strip().startswith("url")]
    return sorted({url.removeprefix("azure://").split("/")[0] for url in urls if url.startswith("azure://")})


def main(command: Sequence[str]) -> int:
    """Run a command, or a shell, with a fresh Azurite behind the committed remotes; its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that Azurite is stopped, too
    try:
        with azurite(containers_of()) as running:
            environment = {**os.environ, CONNECTION: running.connection_string}
            return subprocess.run(list(command) or [os.environ.get("SHELL", "sh")], env=environment).returncode
    except AzuriteError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
