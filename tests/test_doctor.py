"""The doctor: says what a run lacks before it is started, shows no secret, and never fails on what it finds."""

from __future__ import annotations

import configparser
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chartcode import cli, doctor, seal
from chartcode.errors import DataError
from chartcode.sources import mimic
from chartcode.tables.schemas import RAW_TABLES

ROOT = Path(__file__).resolve().parents[1]
SECRET = "c2VjcmV0"


OPEN = {"url": "azure://box/dvc", "account_name": "ours"}


def put_remotes(path: Path, remotes: dict[str, dict[str, str]]) -> None:
    config = configparser.ConfigParser(interpolation=None)
    config.read_dict({f"'remote \"{name}\"'": settings for name, settings in remotes.items()})
    with path.open("w") as file:
        config.write(file)


def checkout(folder: Path, source: str) -> Path:
    """A small checkout: params, pins, a DVC config, a git repository."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(f"data:\n  source: {source}\n  max_patients: null\n")
    (folder / "pyproject.toml").write_text('[project]\ndependencies = ["numpy==2.*"]\n')
    (folder / ".dvc").mkdir()
    remotes = {"synthetic": OPEN, "codiesp": OPEN, "mimic-iv": {"url": "../data/private/remote"}}
    put_remotes(folder / ".dvc/config", remotes)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def hospital(folder: Path, *, rows: bool = True) -> Path:
    for raw in RAW_TABLES.values():
        path = folder / raw.path
        path.parent.mkdir(parents=True, exist_ok=True)
        row = "1" + "," * (len(raw.columns) - 1) + "\n" if rows else ""
        path.write_bytes(gzip.compress((",".join(raw.header) + "\n" + row).encode()))
    return folder


def said(root: Path, environment: dict[str, str] | None = None) -> dict[str, list[tuple[str, str]]]:
    findings = doctor.examine(root, {"HOME": str(root)} | (environment or {}))
    topics: dict[str, list[tuple[str, str]]] = {}
    for finding in findings:
        assert "\n" not in finding.text
        topics.setdefault(finding.topic, []).append((finding.level, finding.text))
    return topics


def test_a_source_that_dvc_builds_lacks_nothing(tmp_path: Path) -> None:
    found = said(checkout(tmp_path / "repo", "synthetic"))
    assert not [f for topic in found.values() for f in topic if f[0] == "missing"]
    assert "is not built yet" in found["files"][0][1]


def test_a_linked_hospital_is_fit_and_its_release_is_named(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    disk = hospital(tmp_path / "disk")
    mimic.link(disk, disk, target=root / "data/raw/mimic-iv")
    found = said(root)
    assert [level for level, _ in found["files"]] == ["ok"]
    assert "none of PhysioNet's (1 patients, 1 admissions)" in found["release"][0][1]


def test_a_dangling_link_is_missing_with_the_remedy(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    disk = hospital(tmp_path / "disk")
    mimic.link(disk, disk, target=root / "data/raw/mimic-iv")
    shutil.move(disk, tmp_path / "moved")
    found = said(root)["files"]
    assert all(level == "missing" for level, _ in found)
    assert "patients.csv.gz: dangling link; run `chartcode link-mimic` again" in " ".join(text for _, text in found)


def test_nothing_linked_says_how_to_link(tmp_path: Path) -> None:
    found = said(checkout(tmp_path / "repo", "mimic-iv"))["files"]
    assert found[-1] == ("missing", "run `chartcode link-mimic --note DIR --hosp DIR`")


def test_tables_without_rows_are_told_apart(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    disk = hospital(tmp_path / "disk")
    for name in ("discharge", "prescriptions"):
        (disk / RAW_TABLES[name].path).unlink()
    (disk / "note/discharge.csv.gz").parent.rmdir()
    mimic.link(None, disk, target=root / "data/raw/mimic-iv")
    found = said(root)["files"]
    assert ("missing", "without rows: discharge; bronze runs, but no coder can be trained") in found
    assert ("ok", "header only, reported as absent: prescriptions") in found


@pytest.mark.parametrize(
    "content",
    [b"", b"plain text\n", gzip.compress(b"x" * 10_000, mtime=0)[:40]],
    ids=["empty", "plain", "cut"],  # never the bytes: what is collected must not change from process to process
)
def test_a_spoiled_file_is_missing_not_a_crash(tmp_path: Path, content: bytes) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    hospital(root / "data/raw/mimic-iv")
    (root / "data/raw/mimic-iv/hosp/patients.csv.gz").write_bytes(content)
    assert any(level == "missing" and "patients.csv.gz" in text for level, text in said(root)["files"])


def test_a_header_with_line_ends_of_an_old_mac_is_one_missing_file(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    hospital(root / "data/raw/mimic-iv")
    raw = RAW_TABLES["patients"]
    rows = (",".join(raw.header) + "\r" + "secret," * (len(raw.header) - 1) + "\r").encode()
    (root / "data/raw/mimic-iv" / raw.path).write_bytes(gzip.compress(rows))
    named = [(level, text) for level, text in said(root)["files"] if "patients.csv.gz" in text]
    assert [level for level, _ in named] == ["missing"]
    assert "secret" not in str(named)


def test_folders_in_the_place_of_files_are_findings(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    hospital(root / "data/raw/mimic-iv")
    for name in ("data/raw/mimic-iv/hosp/patients.csv.gz", "pyproject.toml", ".dvc/config"):
        (root / name).unlink()
        (root / name).mkdir()
    (root / "data/raw/mimic-iv/manifest.json").mkdir()
    found = said(root)
    assert any(level == "missing" and "patients.csv.gz" in text for level, text in found["files"])
    assert (found["packages"][0][0], found["remote"][0][0]) == ("warning", "missing")
    assert "disk" in found


def test_a_check_that_fails_is_a_line_and_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a cell\nof a patient")

    root = checkout(tmp_path / "repo", "synthetic")
    whole = said(root)
    for name in ("_packages", "_git", "_remote", "_login", "_source", "_gpu", "_cost"):
        with monkeypatch.context() as patch:
            patch.setattr(doctor, name, fail)
            found = said(root)
        assert "a cell" not in str(found)
        assert "(RuntimeError)" in str(found)
        assert len(found.keys() & whole.keys()) >= len(whole) - 1


def test_codiesp_without_its_corpus_says_how_to_fetch_it(tmp_path: Path) -> None:
    found = said(checkout(tmp_path / "repo", "codiesp"))["source"]
    assert any(level == "missing" and "chartcode fetch codiesp" in text for level, text in found)


def test_a_connection_string_that_redirects_is_a_warning_without_its_key(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    text = f"DefaultEndpointsProtocol=https;AccountName=theirs;AccountKey={SECRET};"
    found = said(root, {doctor.CONNECTION: text})
    assert found["remote"][0] == ("ok", "synthetic: azure://box/dvc, account ours")
    assert found["remote"][1][0] == "warning"
    assert "account theirs" in found["remote"][1][1]
    assert SECRET not in str(found)


def test_credentialed_data_stay_here_until_a_restricted_remote_is_named(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    found = said(root)
    assert found["remote"][0][0] == "ok"
    assert "a folder on this machine" in found["remote"][0][1]
    assert "login" not in found
    put_remotes(root / ".dvc/config.local", {"mimic-iv": {"url": "azure://locked/dvc", "account_name": "ours"}})
    assert said(root)["remote"] == [("ok", "mimic-iv: azure://locked/dvc, account ours")]
    assert "login" in said(root)


def test_an_unsealed_checkout_of_credentialed_data_is_missing_its_seal(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    ((level, text),) = said(root)["sealing"]
    assert (level, "chartcode seal" in text) == ("missing", True)
    seal.seal(root)
    assert said(root)["sealing"] == [("ok", "sealed: nothing goes to a public container")]
    assert "sealing" not in said(checkout(tmp_path / "public", "synthetic"))


def test_a_source_without_a_remote_of_its_name_is_missing_it(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    put_remotes(root / ".dvc/config", {"codiesp": OPEN})
    assert said(root)["remote"] == [("missing", ".dvc/config: no remote synthetic; DVC needs one of that name to run")]


@pytest.mark.parametrize("name", ["config", "config.local"])
@pytest.mark.parametrize("content", [f"sas_token = {SECRET}\n<<<<<<< ours\n".encode(), b"\xff"], ids=["text", "bytes"])
def test_a_damaged_configuration_is_missing_not_a_crash(tmp_path: Path, name: str, content: bytes) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    (root / ".dvc" / name).write_bytes(content)
    found = said(root)
    assert found["remote"] == [("missing", f"{root / '.dvc' / name}: not a configuration of DVC; mend it")]
    assert "disk" in found
    assert SECRET not in str(found)


def test_secrets_of_the_local_config_are_used_but_not_shown(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    assert said(root)["login"][0][0] == "warning"
    (root / ".dvc/config.local").write_text(f"['remote \"synthetic\"']\n    sas_token = {SECRET}%2B\n")
    found = said(root)
    assert found["login"] == [("ok", "SAS token at hand (not tried)")]
    assert SECRET not in str(found)


def test_az_login_is_seen(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    (root / ".azure").mkdir()
    (root / ".azure/msal_token_cache.json").write_text("{}")
    assert said(root)["login"] == [("ok", "az login at hand (not tried)")]


def test_versions_are_held_against_the_pins(tmp_path: Path) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    (root / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy==1.0.*", "no-such-package==1.*", "pyarrow>=1"]\n'
        '[project.optional-dependencies]\nneural = ["no-such-extra==2.0"]\n'
    )
    found = said(root)["packages"]
    assert any(level == "warning" and "(pinned 1.0.*)" in text for level, text in found)
    assert ("missing", "not installed: no-such-package; run `make install`") in found


ATLANTIS = b"data:\n  source: atlantis\n  max_patients: null\n"


@pytest.mark.parametrize("params", [None, "folder", b"data: [", ATLANTIS, b"data:\n  source: \xff\xfe\n", b"\x00", b""])
def test_broken_params_are_a_finding_and_status_1(
    tmp_path: Path, params: bytes | str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    (root / "params.yaml").unlink()
    if params == "folder":
        (root / "params.yaml").mkdir()
    elif isinstance(params, bytes):
        (root / "params.yaml").write_bytes(params)
    (finding,) = said(root)["source"]
    assert finding[0] == "missing" and "params.yaml" in finding[1]
    monkeypatch.chdir(root)
    assert cli.main(["doctor"]) == 1
    assert "missing  source" in capsys.readouterr().out


def test_an_empty_folder_is_no_crash(tmp_path: Path) -> None:
    found = said(tmp_path)
    assert found["git"][0][0] == found["source"][0][0] == "missing"


def test_missing_things_end_in_one_line() -> None:
    doctor.refuse_missing([doctor.Finding("warning", "login", "none")])
    with pytest.raises(DataError, match=r"^doctor: 2 missing \(files, git\)"):
        doctor.refuse_missing([doctor.Finding("missing", topic, "") for topic in ("files", "git")])


def test_hours_and_disk_grow_with_the_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout(tmp_path / "repo", "mimic-iv")
    hospital(root / "data/raw/mimic-iv")
    assert "hours" not in said(root)  # a file of a hundred bytes is no note
    monkeypatch.setattr(doctor, "BYTES_PER_NOTE", 1)
    assert "notes (guessed from the size of discharge.csv.gz)" in said(root)["hours"][0][1]
    monkeypatch.setattr(doctor, "DISK_FACTOR", 10**15)
    assert said(root)["disk"][0][0] == "missing"


def test_a_machine_without_torch_or_with_one_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = checkout(tmp_path / "repo", "synthetic")
    (tmp_path / "torch.py").write_text(
        "class cuda:\n"
        "    is_available = staticmethod(lambda: True)\n"
        "    device_count = staticmethod(lambda: 2)\n"
        "    get_device_name = staticmethod(lambda i: f'Card {i}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    try:
        assert said(root)["gpu"] == [("ok", "Card 0, Card 1")]
    finally:
        sys.modules.pop("torch", None)  # the stand-in; a real one that was loaded comes back with monkeypatch


def test_this_checkout_is_examined_without_a_crash() -> None:
    assert doctor.report(doctor.examine(ROOT)).count("\n") >= 8
