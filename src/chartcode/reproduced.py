"""Whether a full run on this machine gave what Git says it gives: the proof that a committed result is no accident.

After `dvc repro --force`: every stage that makes data must have the bytes its lock entry names, on any machine; trained
coders must have the committed metrics, nearly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chartcode import revisions
from chartcode.errors import DataError
from chartcode.revisions import Flat, Stages

DATA_STAGES = frozenset({"synthetic", "codiesp", "bronze", "silver", "split", "gold"})
# Absolute. Another CPU adds floats in another order (other BLAS kernels), so that a score near a threshold may cross
# it: one of 1,800 test pairs moves micro-F1 by .0005, and this allows for about ten.
TOLERANCE = 0.005
# Of coders trained by many small steps, each from where the last one led, and of those that build on them. Trained anew
# by the same CPU without its AVX units (ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41), LAAT moved by less than
# .01 in F1 and MAP; precision and recall, which move against each other with the threshold, by up to .08.
BY_STEPS = frozenset({"laat", "transformer", "ensemble"})
TOLERANCE_BY_STEPS = 0.1
METRICS = "metrics/*/metrics.json"


@dataclass(frozen=True)
class Verdict:
    """One stage, or the metrics of one coder: what was found, and whether it is a violation."""

    name: str
    found: str
    wrong: bool


def check(base: str = "HEAD", root: Path = Path()) -> list[Verdict]:
    """The lock and the metrics on disk against those of a commit.

    Raises DataError when `base` is no commit or holds no lock.
    """
    if revisions.commit_of(base, root) is None:
        raise DataError(f"{base}: no such revision; name a commit: --base REV")
    expected = revisions.locks(base, root)
    if not expected:
        raise DataError(f"{base}: has no dvc.lock; run `dvc repro` and commit it")
    return [*stages(expected, revisions.locks(None, root), root), *metrics(*_metrics(base, root))]


def stages(expected: Stages, made: Stages, root: Path = Path()) -> list[Verdict]:
    """Whether each stage has the committed outputs; another output is a violation where the stage makes data."""
    verdicts = []
    for stage, entry in expected.items():
        if stage not in made:
            verdicts.append(Verdict(stage, "not in the lock", True))
            continue
        if absent := [path for path in revisions.hashes(entry, "outs") if not (root / path).exists()]:
            verdicts.append(Verdict(stage, f"not run here, no {absent[0]}; `dvc repro --force`", True))
            continue
        other = revisions.differing(revisions.hashes(entry, "outs"), revisions.hashes(made[stage], "outs"))
        makes_data = stage.split("@")[0] in DATA_STAGES
        verdicts.append(
            Verdict(
                stage, f"differs: {', '.join(revisions.folded(other))}" if other else "same", bool(other) and makes_data
            )
        )
    new = (Verdict(stage, "not in the committed lock", True) for stage in made if stage not in expected)
    return [*verdicts, *new]


def metrics(expected: Flat, made: Flat) -> list[Verdict]:
    """The largest difference of each coder's metrics, against its tolerance; a number of one side is a violation."""
    verdicts = []
    for coder in dict.fromkeys(key.split(".")[0] for key in (*expected, *made)):
        keys = [key for key in dict.fromkeys([*expected, *made]) if key.split(".")[0] == coder]
        differences = {key: _difference(expected.get(key), made.get(key)) for key in keys}
        farthest = max(differences, key=lambda key: differences[key])
        distance = differences[farthest]
        wrong = distance > (TOLERANCE_BY_STEPS if coder in BY_STEPS else TOLERANCE)
        found = f"largest difference {distance:.4f}, {farthest}" if distance else "same"
        verdicts.append(
            Verdict(f"metrics of {coder}", f"cannot be compared: {farthest}" if distance == math.inf else found, wrong)
        )
    return verdicts


def _difference(one: Any, other: Any) -> float:
    """0 for equal values (null and absent are equal: nothing is said), infinity where they cannot be compared."""
    if one == other:
        return 0.0
    if isinstance(one, int | float) and isinstance(other, int | float):
        distance = round(abs(one - other), 9)  # .605 - .6 is no more than .005
        return math.inf if math.isnan(distance) else distance
    return math.inf


def _metrics(base: str, root: Path) -> tuple[Flat, Flat]:
    """Every committed metrics file, and those on disk."""
    tracked = revisions.git("ls-tree", "-r", "--name-only", base, "--", "metrics", root=root) or ""
    committed = (name for name in tracked.splitlines() if Path(name).match(METRICS))
    made = (str(path.relative_to(root)) for path in sorted(root.glob(METRICS)))
    return _flat(base, committed, root), _flat(None, made, root)


def _flat(revision: str | None, names: Iterable[str], root: Path) -> Flat:
    flat: Flat = {}
    for name in names:
        try:
            flat.update(revisions.flatten(json.loads(revisions.text_at(revision, name, root))))
        except (ValueError, AttributeError):
            raise DataError(f"{name}: no metrics; run `dvc repro`") from None
    return flat


def render(verdicts: list[Verdict]) -> str:
    """An aligned table: violations are marked."""
    width = max(len(verdict.name) for verdict in verdicts)
    lines = [f"{'no' if v.wrong else 'ok':<4}{v.name:<{width}}  {v.found}" for v in verdicts]
    promise = (
        f"promised: the same bytes of every stage that makes data; metrics within {TOLERANCE}, "
        f"of {', '.join(sorted(BY_STEPS))} within {TOLERANCE_BY_STEPS}"
    )
    return "\n".join([*lines, "", promise]) + "\n"


def refuse_other(verdicts: list[Verdict]) -> None:
    """Raise DataError, in one line, when something was not reproduced."""
    wrong = [verdict.name for verdict in verdicts if verdict.wrong]
    if wrong:
        raise DataError(f"not reproduced: {', '.join(wrong)}; see the lines above")
