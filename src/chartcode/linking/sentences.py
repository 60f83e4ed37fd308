"""Sentences and list items of a note as it is typed: wrapped lines are joined, bullets and headings part.

- A line break ends a sentence before a blank line, a bullet, a heading, and after a line with room for the next word:
  of a list without bullets each line is an item. The width of the note is the median of its long lines.
- A full stop ends a sentence unless it belongs to an abbreviation; so do question and exclamation marks, but not the
  mark of doubt before a word (`?PE`).
- A block is what one bullet, problem or paragraph holds. A heading stands alone on its line and ends with a colon.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

_LINE = re.compile(r"[^\n]+")
_BULLET = re.compile(r"(?:[-*•#>·+]+(?=[ \t]*\w)|\d{1,2}[.)](?=\s)|\[[ x]?\])[ \t]*")
_FIRST = re.compile(r"\S+")
_STOP = re.compile(r"[.!?](?=[)\"”\]]*(?:\s|$))")
# Words after which a full stop is part of the word.
_SHORT = frozenset(
    "dr mr mrs ms st vs pt pts approx e.g i.e eg ie etc al resp inc no hx dx tx rx s.p h.o prof sr jr fig "
    "sra dra ca aprox ej p.ej núm".split()
)
# A line does not end with these: it is wrapped.
_UNFINISHED = frozenset(
    "a an the of and or nor with without w no not any for to in on at by from as is was has had her his their denies "
    "denied possible likely y o u e ni de del la el los las un una con sin por para en que se no su".split()
)
_LONG, _WIDTH, _HEADING = 45, 60, 60  # characters


class Sentence(NamedTuple):
    """text[start:end] is a sentence, a list item or a heading."""

    start: int
    end: int
    block: int
    heading: tuple[int, int]  # of the list it stands in, (0, 0) if none
    near: bool  # no blank line since that heading


def sentences(text: str, spans: Sequence[tuple[int, int]] = ()) -> list[Sentence]:
    """The sentences of `text` in order. None ends inside one of `spans`, sorted by their starts."""
    begins = [start for start, _ in spans]

    def inside(place: int) -> bool:
        at = bisect_right(begins, place) - 1
        return at >= 0 and spans[at][0] < place < spans[at][1]

    lines = [match.span() for match in _LINE.finditer(text)]
    long = [end - start for start, end in lines if end - start >= _LONG]
    width = median_low(long) if len(long) > 2 else _WIDTH
    found: list[Sentence] = []
    block, heading, near = 0, (0, 0), False
    unit = -1  # where the unit that is being read begins
    last = 0  # where its last line ends

    def finish() -> None:
        nonlocal unit
        if unit >= 0:
            for start, end in _parts(text, unit, last, inside):
                found.append(Sentence(start, end, block, heading, near))
        unit = -1

    before = 0
    for start, end in lines:
        line = text[start:end].strip()
        if start > before + 1 or not line:  # a blank line
            if not inside(start):
                finish()
                block += 1
                near = False
            before = end
            if not line:
                continue
        else:
            before = end
        alone = line.endswith(":") and len(line) <= _HEADING and ". " not in line
        if unit >= 0 and not inside(start):
            bullet = _BULLET.match(line)
            if (
                bullet
                or (alone and line[0].isupper())
                or not _wrapped(text[unit:last], last - text.rfind("\n", 0, last) - 1, line, width)
            ):
                finish()
                block += bullet is not None
        if unit < 0 and alone:
            block += 1
            heading, near = (start, end), True
            found.append(Sentence(start, end, block, (0, 0), False))
            continue
        if unit < 0:
            unit = start
        last = end
    finish()
    return found


def _wrapped(unit: str, length: int, line: str, width: int) -> bool:
    """Whether `line` goes on with the unit whose last line has `length` characters."""
    unit = unit.rstrip()
    if unit[-1:] in ",/&(-":
        return True
    if unit[-1:] in ".:!?" and length < width:
        return False
    word = re.search(r"\w+$", unit)
    if word and word[0].lower() in _UNFINISHED:
        return True
    first = _FIRST.match(line)
    return length + 1 + len(first[0] if first else "") > width


def _parts(text: str, start: int, end: int, inside) -> list[tuple[int, int]]:  # type: ignore[no-untyped-def]
    """Sentences of text[start:end], one unit."""
    parts = []
    for stop in _STOP.finditer(text, start, end):
        at = stop.end()
        if stop[0] == "?" and (at - 1 == start or text[at - 2] in " \n("):
            continue  # a mark of doubt before a word
        if stop[0] == ".":
            word = text[max(start, at - 12) : at - 1].split()[-1:] or [""]
            bare = word[0].lstrip("([\"'").lower()
            if bare in _SHORT or (len(bare) == 1 and bare.isalpha()):
                continue
            if bare.isdigit() and len(bare) < 3 and not text[start : at - 1].strip(" -*#").replace(bare, "", 1):
                continue  # the number of a list item
        if inside(at):
            continue
        parts.append((start, at))
        start = at
    if text[start:end].strip():
        parts.append((start, end))
    return parts
