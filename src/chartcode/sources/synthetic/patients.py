"""The people: identifiers, sex, age, dates shifted into the 22nd and 23rd century, and where they came from and went.

All of it in MIMIC-IV's own values. A patient's stream of random numbers depends on the seed and the patient's number
alone, so a patient is the same whatever the size of the hospital.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate

import numpy as np

Uniform = Callable[[], float]

MAX_ADMISSIONS = 64  # per patient; identifiers leave room for so many
_SPACING = 66  # between subject_ids: 150,000 patients fit into 1xxxxxxx
_STRIDE, _OFFSET, _ROOM = 6_700_417, 1_234_567, 10_000_000  # hadm_id: a permutation of 2xxxxxxx
_SINGLE, _TAIL = 0.65, 2.735  # share of patients with one admission; exponent of the others' power law
YEAR_GROUPS = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022")

Weighted = tuple[tuple[str, ...], tuple[float, ...]]


def _weighted(table: dict[str, float]) -> Weighted:
    total = sum(table.values())
    return tuple(table), tuple(accumulate(weight / total for weight in table.values()))


RACE = _weighted({
    "WHITE": 62, "BLACK/AFRICAN AMERICAN": 13.5, "WHITE - OTHER EUROPEAN": 2.5, "WHITE - RUSSIAN": 1.5, "OTHER": 3.2,
    "UNKNOWN": 2.4,
    "HISPANIC/LATINO - PUERTO RICAN": 2.2, "HISPANIC/LATINO - DOMINICAN": 1.8, "ASIAN": 1.7, "ASIAN - CHINESE": 1.6,
    "PORTUGUESE": 1.0,
    "BLACK/CAPE VERDEAN": 1.4, "WHITE - BRAZILIAN": 0.8, "BLACK/CARIBBEAN ISLAND": 0.8, "BLACK/AFRICAN": 0.9,
    "UNABLE TO OBTAIN": 0.7,
    "PATIENT DECLINED TO ANSWER": 0.6, "HISPANIC/LATINO - CUBAN": 0.3, "HISPANIC/LATINO - SALVADORAN": 0.4,
    "ASIAN - ASIAN INDIAN": 0.4,
})  # fmt: skip
LANGUAGE = _weighted(
    {
        "English": 90,
        "Spanish": 3.5,
        "Russian": 1.4,
        "Chinese": 1.5,
        "Kabuverdianu": 1.0,
        "Portuguese": 0.7,
        "Haitian": 0.7,
        "Other": 1.2,
    }
)
MARITAL = _weighted({"MARRIED": 43, "SINGLE": 35, "WIDOWED": 13, "DIVORCED": 7, "": 2})
_TYPE = _weighted({
    "EW EMER.": 36, "EU OBSERVATION": 14, "OBSERVATION ADMIT": 14, "URGENT": 12, "SURGICAL SAME DAY ADMISSION": 9,
    "DIRECT EMER.": 5,
    "DIRECT OBSERVATION": 4, "ELECTIVE": 4, "AMBULATORY OBSERVATION": 2,
})  # fmt: skip
_FROM = _weighted({
    "EMERGENCY ROOM": 50, "PHYSICIAN REFERRAL": 26, "TRANSFER FROM HOSPITAL": 9, "WALK-IN/SELF REFERRAL": 6,
    "CLINIC REFERRAL": 3,
    "PROCEDURE SITE": 2.5, "TRANSFER FROM SKILLED NURSING FACILITY": 1.4, "PACU": 1.3,
    "INTERNAL TRANSFER TO OR FROM PSYCH": 0.5,
    "INFORMATION NOT AVAILABLE": 0.2, "AMBULATORY SURGERY TRANSFER": 0.1,
})  # fmt: skip
_TO = _weighted({
    "HOME": 48, "HOME HEALTH CARE": 26, "SKILLED NURSING FACILITY": 13, "REHAB": 3.5,
    "CHRONIC/LONG TERM ACUTE CARE": 2.2, "HOSPICE": 1.2,
    "AGAINST ADVICE": 0.8, "PSYCH FACILITY": 0.7, "ACUTE HOSPITAL": 0.6, "OTHER FACILITY": 0.4, "ASSISTED LIVING": 0.2,
    "": 1.4,
})  # fmt: skip


def draw(table: Weighted, uniform: Uniform) -> str:
    """One value of a weighted table."""
    values, cumulative = table
    return values[min(bisect_right(cumulative, uniform()), len(values) - 1)]


@dataclass(frozen=True)
class Patient:
    """A row of `patients`, and what all admissions share."""

    subject_id: int
    sex: int  # 0 men, 1 women
    anchor_age: int
    anchor_year: int
    anchor_year_group: str
    race: str
    language: str
    marital_status: str
    dod: date | None


@dataclass(frozen=True)
class Visit:
    """One admission, its codes aside."""

    hadm_id: int
    admitted: datetime
    discharged: datetime
    died: bool
    admission_type: str
    admission_location: str
    discharge_location: str
    insurance: str
    provider: str
    registered: datetime | None  # in the emergency department
    left_emergency: datetime | None
    icd_version: int
    age: float  # years at admission


def subject_id(number: int, jitter: float) -> int:
    """Eight digits beginning with 1, rising with the patient's number."""
    return 10_000_000 + _SPACING * number + int(jitter * _SPACING)


