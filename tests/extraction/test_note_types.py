"""A note's types are learned from texts taken once, and the classifier is the same after a trip to disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.extraction.note_types import NoteTypes, best_threshold, called, cross_validated, fit_file, read_labelled

WORDS = {
    "Cardiology": "stenosis of the coronary artery and the valve",
    "Orthopedic": "fracture of the femur and the knee",
}


def table(path: Path, rows: int = 60) -> Path:
    """Texts of two specialties; every second also stands under Surgery, with other blanks."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note_id", "medical_specialty", "transcription"])
        for number in range(rows):
            specialty = sorted(WORDS)[number % 2]
            text = f"Patient {number} with {WORDS[specialty]}, seen {number % 7} times."
            cut = number % 4 > 1
            text += " Incision, suture and closure in the operating room." if cut else ""
            writer.writerow([number, f" {specialty}", text])
            if cut:
                writer.writerow([number, " Surgery", f" {text}  "])
    return path


def test_a_text_that_stands_twice_counts_once_with_both_its_types(tmp_path: Path) -> None:
    labelled = read_labelled(table(tmp_path / "notes.csv"))
    assert labelled.types == ["Cardiology", "Orthopedic", "Surgery"]
    assert len(labelled.texts) == len(set(labelled.texts)) == 60
    assert labelled.truth.sum(axis=0).tolist() == [30, 30, 30]


def test_rare_types_are_left_out_and_texts_that_have_no_other(tmp_path: Path) -> None:
    path = table(tmp_path / "notes.csv")
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([99, "Autopsy", "a rare text"])
    labelled = read_labelled(path)
    assert "Autopsy" not in labelled.types
    assert "a rare text" not in labelled.texts


def test_the_classifier_is_the_same_after_a_trip_to_disk(tmp_path: Path) -> None:
    labelled = read_labelled(table(tmp_path / "notes.csv"))
    fitted = NoteTypes.fit(labelled)
    with writing(tmp_path / "model", "test") as writer:
        fitted.write(writer)
    again = NoteTypes.load(Artifact(tmp_path / "model"))
    np.testing.assert_array_equal(again.scores(labelled.texts), fitted.scores(labelled.texts))
    assert again.types(labelled.texts) == fitted.types(labelled.texts)
    assert fitted.types(["fracture of the knee, incision and closure"])[0] == ["Surgery", "Orthopedic"] or {
        *fitted.types(["fracture of the knee, incision and closure"])[0]
    } == {"Surgery", "Orthopedic"}
    assert all(found for found in again.types(["", "nothing known"])), "a note has at least one type"


def test_two_fits_write_the_same_bytes(tmp_path: Path) -> None:
    path = table(tmp_path / "notes.csv")
    for name in ("one", "two"):
        done = fit_file(path, tmp_path / name)
        assert done == (60, 3)
    assert Artifact(tmp_path / "one").manifest["files"] == Artifact(tmp_path / "two").manifest["files"]
    with pytest.raises(DataError, match="exists"):
        fit_file(path, tmp_path / "one")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "transcription,medical_specialty\nx,y\n"])
def test_a_table_of_something_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.csv").write_text(text)
    with pytest.raises(DataError) as error:
        fit_file(tmp_path / "notes.csv", tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model").exists()


def test_the_threshold_is_the_best_of_the_grid() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.random((40, 3)), (rng.random((40, 3)) < 0.3).astype(np.int8)
    tau = best_threshold(scores, truth)
    found = {t / 100: f1_score(truth, scores >= t / 100, average="micro", zero_division=0) for t in range(5, 96)}
    assert found[tau] == max(found.values())


@pytest.mark.slow
def test_mtsamples_types_are_told_apart(shared_data: Path) -> None:
    labelled = read_labelled(shared_data / "mtsamples/mtsamples.csv.gz")
    assert len(set(labelled.texts)) == len(labelled.texts) > 2_300
    scores = cross_validated(labelled)
    found = called(scores, labelled.truth)
    assert f1_score(labelled.truth, found, average="micro") > 0.8
    assert f1_score(labelled.truth, found, average="macro") > 0.7
