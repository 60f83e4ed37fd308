"""Admissions from before October 2015: the same patients, coded in ICD-9-CM.

icd9.csv maps the commonest ICD-10-CM codes to what coders wrote before; rows without an ICD-10-CM code are the stock
from which any other diagnosis is dealt, by the hash of its code. Leading zeros are part of a code (0389, 00845).
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from chartcode.sources.synthetic import resources


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, str], tuple[str, ...], dict[str, str]]:
    mapped: dict[str, str] = {}
    stock: list[str] = []
    titles: dict[str, str] = {}
    for row in resources.rows("icd9.csv"):
        titles[row["icd9_code"]] = row["long_title"]
        if row["icd10_code"]:
            mapped[row["icd10_code"]] = row["icd9_code"]
        else:
            stock.append(row["icd9_code"])
    return mapped, tuple(stock), titles


def titles() -> dict[str, str]:
    """Long title of every ICD-9-CM code in use."""
    return _tables()[2]


def is_mapped(icd10_code: str) -> bool:
    """Whether the ICD-9-CM code says the same as the ICD-10-CM code."""
    return icd10_code in _tables()[0]


def to_icd9(icd10_code: str) -> str:
    """The ICD-9-CM code for a diagnosis."""
    mapped, stock, _ = _tables()
    found = mapped.get(icd10_code)
    return found if found is not None else stock[zlib.crc32(icd10_code.encode()) % len(stock)]
