"""The data card and the model card: what the notes are, how the cohort came about, what the coder is and is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chartcode.icd import dotted
from chartcode.privacy import SMALLEST, small
from chartcode.report import svg
from chartcode.report.cells import about, count, percent
from chartcode.report.document import Block, Columns, Figure, Heading, Table, Text
from chartcode.report.facts import TOGETHER, Facts
from chartcode.report.rows import bars, heat

SOURCES = {
    "synthetic": (
        "Invented discharge summaries in MIMIC-IV's files and statistics; no text of a patient went into them.",
        "made by the pipeline, free to share",
        "Numbers say that the pipeline works and how it scales. They say nothing about medicine.",
    ),
    "codiesp": (
        "CodiEsp v4: clinical case reports from the literature, coded by professional coders (Miranda-Escalada et al. "
        "2020, CLEF eHealth), Spanish or machine-translated English.",
        "CC BY 4.0, Zenodo 3837305",
        "Case reports of unusual patients, not discharge summaries; many codes stand once.",
    ),
    "mimic-iv": (
        "MIMIC-IV and MIMIC-IV-Note: discharge summaries of one Boston hospital, 2008 to 2022, coded for billing.",
        "PhysioNet credentialed health data license; nothing of one patient leaves the house",
        "One hospital, one language, billing codes: what was billed is not all that was there.",
    ),
}
WIDEST_LIFT = 8.0  # the lift of full colour


def data_card(
    source: str, waterfall: Sequence[Mapping[str, Any]], tables: Mapping[str, Any], found: Facts
) -> list[Block]:
    """What the notes are, how the cohort came about, how it was dealt out."""
    what, licence, limits = SOURCES[source]
    split_rows = [[name, count(notes), count(patients), count(pairs)] for name, notes, patients, pairs in found.splits]
    table_rows = [
        [f"`{name}`", about(made["rows_out"]), count(sum(made["quarantined"].values()))]
        for name, made in tables.items()
        if made["rows_in"]
    ]
    return [
        Heading("Data card"),
        Text(what),
        Table(
            ["", ""],
            [
                ["source", source],
                ["licence", licence],
                ["cohort", f"{found.notes:,} notes of {found.patients:,} patients"],
                ["known limits", limits],
            ],
            left=(0, 1),
        ),
        *_waterfall(waterfall),
        Columns(
            [
                Table(["split", "notes", "patients", "true pairs"], split_rows, "By patient: nobody is in two splits."),
                Table(
                    ["table", "rows kept, about", "quarantined"],
                    table_rows,
                    "Bronze: rows that break their contract are set aside, with a reason. –: 1 to 10 rows.",
                ),
            ]
        ),
    ]


def _waterfall(steps: Sequence[Mapping[str, Any]]) -> list[Block]:
    rows = folded(steps)
    removed = {gone: f"  (−{gone:,d})" for _, _, gone in rows if gone and not small(gone)}
    took = [row for place, row in enumerate(rows) if row[2] or not place]
    drawn = [(name, float(left), f"{left:,d}{removed.get(gone, '')}") for name, left, gone in took]
    figure = bars("From the source's notes to the cohort", drawn, grey=float(rows[0][1]))
    idle = "; ".join(name for place, (name, _, gone) in enumerate(rows) if place and not gone)
    caption = "Notes left after each rule; a rule that takes 1 to 10 notes is told with its neighbours."
    return [Figure(figure, caption + (f" Rules that took none: {idle}." if idle else ""))]


def folded(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Step, notes left, notes removed: rules that remove 1 to 10 notes are joined with their neighbours.

    Where all rules together remove so few, one row is left, and what it removes must not be shown.
    """
    rows: list[tuple[str, int, int]] = []
    names: list[str] = []
    held = 0
    for step in steps:
        held += int(step["removed"])
        names.append(str(step["step"]))
        if not small(held):
            rows.append((" + ".join(names), int(step["notes"]), held))
            names, held = [], 0
    while small(held) and rows:  # the last rules take few: told with the rules before
        name, _, gone = rows.pop()
        names.insert(0, name)
        held += gone
    return [*rows, (" + ".join(names), int(steps[-1]["notes"]), held)] if names else rows


