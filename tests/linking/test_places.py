"""Places of marked evidence: learned from marks of other notes alone, whole, inside other names, and apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.linking import places
from chartcode.linking.candidate_places import Place, candidates
from chartcode.linking.marks import Mark, Marked, mark_terms
from chartcode.linking.mentions import MENTIONS
from chartcode.linking.places import FILE, Places, learn
from chartcode.pair_trees import PairParams
from chartcode.tables.cleaning import clean_batch

PARAMS = PairParams(trees=40, leaves=6, min_leaf=5, learning_rate=0.2, l2=0.0, seed=1)
MASS, PAIN = "R1909", "R52"
NOBODY = MENTIONS.empty_table()


def mark(text: str, code: str, *said: str) -> Mark:
    return Mark(code, tuple((text.index(part), text.index(part) + len(part)) for part in said))


def hospital(notes: int = 60) -> dict[str, Marked]:
    """Masses of the testicle are marked, with words between; pain is, but where it stands in `dolor referido`."""
    found = {}
    for number in range(notes):
        if number % 3 == 0:
            text = f"Paciente {number}. Masa dura en testículo derecho. Sin dolor referido."
            marks = [mark(text, MASS, "Masa", "testículo")]
        elif number % 3 == 1:
            text = f"Paciente {number}. Refiere dolor abdominal."
            marks = [mark(text, PAIN, "dolor")]
        else:
            text = f"Paciente {number}. Masa testículo. Sin dolor referido."
            marks = [mark(text, MASS, "Masa testículo")]
        found[f"n{number:03}"] = Marked(number, text, marks)
    return found


def folds(marked: dict[str, Marked]) -> dict[str, int]:
    return {note_id: number % 4 for number, note_id in enumerate(marked)}


def batch(*texts: str) -> pa.RecordBatch:
    cleaned = clean_batch(pa.array(texts))
    ids = pa.array([f"t{number}" for number in range(len(texts))])
    return pa.record_batch([ids, *(cleaned.field(name) for name in ("text", "edits"))], ["note_id", "text", "edits"])


def learned() -> Places:
    marked = hospital()
    found = learn(PARAMS, marked, folds(marked), NOBODY, "es")
    assert found is not None
    return found[0]


def test_places_with_words_between_are_found_in_the_source_of_a_new_note() -> None:
    text = "Ingresa  hoy.\n\nPresenta masa  de 2 cm en el testículo izquierdo."
    found = learned().find(batch(text), NOBODY).to_pylist()
    (mass,) = [place for place in found if place["code"] == MASS]
    assert text[mass["start"] : mass["end"]] == "masa  de 2 cm en el testículo"
    assert mass["p"] > 0.5


def test_a_name_that_is_marked_in_one_note_of_three_is_less_sure_than_one_that_always_is() -> None:
    found = learned().find(batch("Masa testículo y dolor."), NOBODY).to_pylist()
    p = {place["code"]: place["p"] for place in found}
    assert p[MASS] > 0.8
    assert 0.1 < p[PAIN] < 0.6


def test_a_name_that_its_own_fold_alone_gives_teaches_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every such place would be a true one, as in no other note."""
    marked = hospital()
    text = "Paciente 0. Craneofaringioma. Masa dura en testículo derecho. Sin dolor referido."
    marked["n000"] = Marked(0, text, [mark(text, "D444", "Craneofaringioma"), mark(text, MASS, "Masa", "testículo")])
    seen: list[str] = []

    def watched(*args: Any) -> dict[Place, list[float]]:
        made = candidates(*args)
        seen.extend(code for _, _, code in made)
        return made

    monkeypatch.setattr(places, "candidates", watched)
    found = learn(PARAMS, marked, folds(marked), NOBODY, "es")
    assert MASS in seen
    assert "D444" not in seen
    assert found is not None
    assert "D444" in found[0].find(batch("Craneofaringioma."), NOBODY)["code"].to_pylist()


def test_a_stored_model_says_the_same_and_has_the_same_bytes(tmp_path: Path) -> None:
    first = learned()
    for name in ("one", "two"):
        with writing(tmp_path / name, "test") as writer:
            learned().save(writer)
            writer.json("linker.json", {"language": "es"})
    for file in (FILE, "trees.npz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    notes = batch("Masa testículo y dolor.", "Nada.")
    loaded = Places.load(Artifact(tmp_path / "one"))
    assert loaded is not None
    again = loaded.find(notes, NOBODY)
    assert again.equals(first.find(notes, NOBODY))
    assert set(again["note_id"].to_pylist()) == {"t0"}


def test_without_contrast_there_is_nothing_to_learn() -> None:
    marked = {k: v for k, v in hospital().items() if PAIN in {m.code for m in v.marks}}
    assert learn(PARAMS, marked, folds(marked), NOBODY, "es") is None


def test_marks_are_names_with_the_share_of_each_code() -> None:
    text = "Masa de la  mama. Masa."
    notes = {
        "a": Marked(1, text, [mark(text, "N63", "Masa", "mama"), Mark("N63", ((18, 22),)), Mark("R22", ((0, 4),))])
    }
    rows = {(r["name"], r["code"]): r["share"] for r in mark_terms(notes, "house", "es").to_pylist()}
    assert rows == {("Masa mama", "N63"): 1.0, ("Masa", "N63"): 0.5, ("Masa", "R22"): 0.5}
