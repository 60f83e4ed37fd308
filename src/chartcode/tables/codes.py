"""An admission's ICD codes, and which of them can be labels: one rule for the cohort (silver) and the labels (gold)."""

from __future__ import annotations

from typing import Any

import ibis

from chartcode.params import GoldParams


def codes(diagnoses: Any, procedures: Any) -> Any:
    """One row per (admission, table, version, code): duplicates fall together at their first place."""
    parts = [
        rows.select("subject_id", "hadm_id", "icd_version", "icd_code", "seq_num", table=ibis.literal(name))
        for name, rows in (("diagnoses", diagnoses), ("procedures", procedures))
    ]
    keys = ["subject_id", "hadm_id", "table", "icd_version", "icd_code"]
    every = ibis.union(*parts)
    return every.group_by(keys).aggregate(seq_num=every.seq_num.min())


def label_codes(every: Any, params: GoldParams) -> Any:
    """The rows of `codes` that can be labels: of the chosen ICD version and tables."""
    return every.filter((every.icd_version == params.icd_version) & every.table.isin(list(params.tables)))
