"""How good each coder is, side by side: the numbers of metrics/<coder>/metrics.json as a table for people.

Reads what `evaluate` wrote: `{coder: {val | test: {n, patients, labels, micro_f1, micro_f1_lo, micro_f1_hi, ...}}}`.
Keys that are absent are left out, nulls (withheld as small cells, or undefined) are shown as a dash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chartcode.artifacts import Artifact
from chartcode.errors import ArtifactError, DataError

METRICS = Path("metrics")
SCORES = Path("data/scores")
SPLITS = ("val", "test")
COUNTS = ("n", "n_labelled", "patients", "labels", "labels_with_positives", "labels_with_auc", "positives")
# What is shown without --all, in the order of evaluation.md; every other number follows in alphabetical order.
HEADLINE = (
    *("n", "patients", "labels", "positives"),
    *("micro_f1", "micro_f1_lift", "macro_f1", "macro_f1_lift", "micro_f1_per_label", "macro_f1_per_label"),
    *(
        "micro_precision",
        "micro_recall",
        "micro_f1_all_codes",
        "map",
        "map_all_codes",
        "p_at_5",
        "p_at_8",
        "p_at_15",
        "r_precision",
    ),
    *("auroc_micro", "auroc_macro", "auprc_micro", "auprc_macro", "exact_match", "ece"),
)
NOTHING = "-"

Numbers = Mapping[str, Any]  # metric -> number or None
Judged = dict[str, dict[str, Numbers]]  # coder -> split -> numbers


def read_metrics(folder: Path = METRICS, coders: Sequence[str] = ()) -> Judged:
    """Numbers by coder and split, coders sorted; all of them, or the ones named.

    Raises DataError when there are none, a named coder has none, or a file is not what `evaluate` writes.
    """
    judged: Judged = {}
    for path in sorted(folder.glob("*/metrics.json")):
        coder = path.parent.name
        if coders and coder not in coders:
            continue
        try:
            values = json.loads(path.read_text(encoding="utf-8"))[coder]
            judged[coder] = {split: dict(values[split]) for split in SPLITS if values.get(split) is not None}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{path}: not the metrics of {coder}; run `dvc repro evaluate@{coder}`") from None
    for coder in coders:
        if coder not in judged:
            raise DataError(f"{folder / coder / 'metrics.json'}: not found; run `dvc repro evaluate@{coder}`")
    if not judged:
        raise DataError(f"{folder}: no coder is judged yet; run `dvc repro`")
    return judged


def render(judged: Judged, *, everything: bool = False, folder: Path = METRICS, scores: Path = SCORES) -> str:
    """One table a split, a row a metric, a column a coder; then the paths of what was written."""
    blocks = []
    for split in SPLITS:
        coders = [coder for coder, splits in judged.items() if split in splits]
        if not coders:
            continue
        numbers = [judged[coder][split] for coder in coders]
        names = _names(numbers, everything=everything)
        rows = [[split, *coders], *([name, *(_cell(name, values) for values in numbers)] for name in names)]
        blocks.append(aligned(rows))
    if any(f"{name}_lo" in values for splits in judged.values() for values in splits.values() for name in values):
        blocks.append(f"[low, high]: 95% bootstrap over patients. {NOTHING} : withheld (small cell) or not defined.")
    blocks.append(
        "\n".join(f"written: {folder / coder}/  {scores / coder}/{_source(scores / coder)}" for coder in judged)
    )
    return "\n\n".join(blocks) + "\n"


def _source(scores: Path) -> str:
    """Which hospital a coder's scores are of, as their manifest says; nothing where they are not on this machine."""
    try:
        return f"  (source: {Artifact(scores, verify=False).source})"
    except ArtifactError:
        return ""


def _names(numbers: Sequence[Numbers], *, everything: bool) -> list[str]:
    present = {name for values in numbers for name in values}
    bounds = {f"{name}{end}" for name in present for end in ("_lo", "_hi")}
    shown = [name for name in HEADLINE if name in present]
    return shown + sorted(present - bounds - set(shown)) if everything else shown


def _cell(name: str, values: Numbers) -> str:
    value = values.get(name)
    if not isinstance(value, int | float):
        return NOTHING
    if name in COUNTS:
        return f"{value:,.0f}"
    low, high = values.get(f"{name}_lo"), values.get(f"{name}_hi")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns for a terminal, the first one underlined."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
