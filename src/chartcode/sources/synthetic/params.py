"""How large the synthetic hospital is and how untidily its clinicians write."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from chartcode.params import Fraction, Section, Seed

MAX_PATIENTS = 150_000  # identifiers of eight digits leave room for so many
Rate = Annotated[float, Field(ge=0, le=10)]


class SyntheticParams(Section):
    """Size, seed and the rate of every kind of noise. A rate is a share (0 to 1) unless its comment says otherwise.

    The rates `unmentioned`, `uncoded`, `negated`, `family`, `ruled_out` and `historical` are averages over the fifty
    commonest conditions; single conditions lie above or below, as their published difficulty asks (rates.py).
    """

    section: ClassVar[str] = "synthetic"
    patients: Annotated[int, Field(ge=1, le=MAX_PATIENTS)]
    seed: Seed
    icd9_share: Annotated[float, Field(ge=0, le=0.9)]
    unmentioned: Fraction
    uncoded: Fraction
    negated: Fraction
    family: Fraction
    ruled_out: Fraction
    historical: Fraction
    repeats: Rate
    implied_coded: Fraction
    implied_uncoded: Fraction
    shared_form: Fraction
    ambiguous: Fraction
    copied_forward: Fraction
    misspelling: Fraction
    over_mask: Fraction
    rare_words: Annotated[float, Field(ge=0, le=100)]
