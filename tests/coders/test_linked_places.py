"""Codes that a person would mark: of train notes as learned out of fold, of others as found, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from chartcode.artifacts import Artifact, writing
from chartcode.coders.linked_places import MarkedPlaces
from chartcode.linking.marks import Mark
from chartcode.linking.places import PLACES, TRAIN_FILE, learn
from tests.linking.test_places import MASS, NOBODY, PAIN, PARAMS, batch, folds, hospital

COLUMNS = {MASS: 0, PAIN: 3}
NONE = np.zeros(0, np.int64)


def stored(folder: Path) -> MarkedPlaces:
    marked = hospital()
    learned = learn(PARAMS, marked, folds(marked), NOBODY, "es")
    assert learned is not None
    with writing(folder / "linker", "test") as writer:
        learned[0].save(writer)
        writer.json("linker.json", {"language": "es"})
    with writing(folder / "mentions", "test") as writer:
        writer.parquet(TRAIN_FILE, learned[1])
    return MarkedPlaces.of(Artifact(folder / "linker"), Artifact(folder / "mentions"))


def test_a_code_has_the_p_of_its_likeliest_place(tmp_path: Path) -> None:
    places = stored(tmp_path)
    notes = batch("Nada.", "Masa testículo. Refiere dolor. Más dolor abdominal.")
    rows, columns, p = places.pairs_of(notes, NOBODY, NONE, COLUMNS, train=False)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 0), (1, 3)]
    alone = places.pairs_of(notes.slice(1), NOBODY, NONE, COLUMNS, train=False)
    assert np.array_equal(p, alone[2])
    assert p[0, 0] > p[1, 0]
    without = places.pairs_of(notes, NOBODY, NONE, {PAIN: 1}, train=False)
    assert without[1].tolist() == [1]


def test_places_are_those_of_the_source(tmp_path: Path) -> None:
    text = "Hoy.\n\nRefiere  dolor  leve."
    (place,) = stored(tmp_path).found(batch("Nada.", text), NOBODY, NONE, [1])
    assert place[0] == 1
    assert text[place[1] : place[2]] == "dolor"
    assert place[3] == PAIN


def test_of_train_notes_it_is_what_other_folds_taught(tmp_path: Path) -> None:
    places = stored(tmp_path)
    held = Artifact(tmp_path / "mentions").table(TRAIN_FILE).to_pylist()
    marked = hospital()
    cleaned = batch(*(note.text for note in marked.values()))
    notes = cleaned.set_column(0, "note_id", pa.array(list(marked)))
    rows, columns, p = places.pairs_of(notes, NOBODY, NONE, COLUMNS, train=True)
    expected = {(list(marked).index(place["note_id"]), COLUMNS[place["code"]]): 0.0 for place in held}
    for place in held:
        pair = list(marked).index(place["note_id"]), COLUMNS[place["code"]]
        expected[pair] = max(expected[pair], place["p"])
    assert dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), p[:, 0].tolist(), strict=True)) == expected
    other = notes.set_column(0, "note_id", pa.array([f"x{row}" for row in range(notes.num_rows)]))
    judged = places.pairs_of(other, NOBODY, NONE, COLUMNS, train=True)[2]
    assert np.array_equal(judged, places.pairs_of(other, NOBODY, NONE, COLUMNS, train=False)[2])


def test_without_marks_no_code_has_a_place() -> None:
    rows, columns, p = MarkedPlaces(None, PLACES.empty_table()).pairs_of(batch("Dolor."), NOBODY, NONE, COLUMNS, True)
    assert (len(rows), len(columns), p.shape) == (0, 0, (0, 1))


def test_a_train_note_that_others_teach_nothing_of_is_not_judged_by_its_own_marks(tmp_path: Path) -> None:
    marked = hospital()
    own = next(iter(marked.values()))
    text = "Craneofaringioma."
    marked["alone"] = own._replace(text=text, marks=[Mark("D444", ((0, len(text) - 1),))])
    learned = learn(PARAMS, marked, {note: number % 3 for number, note in enumerate(marked)}, NOBODY, "es")
    assert learned is not None
    notes = batch(text)
    places = MarkedPlaces(*learned)
    assert len(places.pairs_of(notes, NOBODY, NONE, {"D444": 0}, train=False)[0]) == 1
    known = notes.set_column(0, "note_id", pa.array(["alone"]))
    assert len(places.pairs_of(known, NOBODY, NONE, {"D444": 0}, train=True)[0]) == 0
