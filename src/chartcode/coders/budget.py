"""What a coder reads of a note that is longer than it may read: the sections that speak of diagnoses first.

A discharge summary opens with names and history; its course and its diagnoses come late, so the first tokens of a long
note are not the ones to code it by. Sections are taken in READ_FIRST's order, each from its beginning, until the budget
is full; what was taken is then read in the order of the note. Short lists of diagnoses and drugs come before prose,
prose before laboratory values, examination and instructions last: by evidence a word, as the synthetic hospital marks
it. A note without headers is one section and is read from its beginning.
Legend: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

READ_FIRST = (
    "discharge_diagnosis",
    "past_medical_history",
    "past_surgical_history",
    "chief_complaint",
    "procedures",
    "discharge_medications",
    "discharge_condition",
    "discharge_disposition",
    "facility",
    "social_history",
    "family_history",
    "hospital_course",
    "history_of_present_illness",
    "medications_on_admission",
    "pertinent_results",
)
READ_LAST = ("discharge_instructions", "followup_instructions", "physical_exam")
_RANK = {name: rank for rank, name in enumerate(READ_FIRST)}
_RANK |= {name: len(READ_FIRST) + 1 + rank for rank, name in enumerate(READ_LAST)}
_OTHER = len(READ_FIRST)


def within(starts: NDArray[Any], sections: Sequence[Mapping[str, Any]], most: int) -> NDArray[np.int64]:
    """Which tokens to read, at most `most`: indices in the order of the note.

    `starts` (T,) says where each token begins in the clean text, `sections` are silver's (name, clean_end). A header
    stands before the section it opens and is read with it.
    """
    if len(starts) <= most:
        return np.arange(len(starts))
    ends = np.array([section["clean_end"] for section in sections], np.int64)
    ranks = np.array([*(_RANK.get(section["name"], _OTHER) for section in sections), _OTHER])
    rank = ranks[np.searchsorted(ends, starts, "right")]  # (T,)
    return np.sort(np.argsort(rank, kind="stable")[:most])
