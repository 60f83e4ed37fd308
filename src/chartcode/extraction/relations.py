"""Which treatment was for which problem, read from four turns of phrase, each kept with the words that say so.

- item: the drug stands in an item of the problem list (`# HTN: continued lisinopril`)
- prn: the problem is the reason of an order as needed (`PRN chest pain`)
- for: the drug is given for the problem (`vancomycin for pneumonia`)
- with: the problem is treated with the drug (`pneumonia, treated with vancomycin`)
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
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

    Relatives' illnesses make no pair. A drug of a list has its problem in its own line, as the reason of an order as
    needed or behind `for`: the lines of a list stand beside each other for no reason.
    """
    own = sorted((mention for mention in mentions if not mention.family), key=lambda found: (found.start, -found.end))
    told = [drug for drug in medications if drug.list == "course" and drug.step == 0]
    listed = [drug for drug in medications if drug.form == "entry" and drug.step == 0]
    found = [*_reasons(own, medications), *_items(text, own, told)]
    found += [*_given_for(text, own, [*told, *listed]), *_treated_with(text, own, told)]
    best: dict[tuple[int, int, int], Relation] = {}
    for relation in found:  # a pair that several rules find is the first one's
        key = (relation.problem.start, relation.problem.end, relation.treatment.start)
        best.setdefault(key, relation)
    return sorted(best.values(), key=lambda pair: (pair.treatment.start, pair.problem.start, pair.rule))


def _said(mention: Mention) -> Span:
    return Span(mention.text.replace("\n", " "), mention.start, mention.end)


def _reasons(mentions: Sequence[Mention], medications: Iterable[Medication]) -> Iterator[Relation]:
    for drug in medications:
        reason, trigger = drug.order.reason, drug.order.prn
        if reason is None or trigger is None or drug.step:
            continue
        inside = [one for one in mentions if one.start < reason.end and reason.start < one.end]
        for mention in inside:
            yield Relation("prn", _said(mention), drug.drug, trigger, mention, drug)
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
                yield Relation("item", _said(named), drug.drug, trigger, named, drug)


def _given_for(text: str, mentions: Sequence[Mention], drugs: Sequence[Medication]) -> Iterator[Relation]:
    """`drug ... for problem` inside one sentence, of a list inside one line."""
    starts = [mention.start for mention in mentions]
    for drug in drugs:
        end = drug.told_end
        place = bisect_left(starts, end)
        if place == len(mentions) or starts[place] > end + FAR or mentions[place].negated:
            continue
        named = mentions[place]
        gap = text[end : named.start]
        trigger = _FOR.search(gap)
        if trigger is None or _SENTENCE.search(gap) or (drug.list != "course" and "\n" in gap):
            continue
        if len(gap[: trigger.start()].split()) <= 3 and len(gap[trigger.end() :].split()) <= 4:
            where = Span(trigger[0].replace("\n", " "), end + trigger.start(), end + trigger.end())
            yield Relation("for", _said(named), drug.drug, where, named, drug)


def _treated_with(text: str, mentions: Sequence[Mention], drugs: Sequence[Medication]) -> Iterator[Relation]:
    """`problem ... treated with drug` inside one sentence."""
    ordered = sorted(mentions, key=lambda mention: mention.end)
    ends = [mention.end for mention in ordered]
    for drug in drugs:
        begin = min(drug.start, drug.drug.start)
        place = bisect_right(ends, begin) - 1
        if place < 0 or ends[place] < begin - FAR or ordered[place].negated:
            continue
        named = ordered[place]
        gap = text[named.end : begin]
        found = list(_WITH.finditer(gap))
        if found and not _SENTENCE.search(gap) and len(gap[found[-1].end() :].split()) <= 3:
            low = named.end + found[-1].start()
            low += len(found[-1][0]) - len(found[-1][0].lstrip())
            where = Span(found[-1][0].strip().replace("\n", " "), low, named.end + found[-1].end())
            yield Relation("with", _said(named), drug.drug, where, named, drug)
