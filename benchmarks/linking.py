"""What the dictionary finds and what each of its parts is worth: codes of a note, places of evidence, errors, speed.

Alone    python -m benchmarks.linking              on the hospital whose artifacts lie in data/
         python -m benchmarks.linking --ablate     the same again without each kind of name and each way to match
         python -m benchmarks.linking --coder linked stacked    with what these coders' scores make of it

Reads data/{bronze,silver,gold,terminology} (`make codiesp`, `dvc repro link`) and params `link`; writes nothing.
- zero-shot: the code that the names prefer, learned from nothing. Calibrated: every candidate by its p. Codes count
  that are no labels of gold, and gold codes that no name stands for are missed. Thresholds from val alone.
- places (a source with marked evidence): a code of a note is found where one of its mentions holds a marked span with
  at most ten characters more on either side, as CodiEsp's own evaluation of its track X counts it. Learned from marks:
  places that people would mark (linking/places.py), with `link.learn_from: evidence`; with a coder: the mean of both.
- speed: one process, CPU seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact, writing
from chartcode.coders.base import gold_of, listed, restored
from chartcode.linking.linker import Linker
from chartcode.linking.places import Places
from chartcode.linking.teach import LinkParams, link
from chartcode.params import GoldParams, load
from chartcode.tables.source_notes import cleaned

SLACK = 10  # characters
KINDS = 20  # of errors shown
SHORT = 300  # words of a short note
Scores = Mapping[int, Mapping[str, float]]  # admission -> code -> score
Truth = Mapping[int, frozenset[str]]


class Hospital(NamedTuple):
    """What is judged against: admissions of a split, their codes, and marked evidence (admission, code) -> spans."""

    split: dict[int, str]
    truth: dict[int, frozenset[str]]
    admission: dict[str, int]  # of a note
    marked: dict[tuple[int, str], list[tuple[int, int]]]

    def of(self, split: str) -> Truth:
        """Admissions of a split that have a code."""
        return {h: self.truth[h] for h, s in self.split.items() if s == split and self.truth.get(h)}


def hospital(data: Path) -> Hospital:
    """Read from the artifacts of the checkout."""
    silver, gold, bronze = (Artifact(data / name) for name in ("silver", "gold", "bronze"))
    labels = gold_of(silver, gold)
    notes = silver.table("notes.parquet", ["note_id", "hadm_id"])
    admission = dict(zip(notes["note_id"].to_pylist(), notes["hadm_id"].to_pylist(), strict=True))
    codes = silver.table("codes.parquet", ["hadm_id", "table", "icd_version", "icd_code"]).filter(
        pc.field("table").isin(load(GoldParams).tables) & (pc.field("icd_version") == 10)
    )
    truth: dict[int, set[str]] = defaultdict(set)
    for hadm_id, code in zip(codes["hadm_id"].to_pylist(), codes["icd_code"].to_pylist(), strict=True):
        truth[hadm_id].add(code)
    parts: dict[tuple[int, str, int], list[tuple[int, int]]] = defaultdict(list)
    for row in bronze.table("evidence.parquet").to_pylist():
        if row["note_id"] in admission and row["icd_code"] in truth[admission[row["note_id"]]]:
            parts[admission[row["note_id"]], row["icd_code"], row["mention"]].append((row["start"], row["end"]))
    marked: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for (hadm_id, code, _), spans in parts.items():
        marked[hadm_id, code].append((min(s for s, _ in spans), max(e for _, e in spans)))
    split = dict(zip(labels.hadm_id.tolist(), labels.split.tolist(), strict=True))
    return Hospital(split, {h: frozenset(own) for h, own in truth.items()}, admission, dict(marked))


def linked(data: Path, folder: Path, params: LinkParams, kinds: frozenset[str] = frozenset()) -> tuple[pa.Table, Path]:
    """Mentions of every note, and the linker's folder, without names of these kinds."""
    silver, bronze, terminology = (Artifact(data / name) for name in ("silver", "bronze", "terminology"))
    labels = gold_of(silver, Artifact(data / "gold"))
    if kinds:
        terms = terminology.table("terms.parquet")
        with writing(folder / "terminology", "benchmark") as writer:
            writer.parquet("terms.parquet", terms.filter(pc.invert(pc.is_in(terms["kind"], pa.array(sorted(kinds))))))
            writer.parquet("codes.parquet", terminology.table("codes.parquet"))
        terminology = Artifact(folder / "terminology")
    with writing(folder / "linker", "benchmark") as model, writing(folder / "mentions", "benchmark") as mentions:
        link(silver, labels, bronze, terminology, params, load(GoldParams).tables, model, mentions)
    return Artifact(folder / "mentions").table("mentions.parquet"), folder / "linker"


