"""How large the synthetic hospital is and how untidily its clinicians write."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from chartcode.params import Fraction, Section, Seed

MAX_PATIENTS = 150_000  # identifiers of eight digits leave room for so many
Rate = Annotated[float, Field(ge=0, le=10)]
Factor = Annotated[float, Field(ge=0, le=20)]


class SyntheticParams(Section):
    """Size, seed and the rate of every kind of noise.

    `unmentioned` to `shared_form` are factors of the rates that were fitted for each common condition (rates.py): 1 is
    the calibrated hospital. All other rates are shares (0 to 1) unless their comment says otherwise.
    """

    section: ClassVar[str] = "synthetic"
    patients: Annotated[int, Field(ge=1, le=MAX_PATIENTS)]
    seed: Seed
    icd9_share: Annotated[float, Field(ge=0, le=0.9)]
    unmentioned: Factor
    uncoded: Factor
    negated: Factor
    family: Factor
    ruled_out: Factor
    historical: Factor
    repeats: Rate
    implied_coded: Factor
    implied_uncoded: Factor
    shared_form: Factor
    rare_unmentioned: Annotated[float, Field(ge=0, le=0.5)]
    rare_uncoded: Rate
    rare_unaffirmed: Rate
    ambiguous: Fraction
    copied_forward: Fraction
    misspelling: Fraction
    over_mask: Fraction
    rare_words: Annotated[float, Field(ge=0, le=100)]
