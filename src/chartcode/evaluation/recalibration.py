"""Scores made into probabilities, one monotone map a code, learned on val.

- `platt`: sigmoid(slope * x + intercept), with x the logit of a score that is a probability, else the score itself
  (Platt 1999, with his smoothed targets). Two numbers a code.
- `isotonic`: the best rising step function, interpolated (Zadrozny & Elkan 2002). Any shape, but it needs more notes,
  and its steps make ties.

A code with fewer than 20 positives among the notes learned from has no map of its own: such codes share one, learned
from all their cells.
Within a code nothing changes place (but for isotonic's ties), so its AUROC stays; across codes it does, so P@k, MAP
and F1 at one threshold move. A score of -inf stays -inf.

Shapes: N notes, L labels, B bins of the shared map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.sparse import csr_array, issparse
from scipy.special import expit, logit

from chartcode.artifacts import Artifact
from chartcode.errors import DataError
from chartcode.evaluation.cohort import NEVER, Cohort

Kind = Literal["platt", "isotonic"]
REST = "*"  # in place of a code
CALIBRATION = "calibration.npz"  # beside thresholds.json
FEWEST_POSITIVES = 20
BINS = 1 << 16  # of the shared map: scores closer than a bin are one
STEPS = 100  # of Newton's method; a handful is enough but for codes that are told apart without error
LEAST, MOST = 1e-30, 1 - 2.0**-25  # a score beyond is taken for it, so that its logit is finite


@dataclass(frozen=True)
class Map:
    """One map: (slope, intercept) of platt, or rising knots x and y (K,) of isotonic."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Calibrator:
    """A map a code. `logits`: whether platt's x is the logit of the score."""

    kind: Kind
    codes: tuple[str, ...]
    logits: bool
    maps: tuple[Map, ...]
    rest: Map | None = None  # of codes that are no labels, for a coder that names such

    def apply(self, scores: Any) -> Any:
        """Probabilities (N, L) float32, of scores that are dense or CSR as they are."""
        if issparse(scores):
            columns = scores.tocsc()
            for label in np.flatnonzero(np.diff(columns.indptr)).tolist():
                part = slice(columns.indptr[label], columns.indptr[label + 1])
                columns.data[part] = self._of(self.maps[label], columns.data[part])
            return columns.tocsr()
        made = np.empty_like(scores)
        for label, each in enumerate(self.maps):
            made[:, label] = self._of(each, scores[:, label])
        return made

    def applied(self, cohort: Cohort) -> Cohort:
        """The cohort with probabilities for scores."""
        beyond = cohort.beyond
        if beyond is not None and self.rest is not None:
            held = beyond.scores
            said = csr_array((self._of(self.rest, held.data), held.indices, held.indptr), shape=held.shape)
            beyond = replace(beyond, scores=said)
        return replace(cohort, scores=self.apply(cohort.scores), beyond=beyond)

    def _of(self, each: Map, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        known = scores != NEVER
        column = np.where(known, scores, 0).astype(np.float64)
        if self.kind == "platt":
            said = expit(each.x[0] * (_logit(column) if self.logits else column) + each.y[0])
        else:
            said = np.interp(column, each.x, each.y)
        return np.where(known, said, NEVER).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for an npz file; `read` is the way back."""
        maps = self.maps if self.rest is None else (*self.maps, self.rest)
        starts = np.cumsum([0, *(len(each.x) for each in maps)])
        x, y = (np.concatenate([getattr(each, axis) for each in maps]) for axis in "xy")
        names = np.array(self.codes if self.rest is None else (*self.codes, REST), dtype=np.str_)
        return {"kind": np.array(self.kind), "logits": np.array(self.logits), "codes": names,
                "starts": starts, "x": x, "y": y}  # fmt: skip

    @classmethod
    def of(cls, evaluation: Artifact, codes: Sequence[str]) -> Calibrator | None:
        """What an evaluation learned for these codes; None where it did not calibrate."""
        return cls.read(evaluation.npz(CALIBRATION), codes) if CALIBRATION in evaluation.names() else None

    @classmethod
    def read(cls, arrays: dict[str, NDArray[Any]], codes: Sequence[str]) -> Calibrator:
        """The maps of these codes. Raises DataError when one has none."""
        place = {str(code): label for label, code in enumerate(arrays["codes"])}
        if REST in place:
            place = dict.fromkeys(codes, place[REST]) | place
        if missing := [code for code in codes if code not in place]:
            raise DataError(f"{CALIBRATION}: no map for {len(missing)} codes of the model; evaluate that model again")
        starts = arrays["starts"]
        spans = [slice(int(starts[place[code]]), int(starts[place[code] + 1])) for code in codes]
        maps = tuple(Map(arrays["x"][span], arrays["y"][span]) for span in spans)
        kind: Kind = "platt" if str(arrays["kind"]) == "platt" else "isotonic"
        return cls(kind, tuple(codes), bool(arrays["logits"]), maps)


def fit(cohort: Cohort, kind: Kind, logits: bool) -> Calibrator:
    """Maps learned from these notes; codes that are no labels have that of the rare labels, or of all."""
    common = cohort.label_positives >= FEWEST_POSITIVES
    by_label = cohort.truth.tocsc()
    learn = _platt if kind == "platt" else _isotonic
    shared = learn(*_together(cohort, ~common, logits and kind == "platt")) if not common.all() else None
    rest = None
    if cohort.beyond is not None:
        every = np.ones(cohort.labels, bool)
        rest = shared or learn(*_together(cohort, every, logits and kind == "platt"))
        rest = rest or _constant(kind, int(cohort.label_positives.sum()) / (cohort.n * cohort.labels))
    maps: list[Map] = []
    for label in range(cohort.labels):
        own = None
        if common[label]:
            true = np.zeros(cohort.n)
            true[by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]] = 1
            known = cohort.scores[:, label] != NEVER
            said = cohort.scores[known, label].astype(np.float64)
            own = learn(_logit(said) if logits and kind == "platt" else said, np.ones(len(said)), true[known])
        found = own or shared
        if found is None:  # scores that fall as the code gets likelier, and no rare code to borrow from
            found = _constant(kind, cohort.label_positives[label] / cohort.n)
        maps.append(found)
    return Calibrator(kind, cohort.codes, logits, tuple(maps), rest)


def _constant(kind: Kind, share: float) -> Map:
    share = float(np.clip(share, LEAST, MOST))
    if kind == "platt":
        return Map(np.zeros(1), np.array([logit(share)]))
    return Map(np.zeros(1), np.array([share]))


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = logit(np.clip(scores, LEAST, MOST))
    return found


def _together(
    cohort: Cohort, labels: NDArray[np.bool_], logits: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """All cells of these labels as at most BINS points: x, cells and true cells (B,)."""
    columns = np.flatnonzero(labels)
    finite = [column[column != NEVER] for column in cohort.scores[:, columns].T]
    low, high = (float(edge) for edge in _range(finite, logits))
    cells, true = np.zeros(BINS), np.zeros(BINS)
    by_label = cohort.truth.tocsc()
    for column in columns:
        said = cohort.scores[:, column].astype(np.float64)
        at = np.full(cohort.n, -1)
        known = said != NEVER
        x = _logit(said[known]) if logits else said[known]
        at[known] = np.round((x - low) / (high - low or 1) * (BINS - 1)).astype(np.int64)
        cells += np.bincount(at[known], minlength=BINS)
        own = at[by_label.indices[by_label.indptr[column] : by_label.indptr[column + 1]]]
        true += np.bincount(own[own >= 0], minlength=BINS)
    kept = cells > 0
    return np.linspace(low, high, BINS)[kept], cells[kept], true[kept]


def _range(columns: Sequence[NDArray[np.float32]], logits: bool) -> NDArray[np.float64]:
    ends = np.array([[c.min(), c.max()] for c in columns if len(c)] or [[0, 0]], dtype=np.float64)
    reach = np.array([ends[:, 0].min(), ends[:, 1].max()])
    return _logit(reach) if logits else reach


def _platt(x: NDArray[np.float64], cells: NDArray[np.float64], true: NDArray[np.float64]) -> Map | None:
    """Logistic regression of truth on x by Newton's method; None when the slope is not above 0 or nothing is known."""
    positives, total = true.sum(), cells.sum()
    if not total:
        return None
    target = (true * (positives + 1) / (positives + 2) + (cells - true) / (total - positives + 2)) / cells
    scale = float(np.abs(x).max()) or 1.0
    design = np.stack([x / scale, np.ones(len(x))])  # (2, B)
    weights = np.array([0.0, logit((positives + 1) / (total + 2))])
    for _ in range(STEPS):
        said = expit(weights @ design)
        gradient = design @ (cells * (said - target))
        if np.abs(gradient).max() < 1e-9 * total:
            break
        curvature = (design * (cells * said * (1 - said))) @ design.T + 1e-12 * total * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        before = _loss(weights, design, cells, target)
        for _ in range(40):  # Newton overshoots where all scores are certain
            if _loss(weights - step, design, cells, target) <= before:
                break
            step = step / 2
        weights = weights - step
    return Map(np.array([weights[0] / scale]), np.array([weights[1]])) if weights[0] > 0 else None


def _loss(weights: Any, design: Any, cells: Any, target: Any) -> float:
    x = weights @ design
    return float((cells * (np.logaddexp(0, x) - target * x)).sum())


def _isotonic(x: NDArray[np.float64], cells: NDArray[np.float64], true: NDArray[np.float64]) -> Map | None:
    """The rising step function nearest to the truth, by its knots: the ends of each step."""
    if not len(x):
        return None
    at, place = np.unique(x, return_inverse=True)
    weight = np.bincount(place, weights=cells)
    rising = isotonic_regression(np.bincount(place, weights=true) / weight, weights=weight)
    y = np.asarray(rising.x, dtype=np.float64)
    ends = np.ones(len(at), dtype=bool)
    ends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return Map(at[ends], y[ends])
