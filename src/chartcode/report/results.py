"""How good the coder is: headline numbers with intervals beside published ones, curves, groups of codes, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from chartcode.icd import dotted
from chartcode.privacy import SMALLEST
from chartcode.report import svg
from chartcode.report.cells import number, with_interval
from chartcode.report.document import Block, Columns, Figure, Heading, Table, Text, Tiles
from chartcode.report.published import EVIDENCE, Literature

Numbers = Mapping[str, Any]
HEADLINE = (
    ("micro_f1", "micro-F1, one threshold"),
    ("micro_f1_lift", "micro-F1 above calling every code"),
    ("macro_f1", "macro-F1, mean over codes with a positive"),
    ("macro_f1_lift", "macro-F1 above calling every code"),
    ("micro_f1_per_label", "micro-F1, a threshold a code"),
    ("macro_f1_per_label", "macro-F1, a threshold a code"),
    ("macro_f1_harmonic", "macro-F1 as CAML and PLM-ICD print it"),
    ("micro_precision", "micro-precision"),
    ("micro_recall", "micro-recall"),
    ("micro_f1_all_codes", "micro-F1, gold codes outside the labels count as missed"),
    ("map", "MAP"),
    ("map_labelled", "MAP, notes with a label"),
    ("map_all_codes", "MAP, every gold code counts"),
    ("p_at_5", "P@5"),
    ("p_at_8", "P@8"),
    ("p_at_15", "P@15"),
    ("r_precision", "R-precision"),
    ("auroc_micro", "AUROC, micro"),
    ("auroc_macro", "AUROC, macro"),
    ("auprc_micro", "AUPRC, micro"),
    ("auprc_macro", "AUPRC, macro"),
    ("exact_match", "exact match"),
    ("brier", "Brier score"),
    ("ece", "expected calibration error"),
)
AGREEMENT = (
    ("evidence_pairs", "note-code pairs with marked evidence"),
    ("evidence_precision", "token precision"),
    ("evidence_recall", "token recall"),
    ("evidence_f1", "token F1"),
    ("evidence_f1_all_words", "token F1 of pointing at every word"),
    ("evidence_auprc", "AUPRC over words"),
    ("evidence_iou", "IoU of as many words as are marked"),
    ("evidence_iou_f1", "F1 of spans with IoU of half or more"),
    ("evidence_span_recall", "span recall"),
    ("evidence_span_cover", "cover of the spans found"),
    ("evidence_empty", "share of pairs without evidence"),
    ("faithful_pairs", "called pairs"),
    ("comprehensiveness", "comprehensiveness (high is good)"),
    ("comprehensiveness_random", "comprehensiveness of random words"),
    ("sufficiency", "sufficiency (low is good)"),
)
BUCKETS = ((501, None), (101, 500), (51, 100), (11, 50), (1, 10), (0, 0))
FOOTNOTE = (
    "[low, high]: 95% bootstrap over patients. –: withheld (it would give away a count of 1 to 10) or not defined."
)
SHOWN = 10  # best and worst codes


def tiles(numbers: Mapping[str, Numbers], evidence: Mapping[str, Numbers]) -> Block:
    """The numbers one looks for first, of the test split."""
    test = numbers["test"]
    found = [
        (label, number(values.get(key)), _range(values, key))
        for label, values, key in (
            ("micro-F1", test, "micro_f1"),
            ("macro-F1", test, "macro_f1"),
            ("MAP", test, "map"),
            ("P@5", test, "p_at_5"),
            ("AUROC, micro", test, "auroc_micro"),
            ("evidence, token F1", evidence["test"], "evidence_f1"),
        )
    ]
    return Tiles(found)


def _range(values: Numbers, key: str) -> str:
    low, high = values.get(f"{key}_lo"), values.get(f"{key}_hi")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def headline(coder: str, numbers: Mapping[str, Numbers], known: Literature) -> list[Block]:
    """Results of test and val, and what others published."""
    test, val = numbers["test"], numbers["val"]
    size = " · ".join(
        f"{split}: {number(n.get('n'))} notes, {number(n.get('patients'))} patients, "
        f"{number(n.get('positives'))} true pairs of {number(n.get('labels'))} codes"
        for split, n in (("test", test), ("val", val))
    )
    rows = [
        [label, with_interval(test, key), with_interval(val, key)]
        for key, label in HEADLINE
        if key in test or key in val
    ]
    return [
        Heading("Results"),
        Text(size, "small"),
        Table(
            ["", "test", "val"],
            rows,
            FOOTNOTE,
        ),
        Heading("Beside published results", 3),
        Text(f"{known.task}. **{known.why[0].upper()}{known.why[1:]}.**", "" if known.comparable else "note"),
        *_beside(coder, test, known),
    ]


def _beside(coder: str, test: Numbers, known: Literature) -> list[Block]:
    ours = f"this run: {coder}"
    rows = [[ours, *(with_interval(test, key) for key in known.beside)]]
    rows += [[p.name, number(p.micro_f1), number(p.macro_f1), number(p.map)] for p in known.results]
    key = known.beside[0]
    dots = [(ours, test.get(key), test.get(f"{key}_lo"), test.get(f"{key}_hi"), "1")]
    dots += [(p.name, p.micro_f1, None, None, "2") for p in known.results]
    drawn = [(name, float(value), low, high, colour) for name, value, low, high, colour in dots if value is not None]
    mark = "" if known.comparable else " (not comparable)"
    return [
        Table(["", "micro-F1", "macro-F1", "MAP"], rows),
        Figure(
            svg.intervals(f"micro-F1{mark}", svg.Axis("", 0, 1), drawn),
            f"This run's micro-F1 on test with its interval (dot), published results (squares){mark}.",
        ),
    ]


def curves(points: Mapping[tuple[str, str], Sequence[svg.Point]]) -> list[Block]:
    """Precision over recall, and how far scores are probabilities."""
    share = svg.Axis("", 0, 1)
    figures = []
    for name, title, x, y, caption in (
        ("precision_recall", "Precision and recall", "recall", "precision",
         "All note-code pairs pooled: the best precision at that recall or more."),
        ("reliability", "Reliability", "mean score of the bin", "share of true codes",
         "Bins of equal mass; a calibrated coder lies on the diagonal."),
    ):  # fmt: skip
        series = [svg.Series(split, points.get((name, split), ()), name == "reliability") for split in ("test", "val")]
        if any(each.points for each in series):
            axes = (svg.Axis(x, share.low, share.high), svg.Axis(y, share.low, share.high))
            figures.append(Figure(svg.lines(title, *axes, series, diagonal=name == "reliability"), caption))
    return [Heading("Curves"), Columns(figures)] if figures else []


def groups(per_code: pa.Table, slices: Mapping[str, Any] | None, titles: Mapping[str, str]) -> list[Block]:
    """Codes by how often train has them, groups of notes where `evaluate` gave them, best and worst codes."""
    rows = [row for row in per_code.to_pylist() if row["split"] == "test" and row["positives"]]
    given = dict((slices or {}).get("test", {}))
    given.pop("train_notes", None)  # told with more by the table of codes
    parts = [_slice(dimension, cells) for dimension, cells in given.items()]
    blocks: list[Block] = [Heading("Groups of codes and notes"), _buckets(rows)]
    blocks += [Columns(parts)] if parts else []
    known = sorted((r for r in rows if r["positives"] >= SMALLEST), key=lambda r: (-r["f1"], r["code"]))
    header = ["code", "", "test notes", "F1", "lift", "AUROC"]
    for name, some in (("Best", known[:SHOWN]), ("Worst", known[-SHOWN:][::-1])):
        cells = [
            [f"`{dotted(r['code'])}`", titles.get(r["code"], ""), number(r["positives"]), number(r["f1"]),
             number(r["f1_lift"]), number(r["auroc"])]
            for r in some
        ]  # fmt: skip
        caption = (
            f"{name} codes, global threshold, in {SMALLEST} test notes or more; lift: above calling it every time."
        )
        blocks.append(Table(header, cells, caption, left=(0, 1)))
    return blocks


def _buckets(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = []
    for low, high in BUCKETS:
        some = [r for r in rows if r["train_positives"] >= low and (high is None or r["train_positives"] <= high)]
        positives = sum(r["positives"] for r in some)
        if not some:
            continue
        name = f"more than {low - 1}" if high is None else f"{low} to {high}" if high else "none"
        tell = positives >= SMALLEST
        values = [_mean([r[key] for r in some]) if tell else None for key in ("f1", "f1_per_label", "auroc", "auprc")]
        cells.append([name, number(len(some)), number(positives if tell else None), *map(number, values)])
    header = ["train notes of the code", "codes", "true pairs", "F1", "F1, own threshold", "AUROC", "AUPRC"]
    return Table(header, cells, "Test, mean over codes with a true note, by how many train notes have the code.")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _slice(dimension: str, cells: Mapping[str, Numbers]) -> Table:
    """One dimension of slices.json, whatever numbers it has: groups down, numbers across."""
    ends = ("_lo", "_hi")
    keys = list(dict.fromkeys(k for values in cells.values() for k in values if not k.endswith(ends)))
    counts = [key for key in keys if key in ("n", "patients", "labels", "positives")]
    keys = counts + [key for key in keys if key not in counts]
    rows = [[group, *(with_interval(values, key) for key in keys)] for group, values in cells.items()]
    return Table(["", *keys], rows, f"Test, by {dimension.replace('_', ' ')}.")


def evidence(numbers: Mapping[str, Numbers], about: Mapping[str, Any]) -> list[Block]:
    """How good the coder's evidence is, beside what is published on MDACE."""
    test, val = numbers["test"], numbers["val"]
    rows = [[label, with_interval(test, key), with_interval(val, key)] for key, label in AGREEMENT]
    others = [[name, *(number(value) for value in values)] for name, *values in EVIDENCE]
    ours = [
        number(test.get(key)) for key in ("evidence_f1", "evidence_span_recall", "comprehensiveness", "sufficiency")
    ]
    boundary = about.get("boundary")
    how = (
        f"A word counts as evidence when it carries {100 * boundary:.1f}% or more of what speaks for the code: the "
        "share that does best on val. "
        if boundary
        else "Nobody marked evidence in these notes, so only faithfulness is measured. "
    )
    how += (
        f"Comprehensiveness and sufficiency take away, or leave alone, the {_listed(about['words'])} strongest words."
    )
    return [
        Heading("Evidence"),
        Text(how),
        Table(["", "test", "val"], rows, "Definitions after ERASER (DeYoung et al. 2020) and Edin et al. 2024."),
        Text("Published on MDACE (patients' notes, other tokens, other codes): **not comparable.**", "note"),
        Table(
            ["", "token F1", "span recall", "comprehensiveness", "sufficiency"],
            [["this run, test", *ours], *([f"PLM-ICD, {row[0]}", *row[1:]] for row in others)],
        ),
    ]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:-1])) + f" and {values[-1]}"
