"""A drug as a note orders it, and the words that are none.

drugs.txt holds words of sentences and orders that no drug's name begins or ends with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import NamedTuple

from chartcode.extraction.orders import Order, Span

LISTS = {"medications_on_admission": "admission", "discharge_medications": "discharge", "medications": "admission"}

SILENT = {  # sections that name no treatment, or doses that are no drug's
    "name", "admission_date", "date_of_birth", "service", "attending", "allergies", "social_history", "family_history",
    "physical_exam", "pertinent_results", "facility", "discharge_condition", "vital_signs", "review_of_systems",
}  # fmt: skip  # fmt: skip
STOP_WORDS = frozenset((files(__package__) / "drugs.txt").read_text(encoding="utf-8").split())
NOT_A_DRUG = re.compile(
    r"\s*(?:none|n/?a|nil|unknown|unable|see\b|as\s|same\b|no\b|not\b|the\b|this\b|patient\b|per\b|please\b|he\b|she\b|her\b"
    r"|his\b|they\b|list\b|\W*$|facility\b|dose$|home\s+med|(?:active|home|current|outpatient|inpatient|other)?\s*"
    r"medications?\b|meds\b|allergies\b|refills?\b|disp\b|sig\b|start:|tapered|discharge\b|continue\s+all)",
    re.IGNORECASE,
)

NOT_DOSED = re.compile(
    r"\s*(?:of\s+)?(?:p?rbcs?|prbc|ffp|platelets?|packed|blood|fluids?|ns\b|lr\b|urine|ascit|pus)", re.IGNORECASE
)

CHANGES = {
    "start": r"start(?:ed)?(?:\s+on)?|begin|began|initiated?|new(?:\s+medications?)?|added?|restart(?:ed)?|resumed?",
    "stop": r"stop(?:ped)?|discontinued?|d/c(?:'?ed)?",
    "change": r"changed?|increased?|decreased?|reduced?|uptitrated|titrated?",
    "hold": r"held|hold(?:ing)?",
    "continue": r"continued?(?:\s+on)?",
}

CHANGED = "|".join(f"(?P<{name}>{pattern})" for name, pattern in CHANGES.items())


class Section(NamedTuple):
    """A section of a text: its name and where it stands behind its header, code points."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Medication:
    """One order of one drug, or its bare name.

    `list`: admission | discharge | course. `form`: entry (a line of a list), rx (the prescription printed below
    it), dose (running text with a dose), change (START X, stopped: X), name (learned from the lists).
    `entry` counts the entries of a note, `step` the steps of a taper. `change`: start | stop | change | hold |
    continue.
    """

    list: str
    section: str
    form: str
    entry: int
    step: int
    start: int
    end: int
    drug: Span
    order: Order = field(default_factory=Order)
    change: str | None = None

    @property
    def told_end(self) -> int:
        """Where the drug and its order end, whatever else stands in the line."""
        return max(self.drug.end, *(part.end for part in self.order.spans()), self.drug.end)

    @property
    def key(self) -> str:
        """The drug for comparison: lower case, without what stands in brackets."""
        return drug_key(self.drug.text)


def drug_key(name: str) -> str:
    """`OxyCODONE (Immediate Release)` -> `oxycodone`."""
    return " ".join(re.sub(r"\([^)]*\)?", " ", name.lower()).replace("*", " ").split())


def name_behind(body: str, place: int, shift: int) -> Span | None:
    """`40 mg IV lasix`, `2 g of ceftriaxone`: the drug behind its order."""
    found = re.match(r"\s*(?:of\s+)?([A-Za-z][\w-]{2,}(?:\s+\([^)]*\))?)", body[place:])
    if found is None or found[1].lower() in STOP_WORDS or NOT_DOSED.match(body[place:]):
        return None
    return Span(found[1], shift + place + found.start(1), shift + place + found.end(1))