def hadm_id(number: int, which: int) -> int:
    """Eight digits beginning with 2, unique to the patient's `which`-th admission."""
    return 20_000_000 + ((number * MAX_ADMISSIONS + which) * _STRIDE + _OFFSET) % _ROOM


@lru_cache(maxsize=1)
def _admission_cdf() -> list[float]:
    counts = np.arange(2, MAX_ADMISSIONS - 12)
    mass = counts.astype(float) ** -_TAIL
    return list(np.cumsum(np.concatenate([[_SINGLE], (1 - _SINGLE) * mass / mass.sum()])))


def admissions_of(uniform: Uniform) -> int:
    """Number of admissions with ICD-10 codes: one in 65% of patients, else a power law (mean 1.86 altogether)."""
    return 1 + bisect_right(_admission_cdf(), uniform() * 0.999999)


def provider(uniform: Uniform) -> str:
    """A provider identifier such as P41R5N."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    number = int(uniform() * 4000)  # providers recur
    return f"P{number * 7 % 90 + 10}{letters[number % 26]}{number % 10}{letters[number // 26 % 26]}"


def gaps(count: int, uniform: Uniform) -> list[float]:
    """Years from the first admission to each, the first at 0; about half of all returns come within four months."""
    found = [0.0]
    for _ in range(count - 1):
        found.append(found[-1] + 0.03 + (0.6 if count < 6 else 0.25) * -float(np.log(1 - uniform() * 0.999)))
    longest = found[-1]
    return [gap * 11.0 / longest for gap in found] if longest > 11.0 else found


def visit(
    number: int, which: int, start: datetime, version: int, age: float, size: int, dies: bool, uniform: Uniform
) -> Visit:
    """One admission starting about `start`; `size` codes make a long stay likelier."""
    admitted = start.replace(hour=int(uniform() * 24), minute=int(uniform() * 60), second=0, microsecond=0)
    days = (0.8 + 0.28 * size) * (0.35 + 1.6 * uniform() * uniform() - 0.55 * float(np.log(1 - uniform() * 0.999)))
    discharged = admitted + timedelta(days=max(days, 0.3))
    if not dies:  # people leave in the afternoon
        discharged = discharged.replace(hour=10 + int(uniform() * 9))
    discharged = discharged.replace(minute=int(uniform() * 60), second=0, microsecond=0)
    if discharged <= admitted + timedelta(hours=4):
        discharged += timedelta(days=1)
    kind = draw(_TYPE, uniform)
    emergency = uniform() < (0.9 if kind in ("EW EMER.", "EU OBSERVATION", "OBSERVATION ADMIT") else 0.1)
    registered = admitted - timedelta(minutes=int(60 + uniform() * 500)) if emergency else None
    left = admitted + timedelta(minutes=int(20 + uniform() * 300)) if emergency else None
    insurance = (
        "Medicare"
        if uniform() < (0.88 if age >= 65 else 0.18)
        else ("Medicaid" if uniform() < 0.35 else ("Private" if uniform() < 0.85 else "Other"))
    )
    return Visit(
        hadm_id(number, which), admitted, discharged, dies, kind, draw(_FROM, uniform),
        "DIED" if dies else draw(_TO, uniform),
        insurance, provider(uniform), registered, left, version, age,
    )  # fmt: skip
