"""Which diagnoses the hospital knows, how common each is, and who can have it.

codes.csv lists some 1,100 common codes in order of frequency, with their course (chronic conditions return in a
patient's later admissions) and the title of those that ICD-10-CM has retired. The rest of the long tail is dealt from
the whole of ICD-10-CM (package simple-icd-10-cm), chapter by chapter, by the hash of the code: no random state, the
same everywhere.

Prevalence by rank (share of admissions): ranks 1 to 50 as published; then straight lines in log-log through 2.4% at
rank 100 and 0.2% at rank 1,000, and a steeper one to the last rank so that the mean number of codes is as published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic import resources

TOP = 50
SIZE = 12_000  # ICD-10-CM codes in use
MEAN_CODES = 13.6  # per admission

# Share of the hand-dealt tail by first letter of the code, after the open MIMIC-IV demo's 2,313 ICD-10 rows.
_CHAPTER_SHARE = {
    "A": 3.0, "B": 3.0, "C": 8.0, "D": 6.0, "E": 7.0, "F": 6.0, "G": 5.0, "H": 4.0, "I": 9.0, "J": 4.0, "K": 7.0,
    "L": 4.0, "M": 8.0, "N": 4.5, "O": 4.0, "Q": 1.0, "R": 3.0, "S": 7.0, "T": 8.0, "V": 1.0, "W": 1.5, "X": 0.5,
    "Y": 1.0, "Z": 6.0,
}  # fmt: skip

# Published prevalence of the top 50 in MIMIC-IV, per cent, in the order of codes.csv.
PUBLISHED_PERCENT = (
    36.8, 35.4, 28.1, 24.7, 19.0, 18.3, 16.6, 15.7, 13.9, 12.4, 12.2, 11.1, 10.9, 10.0, 9.9, 9.8, 9.6, 9.2, 9.1, 8.4,
    8.3, 8.2, 8.1, 7.9, 7.7, 7.5, 7.1, 6.9, 6.8, 6.7, 6.4, 6.4, 6.3, 6.3, 6.0, 5.9, 5.7, 5.5, 5.4, 5.3, 5.1, 5.1, 5.0,
    4.9, 4.9, 4.8, 4.8, 4.8, 4.4, 4.3,
)  # fmt: skip

# Strata of patients that decide which codes are possible: men, women to 50, older women.
STRATA = ("men", "young women", "older women")
CHILDBEARING = (18, 50)  # years, both ends included

# Wards. An admission lies in one; its rarer diagnoses come mostly from the chapters that the ward treats.
WARDS = (
    "MEDICINE",
    "CARDIOTHORACIC",
    "SURGERY",
    "ORTHOPAEDICS",
    "NEUROLOGY",
    "OMED",
    "OBSTETRICS/GYNECOLOGY",
    "PSYCHIATRY",
)
_WARD_OF_LETTER = {
    "A": (0.75, 0.02, 0.13, 0.03, 0.02, 0.05, 0.0, 0.0), "B": (0.75, 0.02, 0.12, 0.03, 0.03, 0.05, 0.0, 0.0),
    "C": (0.15, 0.03, 0.22, 0.02, 0.05, 0.53, 0.0, 0.0), "D": (0.45, 0.07, 0.17, 0.06, 0.03, 0.22, 0.0, 0.0),
    "E": (0.62, 0.10, 0.13, 0.05, 0.05, 0.04, 0.0, 0.01), "F": (0.50, 0.05, 0.10, 0.06, 0.09, 0.03, 0.0, 0.17),
    "G": (0.38, 0.05, 0.08, 0.07, 0.38, 0.04, 0.0, 0.0), "H": (0.45, 0.05, 0.10, 0.08, 0.27, 0.05, 0.0, 0.0),
    "I": (0.42, 0.36, 0.09, 0.03, 0.08, 0.02, 0.0, 0.0), "J": (0.65, 0.12, 0.10, 0.03, 0.04, 0.06, 0.0, 0.0),
    "K": (0.43, 0.03, 0.46, 0.02, 0.02, 0.04, 0.0, 0.0), "L": (0.55, 0.04, 0.24, 0.10, 0.03, 0.04, 0.0, 0.0),
    "M": (0.30, 0.03, 0.09, 0.52, 0.04, 0.02, 0.0, 0.0), "N": (0.57, 0.07, 0.22, 0.04, 0.04, 0.05, 0.01, 0.0),
    "O": (0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.99, 0.0), "Q": (0.40, 0.25, 0.15, 0.05, 0.10, 0.05, 0.0, 0.0),
    "R": (0.54, 0.11, 0.11, 0.05, 0.13, 0.06, 0.0, 0.0), "S": (0.10, 0.02, 0.32, 0.46, 0.10, 0.0, 0.0, 0.0),
    "T": (0.38, 0.10, 0.28, 0.12, 0.05, 0.06, 0.0, 0.01), "U": (0.90, 0.05, 0.03, 0.0, 0.02, 0.0, 0.0, 0.0),
    "V": (0.15, 0.02, 0.35, 0.38, 0.10, 0.0, 0.0, 0.0), "W": (0.30, 0.03, 0.20, 0.37, 0.10, 0.0, 0.0, 0.0),
    "X": (0.50, 0.03, 0.20, 0.15, 0.07, 0.0, 0.0, 0.05), "Y": (0.40, 0.13, 0.25, 0.12, 0.05, 0.05, 0.0, 0.0),
    "Z": (0.48, 0.12, 0.15, 0.09, 0.06, 0.08, 0.0, 0.02),
}  # fmt: skip

_MEN = ("N40", "N41", "N42", "N43", "N44", "N45", "N46", "N47", "N48", "N49", "N5", "C60", "C61", "C62", "C63", "D29",
    "D40",
        "Z8546", "Z8547", "R972", "Z1252", "Q53", "Q54", "Q55", "Z9079", "S312", "S313", "B260", "Z801A")  # fmt: skip
_WOMEN = ("N7", "N80", "N81", "N82", "N83", "N84", "N85", "N86", "N87", "N88", "N89", "N9", "C51", "C52", "C53", "C54",
    "C55",
          "C56", "C57", "C58", "D25", "D26", "D27", "D28", "D39", "D06", "D070", "D071", "D072", "D073", "Z8541",
          "Z8542",
          "Z8543", "Z8544", "Z9071", "Z9072", "Q50", "Q51", "Q52", "R87", "S314", "M830", "B373", "F53", "A34", "Z8740",
          "Z78", "Z302", "Z3043", "Z98891")  # fmt: skip
_PREGNANCY = ("O", "Z3A", "Z37", "Z33", "Z34", "Z36", "Z39", "Z322", "Z331", "Z640", "Z302", "Z98891", "A34", "F53")
_BARRED = (
    "P",
    "Z38",
    "Z00",
    "Z001",
    "Z76",
    "V9",
    "W2",
    "W5",
    "X5",
    "Y0",
    "Y9",
    "R99",
    "I46",
    "Q8",
    "T88",
    "G9382",
    "U",
)


@dataclass(frozen=True)
class Catalogue:
    """The codes in use, commonest first; arrays have one entry a code (C codes)."""

    codes: tuple[str, ...]
    titles: tuple[str, ...]
    prevalence: NDArray[np.float64]  # (C,) share of admissions
    chronic: NDArray[np.bool_]  # (C,)
    allowed: NDArray[np.bool_]  # (strata, C)
    ward: NDArray[np.float64]  # (wards, C): share of the code's admissions that lie in the ward
    pregnancy: NDArray[np.bool_]  # (C,)

    @property
    def index(self) -> dict[str, int]:
        """Position of each code."""
        return {code: position for position, code in enumerate(self.codes)}


def rank_curve(size: int) -> NDArray[np.float64]:
    """Prevalence of ranks 1 to `size`, summing to MEAN_CODES."""
    top = np.array(PUBLISHED_PERCENT) / 100
    rank = np.arange(TOP + 1, size + 1, dtype=float)
    slope_1 = np.log(0.042 / 0.024) / np.log(100 / (TOP + 1))
    slope_2 = np.log(0.024 / 0.002) / np.log(10)
    head = np.where(rank <= 100, 0.024 * (rank / 100) ** -slope_1, 0.024 * (rank / 100) ** -slope_2)
    low, high = 1.0, 6.0
    for _ in range(60):  # bisection: the steeper the last line, the smaller the sum
        slope_3 = (low + high) / 2
        curve = np.where(rank <= 1000, head, 0.002 * (rank / 1000) ** -slope_3)
        low, high = (slope_3, high) if curve.sum() + top.sum() > MEAN_CODES else (low, slope_3)
    return np.concatenate([top, curve])


def _unit_hash(text: str) -> float:
    """A number in (0, 1), the same on every machine."""
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) + 1) / (2**64 + 2)


def _long_tail(all_codes: list[str], taken: set[str], count: int) -> list[str]:
    """`count` further codes, weighted by chapter (Efraimidis and Spirakis keys), likeliest first."""
    rest = [
        code
        for code in all_codes
        if code not in taken
        and not code.startswith(_BARRED)
        and (code[0] not in "ST" or len(code) < 7 or code[6] == "A")  # initial encounters
        and not (code[0] == "M" and len(code) == 7 and code[6] != "A")
        and not (code[0] == "O" and len(code) == 7 and code[6] not in "01")
    ]
    of_letter: dict[str, int] = {}
    for code in rest:
        of_letter[code[0]] = of_letter.get(code[0], 0) + 1
    key = {code: np.log(_unit_hash(code)) * of_letter[code[0]] / _CHAPTER_SHARE.get(code[0], 0.1) for code in rest}
    return sorted(rest, key=lambda code: (-key[code], code))[:count]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """All codes in use. Takes about two seconds, most of it to read ICD-10-CM; call it in the parent process only."""
    import simple_icd_10_cm as icd  # reads a 10 MB file when imported

    title = {
        c.replace(".", ""): icd.get_description(c) for c in icd.get_all_codes() if icd.is_leaf(c) and "-" not in c
    }  # the package calls the block C00-C75 a leaf
    rows = resources.rows("codes.csv")
    title.update({row["icd_code"]: row["retired_title"] for row in rows if row["retired_title"]})
    listed = [row["icd_code"] for row in rows]
    tail = _long_tail(sorted(title), set(listed), SIZE - len(listed))
    codes = listed + tail
    chronic = [row["course"] != "acute" for row in rows] + [code[0] in "CEFGHIMQZ" for code in tail]
    men = np.array([code.startswith(_MEN) for code in codes])
    women = np.array([code.startswith(_WOMEN) for code in codes])
    pregnancy = np.array([code.startswith(_PREGNANCY) for code in codes])
    return Catalogue(
        codes=tuple(codes),
        titles=tuple(title[code] for code in codes),
        prevalence=rank_curve(len(codes)),
        chronic=np.array(chronic),
        allowed=np.stack([~women & ~pregnancy, ~men, ~men & ~pregnancy]),
        ward=np.array([_ward(code) for code in codes]).T,
        pregnancy=pregnancy,
    )


def _ward(code: str) -> tuple[float, ...]:
    if code.startswith(_PREGNANCY):
        return _WARD_OF_LETTER["O"]
    return _WARD_OF_LETTER[code[0]]
