"""When a score is high enough to call the code: chosen on val patients, never on test.

- `global`: one threshold for all labels, maximising micro-F1 on val (the field's convention);
- `per_label`: one a label, maximising its F1 on val; a label with fewer than 20 val positives takes the global one;
- `none`: 0.5.
- `others`: one for all codes that are no labels, of a coder that names such; by F1 over all codes (beyond.py).

The search is exact, not a grid: F1 can only peak at the score of a true pair, because lowering the threshold past
anything else adds false calls alone. Of equal peaks the highest threshold wins (fewest calls). Comparisons are in
float32, the type of the scores, so a threshold read back from JSON decides the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chartcode.artifacts import Artifact
from chartcode.errors import ArtifactError, DataError
from chartcode.evaluation import beyond
from chartcode.evaluation.cohort import Cohort, blocks
from chartcode.evaluation.discrimination import Sorted, at_positives, per_label

HALF = np.float32(0.5)
OTHERS = "others"
FEWEST_POSITIVES = 20  # val positives below which a label's own threshold is noise


@dataclass(frozen=True)
class ChosenThresholds:
    """What val chose: one number, and one a label (L,), with the labels that fell back to the number; and one for codes
    that are no labels, None for a coder that knows none.
    """

    codes: tuple[str, ...]
    one: np.float32
    own: NDArray[np.float32]
    fallback: NDArray[np.bool_]
    others: np.float32 | None = None

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Thresholds (L,) by the name that params.yaml knows them under."""
        return {
            "global": np.full(len(self.codes), self.one, dtype=np.float32),
            "per_label": self.own,
            "none": np.full(len(self.codes), HALF, dtype=np.float32),
        }

    def as_json(self, ships: str) -> dict[str, Any]:
        """Plain values for thresholds.json; `ships` names the kind that a served coder uses."""
        return {
            "fallback": [code for code, fell in zip(self.codes, self.fallback, strict=True) if fell],
            "global": float(self.one),
            "none": float(HALF),
            "per_label": dict(zip(self.codes, map(float, self.own), strict=True)),
            "ships": ships,
        } | ({} if self.others is None else {OTHERS: float(self.others) if np.isfinite(self.others) else None})


def thresholds_of(evaluation: Artifact, codes: Sequence[str], kind: str | None = None) -> NDArray[np.float32]:
    """The threshold of each code (L,) as an evaluation chose them, of this kind or the one that it ships.

    A code that is no label has that of `others`. Raises ArtifactError for a code of which the evaluation knows nothing.
    """
    known = evaluation.json("thresholds.json")
    kind = kind or known["ships"]
    labels, rest = known["per_label"], known.get(OTHERS)
    rest = beyond.NEVER if rest is None else np.float32(rest)
    if not labels.keys() <= set(codes) or (OTHERS not in known and labels.keys() != set(codes)):
        raise ArtifactError(f"{evaluation.folder}: thresholds of other codes than the model has; take those of its run")
    of_labels = labels if kind == "per_label" else dict.fromkeys(labels, known["none" if kind == "none" else "global"])
    return np.array([of_labels.get(code, rest) for code in codes], np.float32)


def best_threshold(scores: Sorted) -> np.float32:
    """The threshold of largest F1, the highest of equals; 0.5 when no true pair has a score."""
    at = at_positives(scores)
    if not len(at.tau):
        return HALF
    f1 = 2 * at.hits / (at.called + len(scores.positives))
    best: np.float32 = at.tau[len(f1) - 1 - int(np.argmax(f1[::-1]))]
    return best


def choose(val: Cohort, cells: Sorted) -> ChosenThresholds:
    """Global and per-label thresholds of the val notes, `cells` being all their scores sorted.

    Raises DataError when no val note has a label.
    """
    if not val.true_scores.size:
        raise DataError(
            f"data/gold/labels.npz: no {val.split} note has a label; "
            f"raise split.{val.split} or data.max_patients in params.yaml"
        )
    one = best_threshold(cells)
    fallback = val.label_positives < FEWEST_POSITIVES
    own = np.full(val.labels, one, dtype=np.float32)
    for label, scores in enumerate(per_label(val)):
        if not fallback[label]:
            own[label] = best_threshold(scores)
    return ChosenThresholds(val.codes, one, own, fallback, _of_others(val, one))


def _of_others(val: Cohort, one: np.float32) -> np.float32 | None:
    """The threshold of codes that are no labels, beside labels that are called at `one`."""
    if val.beyond is None:
        return None
    called = sum(int(np.count_nonzero(val.scores[part] >= one)) for part in blocks(val.n, val.labels))
    right = int(np.count_nonzero(val.true_scores >= one))
    return beyond.best_threshold(val.beyond, right, called, int(val.n_codes.sum()))
