"""What extraction is worth: every table of docs on medications, sections, note types, relations and speed.

Run   python -m benchmarks.extraction [PATIENTS]     400 invented patients unless told; the open data of ../shared/data
                                                     where they are, else their tables are left out
Medications are held against what the generator ordered (tests/extraction/pharmacy.py listens to it; no note changes).
Thresholds come from train alone: of note types from cross-validation, of induced diseases from train's folds.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from chartcode.extraction import induced, note_types, sections
from chartcode.extraction.extract import extract_note
from chartcode.extraction.medications import medications
from chartcode.extraction.notes import Note, clean_notes
from chartcode.lineage import ROOT
from chartcode.tables.cleaning import HEADERS
from tests.extraction import styles
from tests.extraction.pharmacy import Chart, charts
from tests.extraction.scoring import FIELDS, as_ordered, score

SHARED = ROOT.parent / "shared/data"
FOLDS, SEED = 5, 3


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; floats to three places."""
    print(f"\n## {title}\n\n| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in row)} |")


def medication_tables(made: Sequence[Chart], notes: Sequence[Note]) -> None:
    """Field by field, in the lists and in running text; then the same orders in other styles."""
    found = [medications(note.text, note.sections) for note in notes]
    rows = []
    for name, form in (("admission", "entry"), ("discharge", "entry"), ("course", "dose")):
        pairs = [
            ([as_ordered(drug) for drug in own if drug.list == name and drug.form == form],
             chart.told if name == "course" else getattr(chart, name))
            for chart, own in zip(made, found, strict=True)
        ]  # fmt: skip
        scores = score(pairs)
        rows += [
            (name, field, scores[field].meant, scores[field].precision, scores[field].recall, scores[field].f1)
            for field in ("line", *FIELDS)
        ]
    title = f"Medications, field by field: {len(made):,} synthetic notes (line = the whole order)"
    table(title, ("list", "field", "meant", "precision", "recall", "F1"), rows)
    rows = []
    for style in styles.STYLES:
        right = given = meant = 0
        for chart in made:
            orders = [order for order in chart.admission if order.dose]
            (note,) = clean_notes(["note"], [styles.note(orders, style)])
            drugs = [drug for drug in medications(note.text, note.sections) if drug.form == "entry"]
            ours, theirs = Counter(map(styles.found, drugs)), Counter(map(styles.meant, orders))
            right, given, meant = right + (ours & theirs).total(), given + ours.total(), meant + theirs.total()
        rows.append((style, meant, 2 * right / (given + meant)))
    table(
        "The same orders in other hospitals' styles (drug, amount, route, rate, PRN, reason)",
        ("style", "lines", "F1"),
        rows,
    )


def section_tables(made: Sequence[Chart], texts: Sequence[str] | None) -> None:
    """Synthetic notes under other hospitals' headers; then MTSamples' own headers."""
    rng = np.random.default_rng(SEED)
    known = sections.variants()
    variants = {name: [header for header, means in known.items() if means == name] for name in HEADERS}
    rows = []
    for title, change in (("as written", lambda header: header), ("other words, CAPITALS", None)):
        right = total = 0
        for note in clean_notes([chart.note_id for chart in made[:200]], [chart.text for chart in made[:200]]):
            truth, text = _renamed(note, variants, rng, change)
            own = np.full(len(text), "", dtype="U40")
            for section in sections.find_sections(text):
                own[section.start : section.end] = section.name
            said = (truth != "") & (own != "") & np.array([not letter.isspace() for letter in text])
            same = own == truth
            for name, parts in PARTS.items():
                same |= (truth == name) & np.isin(own, sorted(parts))
            right, total = right + int((same & said).sum()), total + int(said.sum())
        rows.append((title, right / total))
    table(
        "Sections of synthetic notes: share of the text under its own section or a part of it",
        ("headers", "accuracy"),
        rows,
    )
    if texts is None:
        return
    counts: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for text in texts:
        for header in sections.headers(text):
            name = sections.normal(header.words)
            seen[name] += 1
            ruled = sections.by_rule(name, known) != sections.OTHER
            found = sections.section_of(header) != sections.OTHER
            counts["none" if not found else "rule" if ruled else "likeness"] += 1
    total = counts.total()
    ways = [(way, counts[way], counts[way] / total) for way in ("rule", "likeness", "none")]
    table(
        f"MTSamples' {total:,} headers ({len(seen):,} different): how each is classified",
        ("way", "headers", "share"),
        ways,
    )
    _unseen(seen, known)


# A part of a section may be found as itself: the impression of an X-ray inside the results.
PARTS = {
    "pertinent_results": {"impression", "findings", "procedure_description", "indication", "comparison"},
    "physical_exam": {"vital_signs"},
    "history_of_present_illness": {"review_of_systems"},
}


def _renamed(
    note: Note, variants: dict[str, list[str]], rng: np.random.Generator, change: Callable[[str], str] | None
) -> tuple[np.ndarray, str]:
    """A note with its headers in other words, and the section of each character ("" for headers)."""
    text, truth, place = "", [], 0
    for section in note.sections:
        head = note.text[place : section.start]
        if change is None and head.strip().rstrip(":"):
            forms = variants.get(section.name) or [head.strip().rstrip(":")]
            head = f"{forms[int(rng.integers(len(forms)))].upper()}:"
        body = note.text[section.start : section.end]
        text += head + body
        truth += [""] * len(head) + [section.name] * len(body)
        place = section.end
    return np.array(truth, dtype="U40"), text


