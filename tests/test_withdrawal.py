"""A patient withdraws: whom `bronze.exclude` names is gone from all artifacts downstream, from cache and remote too."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from chartcode.coders.known import CODERS
from tests.checkouts import UP_TO_DATE, commit, copy_tree, keep_coders, lighten, run
from tests.hospital import Hospital

pytestmark = pytest.mark.slow
PATIENTS = 60
WORDLESS = ("boosted", "ensemble")  # their models hold neither words nor ids
REMOTE = "data/private/mimic-iv-remote"  # where .dvc/config sends credentialed data as long as nobody says otherwise


def said(content: bytes) -> str:
    """Everything a file says: tables and arrays decoded, since Parquet compresses and ids are stored as integers."""
    if content[:4] == b"PAR1":
        return str(pq.read_table(io.BytesIO(content)).to_pylist())
    if content[:2] == b"PK":
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return str([arrays[name].tolist() for name in arrays.files])
    return content.decode("utf-8", errors="replace")


def traces(folder: Path, number: int, *places: str) -> list[str]:
    """Files below `places` that hold an id or a word of patient `number` and of nobody else."""
    # An id is a whole number: 0.10000000149 holds that of patient 0 by chance.
    ids = rf"(?<![\d.])(?:{10_000_000 + number}|{20_000_000 + number})(?!\d)"
    marks = re.compile(rf"{ids}|finding{number}x|ypertension {number}\\n")
    files = [path for place in places for path in sorted((folder / place).rglob("*")) if path.is_file()]
    assert files, places
    return [path.relative_to(folder).as_posix() for path in files if marks.search(said(path.read_bytes()))]


DOWNSTREAM = ("data/bronze", "data/silver", "data/split", "data/gold", "data/scores", "data/evaluation", "models")
# Of samples of the notes, or of what each note names: who stays may come and go there, who withdrew may not stay.
ALSO = ("data/mentions", "data/extracted", "data/explained", "reports", "metrics")
COPIES = (".dvc/cache", REMOTE)


def test_a_withdrawn_patient_is_in_no_artifact_no_cache_and_no_remote(tmp_path: Path) -> None:
    checkout = copy_tree(tmp_path / "checkout")
    Hospital.of(PATIENTS).write(checkout / "data/raw/mimic-iv")
    keep_coders(checkout, [name for name in CODERS if name not in WORDLESS])
    lighten(checkout, source="mimic-iv", min_count=1, min_df=1)
    run(checkout, "git", "init", "-q", "-b", "main")
    commit(checkout)
    run(checkout, "dvc", "repro")
    run(checkout, "dvc", "push")
    splits = {
        row["subject_id"]: row["split"]
        for row in pq.read_table(next((checkout / "data/split").glob("*.parquet"))).to_pylist()
    }
    gone = next(subject for subject, split in splits.items() if split == "train") - 10_000_000
    stays = (
        next(subject for subject, split in splits.items() if split == "train" and subject != gone + 10_000_000)
        - 10_000_000
    )
    before = traces(checkout, gone, *DOWNSTREAM)
    for artifact in ("data/bronze/", "data/silver/", "data/split/", "data/gold/", "models/"):
        assert any(path.startswith(artifact) for path in before), artifact
    assert traces(checkout, gone, "data/mentions")
    assert traces(checkout, gone, "data/extracted")
    assert traces(checkout, gone, ".dvc/cache")
    assert traces(checkout, gone, REMOTE)

    (checkout / "data/private/withdrawn.csv").write_text(f"subject_id\n{10_000_000 + gone}\n")
    lighten(checkout, exclude="data/private/withdrawn.csv")
    run(checkout, "dvc", "repro")
    assert traces(checkout, gone, *DOWNSTREAM) == []
    assert traces(checkout, gone, *ALSO) == []
    assert str(10_000_000 + gone) not in (checkout / "dvc.lock").read_text()
    assert len(traces(checkout, stays, *DOWNSTREAM)) == len(before)

    commit(checkout)
    run(checkout, "dvc", "gc", "--workspace", "--cloud", "--remote", "mimic-iv", "--force")
    assert traces(checkout, gone, *COPIES) == []
    assert traces(checkout, stays, *COPIES)
    run(checkout, "dvc", "push")
    assert UP_TO_DATE in run(checkout, "dvc", "repro")
