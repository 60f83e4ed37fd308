"""A small hospital in MIMIC-IV's files, sound to the last cell, for tests to damage."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from chartcode.tables.schemas import EVIDENCE_FILE, EVIDENCE_SCHEMA, RAW_TABLES, SPLITS_FILE, SPLITS_HEADER

Row = dict[str, Any]
CODES = ("I10", "E785", "K219", "N179", "E119")


def note_text(number: int) -> str:
    """A short discharge summary, other for each number, of more than 100 tokens."""
    filler = " ".join(f"finding{number}x{i}" for i in range(110))
    return (
        f" \nName:  ___                 Unit No:   ___\n \nChief Complaint:\nchest pain\n \n"
        f'Brief Hospital Course:\nPatient said "better", took aspirin, {filler}\n \n'
        f"Discharge Diagnosis:\nHypertension {number}\n"
    )


@dataclass
class Hospital:
    """Rows of each raw table, by name; `write` puts them down as PhysioNet would."""

    tables: dict[str, list[Row]]

    @classmethod
    def of(cls, patients: int) -> Hospital:
        tables: dict[str, list[Row]] = {name: [] for name in RAW_TABLES}
        for i in range(patients):
            subject, hadm = 10_000_000 + i, 20_000_000 + i
            tables["patients"].append(
                {
                    "subject_id": subject,
                    "gender": "FM"[i % 2],
                    "anchor_age": 50 + i,
                    "anchor_year": 2150,
                    "anchor_year_group": "2011 - 2013",
                }
            )
            tables["admissions"].append(
                {
                    "subject_id": subject,
                    "hadm_id": hadm,
                    "admittime": "2151-03-04 10:00:00",
                    "dischtime": "2151-03-09 12:30:00",
                    "race": "WHITE",
                    "hospital_expire_flag": 0,
                }
            )
            tables["discharge"].append(
                {
                    "note_id": f"{subject}-DS-{i + 1}",
                    "subject_id": subject,
                    "hadm_id": hadm,
                    "note_type": "DS",
                    "note_seq": i + 1,
                    "charttime": "2151-03-09 00:00:00",
                    "text": note_text(i),
                }
            )
            for seq, code in enumerate([CODES[0], CODES[i % len(CODES)]][: 1 + (i % len(CODES) > 0)], start=1):
                tables["diagnoses_icd"].append(
                    {"subject_id": subject, "hadm_id": hadm, "seq_num": seq, "icd_code": code, "icd_version": 10}
                )
        tables["d_icd_diagnoses"] = [{"icd_code": c, "icd_version": 10, "long_title": c} for c in CODES]
        tables["d_icd_diagnoses"] += [
            {"icd_code": c, "icd_version": 9, "long_title": c} for c in ("0389", "4019", "V707", "4139")
        ]
        return cls(tables)

    def csv(self, name: str) -> str:
        """One table as CSV text."""
        out = io.StringIO()
        writer = csv.DictWriter(out, RAW_TABLES[name].header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.tables[name])
        return out.getvalue()

    def write(self, folder: Path) -> Path:
        """The raw folder, whole."""
        for name, table in RAW_TABLES.items():
            put(folder / table.path, self.csv(name).encode())
        (folder / SPLITS_FILE).write_text(",".join(SPLITS_HEADER) + "\n")
        pq.write_table(EVIDENCE_SCHEMA.empty_table(), folder / EVIDENCE_FILE)
        return folder


def put(path: Path, content: bytes) -> None:
    """Bytes as a gzip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0))
