"""How good the coder is: headline numbers with intervals beside published ones, curves, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chartcode.report import svg
from chartcode.report.cells import number, with_interval
from chartcode.report.document import NOTHING, Block, Columns, Figure, Heading, Table, Text, Tiles
from chartcode.report.published import EVIDENCE, Literature
from chartcode.report.rows import intervals

Numbers = Mapping[str, Any]
DECIDED = (
    ("micro_f1", "micro-F1, one threshold"),
    ("micro_f1_lift", "… above calling every code"),
    ("macro_f1", "macro-F1, codes with a positive"),
    ("macro_f1_lift", "… above calling every code"),
    ("macro_f1_harmonic", "macro-F1 as CAML and PLM-ICD print it"),
    ("micro_f1_per_label", "micro-F1, a threshold a code"),
    ("macro_f1_per_label", "macro-F1, a threshold a code"),
    ("micro_precision", "micro-precision"),
    ("micro_recall", "micro-recall"),
    ("example_f1", "F1, mean over notes"),
    ("exact_match", "exact match"),
    ("micro_f1_all_codes", "micro-F1, every gold code counts"),
)
RANKED = (
    ("map", "MAP"),
    ("map_labelled", "MAP, notes with a label"),
    ("map_all_codes", "MAP, every gold code counts"),
    ("p_at_5", "P@5"),
    ("p_at_8", "P@8"),
    ("p_at_15", "P@15"),
    ("r_at_5", "R@5"),
    ("r_at_8", "R@8"),
    ("r_at_15", "R@15"),
    ("r_precision", "R-precision"),
    ("auroc_micro", "AUROC, micro"),
    ("auroc_macro", "AUROC, macro"),
    ("auprc_micro", "AUPRC, micro"),
    ("auprc_macro", "AUPRC, macro"),
    ("brier", "Brier score"),
    ("brier_raw", "Brier score before calibration"),
    ("ece", "expected calibration error"),
    ("ece_raw", "… before calibration"),
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
    ("sufficiency_random", "sufficiency of random words"),
)
FOOTNOTE = (
    "[low, high]: 95% bootstrap over patients. –: withheld (it would give away a count of 1 to 10) or not defined."
)


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
            ("evidence, comprehensiveness", evidence["test"], "comprehensiveness"),
        )
        if not (key == "evidence_f1" and values.get(key) is None)
    ][:6]
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
    tables = [
        Table(
            [name, "test", "val"],
            [
                [label, with_interval(test, key), with_interval(val, key)]
                for key, label in some
                if key in test or key in val
            ],
        )
        for name, some in (("codes called", DECIDED), ("codes ranked", RANKED))
    ]
    return [
        Heading("Results"),
        Text(f"{size}. {FOOTNOTE}", "small"),
        Columns([table for table in tables if table.rows]),
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
    columns = [(0, ""), (1, "micro-F1"), (2, "macro-F1"), (3, "MAP")]
    kept = [place for place, _ in columns if not place or any(row[place] != NOTHING for row in rows[1:])]
    caption = f"Dot: this run's micro-F1 on test, with its interval where one was drawn. Squares: published{mark}."
    return [
        Columns(
            [
                Table([columns[place][1] for place in kept], [[row[place] for place in kept] for row in rows]),
                Figure(intervals(f"micro-F1{mark}", svg.Axis("", 0, 1), drawn), caption),
            ]
        )
    ]


def curves(
    points: Mapping[tuple[str, str], Sequence[svg.Point]],
    raw: Sequence[svg.Point] = (),
    epochs: Mapping[str, Sequence[svg.Point]] | None = None,
) -> list[Block]:
    """Precision over recall, and how far scores are probabilities; `raw`: test before calibration.

    `epochs`: the numbers of a training by epoch, for a coder that has such.
    """
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
    after = points.get(("reliability", "test"), ())
    if raw and after:
        axes = (svg.Axis("mean score of the bin"), svg.Axis("share of true codes"))
        series = [svg.Series("calibrated", after, True), svg.Series("as the coder gave them", raw, True)]
        chart = svg.lines("Reliability on test, before and after", *axes, series, diagonal=True)
        figures.append(Figure(chart, "Calibration learned on val; every number of this page is after it."))
    if epochs:
        figures.append(_training(epochs))
    return [Heading("Curves"), Columns(figures)] if figures else []


def _training(epochs: Mapping[str, Sequence[svg.Point]]) -> Figure:
    series = [svg.Series(name, points, True) for name, points in epochs.items()]
    last = max(x for points in epochs.values() for x, _ in points)
    chart = svg.lines("Training", svg.Axis("epoch", 0, max(5, last)), svg.Axis("", 0, 1), series)
    return Figure(chart, "Loss on train, and val as training looks at it; the epoch that val likes best is kept.")


def evidence(numbers: Mapping[str, Numbers], about: Mapping[str, Any]) -> list[Block]:
    """How good the coder's evidence is, beside what is published on MDACE."""
    test, val = numbers["test"], numbers["val"]
    boundary = about.get("boundary")
    rows = [
        [label, with_interval(test, key), with_interval(val, key)]
        for key, label in AGREEMENT
        if boundary or not key.startswith("evidence_")
    ]
    others = [[name, *(number(value) for value in values)] for name, *values in EVIDENCE]
    ours = [
        number(test.get(key)) for key in ("evidence_f1", "evidence_span_recall", "comprehensiveness", "sufficiency")
    ]
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
        Columns(
            [
                Table(
                    ["", "test", "val"], rows, "Definitions after ERASER (DeYoung et al. 2020) and Edin et al. 2024."
                ),
                Table(
                    ["", "token F1", "span recall", "compr.", "suff."],
                    [["this run, test", *ours], *([f"PLM-ICD, {row[0]}", *row[1:]] for row in others)],
                    "Published on MDACE (patients' notes, other tokens, other codes): **not comparable.**",
                ),
            ]
        ),
    ]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:-1])) + f" and {values[-1]}"