def scores(mentions: Iterable[Mapping[str, Any]], about: Hospital, zero_shot: bool) -> Scores:
    """Best score of each code of an admission."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for mention in mentions:
        own = found[about.admission[mention["note_id"]]]
        for other in mention["alternatives"]:
            if zero_shot and not other["best"]:
                continue
            own[other["code"]] = max(own.get(other["code"], 0.0), 1.0 if zero_shot else other["p"])
    return found


def f1(found: Scores, truth: Truth, threshold: float) -> tuple[float, float, float]:
    """Precision, recall, F1 over pairs of an admission and a code."""
    hits = called = 0
    for hadm_id, own in truth.items():
        said = {code for code, score in found.get(hadm_id, {}).items() if score >= threshold}
        hits, called = hits + len(said & own), called + len(said)
    return _prf(hits, called, sum(map(len, truth.values())))


def mean_average_precision(found: Scores, truth: Truth) -> float:
    """Mean over admissions; codes of equal score in order of their names; codes never named are missed."""
    total = 0.0
    for hadm_id, own in truth.items():
        ranked = sorted(found.get(hadm_id, {}).items(), key=lambda pair: (-pair[1], pair[0]))
        hits, precision = 0, 0.0
        for place, (code, _) in enumerate(ranked, 1):
            if code in own:
                hits += 1
                precision += hits / place
        total += precision / len(own)
    return total / len(truth)


def stored(coder: str, data: Path) -> Scores:
    """What a coder scored, val and test."""
    found: dict[int, dict[str, float]] = {}
    for split in ("val", "test"):
        arrays = Artifact(data / "scores" / coder).npz(f"{split}.npz")
        codes = [str(code) for code in arrays["codes"]]
        for hadm_id, (columns, row) in zip(arrays["hadm_ids"].tolist(), listed(restored(arrays)), strict=True):
            found[hadm_id] = {codes[c]: float(score) for c, score in zip(columns.tolist(), row.tolist(), strict=True)}
    return found


def places(
    mentions: Iterable[Mapping[str, Any]], about: Hospital, split: str, threshold: float, by: Scores | None = None
) -> tuple[float, ...]:
    """Precision, recall, F1 over (admission, code) pairs, right where a mention holds a marked span.

    `by` a coder's scores: its codes of `threshold` or more, each at every mention that may stand for it.
    """
    said: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for mention in mentions:
        hadm_id = about.admission[mention["note_id"]]
        if about.split[hadm_id] != split:
            continue
        if by is None:
            codes = [mention["code"]] if mention["p"] >= threshold else []
        else:
            codes = [a["code"] for a in mention["alternatives"] if by[hadm_id].get(a["code"], 0.0) >= threshold]
        for code in codes:
            said[hadm_id, code].append((mention["start"], mention["end"]))
    marked = {pair: spans for pair, spans in about.marked.items() if about.split[pair[0]] == split}
    hits = sum(
        any(0 <= s - a <= SLACK and 0 <= b - e <= SLACK for s, e in marked[pair] for a, b in own)
        for pair, own in said.items()
        if pair in marked
    )
    return _prf(hits, len(said), len(marked))


def marked_places(model: Path, data: Path, mentions: pa.Table, about: Hospital) -> list[dict[str, Any]]:
    """Places in notes of val and test, by what marks taught."""
    learned, found = Places.load(Artifact(model)), []
    if learned is None:
        return []
    outside = pa.array([note_id for note_id, hadm_id in about.admission.items() if about.split[hadm_id] != "train"])
    for batch in Artifact(data / "silver").batches("notes.parquet", ["note_id", "text", "edits"]):
        notes = batch.filter(pc.is_in(batch.column("note_id"), outside))
        own = mentions.filter(pc.is_in(mentions["note_id"], notes.column("note_id")))
        found += learned.find(notes, own).to_pylist()
    return found


def weighed(places: list[dict[str, Any]], about: Hospital, by: Scores) -> list[dict[str, Any]]:
    """Places with the mean of their p and the coder's score of the code in the note."""
    return [p | {"p": (p["p"] + by[about.admission[p["note_id"]]].get(p["code"], 0.0)) / 2} for p in places]


