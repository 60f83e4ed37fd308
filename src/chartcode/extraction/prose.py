"""Drugs of running text: with a dose, where the text says that something was started or stopped, or by a known name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from chartcode.extraction.drugs import (
    CHANGED,
    CHANGES,
    NOT_A_DRUG,
    NOT_DOSED,
    STOP_WORDS,
    Medication,
    Section,
    drug_key,
    name_behind,
)
from chartcode.extraction.orders import DOSE_ONLY, Span, read_order

_BREAK = re.compile(r"\n(?=[ \t]*(?:[-*•#]|\[|\d{1,2}[.)]\s|\n))")  # ends a sentence as a semicolon does, and as long
_BEFORE = re.compile(
    rf"(?<![A-Za-z])(?:{CHANGED})(?:\s+(?:taking|the|your|home|her|his|on|to|dose|of))*\s*:?\s*$", re.IGNORECASE
)

_AFTER = re.compile(rf"\s*,?\s*(?:was|were|is|has been|dose was)\s+(?:{CHANGED})(?![A-Za-z])", re.IGNORECASE)

# Where a text announces a drug so plainly that it needs no dose.
_ANNOUNCED = re.compile(
    r"(?<![A-Za-z])(?:(?P<start>START(?:ED)?|(?:[-*]\s*)?(?:New medications?|Started|Added):)"
    r"|(?P<stop>STOP(?:PED)?|(?:[-*]\s*)?(?:Stopped|Discontinued):)|(?P<change>CHANGED?|(?:INCREASE|DECREASE)D?|(?:[-*]\s*)?Changed:)"
    r"|(?P<continue>CONTINUED?)|(?P<hold>HOLD|HELD|(?:[-*]\s*)?Held:))(?:\s+taking)?:?\s+(?P<name>[A-Za-z])"
)

# `Increased lasix to 80 mg`, `lasix was increased from 40 mg to 80 mg`
_MOVED = re.compile(
    r"(?:(?:increas|decreas|reduc|titrat|chang|uptitrat)\w*\s+(?:the\s+|her\s+|his\s+|home\s+)*(?P<object>[A-Za-z][\w-]{2,})"
    r"|(?<!\w)(?P<subject>[A-Za-z][\w-]{2,})\s+(?:dose\s+)?(?:was\s+|were\s+)?(?:increas|decreas|reduc|titrat|chang)\w*)"
    r"(?:\s+dose)?(?:\s+from\s+[\d.]+\s?\w*)?(?:\s+up|\s+down)?\s+to\s+$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z][\w\-/'’+.]*|\([^()\n]{1,40}\)|[\d.]+%")

_STRONG = re.compile(r"(?:mg|mcg|µg|ug|g|gm|gram|meq|iu|units?|milligram|microgram)", re.IGNORECASE)


def in_prose(text: str, section: Section, learned: set[str]) -> list[Medication]:
    body = _BREAK.sub(";", text[section.start : section.end]).replace("\n", " ")
    found = [*_dosed(body, section, learned)]
    taken = [(drug.start, drug.end) for drug in found]
    for drug in (*_announced(body, section), *_named(body, section, learned)):
        if not any(start < drug.end and drug.start < end for start, end in taken):
            found.append(drug)
            taken.append((drug.start, drug.end))
    return found


def _dosed(body: str, section: Section, learned: set[str]) -> Iterator[Medication]:
    """Drugs of running text that stand with a dose."""
    ended = 0
    for dose in DOSE_ONLY.finditer(body):
        if dose.start() < ended:
            continue
        stop = min(dose.start() + 160, len(body))
        reading = read_order(body[dose.start() : stop], section.start + dose.start(), prose=True)
        if reading is None or reading.start:
            continue
        order = reading.steps[0]
        sure = order.route is not None or order.frequency is not None or order.prn is not None
        end = dose.start() + reading.end
        name = _backwards(body, ended, dose.start())
        drug = None if name is None else Span(body[slice(*name)], *(section.start + place for place in name))
        if drug is None:
            drug = name_behind(body[:stop], end, section.start)
            if drug is not None and not (sure or drug_key(drug.text) in learned or _of(body, end)):
                drug = None
        if drug is None or NOT_A_DRUG.match(drug.text):
            continue
        unit = order.unit.text if order.unit else ""
        if not (sure or drug_key(drug.text) in learned or _STRONG.match(unit)) or NOT_DOSED.match(body[end:]):
            continue
        start = min(section.start + dose.start(), drug.start)
        end = max(end, drug.end - section.start)
        change = _change(body, start - section.start, end) or _change(
            body, start - section.start, drug.end - section.start
        )
        ended = end
        for step, one in enumerate(reading.steps):
            yield Medication("course", section.name, "dose", -1, step, start, section.start + end, drug, one, change)


def _of(body: str, end: int) -> bool:
    return re.match(r"\s+of\s", body[end:]) is not None


def _backwards(body: str, low: int, high: int) -> tuple[int, int] | None:
    """The drug that ends right before `high`: at most four words, none of them a word of the sentence around it."""
    low = max(low, high - 70)
    moved = _MOVED.search(body, low, high)
    if moved:
        named = moved.span("object" if moved["object"] else "subject")
        return None if body[slice(*named)].lower() in STOP_WORDS else named
    words = list(_WORD.finditer(body, low, high))
    start, end, count = high, high, 0
    for word in reversed(words):
        gap = body[word.end() : start]
        if gap.strip(" -" if count else " -(,:") or len(gap) > 3 or count == 4:
            break
        if word[0].lower().rstrip(".") in STOP_WORDS or word[0].endswith("."):
            break
        if word.start() > 0 and word.start() == low and body[word.start() - 1].isalnum():
            break
        if count and word[0].endswith("ed") and word[0].islower():  # a verb: `resolved`
            break
        start, end, count = word.start(), end if count else word.end(), count + 1
    if not count or not re.search(r"[A-Za-z]{3}", body[start:end]):
        return None
    return start, end


def _change(body: str, start: int, end: int) -> str | None:
    """What the text says was done with the drug that stands at (start, end)."""
    found = _BEFORE.search(body, max(0, start - 40), start) or _AFTER.match(body, end)
    return found.lastgroup if found else None


def _announced(body: str, section: Section) -> Iterator[Medication]:
    for announced in _ANNOUNCED.finditer(body):
        begin = announced.start("name")
        found = re.match(r"[A-Za-z][\w\-/]*(?:\s+[A-Za-z][\w\-/]*){0,2}", body[begin:])
        if found is None:
            continue
        words: list[re.Match[str]] = []
        for word in re.finditer(r"\S+", found[0]):
            if word[0].lower() in STOP_WORDS:
                break
            words.append(word)
        if words and not NOT_A_DRUG.match(found[0]):
            end = begin + words[-1].end()
            drug = Span(body[begin:end], section.start + begin, section.start + end)
            change = next(name for name in CHANGES if announced[name])
            yield Medication("course", section.name, "change", -1, 0, drug.start, drug.end, drug, change=change)


def _named(body: str, section: Section, learned: Iterable[str]) -> Iterator[Medication]:
    """Names that the lists taught, longest first."""
    low = body.lower()
    if len(low) != len(body):  # a letter whose lower case is longer: offsets would move
        return
    for name in sorted(learned, key=lambda known: (-len(known), known)):
        place = low.find(name)
        while place >= 0:
            end = place + len(name)
            if not (low[place - 1 : place].isalnum() or low[end : end + 1].isalnum()):
                drug = Span(body[place:end], section.start + place, section.start + end)
                change = _change(body, place, end)
                yield Medication("course", section.name, "name", -1, 0, drug.start, drug.end, drug, change=change)
            place = low.find(name, end)
