"""Abbreviations that a note explains itself: `congestive heart failure (CHF)`, `CHF (congestive heart failure)`.

Schwartz & Hearst 2003, A simple algorithm for identifying abbreviation definitions in biomedical text. A short form has
2 to 10 characters, one or two words and a letter; its letters stand in the long form in order, the first of them at the
begin of a word, and the long form has at most min(n + 5, 2 n) words for n characters; the shortest that does is taken.
Letters are compared without case and accents. Offsets are code points, end exclusive.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_BRACKETED = re.compile(r"\(([^()\[\]{}]{2,120}?)\)")
_PARTED = re.compile(r"[;:,]\s|\s(?:see|or|aka|i\.e\.)\s")  # what follows is no part of a short form
_WORD = re.compile(r"\S+")
_BOUNDARY = re.compile(r"[.!?;:]\s|\n\s*\n|\n\s*[-*•#]|[()]")
_MOST = 10  # characters of a short form


class Definition(NamedTuple):
    """text[start:end] is the short form of text[long_start:long_end]."""

    short: str
    long: str  # one blank between words
    start: int
    end: int
    long_start: int
    long_end: int


def definitions(text: str) -> list[Definition]:
    """The abbreviations that `text` explains, in its order."""
    found = []
    for bracket in _BRACKETED.finditer(text):
        parted = _PARTED.search(bracket[1])
        inside = bracket[1][: parted.start()] if parted else bracket[1]
        start = bracket.start(1) + len(inside) - len(inside.lstrip())
        end = bracket.start(1) + len(inside.rstrip())
        if _is_short(text[start:end]):
            one = _explained(text, start, end, _candidate(text, bracket.start(), end - start), bracket.start())
        else:
            one = _explaining(text, bracket)
        if one:
            found.append(one)
    return found


def _is_short(form: str) -> bool:
    return (
        2 <= len(form) <= _MOST
        and len(form.split()) <= 2
        and form[:1].isalnum()
        and any(letter.isalpha() for letter in form)
    )


def _candidate(text: str, end: int, size: int) -> int:
    """Where the longest long form that may end before `end` begins, for a short form of `size` characters."""
    begin = max((match.end() for match in _BOUNDARY.finditer(text, max(0, end - 400), end)), default=max(0, end - 400))
    words = [match.start() for match in _WORD.finditer(text, begin, end)]
    return words[-min(size + 5, 2 * size) :][0] if words else end


def _explained(text: str, start: int, end: int, first: int, last: int) -> Definition | None:
    """The short form text[start:end] explained by the end of text[first:last]."""
    short, long = text[start:end], text[first:last].rstrip()
    at = _back(short, long)
    if at is None:
        return None
    long_start, long_end = first + at, first + len(long)
    words = text[long_start:long_end].split()
    if len(" ".join(words)) <= len(short) or short.lower() in (word.strip(",.").lower() for word in words):
        return None
    return Definition(short, " ".join(words), start, end, long_start, long_end)


def _explaining(text: str, bracket: re.Match[str]) -> Definition | None:
    """A short form before the bracket that holds the whole long form."""
    words = list(_WORD.finditer(text, max(0, bracket.start() - 2 * _MOST), bracket.start()))
    if not words or not text[words[-1].end() : bracket.start()].isspace():
        return None
    start, end = words[-1].start(), words[-1].end()
    if not _is_short(text[start:end]) or len(bracket[1].split()) > min(end - start + 5, 2 * (end - start)):
        return None
    found = _explained(text, start, end, bracket.start(1), bracket.end(1))
    whole = found and found.long_start == bracket.start(1) + len(bracket[1]) - len(bracket[1].lstrip())
    return found if whole else None


def _back(short: str, long: str) -> int | None:
    """Where in `long` the shortest end begins that holds the letters of `short`, None if there is none."""
    at = len(long)
    letters = [letter for letter in short if letter.isalnum()]
    for place in range(len(letters) - 1, -1, -1):
        letter = _plain(letters[place])
        at -= 1
        while at >= 0 and (_plain(long[at]) != letter or (place == 0 and at > 0 and long[at - 1].isalnum())):
            at -= 1
        if at < 0:
            return None
    return len(long[:at]) - len(re.split(r"\s", long[:at])[-1])


@lru_cache(4096)
def _plain(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter)[:1].lower()
