"""Labels come from train patients, rows are silver's, and the matrix says exactly what the codes say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.coders.base import gold_of, labelled_notes
from chartcode.errors import ArtifactError, DataError
from chartcode.params import GoldParams
from chartcode.tables.gold import choose_labels
from chartcode.tables.labels import read_gold
from tests.hospital import CODES, Hospital
from tests.tables.made import GOLD, SPLIT, bronze, gold, silver, split

ALL_CODES = GOLD.model_copy(update={"top_k": None})


def test_the_matrix_says_what_the_codes_say(tmp_path: Path) -> None:
    hospital = Hospital.of(40)
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    layer = gold(notes, split(notes, made, tmp_path), tmp_path)
    read = read_gold(layer)
    labels, names, ids = read.truth, read.codes, read.hadm_id.tolist()
    expected = {(d["hadm_id"], d["icd_code"]) for d in hospital.tables["diagnoses_icd"]}
    found = {(ids[row], names[column]) for row, column in zip(*labels.nonzero(), strict=True)}
    assert found == {(h, c) for h, c in expected if c in names}
    outside = {(ids[row], read.other_codes[column]) for row, column in zip(*read.others.nonzero(), strict=True)}
    assert outside == expected - found, "what is no label is kept apart, whole"
    assert list(read.other_codes) == sorted({code for _, code in outside})
    assert labels.dtype.name == "int8"
    assert set(labels.data) == {1}
    assert ids == notes.table("notes.parquet")["hadm_id"].to_pylist()
    assert read.n_codes.tolist() == [sum(h == i for h, _ in expected) for i in ids]


def test_a_code_that_only_test_patients_have_is_no_label(tmp_path: Path) -> None:
    hospital = Hospital.of(40)
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    dealt = {r["subject_id"]: r["split"] for r in split(notes, made, tmp_path).table("splits.parquet").to_pylist()}
    for row in hospital.tables["diagnoses_icd"]:
        if dealt[row["subject_id"]] != "train":
            row["icd_code"] = "Z23" if row["icd_code"] == "I10" else row["icd_code"]
    made = bronze(hospital.write(tmp_path / "raw2"), tmp_path)
    notes = silver(made, tmp_path)
    shares = split(notes, made, tmp_path)
    assert "Z23" not in gold(notes, shares, tmp_path).json("label_names.json")
    of_all = gold(notes, shares, tmp_path, GOLD.model_copy(update={"select_on": "cohort"}))
    assert "Z23" in of_all.json("label_names.json"), "select_on: cohort peeks, as its comment says"


@given(st.dictionaries(st.text("ABC019", min_size=1, max_size=3), st.integers(1, 5)), st.integers(1, 6))
def test_the_commonest_codes_are_chosen_with_ties_by_name(counts: dict[str, int], k: int) -> None:
    top = choose_labels(counts, GOLD.model_copy(update={"top_k": k}))
    assert top == [c for c, _ in sorted(Counter(counts).items(), key=lambda t: (-t[1], t[0]))][:k]
    every = choose_labels(counts, ALL_CODES.model_copy(update={"min_count": k}))
    assert every == sorted(c for c, n in counts.items() if n >= k)


def test_gold_of_another_silver_is_refused(tmp_path: Path) -> None:
    made = bronze(Hospital.of(40).write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    layer = gold(notes, split(notes, made, tmp_path), tmp_path)
    other = silver(bronze(Hospital.of(39).write(tmp_path / "raw2"), tmp_path), tmp_path)
    with pytest.raises(ArtifactError, match="its rows are not those of"):
        gold_of(other, layer)


def test_each_split_reads_its_own_notes_with_their_labels(tmp_path: Path) -> None:
    made = bronze(Hospital.of(40).write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    layer = gold(notes, split(notes, made, tmp_path), tmp_path)
    total = 0
    for name in ("train", "val", "test"):
        cohort = labelled_notes(notes, gold_of(notes, layer), name)
        texts = list(cohort.texts())
        assert len(texts) == cohort.labels.shape[0] == len(cohort.hadm_ids)
        for text, hadm in zip(texts, cohort.hadm_ids, strict=True):
            assert f"finding{hadm - 20_000_000}x0" in text
        total += len(texts)
    assert total == 40


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    made = bronze(Hospital.of(10).write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    everyone = SPLIT.model_copy(update={"train": 1.0, "val": 0.0, "test": 0.0})
    layer = gold(notes, split(notes, made, tmp_path, everyone), tmp_path)
    with pytest.raises(DataError, match=r"split val has no notes; raise split\.val"):
        labelled_notes(notes, gold_of(notes, layer), "train", "val")


def test_no_code_common_enough_is_named(tmp_path: Path) -> None:
    made = bronze(Hospital.of(10).write(tmp_path / "raw"), tmp_path)
    notes = silver(made, tmp_path)
    rare = GoldParams(**{**ALL_CODES.model_dump(), "min_count": 100})
    with pytest.raises(DataError, match=r"lower gold\.min_count"):
        gold(notes, split(notes, made, tmp_path), tmp_path, rare)


def test_codes_used_here_are_those_of_the_hospital() -> None:
    assert len(set(CODES)) == 5
