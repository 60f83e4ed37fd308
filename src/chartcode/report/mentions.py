"""What the text names, beside what is coded: for one note of an open source as a table, for all notes as aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chartcode.evaluation.mentions import KINDS, WITHOUT
from chartcode.icd import category, dotted
from chartcode.linking.flags import TAKEN_BACK
from chartcode.report import svg
from chartcode.report.cells import number, with_interval
from chartcode.report.document import NOTHING, Block, Columns, Figure, Heading, Table, Text

Row = Mapping[str, Any]
Numbers = Mapping[str, Any]
MOST = 3  # different words shown a code
ROWS = 8  # codes shown of each group
PREDICTED, WITHOUT_EVIDENCE, NOT_PREDICTED, MISSED = (
    "predicted", "predicted without a mention", "in the text, not predicted", "coded, not predicted"
)  # fmt: skip
CONTEXTS = {
    "family": "a relative's",
    "negated": "denied",
    "hypothetical": "not so yet",
    "historical": "past",
    "uncertain": "uncertain",
}
NAMES = {
    "title": "title of the code",
    "inclusion": "inclusion term",
    "lead": "first words of a title",
    "index": "Alphabetic Index",
    "neoplasm": "Table of Neoplasms",
    "gem": "ICD-9 title",
    "ontology": "ontology",
    "abbreviation": "abbreviation",
    "alias": "common name",
    "mention": "marked in train notes",
    "user": "the house's own list",
    "learned": "learned from train alone",
}
METHODS = {
    "exact": "as listed",
    "bag": "other order or endings",
    "abbreviation": "short form that the note spells out",
}
SUPPORT = {
    "named": "named in the text",
    WITHOUT: "not named, of these:",
    "category": "… another code of its category is named",
    "denied": "… denied, a relative's or not so yet",
    "hinted": "… only words that train ties to it",
    "unnamed": "… nothing",
}
RECALL = (
    ("evidence_recall", "true codes that the text names"),
    ("evidence_recall_any_context", "… counting denied mentions and relatives'"),
    ("evidence_recall_hinted", "… counting words that train alone ties to the code"),
    ("evidence_recall_category", "… or another code of the category"),
    ("evidence_recall_all_codes", "the same of all codes, labels or not"),
    ("names_precision", "names whose note has the code"),
    ("p_ece", "calibration error of a name's p"),
)


def note_codes(
    rows: Sequence[Row], mentions: Sequence[Row], boundary: float | None, titles: Mapping[str, str]
) -> Table:
    """The codes of one note: what was predicted and where the text says so, what it names besides, what was missed.

    `rows` are CODES of the note, `mentions` its MENTIONS.
    """
    groups: dict[str, list[Row]] = {name: [] for name in (PREDICTED, WITHOUT_EVIDENCE, NOT_PREDICTED, MISSED)}
    for row in rows:
        if row["called"]:
            groups[PREDICTED if row["support"] in ("named", "category") else WITHOUT_EVIDENCE].append(row)
        elif boundary is not None and row["p"] is not None and row["p"] >= boundary:
            groups[NOT_PREDICTED].append(row)
        elif row["true"]:
            groups[MISSED].append(row)
    cells, left = [], 0
    for name, held in groups.items():
        by = "p" if name == NOT_PREDICTED else "score"
        ordered = sorted(held, key=lambda row: (-row[by], row["code"]))
        left += len(ordered[ROWS:])
        for place, row in enumerate(ordered[:ROWS]):
            code = row["code"]
            said = f"`{dotted(code)}` {titles.get(code, '')}".strip()
            coded = "yes" if row["true"] else "no"
            cells.append(["" if place else name, said, f"{row['score']:.2f}", coded, _said(row, mentions)])
    more = f" {left} more are not shown." if left else ""
    header = ["", "code", "score", "coded", "where the text names it, and p"]
    return Table(header, cells, f"The codes of this note.{more}", left=(0, 1, 3, 4), kind="codes")


def _said(row: Row, mentions: Sequence[Row]) -> str:
    """The words that name a code, or else its category, or else hint at it; the likeliest first."""
    code, kind = row["code"], row["support"]
    found: dict[tuple[str, str, str], list[tuple[float, str, str]]] = {}
    own = any(_names(one, place, code) for m in mentions for place, one in enumerate(m["alternatives"]))
    for mention in mentions:
        affirms = not any(mention[flag] for flag in TAKEN_BACK)
        for place, one in enumerate(mention["alternatives"]):
            if kind == "hinted":
                shown = one["code"] == code and affirms
            elif own and kind != "category":
                shown = _names(one, place, code)
            else:
                near = category(one["code"]) == category(code) and _names(one, place, one["code"])
                shown = near and (affirms or kind == "denied")
            if shown:
                other = "" if one["code"] == code else one["code"]
                key = (mention["text"].lower(), _context(mention), other)
                found.setdefault(key, []).append((one["p"], mention["text"], mention["section"]))
    ordered = sorted(found.items(), key=lambda item: (-max(p for p, *_ in item[1]), item[0]))
    most = MOST if kind != "hinted" else 1
    parts = [_one(key, held) for key, held in ordered[:most]]
    if kind == "hinted":
        return f"not named; train ties it to {parts[0]}"
    rest = len(ordered) - len(parts)
    return "; ".join([*parts, *([f"{rest} more"] if rest else [])]) or "nowhere"


def _names(one: Row, place: int, code: str) -> bool:
    """Whether a mention names the code by this alternative: see evaluation.mentions."""
    return bool(one["code"] == code and (one["dictionary"] or not place))


def _one(key: tuple[str, str, str], held: Sequence[tuple[float, str, str]]) -> str:
    _, context, other = key
    p, text, _ = max(held, key=lambda each: each[0])
    words = f"“{_plain(text)}”" + (f" {len(held)}×" if len(held) > 1 else "")
    meant = f" for {dotted(other)}" if other else ""
    sections = list(dict.fromkeys(section.replace("_", " ") for _, _, section in held))
    place = ", ".join(sections[:2]) + (" …" if len(sections) > 2 else "")
    return ", ".join(filter(None, [f"{words}{meant} in {place}", context, _p(p)]))


def _context(mention: Row) -> str:
    """Why a mention may not count, with the word that says so."""
    names = [said for flag, said in CONTEXTS.items() if mention[flag]]
    trigger = f" (“{_plain(mention['trigger']).replace('_', ' ')}”)" if names and mention["trigger"] else ""
    return " and ".join(names) + trigger


def _plain(text: str) -> str:
    """Words of a note on one line, without the marks that a cell reads as `code` and **strong**."""
    return " ".join(text.replace("`", "'").replace("*", "·").split())


def _p(p: float) -> str:
    return "p\u00a0below\u00a00.01" if p < 0.01 else f"p\u00a0{p:.2f}"


def in_the_text(links: Numbers, groups: Numbers, evidence: Numbers, boundary: float | None) -> list[Block]:
    """How much of what is coded the notes name, how much of what is called, and how far p is to be trusted."""
    test = groups.get("test", {})
    how = (
        "What the notes name, found by the dictionary of stage `link` and weighed by train; no coder is asked. A "
        "mention counts unless it is denied, a relative's or not so yet. p: how likely a note with it is coded so."
    )
    left = evidence["test"].get("named_not_called")
    right = evidence["test"].get("named_not_called_right")
    calls = [
        [
            SUPPORT[kind],
            *(number(evidence["test"].get(f"called_{kind}{name}")) for name in ("", "_share", "_precision")),
        ]
        for kind in (KINDS[0], WITHOUT, *KINDS[1:])
    ]
    if boundary is not None:
        calls.append([f"in the text at p {boundary:.2f} or more, not predicted", number(left), NOTHING, number(right)])
    size = " · ".join(
        f"{split}: {number(links[split].get('names'))} names in {number(links[split].get('n'))} notes"
        for split in ("test", "val")
    )
    blocks: list[Block] = [
        Heading("In the text", 3),
        Text(f"{how} {size}.", "small"),
        Columns(
            [
                Table(
                    ["share of", "test", "val"],
                    [
                        [label, *(with_interval(links[split], key) for split in ("test", "val"))]
                        for key, label in RECALL
                    ],
                    "What a coder can show a place for, at most.",
                ),
                Table(
                    ["predicted codes of test", "pairs", "share", "coded"],
                    calls,
                    "What this coder calls, by what the text says of it. The boundary is the p that does best on val.",
                ),
            ]
        ),
    ]
    return [*blocks, Columns(_grouped(groups, test))] if test else blocks


def _grouped(groups: Numbers, test: Numbers) -> list[Figure | Table]:
    """Reliability of p, recall by how often train saw the code, precision by kind of name, way and context."""
    found: list[Figure | Table] = []
    series = [
        svg.Series(split, [(x, y) for x, y in groups.get(split, {}).get("reliability", ())], True)
        for split in ("test", "val")
    ]
    if any(each.points for each in series):
        axes = svg.Axis("mean p of the bin", 0, 1), svg.Axis("share of notes with the code", 0, 1)
        chart = svg.lines("Reliability of p", *axes, series, diagonal=True)
        found.append(Figure(chart, "Names in bins of equal size; on the diagonal, p is what comes of it."))
    by_train = [
        [name, number(held["pairs"]), number(held["evidence_recall"])] for name, held in test["train_notes"].items()
    ]
    found.append(
        Table(["train notes with the code", "true pairs", "named"], by_train, "All codes of test, labels or not.")
    )
    rows = {
        group: [
            [said.get(name, name), number(held["pairs"]), number(held["precision"])]
            for name, held in sorted(test[group].items(), key=lambda item: (-(item[1]["pairs"] or 0), item[0]))
        ]
        for group, said in (("kind", NAMES), ("context", {"affirmed": "affirmed"} | CONTEXTS), ("method", METHODS))
    }
    how = "Notes coded with the likeliest code of a name, of those that affirm it."
    found.append(Table(["kind of name", "pairs", "coded"], rows["kind"], how))
    both = [*rows["context"], *rows["method"]]
    found.append(Table(["context, and how it was found", "pairs", "coded"], both, "Context: of all mentions."))
    return found
