"""Scores as coders store them, read as the cohort that is judged."""

from pathlib import Path

import numpy as np
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.evaluation.cohort import read_cohort
from chartcode.tables.labels import read_gold
from tests.evaluation.conftest import CODES, SPLIT, truth_and_scores, write_gold


def test_scores_of_half_precision_are_refused(tmp_path: Path) -> None:
    truth, scores = truth_and_scores()
    write_gold(tmp_path, truth)
    gold, test = read_gold(Artifact(tmp_path / "data/gold")), np.flatnonzero(SPLIT == "test")
    for kind in (np.float32, np.float16):
        with writing(tmp_path / kind.__name__, "synthetic") as writer:
            found = {"scores": scores[test].astype(kind), "hadm_ids": gold.hadm_id[test], "codes": np.array(CODES)}
            writer.npz("test.npz", rows=len(test), **found)
    assert np.array_equal(read_cohort(gold, Artifact(tmp_path / "float32"), "test").scores, scores[test])
    with pytest.raises(DataError, match="scores: half precision"):
        read_cohort(gold, Artifact(tmp_path / "float16"), "test")
