"""A small hospital on disk: gold and one coder's scores, as the stages before evaluate leave them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from chartcode.artifacts import writing

CODES = [f"A{n:03d}" for n in range(6)]
SPLIT = np.repeat(["train", "val", "test", "unused"], [200, 150, 160, 5])


def truth_and_scores(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, L) and scores (N, L) float32 that follow them."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((len(SPLIT), len(CODES))) < [0.5, 0.4, 0.3, 0.25, 0.2, 0.03]).astype(np.int8)
    return truth, np.clip(0.35 * truth + 0.65 * rng.random(truth.shape), 0, 1).astype(np.float32)


def write_gold(
    folder: Path,
    truth: np.ndarray,
    split: np.ndarray = SPLIT,
    codes: list[str] = CODES,
    patients: int | None = None,
    others: np.ndarray | None = None,
    other_codes: Sequence[str] = (),
) -> None:
    """data/gold under `folder`; a patient has two notes, or as many as `patients` makes it; `others` (N, K) apart."""
    matrix = csr_array(truth)
    with writing(folder / "data/gold", "synthetic") as writer:
        writer.npz(
            "labels.npz",
            data=matrix.data,
            indices=matrix.indices,
            indptr=matrix.indptr,
            shape=np.asarray(matrix.shape, dtype=np.int64),
        )
        writer.json("label_names.json", codes)
        outside = csr_array(np.zeros((len(truth), 0), np.int8) if others is None else others)
        held = {"indices": outside.indices.astype(np.int32), "indptr": outside.indptr.astype(np.int64)}
        writer.npz("others.npz", **held, codes=np.array(list(other_codes), dtype=str))
        notes = np.arange(len(truth), dtype=np.int64)
        index = {
            "subject_id": 10_000 + (notes // 2 if patients is None else notes % patients),
            "hadm_id": 20_000 + notes,
            "note_id": [f"{n}-DS-1" for n in notes],
            "n_codes": (truth.sum(1) + (0 if others is None else others.sum(1)) + notes % 3).astype(np.int32),
        }
        writer.parquet("hadm_ids.parquet", pa.table(index))
        writer.parquet("splits.parquet", pa.table({"split": split.tolist()}))
        facts = {
            "n_tokens": pa.array(200 + notes % 97, pa.int32()),
            "age": pa.array(20 + notes // 2 % 70, pa.int16()),
            "sex": [("F", "M")[patient % 2] for patient in notes // 2],
            "race": [("WHITE", "BLACK/AFRICAN AMERICAN", "ASIAN - CHINESE")[patient % 3] for patient in notes // 2],
            "year": pa.array(2008 + notes // 2 % 9, pa.int16()),
        }
        writer.parquet("facts.parquet", pa.table(facts))


def write_scores(
    folder: Path,
    scores: np.ndarray,
    *,
    coder: str = "tfidf",
    codes: list[str] = CODES,
    order: slice = slice(None),
    sparse: bool = False,
    history: list[dict[str, float]] | None = None,
) -> None:
    """data/scores/<coder> under `folder`."""
    with writing(folder / f"data/scores/{coder}", "synthetic") as writer:
        if history:
            writer.json("history.json", history)
        for split in ("val", "test"):
            rows = np.flatnonzero(split == SPLIT)[order]
            said = scores[rows]
            if sparse:
                matrix = csr_array(said)
                arrays = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
                arrays["shape"] = np.asarray(matrix.shape, dtype=np.int64)
            else:
                arrays = {"scores": said}
            writer.npz(f"{split}.npz", hadm_ids=20_000 + rows, codes=np.asarray(codes), **arrays)


def write_params(folder: Path, **changed: object) -> None:
    """params.yaml with the section evaluate: thresholds global, 50 rounds, or as changed."""
    values: dict[str, object] = {"threshold": "global", "calibrate": "none", "cross_fit": "false"}
    values |= {"top_k": [3, 5], "bootstrap_rounds": 50, "seed": 7, **changed}
    lines = [f"  {key}: {value}\n" for key, value in values.items()]
    (folder / "params.yaml").write_text("evaluate:\n" + "".join(lines), encoding="utf-8")


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the process runs in, with gold, scores and params.yaml."""
    monkeypatch.chdir(tmp_path)
    truth, scores = truth_and_scores()
    write_gold(tmp_path, truth)
    write_scores(tmp_path, scores)
    write_params(tmp_path)
    return tmp_path


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the stage in this process as a command line would; returns its exit status."""
    from chartcode.logs import guarded
    from stages.evaluate import main

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["stages/evaluate.py", *arguments])
        return guarded(main)

    return run