def _unseen(seen: Counter[str], known: dict[str, str]) -> None:
    """Headers of MTSamples that the table holds, each judged by a classifier that was not shown it."""
    names = sorted(name for name in seen if name in known)
    fold = dict(zip(sorted(known), np.random.default_rng(SEED).integers(0, FOLDS, len(known)), strict=True))
    right = {"rules alone": 0, "rules, then likeness": 0}
    named = dict.fromkeys(right, 0)
    for out in range(FOLDS):
        rest = {name: means for name, means in known.items() if fold[name] != out}
        likeness = sections.Likeness(rest)
        for name in (name for name in names if fold[name] == out):
            ruled = sections.by_rule(name, rest)
            guessed = ruled if ruled != sections.OTHER else likeness.section(name)
            for way, said in zip(right, (ruled, guessed), strict=True):
                right[way] += seen[name] * (said == known[name])
                named[way] += seen[name] * (said != sections.OTHER)
    total = sum(seen[name] for name in names)
    rows = [(way, right[way] / max(named[way], 1), right[way] / total) for way in right]
    table(
        "Headers as if nobody had listed them (five folds by header, weighted by use)",
        ("way", "precision", "recall"),
        rows,
    )


def note_type_tables(path: Path) -> None:
    """Types by cross-validation on texts taken once."""
    from sklearn.metrics import precision_recall_fscore_support

    labelled = note_types.read_labelled(path)
    scores = note_types.cross_validated(labelled)
    tau = note_types.best_threshold(scores, labelled.truth)
    called = note_types.called(scores, labelled.truth)
    micro = precision_recall_fscore_support(labelled.truth, called, average="micro")[:3]
    macro = precision_recall_fscore_support(labelled.truth, called, average="macro", zero_division=0)[:3]
    first = float(labelled.truth[np.arange(len(scores)), scores.argmax(axis=1)].mean())
    print(
        f"\n{len(labelled.texts):,} different texts, {len(labelled.types)} types of {note_types.RAREST} or more, "
        f"{int(labelled.truth.sum()):,} labels; threshold of all {tau:.2f}, of each fold from the others; "
        f"the likeliest type is right for {first:.3f}"
    )
    each = precision_recall_fscore_support(labelled.truth, called, zero_division=0)
    rows: list[Sequence[object]] = [
        ("micro", int(labelled.truth.sum()), *map(float, micro)),
        ("macro", int(labelled.truth.sum()), *map(float, macro)),
    ]
    order = np.argsort(-labelled.truth.sum(axis=0), kind="stable")
    rows += [(labelled.types[k], int(each[3][k]), *(float(part[k]) for part in each[:3])) for k in order]
    table("Note types and specialties, MTSamples, five-fold", ("type", "texts", "precision", "recall", "F1"), rows)


def relation_tables(folder: Path) -> None:
    """Chemical-induced diseases on BC5CDR: fitted on train, judged on dev, gold mentions."""
    train, dev = (induced.read_pubtator(folder / f"{name}.pubtator.gz") for name in ("train", "dev"))
    everything = [set(induced.pairs(document)) for document in dev]
    whole = induced.features
    rows: list[Sequence[object]] = [("every pair", *induced.judged(dev, everything))]
    rows.append(("every pair of one sentence", *induced.judged(dev, [_together(document) for document in dev])))
    groups = {
        "all features": (),
        "without the words between": ("cd", "dc"),
        "without the words around": ("c:<", "c:>", "d:<", "d:>"),
        "without prominence": ("c:l", "c:s", "c:m", "c:k", "c:t", "d:l", "d:s", "d:m", "d:k", "d:t", "both"),
        "without what train says of the two": ("seen",),
    }
    for name, dropped in groups.items():
        induced.features = _less(whole, dropped)
        model = induced.Inducer.fit(train)
        rows.append(
            (f"{name} (threshold {model.threshold:.2f})", *induced.judged(dev, [model.induced(d) for d in dev]))
        )
    induced.features = whole
    table("Chemicals that induce diseases, BC5CDR dev, gold mentions", ("", "precision", "recall", "F1"), rows)


def _less(
    whole: Callable[..., Iterator[tuple[induced.Pair, induced.Features]]], dropped: tuple[str, ...]
) -> Callable[..., object]:
    def some(document: induced.Abstract, seen: induced.Seen) -> Iterator[tuple[induced.Pair, induced.Features]]:
        for pair, found in whole(document, seen):
            yield pair, {name: value for name, value in found.items() if not dropped or not name.startswith(dropped)}

    return some


def _together(document: induced.Abstract) -> set[induced.Pair]:
    return {pair for pair, found in induced.features(document, induced.Seen({}, {})) if found["together"]}


def speed_table(notes: Sequence[Note]) -> None:
    """Notes a CPU second, one process, everything from the clean text to the summary."""
    short = [Note(note.note_id, note.text[:1800], note.sections[:12], note.edits) for note in notes]
    rows = []
    for name, some in (("discharge summaries", notes), ("their first 1,800 characters", short)):
        start = time.process_time()
        for note in some:
            extract_note(note, ()).summary.model_dump_json()
        seconds = time.process_time() - start
        rows.append(
            (name, round(sum(len(note.text.split()) for note in some) / len(some)), f"{len(some) / seconds:,.0f}")
        )
    table("Speed, one core", ("notes", "words each", "notes per CPU second"), rows)


def main(patients: int) -> None:
    """Print every table."""
    made = charts(patients)
    notes = clean_notes([chart.note_id for chart in made], [chart.text for chart in made])
    medication_tables(made, notes)
    mtsamples = SHARED / "mtsamples/mtsamples.csv.gz"
    open_data = mtsamples.is_file()
    section_tables(made, note_types.read_labelled(mtsamples, 1).texts if open_data else None)
    if open_data:
        note_type_tables(mtsamples)
        relation_tables(SHARED / "bc5cdr")
    speed_table(notes)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 400)
