"""What a terminology covers, and how it is written down: tables to the cache, aggregates to Git."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from chartcode.artifacts import Artifact, atomic_file, writing
from chartcode.linking.terminology import editions, user
from chartcode.linking.terminology.build import Terminology
from chartcode.linking.tokens import key_of
from chartcode.tables.labels import read_gold

METRICS = Path("metrics/stages/terminology.json")
FOLDER = Path("data/terminology")
COMMONEST = 50  # labels, as the field reports them
_INJURIES = "STVWXY"  # chapters whose codes are made of parts, and named by all of them
_DECIMALS = 4


def measure(built: Terminology, labels: Iterable[str], commonest: Iterable[str]) -> dict[str, object]:
    """What the terminology covers: of all codes, of the labels of gold, and of the commonest of those."""
    columns = built.terms.select(["code", "name", "language", "kind", "source"]).to_pydict()
    names: dict[str, set[str]] = defaultdict(set)
    meanings: dict[str, set[str]] = defaultdict(set)
    for code, name, language, kind in zip(*(columns[c] for c in ("code", "name", "language", "kind")), strict=True):
        key = name if kind == "abbreviation" else key_of(name, language)
        names[code].add(key)
        meanings[key].add(code)
    codes = built.codes.to_pydict()
    billable = [code for code, holds in zip(codes["code"], codes["billable"], strict=True) if holds]
    common = [code for code in billable if code[0] not in _INJURIES]
    lookup = editions.Codes(built.codes)
    return {
        "codes": {"billable": len(billable), "covered": _ratio(sum(code in names for code in billable), len(billable))},
        "names": len(meanings),
        "ambiguous_share": _ratio(sum(len(found) > 1 for found in meanings.values()), len(meanings)),
        "names_per_code": {
            "without_injuries": _ratio(sum(len(names[code]) for code in common), len(common)),
            "two_or_more": _ratio(sum(len(names[code]) > 1 for code in common), len(common)),
        },
        "gold": _gold(names, [lookup.resolve(label) for label in labels]),
        "commonest": _gold(names, [lookup.resolve(label) for label in commonest]),
        "rows": {"all": built.terms.num_rows, **dict(sorted(Counter(columns["kind"]).items()))},
        "sources": _published(sources(built)),
        "dropped": dict(sorted(built.dropped.items())),
    }


def _ratio(part: int, whole: int) -> float:
    return round(part / max(1, whole), _DECIMALS)


def _gold(names: dict[str, set[str]], codes: list[str]) -> dict[str, float]:
    named = [len(names[code]) if code in names else 0 for code in codes]
    covered = _ratio(sum(count > 0 for count in named), len(codes))
    return {"codes": len(codes), "covered": covered, "names_per_code": _ratio(sum(named), len(codes))}


def _published(found: list[tuple[str, str, int, int]]) -> dict[str, int]:
    """Rows by source; lists of a user's own are numbered, for their names may tell what Git should not know."""
    own = [source for source, licence, _, _ in found if licence == user.LICENCE]
    shown = {source: f"user list {number}" for number, source in enumerate(own, 1)}
    return {shown.get(source, source): rows for source, _, _, rows in found}


def sources(built: Terminology) -> list[tuple[str, str, int, int]]:
    """Each source with its licence, the names it gave, and the rows kept of it; sorted."""
    columns = built.terms.select(["source", "licence"]).to_pydict()
    kept = Counter(zip(columns["source"], columns["licence"], strict=True))
    return sorted((source, licence, built.found[source], rows) for (source, licence), rows in kept.items())


def save(built: Terminology, gold: Artifact, code: str) -> dict[str, object]:
    """Write data/terminology (terms, codes, sources with licences) and the metrics; returns the numbers.

    `code` is the digest of the stage's code.
    """
    numbers = measure(built, *labels_of(gold))
    with writing(FOLDER, gold.source, [gold], code) as writer:
        writer.parquet("terms.parquet", built.terms, dictionary=["system", "kind", "language", "source", "licence"])
        writer.parquet("codes.parquet", built.codes, dictionary=False)
        rows = [("source", "licence", "names", "rows"), *sources(built)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        writer.path("sources.csv", rows=len(rows) - 1).write_text(text.getvalue(), encoding="utf-8")
    with atomic_file(METRICS) as path:
        path.write_text(json.dumps({"terminology": numbers}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return numbers


def labels_of(gold: Artifact) -> tuple[list[str], list[str]]:
    """The labels of gold, and the commonest of them on train."""
    read = read_gold(gold)
    counts = np.asarray(read.truth[read.rows("train")].sum(axis=0)).ravel()
    order = np.lexsort((np.arange(len(counts)), -counts))
    return list(read.codes), [read.codes[label] for label in order[:COMMONEST]]
