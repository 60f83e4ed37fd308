"""Abbreviations of clinical notes and their senses, which depend on the section and often name no diagnosis.

abbreviations.csv is our own list: abbreviation, sense, code (empty: nothing to code), sections in which it has this
sense (empty: anywhere else), share of that sense there, language. Where it holds an abbreviation, it alone decides;
Vanderbilt's list of senses with frequencies (discharge summaries before clinic notes) adds the others. A sense whose
words are no known name keeps its row without a code: the matcher must know it to stay silent.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from chartcode.linking.terminology.rows import Found, damaged, records, release
from chartcode.linking.terminology.tabular import OUR_LICENCE, OURS

COLUMNS = ("abbreviation", "sense", "variation", "frequency")
LICENCE = "CC BY 4.0 (clinical-abbreviations, Vanderbilt University)"
_LEAST_SHARE = 0.005  # rarer senses are noise of the annotation


def own() -> Iterator[Found]:
    """The rows of abbreviations.csv."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Found(
                row["code"],
                row["abbreviation"],
                "abbreviation",
                OURS,
                OUR_LICENCE,
                language=row["language"],
                sections=tuple(row["sections"].split()),
                share=float(row["share"]),
            )


def vanderbilt(paths: Iterable[Path], held: Iterable[str], code_of: Callable[[str], str]) -> Iterator[Found]:
    """Senses of the abbreviations that `held` does not name, of the first file that has one.

    `code_of` gives the code of a sense's words, or "". Raises DataError naming file, column and line.
    """
    known = {abbreviation.lower() for abbreviation in held}
    for path in sorted(paths, key=lambda path: ("discharge" not in path.name, path.name)):
        senses: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
        for line, row in enumerate(records(path, COLUMNS, "\t", quoted=False), start=2):
            try:
                share = float(row["frequency"])
            except ValueError:
                raise damaged(path, "frequency", line, "not a number") from None
            if not 0 <= share <= 1:
                raise damaged(path, "frequency", line, "not a share between 0 and 1")
            senses[row["abbreviation"]].append((_written(row["variation"]), row["sense"], share))
        source = f"Vanderbilt abbreviations ({release(path)})"
        for abbreviation, uses in senses.items():
            name = uses[0][0] or abbreviation
            if name.lower() in known:
                continue
            known.add(name.lower())
            shares: dict[str, float] = defaultdict(float)
            for _, sense, share in uses:
                shares[code_of(sense)] += share
            for code, share in shares.items():
                if share >= _LEAST_SHARE and len(name) > 1:
                    yield Found(code, name, "abbreviation", source, LICENCE, share=min(share, 1.0))


def _written(variation: str) -> str:
    """The commonest spelling of `AF_9|af_1`: AF."""
    spellings = [use.rpartition("_") for use in variation.split("|")]
    counted = [(int(count), spelling) for spelling, _, count in spellings if count.isdigit()]
    return max(counted, default=(0, ""), key=lambda use: use[0])[1]
