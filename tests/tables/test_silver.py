"""Silver holds one note per coded admission, in order, with facts of the stay that are the patient's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chartcode.tables.cleaning import to_source
from chartcode.tables.silver import CODES_SCHEMA, SILVER_SCHEMA, sample_patients
from tests.hospital import Hospital, note_text
from tests.tables.made import DATA, GOLD, SILVER, bronze, silver
from tests.tables.reference_cleaning import clean


def test_rows_are_sorted_and_of_the_promised_schema(hospital: Hospital, tmp_path: Path) -> None:
    for rows in hospital.tables.values():
        rows.reverse()
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    notes = made.table("notes.parquet")
    assert notes.schema.equals(SILVER_SCHEMA)
    assert made.table("codes.parquet").schema.equals(CODES_SCHEMA)
    assert notes["hadm_id"].to_pylist() == sorted(notes["hadm_id"].to_pylist())


def test_neither_the_order_of_raw_notes_nor_the_size_of_batches_moves_a_byte(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(name: str) -> dict[str, object]:
        (tmp_path / name).mkdir()
        return dict(
            silver(bronze(hospital.write(tmp_path / name / "raw"), tmp_path / name), tmp_path / name).manifest["files"]
        )

    hospital.tables["discharge"][7]["text"] = "too short"
    hospital.tables["discharge"][9]["text"] = hospital.tables["discharge"][2]["text"]
    once = files("once")
    assert once["notes.parquet"]["rows"] == 9  # type: ignore[index]
    notes = hospital.tables["discharge"]
    notes[:] = notes[5:] + notes[4::-1]
    monkeypatch.setattr("chartcode.tables.silver._BATCH", 5)
    assert files("again") == once


def test_the_last_note_of_an_admission_is_the_one(hospital: Hospital, tmp_path: Path) -> None:
    first = hospital.tables["discharge"][3]
    for seq in (9, 100, 20):
        note = {**first, "note_id": f"10000003-DS-{seq}", "note_seq": seq, "text": note_text(1000 + seq)}
        hospital.tables["discharge"].append(note)
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    assert "10000003-DS-100" in made.table("notes.parquet")["note_id"].to_pylist()
    reasons = made.table("excluded.parquet")["reason"].to_pylist()
    assert reasons == ["a later note of the admission is used"] * 3


def test_age_and_year_are_those_of_the_admission(hospital: Hospital, tmp_path: Path) -> None:
    # anchored at 50 in 2150, which stands for 2011-2013; admitted in March 2151: 51 years old, in 2013
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    note = made.table("notes.parquet").to_pylist()[0]
    assert (note["age"], note["year"], note["sex"], note["race"]) == (51, 2013, "F", "WHITE")


def test_unknown_age_and_sex_stay_unknown(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables["patients"][0] = {"subject_id": 10_000_000}
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    note = made.table("notes.parquet").to_pylist()[0]
    assert (note["age"], note["year"], note["sex"]) == (None, None, None)


def test_an_age_that_cannot_be_is_unknown(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables["patients"][0]["anchor_year"] = 1901
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    note = made.table("notes.parquet").to_pylist()[0]
    assert (note["age"], note["year"]) == (None, None)


def test_codes_of_another_patient_are_not_the_notes(hospital: Hospital, tmp_path: Path) -> None:
    stray = {"subject_id": 10_000_005, "hadm_id": 20_000_000, "seq_num": 9, "icd_code": "N179", "icd_version": 10}
    hospital.tables["diagnoses_icd"].append(stray)
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    codes = [r["icd_code"] for r in made.table("codes.parquet").to_pylist() if r["hadm_id"] == 20_000_000]
    assert codes == ["I10"]


def test_duplicate_codes_fall_together_at_their_first_place(hospital: Hospital, tmp_path: Path) -> None:
    stay = {"subject_id": 10_000_001, "hadm_id": 20_000_001, "icd_version": 10}
    hospital.tables["diagnoses_icd"] += [{**stay, "seq_num": n, "icd_code": "I10"} for n in (7, 9)]
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    codes = [r for r in made.table("codes.parquet").to_pylist() if r["hadm_id"] == 20_000_001]
    assert [(r["icd_code"], r["seq_num"]) for r in codes] == [("I10", 1), ("E785", 2)]


def test_spans_of_a_clean_note_lead_back_to_the_raw_note(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables["discharge"][2]["text"] = "é 😀 ______  [**Name**] \r\n" + note_text(2)
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    note = made.table("notes.parquet").to_pylist()[2]
    source = hospital.tables["discharge"][2]["text"]
    start = note["text"].index("Discharge Diagnosis")
    segments = [tuple(edit.values()) for edit in note["edits"]]
    assert segments == [tuple(s) for s in clean(source)[1]]
    ((begin, end),) = to_source([(start, start + 19)], segments)
    assert source[begin:end] == "Discharge Diagnosis"


def test_sampled_patients_are_the_same_in_any_order_and_nested() -> None:
    people = list(range(10_000_000, 10_000_300))
    small = sample_patients(pa.array(people), 20).to_pylist()
    assert len(small) == 20
    assert sample_patients(pa.array(people[::-1] * 2), 20).to_pylist() == small
    assert set(small) < set(sample_patients(pa.array(people), 60).to_pylist())


def test_max_patients_limits_patients_and_says_so(hospital: Hospital, tmp_path: Path) -> None:
    few = DATA.model_copy(update={"max_patients": 5})
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path, data=few)
    assert made.rows("notes.parquet") == 5
    assert (
        made.table("excluded.parquet")["reason"].to_pylist() == ["patient not in the sample of data.max_patients"] * 7
    )


def test_the_cohort_follows_the_label_tables_and_version(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables["diagnoses_icd"] = [d for d in hospital.tables["diagnoses_icd"] if d["hadm_id"] != 20_000_000]
    hospital.tables["diagnoses_icd"] += [
        {"subject_id": 10_000_000, "hadm_id": 20_000_000, "seq_num": 1, "icd_code": "4019", "icd_version": 9}
    ]
    hospital.tables["procedures_icd"] = [
        {"subject_id": 10_000_001, "hadm_id": 20_000_001, "seq_num": 1, "icd_code": "02703DZ", "icd_version": 10}
    ]
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    for update, first, notes in (
        ({}, 20_000_001, 11),
        ({"icd_version": 9}, 20_000_000, 1),
        ({"tables": ["procedures"]}, 20_000_001, 1),
    ):
        layer = silver(made, tmp_path, gold=GOLD.model_copy(update=update))
        ids = layer.table("notes.parquet")["hadm_id"].to_pylist()
        assert (ids[0], len(ids)) == (first, notes)


def test_no_minimum_still_leaves_out_a_note_without_a_word(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables["discharge"][0]["text"] = " \n"
    hospital.tables["discharge"][1]["text"] = "stable"
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    layer = silver(made, tmp_path, params=SILVER.model_copy(update={"min_tokens": 0}))
    assert layer.rows("notes.parquet") == 11


def test_the_same_bytes_come_twice(hospital: Hospital, tmp_path: Path) -> None:
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    one = silver(made, tmp_path).manifest
    two = silver(made, tmp_path).manifest
    assert one == two


def test_every_page_of_the_notes_carries_a_checksum(hospital: Hospital, tmp_path: Path) -> None:
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    path = made.path("notes.parquet")
    whole = bytearray(path.read_bytes())
    place = whole.find(b"Hypertension")
    middle = place if place > 0 else len(whole) // 3
    whole[middle] ^= 4
    path.write_bytes(whole)
    with pytest.raises(OSError), pq.ParquetFile(path, page_checksum_verification=True) as file:
        file.read()
