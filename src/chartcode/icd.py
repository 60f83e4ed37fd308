"""ICD codes as strings: which shapes are codes, how they are dotted, which category they belong to.

Shapes follow the ICD-10-CM and ICD-10-PCS guidelines (CMS, 2025) and ICD-9-CM (CMS, version 32). Codes travel
undotted and upper-case, as MIMIC-IV stores them; a dot is for people only.
"""

from __future__ import annotations

# RE2 syntax, anchored by the caller's use of `fullmatch` or ^...$. Shapes, not existence: codes of old years are kept.
ICD10_CM = "[A-Z][0-9A][0-9A-Z][0-9A-Z]{0,4}"  # the A: QA0, since fiscal year 2026
ICD10_PCS = "[0-9A-HJ-NP-Z]{4,7}"  # seven characters; CodiEsp also has four-character sections
ICD9_CM = "[0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4}"
ICD9_PROCEDURE = "[0-9]{2,4}"


def pattern(table: str, version: int) -> str:
    """The shape of a code in `diagnoses_icd`, `d_icd_diagnoses` or `procedures_icd`, ICD version 9 or 10."""
    shapes = (ICD9_PROCEDURE, ICD10_PCS) if table.startswith("procedures") else (ICD9_CM, ICD10_CM)
    return f"^(?:{shapes[version == 10]})$"


def dotted(code: str, version: int = 10, procedure: bool = False) -> str:
    """`E785` as people write it, `E78.5`; a code of three characters has no dot, nor has an ICD-10-PCS code."""
    if procedure:
        return code if version == 10 or len(code) <= 2 else f"{code[:2]}.{code[2:]}"
    head = 4 if version == 9 and code.startswith("E") else 3
    return code if len(code) <= head else f"{code[:head]}.{code[head:]}"


def undotted(code: str) -> str:
    """`e78.5` as tables store it, `E785`."""
    return code.strip().replace(".", "").upper()


def category(code: str) -> str:
    """The three-character category of an ICD-10-CM code: siblings share it."""
    return code[:3]