def _prf(hits: int, called: int, true: int) -> tuple[float, float, float]:
    precision, recall = hits / max(called, 1), hits / max(true, 1)
    return precision, recall, 2 * hits / max(called + true, 1)


def chosen(measure: Callable[[float], float]) -> float:
    """The threshold of the best value; the smallest of equals."""
    grid = [round(0.02 * step, 2) for step in range(1, 49)]
    return max(grid, key=lambda threshold: (measure(threshold), -threshold))


def line(name: str, numbers: Iterable[float], besides: str = "") -> None:
    """A row of a Markdown table."""
    print(f"| {name} | " + " | ".join(f"{number:.3f}" for number in numbers) + f" |{besides}")


def judge(name: str, found: Scores, about: Hospital) -> None:
    """The row of one way to score codes."""
    val, test = about.of("val"), about.of("test")
    tau = chosen(lambda threshold: f1(found, val, threshold)[2])
    rows = [*f1(found, test, tau), mean_average_precision(found, test)]
    dev = [f1(found, val, tau)[2], mean_average_precision(found, val)]
    line(f"{name} ({tau:.2f})", [*rows, *dev])


def judge_places(name: str, mentions: list[dict[str, Any]], about: Hospital, by: Scores | None = None) -> None:
    """The row of places."""
    tau = chosen(lambda threshold: places(mentions, about, "val", threshold, by)[2])
    line(f"{name} ({tau:.2f})", [*places(mentions, about, "test", tau, by), places(mentions, about, "val", tau, by)[2]])


def error_kinds(mentions: list[dict[str, Any]], about: Hospital, threshold: float) -> None:
    """The commonest kinds of errors on val: what was missed or called in vain, by the category of the code."""
    val = about.of("val")
    found = scores(mentions, about, zero_shot=False)
    named: dict[int, dict[str, bool]] = defaultdict(dict)  # code -> whether any mention of it is affirmed
    for mention in mentions:
        own = named[about.admission[mention["note_id"]]]
        for other in mention["alternatives"]:
            own[other["code"]] = own.get(other["code"], False) or not (mention["negated"] or mention["family"])
    counts: Counter[tuple[str, str]] = Counter()
    for hadm_id, own in val.items():
        said = {code for code, score in found.get(hadm_id, {}).items() if score >= threshold}
        for code in own - said:
            if code not in named[hadm_id]:
                near = any(other[:3] == code[:3] for other in named[hadm_id])
                kind = "another code of the category is named" if near else "no name found"
            elif not named[hadm_id][code]:
                kind = "named in a negated or family context only"
            else:
                kind = "named, p too low"
            counts[f"missed: {kind}", code[:3]] += 1
        for code in said - own:
            near = any(other[:3] == code[:3] for other in own)
            counts["called: another code of the category is true" if near else "called: not coded", code[:3]] += 1
    print("\n| kind of error (val) | category | pairs |\n|:--|:--|--:|")
    for (kind, category), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:KINDS]:
        print(f"| {kind} | {category} | {count} |")
    by_kind: Counter[str] = Counter()
    for (kind, _), count in counts.items():
        by_kind[kind] += count
    print("\n| all of a kind | pairs |\n|:--|--:|")
    for kind, count in by_kind.most_common():
        print(f"| {kind} | {count} |")


