"""Params of the synthetic hospital for tests: those of the pipeline's default size, fewer patients."""

from chartcode.sources.synthetic.params import SyntheticParams


def settings(patients: int, seed: int = 42, **changes: float) -> SyntheticParams:
    """A small hospital."""
    values: dict[str, float] = {
        "patients": patients,
        "seed": seed,
        "icd9_share": 0.05,
        "unmentioned": 1.0,
        "uncoded": 1.0,
        "negated": 1.0,
        "family": 1.0,
        "ruled_out": 1.0,
        "historical": 1.0,
        "repeats": 0.8,
        "implied_coded": 1.0,
        "implied_uncoded": 1.0,
        "shared_form": 1.0,
        "rare_unmentioned": 0.45,
        "rare_uncoded": 0.6,
        "rare_unaffirmed": 2.0,
        "ambiguous": 0.06,
        "copied_forward": 0.35,
        "misspelling": 0.015,
        "over_mask": 0.02,
        "rare_words": 8.0,
    }
    return SyntheticParams.model_validate(values | changes)
