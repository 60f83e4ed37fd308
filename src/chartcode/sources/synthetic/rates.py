"""How clearly each of the fifty common conditions shows in the notes.

rates.csv is written by `python -m benchmarks.fit_twin`, which tunes it until a linear model finds each condition as
well as the published one does on MIMIC-IV, and an oracle that knows which mentions are affirmed finds it better. Its
columns, one row a condition:

    published_f1  what the linear model reached on MIMIC-IV; nothing is generated from it
    mention       share of notes with the code that affirm the condition in words
    stray         share of notes without the code that affirm it all the same: nobody can tell these from coded ones
    unaffirmed    share of notes, coded or not, that name it and take it back: whoever reads the context can tell
    cue_coded     chance of each of its drugs and implying phrases, in notes with the code
    cue_uncoded   the same in notes without the code
    shared        share of its mentions that use words it shares with a sibling (CKD, diabetes), where there are any
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic import resources
from chartcode.sources.synthetic.params import SyntheticParams

Array = NDArray[np.float64]

FILE = "rates.csv"
# How a mention that is not affirmed takes the condition back; shares of `unaffirmed`.
CONTEXTS = {"negated": 0.28, "family": 0.12, "ruled_out": 0.34, "historical": 0.26}
SHARED = 0.2  # share of mentions in shared words, conditions outside the common ones


@dataclass(frozen=True)
class Fitted:
    """The columns of rates.csv, (K,) each; K = 50 in catalogue order."""

    mention: Array
    stray: Array
    unaffirmed: Array
    cue_coded: Array
    cue_uncoded: Array
    shared: Array


@dataclass(frozen=True)
class Rates:
    """The same under the params of one hospital, `unaffirmed` by context."""

    mention: Array
    stray: Array
    negated: Array
    family: Array
    ruled_out: Array
    historical: Array
    cue_coded: Array
    cue_uncoded: Array
    shared: Array
    shared_rare: float


@lru_cache(maxsize=1)
def fitted() -> Fitted:
    """What rates.csv holds."""
    rows = resources.rows(FILE)
    return Fitted(*(np.array([float(row[column.name]) for row in rows]) for column in fields(Fitted)))


@lru_cache(maxsize=1)
def published() -> Array:
    """F1 of the linear model on MIMIC-IV, (K,)."""
    return np.array([float(row["published_f1"]) for row in resources.rows(FILE)])


@lru_cache(maxsize=1)
def published_by_code() -> dict[str, float]:
    """The same by code."""
    return dict(zip((row["icd_code"] for row in resources.rows(FILE)), published().tolist(), strict=True))


def rates(params: SyntheticParams, found: Fitted | None = None) -> Rates:
    """The fitted rates (default: those of rates.csv) times the factors of `params`; never above one."""
    found = found or fitted()

    def share(values: Array, factor: float) -> Array:
        return np.asarray(np.clip(values * factor, 0.0, 1.0))

    stated = found.mention > 0  # a condition never stated stays so
    return Rates(
        mention=np.where(stated, 1 - share(1 - found.mention, params.unmentioned), 0.0),
        stray=share(found.stray, params.uncoded),
        negated=share(found.unaffirmed, params.negated * CONTEXTS["negated"]),
        family=share(found.unaffirmed, params.family * CONTEXTS["family"]),
        ruled_out=share(found.unaffirmed, params.ruled_out * CONTEXTS["ruled_out"]),
        historical=share(found.unaffirmed, params.historical * CONTEXTS["historical"]),
        cue_coded=share(found.cue_coded, params.implied_coded),
        cue_uncoded=share(found.cue_uncoded, params.implied_uncoded),
        shared=share(found.shared, params.shared_form),
        shared_rare=min(SHARED * params.shared_form, 1.0),
    )
