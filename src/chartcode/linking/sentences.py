"""Sentences and list items of a note as it is typed: wrapped lines are joined, bullets and headings part.

- A line break ends a sentence before a blank line, a bullet, a heading, and after a line with room for the next word:
  of a list without bullets each line is an item. The width of the note is the median of its long lines.
- A full stop ends a sentence unless it belongs to an abbreviation; so do question and exclamation marks, but not the
  mark of doubt before a word (`?PE`).
- A block is what one bullet, problem or paragraph holds. A heading stands alone on its line and ends with a
  colon; so may the last sentence before a list.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

_LINE = re.compile(r"[^\n]+")
_BULLET = re.compile(r"(?:[-*•#>·+]+(?=[ \t]*\w)|\d{1,2}[.)](?=\s)|\[[ x]?\])[ \t]*")
_FIRST = re.compile(r"\S+")
_STOP = re.compile(r"[.!?](?=[)\"”\]]*(?:\s|$))")
# Words after which a full stop is part of the word.
_SHORT = frozenset(
    ("dr", "mr", "mrs", "ms", "st", "vs", "pt", "pts", "approx", "e.g", "i.e", "eg", "ie", "etc", "al", "resp", "inc",
     "no", "hx", "dx", "tx", "rx", "s.p", "h.o", "prof", "sr", "jr", "fig", "sra", "dra", "ca", "aprox", "ej", "p.ej")
)  # fmt: skip
# A line does not end with these: it is wrapped.
_UNFINISHED = frozenset(
    ("a", "an", "the", "of", "and", "or", "nor", "with", "without", "w", "no", "not", "any", "for", "to", "in", "on",
     "at", "by", "from", "as", "is", "was", "has", "had", "her", "his", "their", "denies", "denied", "possible",
     "likely", "y", "o", "u", "e", "ni", "de", "del", "la", "el", "los", "las", "un", "una", "con", "sin", "por",
     "para", "en", "que", "se", "su")
)  # fmt: skip
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
    return _Splitter(text, spans).split()


class _Splitter:
    """Reads the lines of one note into units: a paragraph, a list item, a wrapped sentence."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        self._text, self._spans = text, spans
        self._begins = [start for start, _ in spans]
        self._found: list[Sentence] = []
        self._unit, self._last = -1, 0  # where the unit that is being read begins, where its last line ends
        self._block, self._heading, self._near = 0, (0, 0), False

    def split(self) -> list[Sentence]:
        lines = [match.span() for match in _LINE.finditer(self._text)]
        long = [end - start for start, end in lines if end - start >= _LONG]
        width = median_low(long) if len(long) > 2 else _WIDTH
        before = 0
        for start, end in lines:
            line = self._text[start:end].strip()
            blank = start > before + 1 or not line
            before = end
            if blank and not self._inside(start):
                self._finish()
                self._block, self._near = self._block + 1, False
            if line:
                self._read(start, end, line, width)
        self._finish()
        return self._found

    def _read(self, start: int, end: int, line: str, width: int) -> None:
        alone = line.endswith(":") and len(line) <= _HEADING and ". " not in line and not self._inside(end)
        if self._unit >= 0 and not self._inside(start):
            bullet = _BULLET.match(line) is not None
            if bullet or (alone and line[0].isupper()) or not self._goes_on(line, width):
                self._finish()
                self._block += bullet
        if self._unit < 0 and alone:
            self._block += 1
            self._heading, self._near = (start, end), True
            self._found.append(Sentence(start, end, self._block, (0, 0), near=False))
            return
        if self._unit < 0:
            self._unit = start
        self._last = end

    def _goes_on(self, line: str, width: int) -> bool:
        """Whether the unit that is being read goes on in `line`."""
        text, last = self._text, self._last
        length = last - text.rfind("\n", 0, last) - 1
        return _wrapped(text[max(self._unit, last - _HEADING) : last], length, line, width)

    def _finish(self) -> None:
        """The unit ends here: cut it into sentences."""
        if self._unit >= 0:
            for start, end in self._parts(self._unit, self._last):
                self._found.append(Sentence(start, end, self._block, self._heading, self._near))
            start, end = self._found[-1][:2]
            if self._text[start:end].endswith(":"):
                self._heading, self._near = (start, end), True
        self._unit = -1

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        text, unit = self._text, start
        for stop in _STOP.finditer(text, start, end):
            at = stop.end()
            if stop[0] == "?" and (at - 1 == unit or text[at - 2] in " \n("):
                continue  # a mark of doubt before a word
            if (stop[0] == "." and self._abbreviated(unit, at)) or self._inside(at):
                continue
            yield start, at
            start = at
        if text[start:end].strip():
            yield start, end

    def _abbreviated(self, unit: int, at: int) -> bool:
        """Whether the full stop before `at` belongs to its word or to the number of a list item."""
        words = self._text[max(unit, at - 12) : at - 1].split()
        word = words[-1].lstrip("([\"'").lower() if words else ""
        if word in _SHORT or (len(word) == 1 and word.isalpha()):
            return True
        return word.isdecimal() and at - unit < 12 and self._text[unit : at - 1].strip(" \t-*#") == word

    def _inside(self, place: int) -> bool:
        """Whether a span runs over a code point."""
        at = bisect_right(self._begins, place) - 1
        return at >= 0 and self._spans[at][0] < place < self._spans[at][1]


def _wrapped(unit: str, length: int, line: str, width: int) -> bool:
    """Whether `line` goes on with the unit whose last line has `length` characters."""
    unit = unit.rstrip()
    if unit[-1:] in ",/&(-":
        return True
    word = unit.rpartition(" ")[2].lower()
    first = _FIRST.match(line)
    full = length + 1 + len(first[0] if first else "") > width
    if unit[-1:] == ":":  # of a list below, unless it only happened to stand at the end of a full line
        return full and ". " in unit
    if unit[-1:] in ".!?" and length < width and word[:-1] not in _SHORT:
        return False
    return word in _UNFINISHED or full
