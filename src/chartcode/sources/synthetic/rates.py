"""How clearly each common condition shows in the notes: the rates of affirmed, stray and negated mentions.

rates.csv holds the F1 that a linear model reached for each code on MIMIC-IV (published). A closed form turns it into a
first guess: a condition whose only sign is stated in a share t of its notes and falsely in a share f of the others
scores F = 2t / (1 + t + f (1 - p) / p). Where context tells a share R of the false mentions (negation, family,
    ruled out),
a reader who understands it reaches a higher F. Averages are then set to the params, so the params say what a reader of
params.yaml expects them to say, and the file says which conditions lie above and below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic import resources
from chartcode.sources.synthetic.codes import PUBLISHED_PERCENT
from chartcode.sources.synthetic.params import SyntheticParams

Array = NDArray[np.float64]

_READABLE = 0.8  # share of false mentions that context gives away
_GAP = 0.15  # F1 that reading the context adds
UNRECOVERABLE = ("Z23", "Y929", "Y92239", "Y92230")
MASKED = ("Z87891", "F17210")  # told in the Social History, which MIMIC-IV masks


@dataclass(frozen=True)
class Rates:
    """Rates per common condition, (K,) each; K = 50 in catalogue order."""

    mention: Array  # coded: stated at all
    stray: Array  # not coded: affirmed nevertheless
    negated: Array  # any note
    family: Array
    ruled_out: Array
    historical: Array
    cue_coded: Array  # coded: each drug and each implying phrase
    cue_uncoded: Array


@lru_cache(maxsize=1)
def _closed_form() -> tuple[Array, Array, Array]:
    """Mention rate t, false rate f and clarity q of each condition."""
    rows = resources.rows("rates.csv")
    linear = np.array([float(row["published_f1"]) for row in rows])
    prevalence = np.array(PUBLISHED_PERCENT) / 100
    gap = np.where([row["icd_code"] in UNRECOVERABLE for row in rows], 0.03, _GAP)
    gap = np.where([row["icd_code"] in MASKED for row in rows], 0.05, gap)
    reader = np.minimum(linear + gap, linear + 0.75 * (1 - linear))
    stated = reader * _READABLE / (2 - reader * _READABLE - 2 * (1 - _READABLE) * reader / linear)
    stated = np.where((stated <= 0) | (stated > 0.97), 0.97, stated)
    stated = np.clip(stated, linear / (2 - linear) + 1e-3, 0.97)
    false = prevalence / (1 - prevalence) * (2 * stated / linear - stated - 1)
    return stated, np.clip(false, 2e-4, 0.6), np.clip((linear - 0.1) / 0.6, 0.0, 1.0)


def _scaled(shape: Array, mean: float, top: float) -> Array:
    """`shape` rescaled to `mean`, clipped at `top`."""
    return np.asarray(np.clip(shape * (mean / shape.mean()), 0.0, top))


def rates(params: SyntheticParams) -> Rates:
    """The rates of each condition under `params`."""
    stated, false, clarity = _closed_form()
    hidden = np.array([code in UNRECOVERABLE for code in _codes()])
    cue_coded = params.implied_uncoded + (params.implied_coded - params.implied_uncoded) * clarity
    return Rates(
        mention=1 - np.where(hidden, 1.0, _scaled(1 - stated, params.unmentioned, 0.95)),
        stray=np.where(hidden, 0.0, _scaled(false, params.uncoded, 0.5)),
        negated=np.where(hidden, 0.0, _scaled(false, params.negated, 0.5)),
        family=np.where(hidden, 0.0, _scaled(false, params.family, 0.5)),
        ruled_out=np.where(hidden, 0.0, _scaled(false, params.ruled_out, 0.5)),
        historical=np.where(hidden, 0.0, _scaled(false, params.historical, 0.5)),
        cue_coded=np.where(hidden, params.implied_coded, cue_coded),
        cue_uncoded=np.full(len(stated), params.implied_uncoded),
    )


@lru_cache(maxsize=1)
def _codes() -> tuple[str, ...]:
    return tuple(row["icd_code"] for row in resources.rows("rates.csv"))
