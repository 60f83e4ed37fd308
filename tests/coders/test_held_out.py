"""Labels of test reach no weight and no score: every coder's stage, run with these labels in order and shuffled."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from chartcode.artifacts import MANIFEST, writing
from chartcode.coders.known import CODERS
from tests.coders.cases import CODES, cases
from tests.conftest import ROOT
from tests.evaluation.conftest import write_gold

SPLIT = np.repeat(["train", "val", "test"], [160, 50, 40])
STAGES = ("encoder", *(name for name in CODERS if name != "ensemble"), "ensemble")
SMALL = {
    "tfidf": {"min_df": 2},
    "laat": {"max_words": 60, "min_df": 2, "embedding": 8, "hidden": 8, "projection": 8, "epochs": 1},
    "transformer": {"tiny_pieces": 200, "tiny_hidden": 32, "max_tokens": 64, "projection": 8, "epochs": 1},
    "boosted": {"max_tokens": 64, "trees": 5, "min_leaf": 5},
}


def made(folder: Path, shuffled: bool) -> Path:
    """A hospital of 250 notes in which every stage of a coder can run."""
    notes = cases(len(SPLIT), 1)
    batch = pa.Table.from_batches(notes.read(["text", "sections", "edits"])).combine_chunks()
    truth = notes.labels.toarray()
    if shuffled:
        test = np.flatnonzero(SPLIT == "test")
        truth[test] = truth[np.random.default_rng(1).permutation(test)]
    write_gold(folder, truth, SPLIT, list(CODES))
    ids = np.arange(len(SPLIT))
    about = {
        "hadm_id": 20_000 + ids,
        "age": pa.array(ids % 90, pa.int16()),
        "sex": np.where(ids % 2, "F", "M").tolist(),
    }
    with writing(folder / "data/silver", "synthetic") as writer:
        for name, column in about.items():
            batch = batch.append_column(name, pa.array(column))
        writer.parquet("notes.parquet", batch)
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for section, change in SMALL.items():
        params[section] |= change
    YAML(typ="safe").dump(params, folder / "params.yaml")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """What the stages wrote; a manifest names the gold that was read."""
    places = [*folder.glob("models/**/*"), *folder.glob("data/scores/**/*")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in places
        if path.is_file() and path.name != MANIFEST
    }


@pytest.mark.slow
def test_shuffled_test_labels_move_no_byte_of_any_coder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    written = []
    for shuffled in (False, True):
        folder = made(tmp_path / f"{shuffled}", shuffled)
        monkeypatch.chdir(folder)
        for stage in STAGES:
            importlib.import_module(f"stages.{stage}").main()
        written.append(files(folder))
    assert (tmp_path / "True/data/gold/labels.npz").read_bytes() != (
        tmp_path / "False/data/gold/labels.npz"
    ).read_bytes()
    assert {f"data/scores/{coder}/test.npz" for coder in CODERS} <= set(written[0])
    assert written[0].keys() == written[1].keys()
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []
