"""What the notes and codes of a hospital look like: lengths, codes per admission, frequency, coverage, co-occurrence.

Everything is an aggregate and obeys the rule of privacy.py: a bar, point or cell of 1 to 10 notes is never given; bars
are merged with their neighbours until each holds 11, points and cells are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chartcode.artifacts import Artifact
from chartcode.params import GoldParams
from chartcode.privacy import SMALLEST, small
from chartcode.tables.labels import Gold

BINS = 28  # of a histogram, before any are merged
TOGETHER = 12  # commonest labels whose co-occurrence is shown
RANKS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000)
Bin = tuple[float, float, float]  # left, right, share of the notes for each unit of the axis


@dataclass(frozen=True)
class Facts:
    """The numbers behind the data card and the figures."""

    notes: int
    patients: int
    splits: Sequence[tuple[str, int | None, int | None, int | None]]  # name, notes, patients, true pairs
    tokens: Sequence[float]  # 1st, 25th, 50th, 75th, 99th percentile
    lengths: Sequence[Bin]
    codes_mean: float
    codes_per_note: Sequence[Bin]
    different_codes: int  # those of SMALLEST notes or more
    rare_codes_share: float  # of the pairs, on codes of fewer notes than that
    frequency: Sequence[tuple[float, float]]  # rank, share of the notes
    coverage: Sequence[tuple[float, float]]  # k, share of the pairs that the k commonest codes make up
    commonest: Sequence[tuple[str, int]]
    together: tuple[Sequence[str], Sequence[Sequence[float | None]]]  # labels, lifts


def facts(silver: Artifact, gold: Gold, params: GoldParams) -> Facts:
    """Read silver's lengths and codes, and gold's labels."""
    notes = silver.table("notes.parquet", ["subject_id", "n_tokens"])
    tokens = notes["n_tokens"].to_numpy()
    counts = _counts(silver, params)
    pairs = int(counts.sum())
    known = counts[counts >= SMALLEST]
    covered = np.cumsum(counts) / max(pairs, 1)
    ranks = [rank for rank in RANKS if rank <= len(known)]
    labels = np.asarray(gold.truth.sum(axis=0)).ravel()
    order = np.argsort(-labels, kind="stable")
    return Facts(
        notes.num_rows,
        pc.count_distinct(notes["subject_id"]).as_py(),
        _splits(gold),
        np.quantile(tokens, [0.01, 0.25, 0.5, 0.75, 0.99]).tolist(),
        merged(tokens, _edges(tokens)),
        float(gold.n_codes.mean()),
        merged(gold.n_codes, np.arange(gold.n_codes.max() + 2) - 0.5),
        len(known),
        1 - float(known.sum()) / max(pairs, 1),
        [(float(rank), float(counts[rank - 1] / notes.num_rows)) for rank in ranks],
        [(float(rank), float(covered[rank - 1])) for rank in ranks],
        [(gold.codes[place], int(labels[place])) for place in order[:20] if labels[place] >= SMALLEST],
        _together(gold, order[:TOGETHER]),
    )


def merged(values: NDArray[Any], edges: NDArray[Any]) -> list[Bin]:
    """Bars over `edges`, neighbours merged until none holds 1 to 10 values; height is share per unit of the axis.

    Empty when all values together are so few.
    """
    counts, _ = np.histogram(values, edges)
    found: list[tuple[float, float, int]] = []
    held, left = 0, float(edges[0])
    for count, right in zip(counts.tolist(), edges[1:].tolist(), strict=True):
        held += count
        if not small(held):
            found.append((left, float(right), held))
            held, left = 0, float(right)
    while small(held) and found:
        left, _, count = found.pop()
        held += count
    if held and not small(held):
        found.append((left, float(edges[-1]), held))
    return [(a, b, count / (len(values) * (b - a))) for a, b, count in found]


def _edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Even edges up to the 99.5th percentile, and all the rest in the last."""
    high = float(np.quantile(values, 0.995))
    width = max(1.0, np.ceil(high / BINS / 10) * 10)
    return np.append(np.arange(0, BINS) * width, max(BINS * width, float(values.max()) + 1))


def _counts(silver: Artifact, params: GoldParams) -> NDArray[np.int64]:
    """Notes of each code that could be a label, falling."""
    codes = silver.table("codes.parquet", ["table", "icd_version", "icd_code"])
    chosen = pc.and_(
        pc.equal(codes["icd_version"], params.icd_version), pc.is_in(codes["table"], pa.array(params.tables))
    )
    counted = pc.value_counts(codes.filter(chosen)["icd_code"])
    return -np.sort(-counted.field("counts").to_numpy())


def _splits(gold: Gold) -> list[tuple[str, int | None, int | None, int | None]]:
    """Train is withheld where the notes that no split has would follow from it and be few."""
    found: list[tuple[str, int | None, int | None, int | None]] = []
    few = small(int(np.count_nonzero(~np.isin(gold.split, ("train", "val", "test")))))
    for name in ("train", "val", "test"):
        rows = np.flatnonzero(gold.split == name)
        told = (len(rows), len(np.unique(gold.subject_id[rows])), int(gold.truth[rows].nnz))
        found.append((name, None, None, None) if few and name == "train" else (name, *told))
    return found


def _together(gold: Gold, labels: NDArray[np.int64]) -> tuple[list[str], list[list[float | None]]]:
    """Lift of each two labels: how much oftener they meet than by chance; None where 1 to 10 notes have both."""
    part = gold.truth[:, labels].astype(np.int64)
    both = np.asarray((part.T @ part).todense() if hasattr(part, "todense") else part.T @ part)
    alone = both.diagonal()
    cells: list[list[float | None]] = []
    for row in range(len(labels)):
        expected = alone[row] * alone / gold.truth.shape[0]
        cells.append(
            [
                None if small(int(met)) or not chance else float(met / chance)
                for met, chance in zip(both[row], expected, strict=True)
            ]
        )
    return [gold.codes[label] for label in labels], cells
