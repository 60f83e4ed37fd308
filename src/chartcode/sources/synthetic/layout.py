"""The page: hard-wrapped prose, and where on it the evidence stands.

While a note is composed, evidence is fenced by two private-use characters, the first of which numbers the mention. They
have no width; `unfence` takes them out at the end and reports the spans in code points of the finished text.
"""

from __future__ import annotations

import re

OPEN, CLOSE = 0xE000, "\uf8ff"
MAX_FENCES = 0xF8FF - OPEN
_FENCE = re.compile("([\ue000-\uf8ff])")


def fence(number: int, text: str) -> str:
    """`text` as mention `number`."""
    return f"{chr(OPEN + number)}{text}{CLOSE}"


def capital(text: str) -> str:
    """`text` with its first letter in upper case, fenced or not."""
    at = 1 if text[:1] and OPEN <= ord(text[0]) <= ord(CLOSE) else 0
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def wrap(text: str, width: int) -> str:
    """Hard-wrapped prose; as in MIMIC-IV a broken line keeps its trailing blank. A longer word stands alone."""
    out: list[str] = []
    room = width  # characters left on the line
    for word in text.split():
        size = len(word) if word.isascii() else len(_FENCE.sub("", word))  # fences have no width
        fits = not out or size < room
        room = room - size - bool(out) if fits else width - size
        out.append(word if fits else f"\n{word}")
    return " ".join(out)


def unfence(text: str) -> tuple[str, list[tuple[int, int, int]]]:
    """The text without fences, and (mention number, start, end) of each in order; end exclusive."""
    kept, spans, position, number, start = [], [], 0, -1, 0
    for index, piece in enumerate(_FENCE.split(text)):
        if index % 2 == 0:
            kept.append(piece)
            position += len(piece)
        elif piece == CLOSE:
            spans.append((number, start, position))
        else:
            number, start = ord(piece) - OPEN, position
    return "".join(kept), spans


def refence(text: str, renumber: dict[int, int]) -> str:
    """Copied text: mentions renumbered, those not in `renumber` unfenced."""
    out, keep = [], False
    for index, piece in enumerate(_FENCE.split(text)):
        if index % 2 == 0:
            out.append(piece)
        elif piece == CLOSE:
            if keep:
                out.append(piece)
        else:
            new = renumber.get(ord(piece) - OPEN)
            keep = new is not None
            if new is not None:
                out.append(chr(OPEN + new))
    return "".join(out)
