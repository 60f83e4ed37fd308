"""How well flags of context are set: precision, recall and F1 of each, beside the same engine with NegEx's triggers.

Run   python -m benchmarks.context [PATIENTS] [--worst N]

1. Own sentences (tests/linking/context_sentences.txt), invented and labelled before the rules were written, by the hand
   that wrote these. Half of them, by hash, the rules were tuned on; mistakes on the other half were not looked at.
   Labels: negated is what the text says the patient has not, or never had (what is unlikely is negated and uncertain);
   uncertain what may be; historical what is over before this stay, not what lasts (a history of hypertension);
   hypothetical what might come, is prevented or looked for; family what someone else has (past or not).
2. A synthetic hospital: spans, sections and truth as the generator has them. A condition that was ruled out counts as
   negated. Its truth does not say whether what `a history of` introduces is over, so historical is given twice.
3. With ../shared/data/negex beside the checkout: the trigger lists of NegEx and ConText instead of ours.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import pyarrow as pa

from chartcode.lineage import ROOT
from chartcode.linking import context
from chartcode.linking.context import Context
from chartcode.linking.flags import FLAGS
from chartcode.linking.scopes import Rules, rules_of

SENTENCES = ROOT / "tests/linking/context_sentences.txt"
OPENINGS = frozenset(("history of", "with a history of", "has a history of", "h/o", "hx of", "pmh of",
    "past medical history significant for"))  # fmt: skip
NEGEX = ROOT.parent / "shared/data/negex"
LETTERS = dict(zip("nuhyf", FLAGS, strict=True))
Truth = frozenset[str]


class Case(NamedTuple):
    """A text, its mentions, its sections, and what is true of each mention."""

    text: str
    spans: list[tuple[int, int]]
    sections: list[tuple[str, int, int]]
    language: str
    truth: list[Truth]


def sentences() -> list[tuple[bool, Case]]:
    """The labelled sentences, and whether each is held out."""
    cases = []
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        language, section, marked = line.split("|")
        text, spans, truth = "", [], []
        for number, piece in enumerate(re.split(r"\[([^\[\]]+):([nuhyf]*)\]", marked.replace("\\n", "\n"))):
            if number % 3 == 2:
                truth.append(frozenset(LETTERS[letter] for letter in piece))
                continue
            if number % 3 == 1:
                spans.append((len(text), len(text) + len(piece)))
            text += piece
        held_out = hashlib.sha256(text.encode()).digest()[0] % 2 == 1
        cases.append((held_out, Case(text, spans, [(section, 0, len(text))], language, truth)))
    return cases


def hospital(patients: int) -> Iterator[tuple[str, Case]]:
    """Note id and case of each note of a synthetic hospital, cleaned; spans that cleaning moved are moved with it."""
    from chartcode.params import load
    from chartcode.sources.synthetic.generate import blueprint, chunks
    from chartcode.sources.synthetic.params import SyntheticParams

    settings = load(SyntheticParams).model_copy(update={"patients": patients})
    for cases in chunks(blueprint(settings), 1, _cases):
        yield from cases


def _cases(maker, first: int, last: int) -> list[tuple[str, Case]]:  # type: ignore[no-untyped-def]
    from chartcode.sources.synthetic.hospital import Rows
    from chartcode.tables.cleaning import clean_batch

    rows = Rows()
    for number in range(first, last):
        maker.patient(number, rows)
    notes = {row[0]: row[-1] for row in rows.tables["discharge"]}
    cleaned = dict(zip(notes, clean_batch(pa.array(list(notes.values()))).to_pylist(), strict=True))
    found: dict[str, list[tuple[int, int, str]]] = {note: [] for note in notes}
    for note, _, start, end, kind, said, _ in rows.truth:
        if kind not in ("drug", "implied", "lab"):
            found[note].append((start, end, said))
    return [(note, _case(cleaned[note], mentions)) for note, mentions in found.items()]


def _case(clean: dict, mentions: list[tuple[int, int, str]]) -> Case:  # type: ignore[type-arg]
    names: dict[str, set[str]] = {"ruled_out": {"negated"}, "affirmed": set()}
    segments: list[tuple[int, int, int]] = [
        (edit["source_start"], edit["clean_start"], edit["length"]) for edit in clean["edits"]
    ]

    def moved(place: int) -> int:
        for source, start, length in reversed(segments):
            if source <= place:
                return start + min(place - source, length)
        return 0

    sections = [(s["name"], s["clean_start"], s["clean_end"]) for s in clean["sections"]]
    spans = [(moved(start), moved(end - 1) + 1) for start, end, _ in mentions]
    truth = [frozenset(names.get(said, {said})) for _, _, said in mentions]
    return Case(clean["text"], spans, sections, "en", truth)


def flagged(said: Context) -> Truth:
    """The flags that are set."""
    return frozenset(name for name, value in zip(FLAGS, said[:5], strict=True) if value)


class Score(NamedTuple):
    """Precision, recall and F1 of a flag, and how many mentions have it."""

    precision: float
    recall: float
    f1: float
    true: int


def score(pairs: Iterable[tuple[Truth, Truth]], flag: str) -> Score:
    """`pairs` are (true flags, flags set)."""
    counts = Counter((flag in true, flag in said) for true, said in pairs)
    hits = counts[True, True]
    true, said = hits + counts[True, False], hits + counts[False, True]
    return Score(hits / max(said, 1), hits / max(true, 1), 2 * hits / max(true + said, 1), true)


def table(title: str, pairs: list[tuple[Truth, Truth]], flags: Iterable[str] = FLAGS) -> None:
    """Print the scores."""
    print(f"\n{title} ({len(pairs):,} mentions)\n")
    print("| flag | true | precision | recall | F1 |\n|---|---|---|---|---|")
    for flag in flags:
        found = score(pairs, flag)
        print(f"| {flag} | {found.true:,} | {found.precision:.3f} | {found.recall:.3f} | {found.f1:.3f} |")


def judged(cases: Iterable[Case], rules: Rules | None = None) -> Iterator[tuple[Case, int, Context]]:
    """Every mention with its context."""
    for case in cases:
        for number, said in enumerate(context.flags(case.text, case.spans, case.sections, case.language, rules)):
            yield case, number, said


def pairs_of(cases: Iterable[Case], rules: Rules | None = None) -> list[tuple[Truth, Truth]]:
    """(true flags, flags set) of every mention."""
    return [(case.truth[number], flagged(said)) for case, number, said in judged(cases, rules)]


def negex_rules() -> Rules:
    """The published triggers for our engine: scopes run to the end of the clause, as theirs do."""
    lists = {"negex": "negated", "history": "historical", "hypothetical": "hypothetical", "experiencer": "family"}
    tags = {
        "PREN": ("pre", "", "clause"), "POST": ("post", "", "list"), "PREP": ("pre", "uncertain", "clause"),
        "POSP": ("post", "uncertain", "list"), "PSEU": ("pseudo", "", ""), "CONJ": ("end", "", ""),
        "ONEW": ("pre", "", "next"),
    }  # fmt: skip
    plain = ("and", "or")
    words = files("chartcode.linking").joinpath("context.csv").read_text("utf-8").splitlines()
    rows = [row for row in csv.DictReader(words) if row["language"] == "en" and row["kind"] in plain]
    for name, flag in lists.items():
        for line in (NEGEX / f"genConText_{name}_triggers.txt").read_text(encoding="latin-1").splitlines():
            phrase, _, tag = line.strip().rpartition("[")
            if phrase.strip():
                kind, other, reach = tags[tag.strip("] ")]
                said = "" if kind == "pseudo" else other or flag
                if tag.startswith("CONJ") and flag == "negated":
                    said = "negated+uncertain"
                rows.append({"phrase": phrase.strip().lower(), "kind": kind, "flags": said, "reach": reach})
    return rules_of(rows)


def show_worst(cases: Iterable[Case], most: int) -> None:
    """Print mentions whose flags are wrong; invented text only."""
    for case, number, said in judged(cases):
        wrong = case.truth[number] ^ flagged(said)
        if wrong and most > 0:
            start, end = case.spans[number]
            around = f"{case.text[max(start - 110, 0) : start]}[[{case.text[start:end]}]]{case.text[end : end + 90]}"
            print(f"{'+'.join(sorted(wrong)):22} true {sorted(case.truth[number])} by {said.trigger!r}: {around!r}")
            most -= 1


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("patients", type=int, nargs="?", default=200)
    parser.add_argument("--worst", type=int, default=0)
    arguments = parser.parse_args()
    own = sentences()
    for language in ("en", "es"):
        for held_out, name in ((False, "tuned on"), (True, "held out")):
            cases = [case for out, case in own if out == held_out and case.language == language]
            table(f"own sentences, {language}, {name}: {len(cases)}", pairs_of(cases))
    show_worst([case for out, case in own if not out], arguments.worst)
    published = negex_rules() if NEGEX.is_dir() else None
    if published:
        english = [case for _, case in own if case.language == "en"]
        table("own sentences, en, all, triggers of NegEx and ConText", pairs_of(english, published))
    if not arguments.patients:
        return
    notes = [case for _, case in hospital(arguments.patients)]
    begin = time.process_time()
    said = list(judged(notes))
    spent = time.process_time() - begin
    pairs = [(case.truth[number], flagged(found)) for case, number, found in said]
    table(f"synthetic hospital: {len(notes):,} notes", pairs, ("negated", "family", "historical"))
    sure = [
        (true, flags)
        for (true, flags), (_, _, found) in zip(pairs, said, strict=True)
        if true or "historical" not in flags or not set(found.trigger.split("; ")) <= OPENINGS
    ]
    table("the same without what `a history of` alone made historical", sure, ("historical",))
    words = sum(len(case.text.split()) for case in notes)
    print(f"\n{1000 * spent / len(notes):.2f} ms a note of {words // len(notes):,} words and "
          f"{len(said) // len(notes)} mentions; {words / spent:,.0f} words/s")  # fmt: skip
    if published:
        title = "the same hospital, triggers of NegEx and ConText"
        table(title, pairs_of(notes, published), ("negated", "family", "historical"))
    show_worst(notes, arguments.worst)


if __name__ == "__main__":
    main()
