"""Params of the synthetic hospital for tests: those of the pipeline's default size, fewer patients."""

from chartcode.sources.synthetic.params import SyntheticParams


def settings(patients: int, seed: int = 42, **changes: float) -> SyntheticParams:
    """A small hospital."""
    values: dict[str, float] = {
        "patients": patients,
        "seed": seed,
        "icd9_share": 0.05,
        "unmentioned": 0.17,
        "uncoded": 0.012,
        "negated": 0.015,
        "family": 0.008,
        "ruled_out": 0.012,
        "historical": 0.008,
        "repeats": 0.8,
        "implied_coded": 0.4,
        "implied_uncoded": 0.05,
        "shared_form": 0.2,
        "ambiguous": 0.06,
        "copied_forward": 0.35,
        "misspelling": 0.015,
        "over_mask": 0.02,
        "rare_words": 8.0,
    }
    return SyntheticParams.model_validate(values | changes)
