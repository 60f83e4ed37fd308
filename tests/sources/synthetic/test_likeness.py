"""Length, masks and noise of the notes are those published; the tight comparison is `python -m benchmarks.twin`."""

from __future__ import annotations

import numpy as np

from tests.sources.synthetic.conftest import Generated
from tests.sources.synthetic.test_labels import PUBLISHED_TOKENS

# Some 800 notes: the standard error of a quantile is near 2% in the middle and 7% at the ends.
TOLERANCE = {0.01: 0.20, 0.50: 0.08, 0.90: 0.08, 0.95: 0.10, 0.99: 0.18}


def test_notes_are_as_long_as_published(generated: Generated) -> None:
    tokens = np.array([len(row["text"].split()) for row in generated.tables["discharge"]])
    for quantile, published in PUBLISHED_TOKENS.items():
        wanted = 1.08 * published
        assert abs(np.quantile(tokens, quantile) - wanted) < TOLERANCE[quantile] * wanted, quantile
    assert (tokens > 512).mean() > 0.97


def test_a_mask_stands_in_one_token_of_twenty_seven(generated: Generated) -> None:
    tokens = [token for row in generated.tables["discharge"] for token in row["text"].split()]
    assert abs(sum("___" in token for token in tokens) / len(tokens) - 0.037) < 0.003


def test_hospital_course_and_diagnosis_come_too_late_for_a_short_window(generated: Generated) -> None:
    late = sum(
        len(row["text"].partition("Brief Hospital Course:")[0].split()) > 512 for row in generated.tables["discharge"]
    )
    assert late > 0.6 * len(generated.tables["discharge"])


def test_the_vocabulary_keeps_growing(generated: Generated) -> None:
    notes = [set(row["text"].lower().split()) for row in generated.tables["discharge"]]
    half = len(notes) // 2
    assert len(set().union(*notes)) > 1.3 * len(set().union(*notes[:half]))
