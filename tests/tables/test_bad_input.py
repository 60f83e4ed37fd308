"""Bad data (reliability A): each planted defect is quarantined with a reason and counted, or refused in one line.

For every defect: rows in = rows out + quarantined, exactly; and no message holds a cell value.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chartcode.errors import ChartcodeError
from chartcode.tables.schemas import EVIDENCE_FILE, EVIDENCE_SCHEMA
from tests.hospital import Hospital, note_text, put
from tests.tables.made import bronze, silver

CANARY = "31337"  # stands in every planted cell value; no message may hold it

NOTES, STAYS, DIAGNOSES, PATIENTS = "discharge", "admissions", "diagnoses_icd", "patients"
PATH = {NOTES: "note/discharge.csv.gz", STAYS: "hosp/admissions.csv.gz", DIAGNOSES: "hosp/diagnoses_icd.csv.gz"}


# --- refused: the file is no such table ------------------------------------------------------------------------------


def rewrite(change: Callable[[str], bytes], table: str) -> Callable[[Hospital, Path], None]:
    def damage(hospital: Hospital, raw: Path) -> None:
        put(raw / PATH[table], change(hospital.csv(table)))

    return damage


def missing_file(_: Hospital, raw: Path) -> None:
    (raw / PATH[DIAGNOSES]).unlink()


def empty_file(_: Hospital, raw: Path) -> None:
    put(raw / PATH[STAYS], b"")


def half_a_gzip(_: Hospital, raw: Path) -> None:
    path = raw / PATH[NOTES]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def not_gzip(hospital: Hospital, raw: Path) -> None:
    (raw / PATH[NOTES]).write_bytes(hospital.csv(NOTES).encode())


REFUSED: dict[str, tuple[Callable[[Hospital, Path], None], str, str]] = {
    "missing file": (missing_file, PATH[DIAGNOSES], "missing"),
    "empty file": (empty_file, PATH[STAYS], "empty"),
    "gzip cut in half": (half_a_gzip, PATH[NOTES], "download it again"),
    "not gzip": (not_gzip, PATH[NOTES], "gzip"),
    "wrong delimiter": (rewrite(lambda t: t.replace(",", ";").encode(), DIAGNOSES), PATH[DIAGNOSES], "comma"),
    "renamed column": (
        rewrite(lambda t: t.replace("icd_code", "code", 1).encode(), DIAGNOSES),
        PATH[DIAGNOSES],
        "icd_code",
    ),
    "missing column": (
        rewrite(lambda t: "\n".join(line.rsplit(",", 1)[0] for line in t.splitlines()).encode(), DIAGNOSES),
        PATH[DIAGNOSES],
        "icd_version",
    ),
    "column stands twice": (
        rewrite(
            lambda t: (
                t.replace("seq_num", "hadm_id", 1).replace("hadm_id,hadm_id", "hadm_id,seq_num,hadm_id", 1).encode()
            ),
            DIAGNOSES,
        ),
        PATH[DIAGNOSES],
        "hadm_id",
    ),
    "UTF-16": (rewrite(lambda t: t.encode("utf-16"), STAYS), PATH[STAYS], "UTF-8"),
    "unclosed quote": (
        rewrite(lambda t: t.replace("20000003,1,", '20000003,1,"').encode(), DIAGNOSES),
        PATH[DIAGNOSES],
        "never closed",
    ),
    "old Mac line ends": (rewrite(lambda t: t.replace("\n", "\r").encode(), STAYS), PATH[STAYS], "LF or CRLF"),
    "too few cells in latin-1": (
        lambda h, raw: put(raw / PATH[STAYS], h.csv(STAYS).encode() + b"1,2,caf\xe9\n"),
        PATH[STAYS],
        "wrong number of cells is not UTF-8",
    ),
    "every code dotted": (
        rewrite(lambda t: t.replace("I10,", "I1.0,").replace("E785", "E78.5").encode(), DIAGNOSES),
        PATH[DIAGNOSES],
        "dotted",
    ),
}


@pytest.mark.parametrize("defect", REFUSED)
def test_a_file_that_is_no_such_table_is_refused_in_one_line(defect: str, hospital: Hospital, tmp_path: Path) -> None:
    damage, file, reason = REFUSED[defect]
    raw = hospital.write(tmp_path / "raw")
    damage(hospital, raw)
    with pytest.raises(ChartcodeError) as error:
        bronze(raw, tmp_path)
    message = str(error.value)
    assert file in message
    assert reason in message
    assert "\n" not in message
    assert not (tmp_path / "bronze").exists(), "nothing half-written"
    assert list(tmp_path.iterdir()) == [raw], "no temporary file is left"


# --- quarantined in bronze: the row breaks the contract of its table --------------------------------------------------

Change = Callable[[dict[str, Any]], None]
QUARANTINED: dict[str, tuple[str, dict[str, Any], str]] = {
    "dotted code": (DIAGNOSES, {"icd_code": "E78.31337"}, "icd_code: dotted"),
    "lower-case code": (DIAGNOSES, {"icd_code": "e31337"}, "icd_code: lower case"),
    "invalid code": (DIAGNOSES, {"icd_code": "31337!"}, "icd_code: not the shape of an ICD-10 code"),
    "ICD-9 code among ICD-10": (DIAGNOSES, {"icd_code": "4139"}, "icd_code: not the shape of an ICD-10 code"),
    "ICD-9 V code among ICD-10": (DIAGNOSES, {"icd_code": "V707"}, "icd_code: an ICD-9 code marked as ICD-10"),
    "leading zero lost": (DIAGNOSES, {"icd_code": "389", "icd_version": 9}, "icd_code: lost its leading zero"),
    "unknown ICD version": (DIAGNOSES, {"icd_version": 11}, "icd_version: neither 9 nor 10"),
    "no code": (DIAGNOSES, {"icd_code": ""}, "icd_code: empty"),
    "future date": (STAYS, {"admittime": "9999-03-01 00:00:00"}, "admittime: outside 1900-2300"),
    "impossible date": (STAYS, {"admittime": "2151-02-30 10:00:00"}, "admittime: not a date"),
    "date as a number": (STAYS, {"dischtime": "31337.5"}, "dischtime: not a date"),
    "discharge before admission": (STAYS, {"dischtime": "2151-03-01 00:00:00"}, "dischtime: before admittime"),
    "300-year age": (PATIENTS, {"anchor_age": 300}, "anchor_age: above 120"),
    "negative age": (PATIENTS, {"anchor_age": -1}, "anchor_age: below 0"),
    "NaN": (STAYS, {"hadm_id": "NaN"}, "hadm_id: not a whole number"),
    "id as a float": (STAYS, {"hadm_id": "20000003.0"}, "hadm_id: not a whole number"),
    "ISO time with a T": (STAYS, {"admittime": "2151-03-04T10:00:00"}, "admittime: not a date"),
    "time without seconds": (STAYS, {"admittime": "2151-03-04 10:00"}, "admittime: not a date"),
    "id of 19 digits": (STAYS, {"hadm_id": "1234567890123313370"}, "hadm_id: not a whole number"),
    "hexadecimal id": (STAYS, {"hadm_id": "0x31337"}, "hadm_id: not a whole number"),
    "NUL": (NOTES, {"text": f"a\0b {CANARY}"}, "text: holds a NUL character"),
    "no text": (NOTES, {"text": ""}, "text: empty"),
}


@pytest.mark.parametrize("defect", QUARANTINED)
def test_a_row_that_breaks_its_contract_is_quarantined_with_its_reason(
    defect: str, hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, change, reason = QUARANTINED[defect]
    row = hospital.tables[table][3]
    row.update(change)
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    report = made.json("report.json")["tables"][table]
    assert report["rows_in"] == len(hospital.tables[table])
    assert report["rows_in"] == report["rows_out"] + sum(report["quarantined"].values())
    (stated,) = report["quarantined"]
    assert stated.startswith(reason)
    assert report["quarantined"][stated] == 1
    kept = made.table("quarantine.parquet").to_pylist()
    assert len(kept) == 1, "the row is kept, with its cells"
    assert kept[0]["table"] == table
    for value in (str(v) for v in change.values() if v not in ("", f"a\0b {CANARY}")):
        assert value in kept[0]["row"]
        assert value not in stated or defect == "300-year age"
    assert CANARY not in "".join(capsys.readouterr())
    untouched = {name: t for name, t in made.json("report.json")["tables"].items() if name != table}
    assert not any(t["quarantined"] for t in untouched.values())


BYTES: dict[str, tuple[bytes, str]] = {
    "latin-1 bytes": (b"caf\xe9 31337", "text: not UTF-8"),
    "lone surrogate": (b"\xed\xa0\x80 31337", "text: not UTF-8"),
}


@pytest.mark.parametrize("defect", BYTES)
def test_bytes_that_are_not_text_are_quarantined(defect: str, hospital: Hospital, tmp_path: Path) -> None:
    broken, reason = BYTES[defect]
    raw = hospital.write(tmp_path / "raw")
    put(raw / PATH[NOTES], hospital.csv(NOTES).encode().replace(b"finding3x0", broken))
    report = bronze(raw, tmp_path).json("report.json")["tables"][NOTES]
    assert report["quarantined"] == {reason: 1}
    assert report["rows_out"] == 11


def test_a_row_with_too_many_or_too_few_cells_is_quarantined(hospital: Hospital, tmp_path: Path) -> None:
    raw = hospital.write(tmp_path / "raw")
    lines = hospital.csv(DIAGNOSES).splitlines()
    lines[3] += ",31337"
    lines[5] = lines[5].rsplit(",", 1)[0]
    put(raw / PATH[DIAGNOSES], "\n".join(lines).encode())
    made = bronze(raw, tmp_path)
    report = made.json("report.json")["tables"][DIAGNOSES]
    assert report["quarantined"] == {"row: wrong number of cells": 2}
    assert report["rows_in"] == len(lines) - 1 == report["rows_out"] + 2
    assert CANARY in made.table("quarantine.parquet")["row"][0].as_py()


def test_the_second_of_two_notes_with_one_id_is_quarantined(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables[NOTES][5]["note_id"] = hospital.tables[NOTES][2]["note_id"]
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    report = made.json("report.json")["tables"][NOTES]
    assert report["quarantined"] == {"note_id: stands twice": 1}
    assert report["rows_out"] == 11
    assert made.rows("discharge.parquet") == 11


# --- sound after all: not a defect of the data ------------------------------------------------------------------------


def test_a_byte_order_mark_and_crlf_row_ends_do_no_harm(hospital: Hospital, tmp_path: Path) -> None:
    raw = hospital.write(tmp_path / "raw")
    put(raw / PATH[STAYS], b"\xef\xbb\xbf" + hospital.csv(STAYS).replace("\n", "\r\n").encode())
    made = bronze(raw, tmp_path)
    assert made.json("report.json")["tables"][STAYS]["rows_out"] == 12
    assert made.table("admissions.parquet")["hadm_id"].to_pylist() == list(range(20_000_000, 20_000_012))


def test_crlf_inside_a_note_is_kept_by_bronze_and_mended_by_silver(hospital: Hospital, tmp_path: Path) -> None:
    text = note_text(4).replace("\n", "\r\n")
    hospital.tables[NOTES][4]["text"] = text
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    assert made.table("discharge.parquet")["text"][4].as_py() == text
    assert "\r" not in silver(made, tmp_path).table("notes.parquet")["text"][4].as_py()


def test_a_note_of_twenty_megabytes_is_read(hospital: Hospital, tmp_path: Path) -> None:
    long = note_text(1) + 'word, "quoted"\n' * 1_500_000
    hospital.tables[NOTES][1]["text"] = long
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    assert made.rows("discharge.parquet") == 12
    assert made.table("discharge.parquet")["text"][1].as_py() == long


def test_codes_keep_their_leading_zeros_and_empty_text_is_not_a_missing_value(
    hospital: Hospital, tmp_path: Path
) -> None:
    hospital.tables[DIAGNOSES][3].update(icd_code="0389", icd_version=9)
    hospital.tables[STAYS][0]["race"] = ""
    raw = hospital.write(tmp_path / "raw")
    text = hospital.csv(STAYS).replace(",WHITE,", ',"",', 1)
    put(raw / PATH[STAYS], text.encode())
    made = bronze(raw, tmp_path)
    assert "0389" in made.table("diagnoses_icd.parquet")["icd_code"].to_pylist()
    races = made.table("admissions.parquet")["race"].to_pylist()
    assert races[0] is None, "an empty cell is missing"
    assert races[1] == "", "a quoted empty cell is an empty string"


def test_a_quoted_empty_number_is_a_missing_one_and_a_last_row_needs_no_line_break(
    hospital: Hospital, tmp_path: Path
) -> None:
    raw = hospital.write(tmp_path / "raw")
    quoted = io.StringIO()
    rows = csv.reader(hospital.csv(STAYS).splitlines())
    csv.writer(quoted, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    put(raw / PATH[STAYS], quoted.getvalue().rstrip("\n").encode())
    put(raw / "hosp/prescriptions.csv.gz", hospital.csv("prescriptions").rstrip("\n").encode())
    made = bronze(raw, tmp_path)
    assert made.rows("admissions.parquet") == 12
    assert set(made.table("admissions.parquet")["deathtime"].to_pylist()) == {None}
    assert made.rows("prescriptions.parquet") == 0


def test_gzip_of_several_members_is_read_to_its_end(hospital: Hospital, tmp_path: Path) -> None:
    raw = hospital.write(tmp_path / "raw")
    text = hospital.csv(DIAGNOSES).encode()
    (raw / PATH[DIAGNOSES]).write_bytes(gzip.compress(text[:100]) + gzip.compress(text[100:]))
    assert bronze(raw, tmp_path).rows("diagnoses_icd.parquet") == len(hospital.tables[DIAGNOSES])


# --- left out of silver, with a reason --------------------------------------------------------------------------------

EXCLUDED: dict[str, tuple[Callable[[Hospital], None], str, int]] = {
    "note without admission": (
        lambda h: h.tables[NOTES][2].update(hadm_id=29_999_999),
        "no such admission",
        1,
    ),
    "note without hadm_id": (lambda h: h.tables[NOTES][2].update(hadm_id=""), "no such admission", 1),
    "admission of another patient": (
        lambda h: h.tables[NOTES][2].update(hadm_id=20_000_003),
        "no such admission",
        1,
    ),
    "patient missing": (lambda h: h.tables[PATIENTS].pop(2), "no such patient", 1),  # type: ignore[dict-item, func-returns-value]
    "admission without codes": (
        lambda h: h.tables[DIAGNOSES].__setitem__(
            slice(None), [d for d in h.tables[DIAGNOSES] if d["hadm_id"] != 20_000_002]
        ),
        "no code of gold.icd_version in gold.tables",
        1,
    ),
    "whitespace note": (lambda h: h.tables[NOTES][2].update(text=" \n \t "), "fewer tokens than silver.min_tokens", 1),
    "the same note for two patients": (
        lambda h: h.tables[NOTES][2].update(text=h.tables[NOTES][7]["text"].replace("\n", " \n\n")),
        "the same words stand for several patients",
        2,
    ),
    "addendum": (
        lambda h: h.tables[NOTES][2].update(note_type="AD"),
        "note type not in silver.note_types",
        1,
    ),
}


@pytest.mark.parametrize("defect", EXCLUDED)
def test_a_note_that_cannot_be_coded_is_left_out_with_its_reason(
    defect: str, hospital: Hospital, tmp_path: Path
) -> None:
    damage, reason, notes = EXCLUDED[defect]
    damage(hospital)
    made = silver(bronze(hospital.write(tmp_path / "raw"), tmp_path), tmp_path)
    excluded = made.table("excluded.parquet").to_pylist()
    assert [row["reason"] for row in excluded] == [reason] * notes
    assert made.rows("notes.parquet") + len(excluded) == 12
    waterfall = made.json("waterfall.json")
    assert waterfall[0]["notes"] == 12
    assert waterfall[-1]["notes"] == made.rows("notes.parquet")
    assert sum(step["removed"] for step in waterfall) == notes


WRITTEN = ["10000000", "010000000", " 10000000", "10000000.0", "+10000000", ""]


@pytest.mark.parametrize("written", WRITTEN)
def test_withdrawn_patients_are_kept_nowhere(hospital: Hospital, tmp_path: Path, written: str) -> None:
    """However their number is written, in sound rows and in broken ones, under any note_id."""
    hospital.tables[DIAGNOSES][0]["icd_code"] = "E78.5"  # a broken row of the withdrawn patient: not quarantined either
    hospital.tables[NOTES][0].update(subject_id=written, note_id="note-abc", text=f"secret {note_text(0)}")
    raw = hospital.write(tmp_path / "raw")
    lines = hospital.csv(DIAGNOSES)
    put(raw / PATH[DIAGNOSES], f"{lines}10000000,20000000,3\n".encode())
    evidence = {"note_id": ["note-abc"], "icd_code": ["I10"], "mention": [0], "start": [0], "end": [6], "kind": ["lab"]}
    pq.write_table(pa.table(evidence, schema=EVIDENCE_SCHEMA), raw / EVIDENCE_FILE)
    listed = tmp_path / "withdrawn.csv"
    listed.write_text("subject_id\n10000000\n10000004\n")
    made = bronze(raw, tmp_path, listed)
    report = made.json("report.json")["tables"]
    assert report[NOTES]["rows_out"] == 10
    assert report[NOTES]["withdrawn"] + sum(report[NOTES]["quarantined"].values()) == 2
    assert report[DIAGNOSES]["quarantined"] == {}
    for name in made.names():
        content = made.table(name).to_pylist() if name.endswith(".parquet") else made.json(name)
        for secret in ("10000000", "10000004", "20000000", "note-abc", "secret"):
            assert secret not in str(content), name


def test_a_broken_list_of_withdrawn_patients_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    listed = tmp_path / "withdrawn.csv"
    listed.write_text("subject_id\nten million\n")
    with pytest.raises(ChartcodeError, match=r"withdrawn\.csv: subject_id: not a patient number"):
        bronze(hospital.write(tmp_path / "raw"), tmp_path, listed)


def test_a_source_without_notes_stops_at_silver_and_says_why(hospital: Hospital, tmp_path: Path) -> None:
    hospital.tables[NOTES].clear()
    made = bronze(hospital.write(tmp_path / "raw"), tmp_path)
    with pytest.raises(ChartcodeError, match=r"note/discharge\.csv\.gz: no notes"):
        silver(made, tmp_path)
