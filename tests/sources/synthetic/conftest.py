"""One generated hospital for all tests of this folder."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chartcode import artifacts
from chartcode.sources.synthetic.generate import generate
from chartcode.tables.schemas import EVIDENCE_FILE, RAW_TABLES
from tests.sources.synthetic.settings import settings

PATIENTS = 420


@dataclass(frozen=True)
class Generated:
    """A folder, its tables as rows of strings, and its evidence."""

    folder: Path
    tables: dict[str, list[dict[str, str]]]
    evidence: list[dict[str, object]]

    def notes(self) -> dict[str, dict[str, str]]:
        return {row["note_id"]: row for row in self.tables["discharge"]}

    def codes(self, version: str = "10") -> dict[str, set[str]]:
        """Codes of each admission of one ICD version."""
        found: dict[str, set[str]] = {}
        for row in self.tables["diagnoses_icd"]:
            if row["icd_version"] == version:
                found.setdefault(row["hadm_id"], set()).add(row["icd_code"])
        return found


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """420 patients, some 800 notes."""
    csv.field_size_limit(1 << 30)
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    with artifacts.writing(folder, source="synthetic") as writer:
        generate(settings(PATIENTS), writer, workers=1)
    tables = {}
    for name, table in RAW_TABLES.items():
        with gzip.open(folder / table.path, "rt", encoding="utf-8", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    return Generated(folder, tables, pq.read_table(folder / EVIDENCE_FILE).to_pylist())
