"""The lists of a note, line by line: medications on admission and at discharge.

The drug is what stands before its order (orders.py), or the whole of a short line.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from chartcode.extraction.drugs import CHANGED, LISTS, NOT_A_DRUG, STOP_WORDS, Medication, Section, name_behind
from chartcode.extraction.orders import DOSE_ONLY, Order, Span, read_order

_BULLET = re.compile(r"(?:\s*(?:\d{1,2}(?:[.)]|(?=\s+[A-Za-z]))(?!\d)|[-*•#]|\[[ xX]?\]))+\s*|\s+")

# At the beginning of a line or, where line breaks were lost, behind a full stop or comma.
_NUMBERED = re.compile(r"^[ \t]*\d{1,2}[.)](?!\d)|(?<=[.,;])[ \t]*\d{1,2}\.[ \t]+(?=[A-Z])", re.MULTILINE)

_CONTINUED = re.compile(
    r"\s*(?:rx\b|refills?\b|disp\b|sig\b|start:|tapered|this is dose|\(|hold\b|please\b|for\s|with\s|as\s)",
    re.IGNORECASE,
)

# A further drug of the same line: `Reglan 10 mg p.o. and heparin 3,000 units IV`
_AND = re.compile(r"[\s.,;]*(?:\band\b|\bplus\b|[,;])\s+(?=[A-Za-z])", re.IGNORECASE)
_INSULIN = re.compile(
    r"\n(?=[A-Z][\w/]+(?: [\w/]+)? \d+ Units\b)"
)  # a second insulin of one entry, on a line of its own
_RX = re.compile(r"(?:^|[\n\s])(RX\s*\*)", re.IGNORECASE)

_LEADING = re.compile(rf"(?:{CHANGED})(?:\s+(?:taking|the|your|home))*\s*:?\s+", re.IGNORECASE)


def names_a_drug(entry: str) -> bool:
    """Whether an entry of a list may be a drug: not `None`, a heading or a remark about the list."""
    bullet = _BULLET.match(entry)
    said = entry[bullet.end() if bullet else 0 :].strip()
    return not (NOT_A_DRUG.match(said) or said.endswith(":") or not re.search(r"[A-Za-z]{2}", said))


def entries(text: str, section: Section) -> Iterator[tuple[int, int]]:
    """Where the entries of a list stand: numbered or bulleted ones with the lines that go on with them, else its lines.

    A line without number that names several doses, or many commas, is cut at its commas.
    """
    body = text[section.start : section.end]
    numbered = [found.start() for found in _NUMBERED.finditer(body)]
    if numbered and numbered == sorted(numbered):
        bounds = [0, *numbered, len(body)] if body[: numbered[0]].strip() else [*numbered, len(body)]
        for first, last in itertools.pairwise(bounds):
            part = body[first:last]
            blank = part.find("\n\n")
            # A paragraph behind the last entry is no part of it, nor what stands before the first.
            if first == 0 and first not in numbered:
                yield from _lines(body, first, last, section.start)
            else:
                yield section.start + first, section.start + (last if blank < 0 else first + blank)
    else:
        yield from _lines(body, 0, len(body), section.start)


def _lines(body: str, first: int, last: int, shift: int) -> Iterator[tuple[int, int]]:
    held: list[int] | None = None
    for line in re.finditer(r"[^\n]+", body[first:last]):
        start, end = first + line.start(), first + line.end()
        if held and _CONTINUED.match(line[0]):
            held[1] = end
            continue
        if held:
            yield from _commas(body, held[0], held[1], shift)
        held = [start, end]
    if held:
        yield from _commas(body, held[0], held[1], shift)


def _commas(body: str, start: int, end: int, shift: int) -> Iterator[tuple[int, int]]:
    line = body[start:end]
    cuts = [0]
    for comma in re.finditer(r"(?:[,;]|\.(?=\s+[A-Z]))\s+(?:and\s+)?(?=[A-Za-z])", line):
        rest = line[comma.end() :]
        reading = read_order(rest[:40])
        alone = re.match(
            r"(?:then|and|or|take|hold|with|for|last|not|do|if|up|chewable|delayed|extended|disintegrating|sig)\b",
            rest,
            re.IGNORECASE,
        )
        if (
            not alone
            and not (reading is not None and reading.start == 0)
            and line[: comma.start()].count("(") <= line[: comma.start()].count(")")
        ):
            cuts.append(comma.end())
    if len(cuts) == 1 or (len(cuts) == 2 and len(DOSE_ONLY.findall(line)) < 2):
        cuts = [0]
    for first, last in zip(cuts, [*cuts[1:], len(line)], strict=True):
        yield shift + start + first, shift + start + last


def medications_of(text: str, start: int, end: int, section: Section, number: int) -> list[Medication]:
    """The medications of one entry: the order and its steps, and the prescription printed below it."""
    found: list[Medication] = []
    body = text[start:end]
    printed = [place.start(1) for place in _RX.finditer(body)]
    cuts = sorted({0, *printed, *(place.end() for place in _INSULIN.finditer(body)), len(body)})
    for first, last in itertools.pairwise(cuts):
        form = "rx" if first in printed else "entry"
        found += _line(text, start + first, start + last, section, form, number)
    return found


def _line(text: str, start: int, end: int, section: Section, form: str, number: int) -> list[Medication]:
    bullet = _BULLET.match(text, start, end)
    begin = bullet.end() if bullet else start
    while end > begin and text[end - 1].isspace():
        end -= 1
    change = None
    if form == "rx":
        begin = text.index("*", begin) + 1
    elif leading := _LEADING.match(text, begin, end):
        change, begin = leading.lastgroup, leading.end()
    body = text[begin:end].replace("\n", " ")
    if NOT_A_DRUG.match(body) or body.endswith(":"):
        return []
    reading = read_order(body, begin)
    if reading is None:
        body = re.split(r"\.\s|\s-\s|;", body)[0]
        if not 1 <= len(body.split()) <= 6:
            return []
        reading_end, name_end = len(body), len(body)
        steps: tuple[Order, ...] = (Order(),)
    else:
        reading_end, name_end, steps = reading.end, reading.start, reading.steps
    drug, loose = _name(body[:name_end], begin)
    if drug is None:
        drug = name_behind(body, reading_end, begin)
        if drug is None:
            return []
    if loose is not None and steps[0].dose is None:
        steps = (replace(steps[0], dose=loose), *steps[1:])
    rest = _AND.match(body, reading_end)
    where = LISTS.get(section.name, "course")
    last = max(begin + len(body.rstrip()), drug.end)
    following: list[Medication] = []
    if rest and drug.end <= begin + rest.start() and DOSE_ONLY.search(body, rest.end()):
        last = begin + rest.start()
        following = _line(text, begin + rest.end(), end, section, form, number)
    return [
        *(
            Medication(where, section.name, form, number, step, begin, last, drug, order, change)
            for step, order in enumerate(steps)
        ),
        *following,
    ]


def _name(body: str, shift: int) -> tuple[Span | None, Span | None]:
    """The drug before its order, and a number at its end that no unit follows (`ASA 325 daily`)."""
    start, end = 0, len(body)
    while start < end and not (body[start].isalnum()):
        start += 1
    while end > start and (body[end - 1] in " ,:;-–([*." and not body[:end].endswith("+")):
        end -= 1
    if sig := re.search(r"\s+Sig$", body[start:end], re.IGNORECASE):
        end = start + sig.start()
    loose = None
    found = re.search(r"\s(\d+(?:\.\d+)?(?:[-/]\d+(?:\.\d+)?)?)$", body[start:end])
    if found and not re.match(r"(?:vitamin|omega|coenzyme)", body[start:end], re.IGNORECASE):
        loose = Span(found[1], shift + start + found.start(1), shift + start + found.end(1))
        end = start + found.start()
    name = body[start:end]
    if not re.search(r"[A-Za-z]{2}", name) or len(name.split()) > 10 or name.lower() in STOP_WORDS:
        return None, loose
    return Span(name, shift + start, shift + end), loose
