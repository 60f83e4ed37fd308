"""The synthetic hospital's files are MIMIC-IV's files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from chartcode import artifacts
from chartcode.sources.synthetic import generate as generation
from chartcode.sources.synthetic.generate import MENTIONS_FILE, MENTIONS_SCHEMA, generate
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.tables.schemas import EVIDENCE_FILE, RAW_TABLES, SPLITS_FILE, SPLITS_HEADER
from tests.sources.synthetic.conftest import PATIENTS, Generated
from tests.sources.synthetic.settings import settings


def _written(folder: Path, params: SyntheticParams, workers: int) -> dict[str, str]:
    with artifacts.writing(folder, source="synthetic") as writer:
        generate(params, writer, workers)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_file_has_the_promised_columns_and_no_ragged_row(generated: Generated) -> None:
    for table in RAW_TABLES.values():
        with gzip.open(generated.folder / table.path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            assert tuple(next(rows)) == table.header
            assert {len(row) for row in rows} == {len(table.header)}
    assert (generated.folder / SPLITS_FILE).read_text() == ",".join(SPLITS_HEADER) + "\n"


def test_the_manifest_counts_the_rows_that_are_there(generated: Generated) -> None:
    artifact = artifacts.Artifact(generated.folder)
    for name, table in RAW_TABLES.items():
        assert artifact.rows(table.path) == len(generated.tables[name])
    assert artifact.rows(EVIDENCE_FILE) == len(generated.evidence)
    assert len(generated.tables["patients"]) == PATIENTS


def test_the_same_params_give_the_same_bytes_on_any_number_of_processes(tmp_path: Path) -> None:
    params = settings(2 * generation.CHUNK + 5)
    once, twice = _written(tmp_path / "a", params, 1), _written(tmp_path / "b", params, 2)
    assert once == twice
    assert len(once) == len(RAW_TABLES) + 4  # evidence, mentions, splits, manifest


def test_the_truth_about_mentions_holds_the_evidence_and_every_context(generated: Generated) -> None:
    truth = pq.read_table(generated.folder / MENTIONS_FILE)
    assert truth.schema == MENTIONS_SCHEMA
    assert artifacts.Artifact(generated.folder).rows(MENTIONS_FILE) == truth.num_rows
    rows = truth.to_pylist()
    assert {row["context"] for row in rows} == {"affirmed", "negated", "family", "ruled_out", "historical"}
    stated = {
        (row["note_id"], row["start"], row["end"]) for row in rows if row["context"] == "affirmed" and row["coded"]
    }
    assert stated == {(row["note_id"], row["start"], row["end"]) for row in generated.evidence}
    order = {note: place for place, note in enumerate(generated.notes())}
    places = [(order[row["note_id"]], row["start"]) for row in rows]
    assert places == sorted(places)
    texts = {note: row["text"] for note, row in generated.notes().items()}
    families = [texts[row["note_id"]][: row["start"]] for row in rows if row["context"] == "family"]
    assert all(text.rfind("Family History:") > text.rfind("Social History:") for text in families)


def test_another_seed_gives_another_hospital(tmp_path: Path) -> None:
    first, second = _written(tmp_path / "a", settings(3), 1), _written(tmp_path / "b", settings(3, seed=43), 1)
    assert first["note/discharge.csv.gz"] != second["note/discharge.csv.gz"]
    assert first["hosp/d_icd_diagnoses.csv.gz"] == second["hosp/d_icd_diagnoses.csv.gz"]


def test_a_patient_is_the_same_in_a_small_and_a_large_hospital(generated: Generated, tmp_path: Path) -> None:
    _written(tmp_path / "small", settings(7), 1)
    with gzip.open(tmp_path / "small/note/discharge.csv.gz", "rt", encoding="utf-8", newline="") as file:
        few = list(csv.DictReader(file))
    assert few == generated.tables["discharge"][: len(few)]


def test_note_text_is_quoted_and_begins_as_mimic_does(generated: Generated) -> None:
    raw = gzip.decompress((generated.folder / "note/discharge.csv.gz").read_bytes()).decode()
    assert raw.count(",DS,") == len(generated.tables["discharge"])
    assert all(f',"{row["text"][:20]}' in raw for row in generated.tables["discharge"][:20])
    assert all(row["text"].startswith(" \nName:  ___") for row in generated.tables["discharge"])
    assert "\r" not in raw


def test_identifiers_have_eight_digits_and_tables_agree(generated: Generated) -> None:
    tables = generated.tables
    patients, admissions = (
        {r["subject_id"] for r in tables["patients"]},
        {r["hadm_id"]: r for r in tables["admissions"]},
    )
    assert len(patients) == len(tables["patients"])
    assert len(admissions) == len(tables["admissions"])
    assert all(re.fullmatch(r"1\d{7}", patient) for patient in patients)
    assert all(re.fullmatch(r"2\d{7}", hadm) for hadm in admissions)
    assert {row["subject_id"] for row in tables["admissions"]} == patients
    for name in ("discharge", "diagnoses_icd", "procedures_icd", "prescriptions"):
        for row in tables[name]:
            assert admissions[row["hadm_id"]]["subject_id"] == row["subject_id"]
    assert {row["hadm_id"] for row in tables["discharge"]} == set(admissions)
    assert {row["hadm_id"] for row in tables["diagnoses_icd"]} == set(admissions)


def test_note_numbers_rise_within_a_patient_and_name_the_note(generated: Generated) -> None:
    last: dict[str, int] = {}
    for row in generated.tables["discharge"]:
        assert row["note_id"] == f"{row['subject_id']}-DS-{row['note_seq']}"
        assert int(row["note_seq"]) > last.get(row["subject_id"], 0)
        last[row["subject_id"]] = int(row["note_seq"])
    assert len({int(row["note_seq"]) for row in generated.tables["discharge"]}) > 20


def test_dates_are_shifted_and_in_order(generated: Generated) -> None:
    admissions = {row["hadm_id"]: row for row in generated.tables["admissions"]}
    before: dict[str, datetime] = {}
    for row in admissions.values():
        admitted, discharged = (datetime.fromisoformat(row[key]) for key in ("admittime", "dischtime"))
        assert admitted < discharged
        assert 2100 <= admitted.year <= 2215
        assert before.get(row["subject_id"], datetime.min) < admitted, "stays of a patient overlap"
        before[row["subject_id"]] = discharged
        assert bool(row["deathtime"]) == (row["hospital_expire_flag"] == "1") == (row["discharge_location"] == "DIED")
        if row["edregtime"]:
            assert datetime.fromisoformat(row["edregtime"]) < admitted < datetime.fromisoformat(row["edouttime"])
    unstored = 0
    for row in generated.tables["discharge"]:
        assert row["charttime"] == admissions[row["hadm_id"]]["dischtime"][:10] + " 00:00:00"
        unstored += not row["storetime"]
        assert not row["storetime"] or row["storetime"] > row["charttime"]
    assert 0 < unstored < 0.1 * len(generated.tables["discharge"])
    for row in generated.tables["prescriptions"]:
        assert row["starttime"] <= row["stoptime"] <= admissions[row["hadm_id"]]["dischtime"]


def test_the_dead_have_a_date_of_death_and_no_later_stay(generated: Generated) -> None:
    died = {r["subject_id"]: r["deathtime"][:10] for r in generated.tables["admissions"] if r["deathtime"]}
    dod = {row["subject_id"]: row["dod"] for row in generated.tables["patients"]}
    assert died
    assert all(dod[subject] == day for subject, day in died.items())
    for row in generated.tables["admissions"]:
        assert not dod[row["subject_id"]] or row["admittime"][:10] <= dod[row["subject_id"]]


def test_ages_are_capped_as_in_mimic(generated: Generated) -> None:
    ages = [int(row["anchor_age"]) for row in generated.tables["patients"]]
    assert min(ages) >= 18
    assert max(ages) <= 91
    assert 90 not in ages
    assert {row["anchor_year_group"] for row in generated.tables["patients"]} <= {
        "2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022",
    }  # fmt: skip


def test_both_icd_versions_occur_and_each_code_has_a_title(generated: Generated) -> None:
    titles = {(row["icd_code"], row["icd_version"]): row["long_title"] for row in generated.tables["d_icd_diagnoses"]}
    assert len(titles) == len(generated.tables["d_icd_diagnoses"])
    used = {(row["icd_code"], row["icd_version"]) for row in generated.tables["diagnoses_icd"]}
    assert used <= set(titles)
    assert all(len(title) > 3 for title in titles.values())
    assert titles["N183", "10"] == "Chronic kidney disease, stage 3 (moderate)"
    assert titles["E872", "10"] == "Acidosis"
    versions = {row["hadm_id"]: row["icd_version"] for row in generated.tables["diagnoses_icd"]}
    share = sum(version == "9" for version in versions.values()) / len(versions)
    assert 0.02 < share < 0.09


def test_leading_zeros_survive(generated: Generated) -> None:
    nine = {row["icd_code"] for row in generated.tables["d_icd_diagnoses"] if row["icd_version"] == "9"}
    assert {"0389", "00845", "4019"} <= nine
    assert all("." not in row["icd_code"] for row in generated.tables["d_icd_diagnoses"])


def test_sequence_numbers_are_1_to_n_and_codes_do_not_repeat(generated: Generated) -> None:
    stays: dict[str, list[tuple[int, str]]] = {}
    for row in generated.tables["diagnoses_icd"]:
        stays.setdefault(row["hadm_id"], []).append((int(row["seq_num"]), row["icd_code"]))
    for codes in stays.values():
        assert [place for place, _ in codes] == list(range(1, len(codes) + 1))
        assert len({code for _, code in codes}) == len(codes) <= 39


def test_drugs_named_as_evidence_were_prescribed_or_taken_at_home(generated: Generated) -> None:
    ordered: dict[str, set[str]] = {}
    for row in generated.tables["prescriptions"]:
        ordered.setdefault(row["hadm_id"], set()).add(row["drug"].lower())
    notes = generated.notes()
    named = [e for e in generated.evidence if e["kind"] == "drug"]
    found = [
        " ".join(notes[str(e["note_id"])]["text"][e["start"] : e["end"]].split()).lower()  # type: ignore[misc]
        in ordered.get(notes[str(e["note_id"])]["hadm_id"], set())
        for e in named
    ]
    assert sum(found) / len(found) > 0.7
