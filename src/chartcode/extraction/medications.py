"""The medications of a note: those of its two lists, line by line, and those its course names.

No dictionary of drugs. In a list the drug is what stands before the order or the whole of a short line (lists.py). In
running text a drug is taken with a dose, where the text says that something was started or stopped, or by a name that
the lists of the same note have taught (prose.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chartcode.extraction.drugs import LISTS, SILENT, STOP_WORDS, Medication, Section
from chartcode.extraction.lists import entries, medications_of
from chartcode.extraction.prose import in_prose


def medications(text: str, sections: Sequence[Section]) -> list[Medication]:
    """Every medication of a note in the order of the text; offsets are code points of `text`."""
    found: list[Medication] = []
    for section in sections:
        if section.name in LISTS:
            for start, end in entries(text, section):
                found += medications_of(text, start, end, section, len(found))
    learned = {drug.key for drug in found if len(drug.key) > 3 and not drug.key[0].isdigit()}
    learned -= STOP_WORDS
    for section in sections:
        if section.name not in LISTS and section.name not in SILENT:
            found += in_prose(text, section, learned)
    found.sort(key=lambda drug: (drug.start, drug.step, drug.end))
    numbers: dict[tuple[int, int], int] = {}  # prescriptions count with the entry they are printed below
    keys = [(drug.entry, 0) if drug.entry >= 0 else (-1, drug.start) for drug in found]
    return [replace(drug, entry=numbers.setdefault(key, len(numbers))) for key, drug in zip(keys, found, strict=True)]
