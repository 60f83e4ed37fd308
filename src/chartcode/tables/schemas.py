"""The contract of every table: what a raw hospital must look like (MIMIC-IV's own files), and what each layer promises.

Raw tables follow MIMIC-IV v2.2 to v3.1 and MIMIC-IV-Note v2.2 (physionet.org/content/mimiciv, .../mimic-iv-note).
Identifiers are integers; codes are strings, because `0389` read as a number becomes another disease.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

Kind = Literal["id", "integer", "string", "code", "timestamp", "date"]

ARROW: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "integer": pa.int64(),
    "string": pa.string(),
    "code": pa.string(),
    "timestamp": pa.timestamp("s"),
    "date": pa.date32(),
}


@dataclass(frozen=True)
class Column:
    """One column of a raw table. `minimum` and `maximum` bound integers, both ends included."""

    name: str
    kind: Kind
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True)
class RawTable:
    """One raw file: its place under the source's folder, its columns, and the columns no two rows may share."""

    name: str
    path: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    ordered: tuple[tuple[str, str], ...] = field(default=())  # (earlier, later) timestamps

    @property
    def header(self) -> tuple[str, ...]:
        """Column names in file order."""
        return tuple(c.name for c in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the bronze table."""
        return pa.schema([pa.field(c.name, ARROW[c.kind], nullable=not c.required) for c in self.columns])


def _columns(text: str) -> tuple[Column, ...]:
    """`name kind` pairs, comma-separated; a `!` behind the kind means required."""
    found = []
    for part in text.split(","):
        name, kind = part.split()
        found.append(Column(name, kind.rstrip("!"), kind.endswith("!")))  # type: ignore[arg-type]
    return tuple(found)


RAW_TABLES: dict[str, RawTable] = {
    table.name: table
    for table in (
        RawTable(
            "discharge",
            "note/discharge.csv.gz",
            _columns(
                "note_id string!,subject_id id!,hadm_id id,note_type string!,note_seq integer!,"
                "charttime timestamp,storetime timestamp,text string!"
            ),
            key=("note_id",),
        ),
        RawTable(
            "admissions",
            "hosp/admissions.csv.gz",
            _columns(
                "subject_id id!,hadm_id id!,admittime timestamp!,dischtime timestamp,deathtime timestamp,"
                "admission_type string,admit_provider_id string,admission_location string,discharge_location string,"
                "insurance string,language string,marital_status string,race string,edregtime timestamp,"
                "edouttime timestamp,hospital_expire_flag integer"
            ),
            key=("hadm_id",),
            ordered=(("admittime", "dischtime"),),
        ),
        RawTable(
            "patients",
            "hosp/patients.csv.gz",
            (
                Column("subject_id", "id", required=True),
                Column("gender", "string"),
                Column("anchor_age", "integer", minimum=0, maximum=120),
                Column("anchor_year", "integer", minimum=1900, maximum=2300),
                Column("anchor_year_group", "string"),
                Column("dod", "date"),
            ),
            key=("subject_id",),
        ),
        RawTable(
            "diagnoses_icd",
            "hosp/diagnoses_icd.csv.gz",
            _columns("subject_id id!,hadm_id id!,seq_num integer!,icd_code code!,icd_version integer!"),
            key=("hadm_id", "seq_num", "icd_code", "icd_version"),
        ),
        RawTable(
            "procedures_icd",
            "hosp/procedures_icd.csv.gz",
            _columns("subject_id id!,hadm_id id!,seq_num integer!,chartdate date,icd_code code!,icd_version integer!"),
            key=("hadm_id", "seq_num", "icd_code", "icd_version"),
        ),
        RawTable(
            "d_icd_diagnoses",
            "hosp/d_icd_diagnoses.csv.gz",
            _columns("icd_code code!,icd_version integer!,long_title string"),
            key=("icd_code", "icd_version"),
        ),
        RawTable(
            "prescriptions",
            "hosp/prescriptions.csv.gz",
            _columns(
                "subject_id id!,hadm_id id!,pharmacy_id id,poe_id string,poe_seq integer,order_provider_id string,"
                "starttime timestamp,stoptime timestamp,drug_type string,drug string,formulary_drug_cd string,"
                "gsn string,ndc string,prod_strength string,form_rx string,dose_val_rx string,dose_unit_rx string,"
                "form_val_disp string,form_unit_disp string,doses_per_24_hrs string,route string"
            ),
        ),
    )
}

# Beside the tables every source folder holds these two, header-only or empty where the source has none.
SPLITS_FILE = "splits.csv"  # the source's official split, one row an admission
SPLITS_HEADER = ("subject_id", "hadm_id", "split")
SPLITS = ("train", "val", "test")
SPLITS_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("hadm_id", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

EVIDENCE_FILE = "evidence.parquet"  # gold evidence: where in the note a code is stated
EVIDENCE_SCHEMA = pa.schema(
    [
        pa.field("note_id", pa.string(), nullable=False),
        pa.field("icd_code", pa.string(), nullable=False),
        pa.field("mention", pa.int32(), nullable=False),  # fragments of one discontinuous mention share a number
        pa.field("start", pa.int32(), nullable=False),  # code points of the source note, end exclusive
        pa.field("end", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # title | synonym | abbreviation | lab | drug | implied | span
    ]
)
