"""Credentialed data and public containers: what `make push` refuses before anything is contacted."""

from __future__ import annotations

import configparser
import re
import typing
from pathlib import Path

import pytest

from chartcode import seal
from chartcode.errors import DataError
from chartcode.guard import restricted as guarded
from chartcode.params import DataParams
from chartcode.sources import mimic
from tests.conftest import ROOT

LOCK = """schema: '2.0'
stages:
  bronze:
    cmd: python -m stages.bronze
    params:
      params.yaml:
        data.source: {source}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The committed DVC configuration and a lock made of the synthetic hospital."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_bytes((ROOT / ".dvc/config").read_bytes())
    made_of(tmp_path, "synthetic")
    return tmp_path


def made_of(root: Path, source: str) -> None:
    (root / "dvc.lock").write_text(LOCK.format(source=source))


def local(root: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(root / ".dvc/config.local")
    return config


def restricted(root: Path, **settings: str) -> None:
    config = local(root)
    config.read_dict({"'remote \"mimic-iv\"'": settings})
    with (root / ".dvc/config.local").open("w") as file:
        config.write(file)


def test_every_source_is_public_or_restricted_wherever_it_is_named() -> None:
    sources = typing.get_args(DataParams.model_fields["source"].annotation)
    assert sorted(sources) == sorted([*seal.PUBLIC, seal.RESTRICTED])
    assert set(seal.PUBLIC) == guarded.OPEN
    assert mimic.FOLDER.name == seal.RESTRICTED


def test_public_data_need_no_seal(root: Path) -> None:
    seal.refuse_mixing(root, "synthetic")
    (root / "dvc.lock").unlink()
    seal.refuse_mixing(root, "codiesp")


@pytest.mark.parametrize(("lock", "params"), [("mimic-iv", "synthetic"), ("synthetic", "mimic-iv")])
def test_a_lock_of_another_source_is_refused_sealed_or_not(root: Path, lock: str, params: str) -> None:
    made_of(root, lock)
    for _ in range(2):
        with pytest.raises(DataError, match=rf"^dvc\.lock: made of {lock}, but params\.yaml says {params}; "):
            seal.refuse_mixing(root, params)
        seal.seal(root)


def test_credentialed_data_need_the_seal(root: Path) -> None:
    made_of(root, "mimic-iv")
    with pytest.raises(DataError, match="is not sealed; run `chartcode seal`"):
        seal.refuse_mixing(root, "mimic-iv")
    seal.seal(root)
    seal.refuse_mixing(root, "mimic-iv")


def test_a_checkout_that_links_credentialed_data_needs_the_seal_for_public_data_too(root: Path) -> None:
    (root / "data/raw/mimic-iv").mkdir(parents=True)
    with pytest.raises(DataError, match="is not sealed"):
        seal.refuse_mixing(root, "synthetic")


@pytest.mark.parametrize("settings", [{}, {"account_name": "chartcodeprivate"}, {"account_name": "another"}])
def test_the_public_container_is_no_restricted_one_whatever_the_account(root: Path, settings: dict[str, str]) -> None:
    made_of(root, "mimic-iv")
    seal.seal(root)
    restricted(root, url="azure://chartcode/locked", **settings)
    with pytest.raises(DataError, match="names the container of public data"):
        seal.refuse_mixing(root, "mimic-iv")
    restricted(root, url="azure://restricted/dvc")
    seal.refuse_mixing(root, "mimic-iv")


def test_sealing_keeps_what_stands_and_can_be_done_again(root: Path) -> None:
    restricted(root, url="azure://restricted/dvc", sas_token="a%2Bb")
    for _ in range(2):
        seal.seal(root)
        config = local(root)
        assert config["'remote \"mimic-iv\"'"]["sas_token"] == "a%2Bb"
        assert config["core"]["remote"] == "mimic-iv"
        assert seal.is_sealed(root)


@pytest.mark.parametrize("name", ["dvc.lock", "stages/sources/dvc.lock", ".dvc/config", ".dvc/config.local"])
def test_a_damaged_file_is_one_line_that_names_it(root: Path, name: str) -> None:
    (root / "data/raw/mimic-iv").mkdir(parents=True)
    seal.seal(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("<<<<<<< ours\n: [\n")
    with pytest.raises(DataError, match=rf"^\S*{re.escape(name)}: not? [^\n]+$"):
        seal.refuse_mixing(root, "synthetic")
