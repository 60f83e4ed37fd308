"""Which treatment was for which problem, read from four turns of phrase, each kept with the words that say so.

- item: the drug stands in an item of the problem list (`# HTN: continued lisinopril`)
- prn: the problem is the reason of an order as needed (`PRN chest pain`)
- for: the drug is given for the problem (`vancomycin for pneumonia`)
- with: the problem is treated with the drug (`pneumonia, treated with vancomycin`)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chartcode.extraction.drugs import Medication
from chartcode.extraction.notes import Mention
from chartcode.extraction.orders import Span

_ITEM = re.compile(r"^[ \t]*(#+)[ \t]*(?=\S)", re.MULTILINE)
_ITEM_END = re.compile(r"\n[ \t]*(?:\n|#|\w[\w ]*:\s*\n)")
_HEAD_END = re.compile(r":|\.\s|\s-+\s|\n[ \t]*[-*]")
_FOR = re.compile(r"(?<![A-Za-z])(?:for|to treat|to control|due to|given|against)(?![A-Za-z])", re.IGNORECASE)
_WITH = re.compile(
    r"(?<![A-Za-z])(?:(?:treated|managed|controlled|maintained|covered|improved|resolved|relieved|responded)\s+"
    r"(?:with|by|on|to)|(?:was|were|is)?\s*(?:started|placed|continued|maintained|kept)\s+on|on|received|given)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;?!]\s|\n\s*\n|\n\s*(?:[-*#•]|\d{1,2}[.)])\s")
FAR = 80  # code points between the trigger's two sides


@dataclass(frozen=True)
class Relation:
    """A treatment for a problem; `mention` is absent where the note's own words are the only name of the problem."""

    rule: str
    problem: Span
    treatment: Span
    trigger: Span
    mention: Mention | None
    medication: Medication


def relations(text: str, mentions: Sequence[Mention], medications: Sequence[Medication]) -> list[Relation]:
    """Every pair, sorted by place; mentions and medications are in the coordinates of `text`.

    Relatives' illnesses make no pair. Of the drugs of a list only the reason of an order as needed counts, for the
    lines of a list stand beside each other for no reason.
    """
    own = sorted((mention for mention in mentions if not mention.family), key=lambda found: (found.start, -found.end))
    told = [drug for drug in medications if drug.list == "course" and drug.step == 0]
    found = [*_reasons(own, medications), *_items(text, own, told), *_phrases(text, own, told)]
    best: dict[tuple[int, int, int], Relation] = {}
    for relation in found:  # a pair that several rules find is the first one's
        key = (relation.problem.start, relation.problem.end, relation.treatment.start)
        best.setdefault(key, relation)
    return sorted(best.values(), key=lambda pair: (pair.treatment.start, pair.problem.start, pair.rule))


def _reasons(mentions: Sequence[Mention], medications: Iterable[Medication]) -> Iterator[Relation]:
    for drug in medications:
        reason, trigger = drug.order.reason, drug.order.prn
        if reason is None or trigger is None or drug.step:
            continue
        inside = [one for one in mentions if one.start < reason.end and reason.start < one.end]
        for mention in inside:
            yield Relation("prn", Span(mention.text, mention.start, mention.end), drug.drug, trigger, mention, drug)
        if not inside:
            yield Relation("prn", reason, drug.drug, trigger, None, drug)


def _items(text: str, mentions: Sequence[Mention], told: Sequence[Medication]) -> Iterator[Relation]:
    """The first problem that an item's heading names, with every drug of the item."""
    for item in _ITEM.finditer(text):
        end = stop.start() if (stop := _ITEM_END.search(text, item.end())) else len(text)
        inside = [drug for drug in told if item.end() <= drug.drug.start < end]
        if not inside:
            continue
        head = stop.start() if (stop := _HEAD_END.search(text, item.end(), end)) else end
        named = next((one for one in mentions if item.start() <= one.start < head), None)
        if named is None or named.negated:
            continue
        trigger = Span(item[1], *item.span(1))
        for drug in inside:
            if drug.drug.start >= named.end:
                yield Relation("item", Span(named.text, named.start, named.end), drug.drug, trigger, named, drug)


def _phrases(text: str, mentions: Sequence[Mention], told: Sequence[Medication]) -> Iterator[Relation]:
    """`drug ... for problem` and `problem ... treated with drug` inside one sentence."""
    for drug in told:
        begin, end = min(drug.start, drug.drug.start), max(drug.end, drug.drug.end)
        behind = next((one for one in mentions if end <= one.start <= end + FAR), None)
        if behind is not None and not behind.negated:
            gap = text[end : behind.start]
            trigger = next(iter(_FOR.finditer(gap)), None)
            if (
                trigger
                and not _SENTENCE.search(gap)
                and len(gap[trigger.end() :].split()) <= 4
                and len(gap[: trigger.start()].split()) <= 3
            ):
                where = Span(trigger[0], end + trigger.start(), end + trigger.end())
                yield Relation("for", Span(behind.text, behind.start, behind.end), drug.drug, where, behind, drug)
        before = next((one for one in reversed(mentions) if begin - FAR <= one.end <= begin), None)
        if before is not None and not before.negated:
            gap = text[before.end : begin]
            last = list(_WITH.finditer(gap))
            if last and not _SENTENCE.search(gap) and len(gap[last[-1].end() :].split()) <= 3:
                where = Span(last[-1][0].strip(), before.end + last[-1].start(), before.end + last[-1].end())
                yield Relation("with", Span(before.text, before.start, before.end), drug.drug, where, before, drug)
