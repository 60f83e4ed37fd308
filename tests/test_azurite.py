"""The storage account that the tests of the remote stand on starts, stops, and says why when it cannot."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import azurite
from tests.checkouts import run, storage
from tests.conftest import ROOT

pytestmark = pytest.mark.remote


def test_a_command_runs_with_the_committed_remotes_behind_it_and_keeps_its_exit_status() -> None:
    with storage():
        pass  # skips where Azurite cannot be had
    lists = (
        "import os, sys; from azure.storage.blob import BlobServiceClient as Service;"
        f"service = Service.from_connection_string(os.environ['{azurite.CONNECTION}']);"
        "print([c.name for c in service.list_containers()], service.url); sys.exit(7)"
    )
    said = run(ROOT, sys.executable, "-m", "tests.azurite", sys.executable, "-c", lists, status=7)
    assert str(azurite.containers_of()) in said
    url = re.search(r"http://127\.0\.0\.1:\d+/", said)
    assert url
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url[0])


def test_every_package_is_pinned_by_hash_and_no_host_is_named() -> None:
    lock = (azurite.PINS / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('    "node_modules/')


def test_without_npm_it_is_one_line_and_known_as_absence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(azurite.AzuriteError, match=r"^Azurite needs Node 20 or newer and npm.*$") as caught:
        azurite.install()
    assert caught.value.absent


def test_npm_offline_is_one_line_and_leaves_nothing_that_passes_for_an_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(azurite, "FOLDER", tmp_path / "azurite")
    offline = f"http://127.0.0.1:{azurite.free_port()}/"
    for name, value in {"registry": offline, "cache": str(tmp_path / "cache"), "fetch_retry_mintimeout": "10"}.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    for _ in range(2):
        with pytest.raises(
            azurite.AzuriteError, match=r"^npm could not install Azurite \(.*\); is npm online\?$"
        ) as no:
            azurite.install()
        if no.value.absent:
            pytest.skip(str(no.value))