def exploration(found: Facts, titles: Mapping[str, str]) -> list[Block]:
    """Lengths, codes per admission, frequency, coverage, commonest labels, co-occurrence."""
    blocks: list[Block] = [Heading("The notes and their codes")]
    if found.lengths and found.codes_per_note:  # else there are 10 notes or fewer
        blocks.append(Columns([_lengths(found), _codes_per_note(found)]))
    if len(found.frequency) > 1:
        blocks.append(Columns(_frequency(found)))
    commonest = [
        (f"{dotted(code)} {titles.get(code, '')[:60]}".strip(), float(notes), f"{notes:,d}")
        for code, notes in found.commonest
    ]
    blocks.append(Figure(bars("The commonest labels", commonest), "Notes of all splits."))
    labels, cells = found.together
    if len(labels) > 1:
        lifts = heat("Which codes come together", [dotted(code) for code in labels], cells, WIDEST_LIFT)
        how = f"Lift of the {TOGETHER} commonest labels: how much oftener than by chance two stand in one note."
        blocks.append(Figure(lifts, f"{how} ·: 1 to 10 notes."))
    return blocks


def _lengths(found: Facts) -> Figure:
    """The last bin holds all the rest and is not drawn."""
    low, quarter, middle, three, high = (f"{value:,.0f}" for value in found.tokens)
    drawn = [(left, right, 1000 * height) for left, right, height in found.lengths[:-1] or found.lengths]
    x = svg.Axis("whitespace tokens", 0, drawn[-1][1])
    caption = (
        f"Median {middle} tokens, quartiles {quarter} and {three}, 1st to 99th percentile {low} to {high}. "
        "The longest notes are not drawn."
    )
    return Figure(svg.histogram("Length of a note", x, "share of notes per 1,000 tokens", drawn), caption)


def _codes_per_note(found: Facts) -> Figure:
    x = svg.Axis("codes", 0, found.codes_per_note[-1][1])
    chart = svg.histogram("Codes per admission", x, "share of admissions", found.codes_per_note)
    return Figure(chart, f"{found.codes_mean:.1f} codes on average. Bars of 1 to 10 admissions are merged.")


def _frequency(found: Facts) -> list[Figure]:
    last, least = found.frequency[-1][0], min(share for _, share in found.frequency)
    x, y = svg.Axis("rank", 1, last, True), svg.Axis("share of notes", least, 1, True)
    frequency = svg.lines("How common a code is", x, y, [svg.Series("notes", found.frequency, True)])
    x, y = svg.Axis("k commonest codes", 1, last, True), svg.Axis("share of all codes given", 0, 1)
    coverage = svg.lines("What the commonest codes cover", x, y, [svg.Series("pairs", found.coverage, True)])
    known = f"{found.different_codes:,} codes stand in {SMALLEST} notes or more"
    return [
        Figure(frequency, f"{known}; rarer ones make up {percent(found.rare_codes_share)} of all codes given."),
        Figure(coverage, "Share of all note-code pairs that the k commonest codes make up."),
    ]


def model_card(
    coder: str, made: Mapping[str, Any], thresholds: Mapping[str, Any], labels: int, found: Facts
) -> list[Block]:
    """What the coder is, what it learned from, what it is for and what not."""
    train = next((notes, patients) for name, notes, patients, _ in found.splits if name == "train")
    rows = [[f"`{key}`", f"`{value}`"] for key, value in sorted(dict(made.get("params", {})).items())]
    fallback = len(thresholds.get("fallback", ()))
    return [
        Heading("Model card"),
        Text(
            f"`{coder}` learned from {count(train[0])} notes of {count(train[1])} train patients and scores {labels:,} "
            f"codes. Global threshold {thresholds['global']:.3f}, chosen on val; {fallback:,} codes have too few val "
            f"notes for one of their own and take the global one. A served coder uses: {thresholds['ships']}."
        ),
        Table(
            ["knob", "value"], rows, "Params of this coder (params.yaml says what each means and costs).", left=(0, 1)
        ),
        Text("**For**: suggesting codes, with evidence, to trained coders who decide; research on medical coding."),
        Text(
            "**Not for**: coding without a person, billing, diagnosis, or another hospital's notes without judging it "
            "there first. This is no medical device."
        ),
        Text(
            "**Limits**: codes outside the label space cannot be suggested; rare codes are coded worst (table above); "
            "a score is a probability only as far as the reliability curve lies on its diagonal; what was coded is "
            "taken for the truth."
        ),
    ]
