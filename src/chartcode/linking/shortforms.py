"""Short forms that a document defines: `intracerebral hemorrhage (ICH)` (Schwartz and Hearst 2003).

What stands in brackets is a short form where its letters are found, right to left, in the words before, the first at
the beginning of a word; at most min(n + 5, 2n) words of them are looked at for n letters.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BRACKETS = re.compile(r"\(([^()\[\]]{2,24})\)")
_WORD = re.compile(r"\S+")
_OTHER_CLAUSE = re.compile(r"[.;:]\s")
_MOST = 10  # signs of a short form


class Pair(NamedTuple):
    """A short form and its long form, each with its place (code points of the text)."""

    short: str
    start: int
    end: int
    long: str
    long_start: int
    long_end: int


def pairs(text: str) -> list[Pair]:
    """The short forms of a text in the order they are defined."""
    found = []
    for match in _BRACKETS.finditer(text):
        short = re.split(r"[;,]", match[1])[0].strip()
        if not 2 <= len(short) <= _MOST or len(short.split()) > 2:
            continue
        if not short[0].isalnum() or not any(sign.isalpha() for sign in short):
            continue
        before = text[: match.start()].rstrip()
        begin = _long_form(short, before)
        if begin is None or len(before) - begin <= len(short) or _OTHER_CLAUSE.search(before, begin):
            continue
        start = match.start() + 1 + match[1].index(short)
        found.append(Pair(short, start, start + len(short), before[begin:], begin, len(before)))
    return found


def _long_form(short: str, before: str) -> int | None:
    """Where the long form of a short one begins in the text before it."""
    words = [match.start() for match in _WORD.finditer(before, max(0, len(before) - 400))]
    most = min(len(short) + 5, 2 * len(short))
    if not words:
        return None
    earliest, at = words[-most:][0], len(before)
    for number in range(len(short) - 1, -1, -1):
        sign = short[number].lower()
        if not sign.isalnum():
            continue
        at -= 1
        while at >= earliest and (before[at].lower() != sign or (number == 0 and at > 0 and before[at - 1].isalnum())):
            at -= 1
        if at < earliest:
            return None
    return at
