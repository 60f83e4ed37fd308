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
from chartcode.linking.terminology import editions
from chartcode.tables.schemas import EVIDENCE_SCHEMA
from chartcode.tables.silver import CODES_SCHEMA
from tests.coders.cases import CODES, NAMES, cases
from tests.conftest import ROOT
from tests.evaluation.conftest import write_gold
from tests.linking.test_dictionary import terms

SPLIT = np.repeat(["train", "val", "test"], [160, 50, 40])
STAGES = ("encoder", "link", *(name for name in CODERS if name != "ensemble"), "ensemble")
SMALL = {
    "tfidf": {"min_df": 2},
    "laat": {"max_words": 60, "min_df": 2, "embedding": 8, "hidden": 8, "projection": 8, "epochs": 1},
    "transformer": {"tiny_pieces": 200, "tiny_hidden": 32, "max_tokens": 64, "projection": 8, "epochs": 1},
    "linked": {"folds": 2, "trees": 5, "min_leaf": 5},
    "stacked": {"trees": 5, "min_leaf": 5},
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
        "note_id": [f"{n}-DS-1" for n in ids.tolist()],
        "subject_id": 10_000 + ids // 2,
        "hadm_id": 20_000 + ids,
        "year": pa.nulls(len(ids), pa.int16()),
        "age": pa.array(ids % 90, pa.int16()),
        "sex": np.where(ids % 2, "F", "M").tolist(),
    }
    with writing(folder / "data/silver", "synthetic") as writer:
        for name, column in about.items():
            batch = batch.append_column(name, pa.array(column))
        writer.parquet("notes.parquet", batch)
        coded = [
            (10_000 + row // 2, 20_000 + row, "diagnoses", 10, CODES[label], 1)
            for row, label in np.argwhere(truth).tolist()
        ]
        columns = [pa.array(c, f.type) for c, f in zip(zip(*coded, strict=True), CODES_SCHEMA, strict=True)]
        writer.parquet("codes.parquet", pa.table(columns, schema=CODES_SCHEMA))
    with writing(folder / "data/bronze", "synthetic") as writer:
        writer.parquet("evidence.parquet", EVIDENCE_SCHEMA.empty_table())
    with writing(folder / "data/terminology", "synthetic") as writer:
        named = dict(zip(CODES, NAMES, strict=True))
        writer.parquet("terms.parquet", terms(*({"code": code, "name": name} for code, name in named.items())))
        writer.parquet("codes.parquet", editions.codes_table({2016: named}, {}))
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