def by_source(mentions: list[dict[str, Any]], about: Hospital) -> None:
    """How many mentions each kind of name and way to match gives in val and test, how often right, what p promised."""
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for mention in mentions:
        hadm_id = about.admission[mention["note_id"]]
        if about.split[hadm_id] == "train":
            continue
        right = mention["code"] in about.truth.get(hadm_id, frozenset())
        context = next((f for f in ("family", "negated", "hypothetical", "historical", "uncertain") if mention[f]), "-")
        for group in (f"name: {mention['source']}", f"match: {mention['method']}", f"context: {context}"):
            groups[group].append((mention["p"], right))
        groups[f"p {int(min(mention['p'], 0.999) * 5) / 5:.1f} and up"].append((mention["p"], right))
    print("\n| mentions by | count | right | mean p |\n|:--|--:|--:|--:|")
    for group, pairs in sorted(groups.items()):
        p, right = np.array(pairs).T
        print(f"| {group} | {len(pairs):,} | {right.mean():.3f} | {p.mean():.3f} |")


def speed(model: Path, data: Path) -> None:
    """Notes a second of one core, whole and cut to SHORT words."""
    linker = Linker.load(Artifact(model))
    batch = next(Artifact(data / "silver").batches("notes.parquet", ["note_id", "text", "sections", "edits"], 400))
    texts = batch.column("text").to_pylist()
    short = cleaned(batch.column("note_id"), pa.array([" ".join(text.split(" ")[:SHORT]) for text in texts]))
    linker.mentions(batch.slice(0, 20))
    for name, notes in (("whole", batch), ("cut short", short)):
        start = time.process_time()
        found = linker.mentions(notes)
        seconds = time.process_time() - start
        words = sum(len(text.split()) for text in notes.column("text").to_pylist()) / notes.num_rows
        rate, mean = notes.num_rows / seconds, len(found) / notes.num_rows
        print(f"\n{name}: {rate:.0f} notes a second of one core ({words:.0f} words, {mean:.0f} mentions a note)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ablate", action="store_true", help="also without each part")
    parser.add_argument("--coder", nargs="*", default=[], help="coders with scores in data/scores")
    asked = parser.parse_args()
    data, params = Path("data"), load(LinkParams)
    about = hospital(data)
    with tempfile.TemporaryDirectory() as scratch:
        untaught = params.model_copy(update={"learn_from": "nothing"})
        zero = linked(data, Path(scratch) / "zero", untaught)[0].to_pylist()
        table, model = linked(data, Path(scratch) / "whole", params)
        mentions = table.to_pylist()
        print("| codes of a note (threshold) | precision | recall | F1, test | MAP, test | F1, val | MAP, val |")
        print("|:--|--:|--:|--:|--:|--:|--:|")
        first = scores(zero, about, zero_shot=True)
        val, test = about.of("val"), about.of("test")
        line(
            "zero-shot",
            [
                *f1(first, test, 0.5),
                mean_average_precision(first, test),
                f1(first, val, 0.5)[2],
                mean_average_precision(first, val),
            ],
        )
        judge("calibrated", scores(mentions, about, zero_shot=False), about)
        by = {coder: stored(coder, data) for coder in asked.coder}
        for coder, found in by.items():
            judge(coder, found, about)
        if asked.ablate:
            kinds = sorted(set(Artifact(data / "terminology").table("terms.parquet")["kind"].to_pylist()))
            for kind in kinds:
                without = linked(data, Path(scratch) / kind, params, frozenset([kind]))[0].to_pylist()
                judge(f"without names of kind {kind}", scores(without, about, zero_shot=False), about)
            left_out = {f"without {m} matches": m for m in {m["method"] for m in mentions} - {"exact"}}
            for name, method in sorted(left_out.items()):
                judge(name, scores([m for m in mentions if m["method"] != method], about, zero_shot=False), about)
            affirmed = [m for m in mentions if not (m["negated"] or m["family"])]
            judge("without negated and family mentions", scores(affirmed, about, zero_shot=False), about)
        if about.marked:
            print("\n| places (threshold) | precision | recall | F1, test | F1, val |\n|:--|--:|--:|--:|--:|")
            judge_places("calibrated", mentions, about)
            marked = marked_places(model, data, table, about)
            if marked:
                judge_places("learned from marks", marked, about)
            for coder, found in by.items():
                judge_places(coder, mentions, about, found)
                if marked:
                    judge_places(f"learned from marks, and {coder}", weighed(marked, about, found), about)
        found = scores(mentions, about, zero_shot=False)
        error_kinds(mentions, about, chosen(lambda threshold: f1(found, val, threshold)[2]))
        by_source(mentions, about)
        speed(model, data)


if __name__ == "__main__":
    main()
