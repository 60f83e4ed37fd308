"""The words of a note as a dictionary sees them: folded, without plural, each with its place.

- Letters and digits part (`T2DM` is t 2 dm, so that it meets `type 2`-like names however they are spaced); a decimal
  number stays whole.
- Lower case, no accents, American spelling (anaemia, oedema, tumour), no possessive; II and III as digits (IV is not:
  it means a vein more often than a number).
- Plurals go by the S-stemmer (Harman 1991, How effective is suffixing?) in English, by -s and -es in Spanish. Heavier
  stemmers make one word of hypertension and hypertensive, which are coded differently.
- A hyphen inside a word parts it and is no word itself; every other sign is one, so no name runs over a comma or a
  full stop that it does not hold. A line break is one (`\n`) before a blank line, a bullet, a number or a heading's
  `#`; elsewhere it is a wrapped line and counts as a blank.
Legend: T words of a text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(
    r"(?P<break>\n(?=[ \t]*(?:\n|[-*#•\[]|\d+[.)])))"
    r"|[^\W\d_]+(?:[\u0300-\u036f]+[^\W\d_]*)*(?:['’]s\b)?"  # accents may stand alone, decomposed
    r"|\d+(?:\.\d+)?"
    r"|_+"
    r"|[^\w\s\-‐‑–—]"
)
BREAK = "\n"
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBERS = {word: str(number) for number, word in enumerate(_NUMBERS.split())}
_ROMAN = {"ii": "2", "iii": "3"}


class Words(NamedTuple):
    """The words of a text: folded, and where each begins and ends (code points of that text). All have T entries."""

    folded: list[str]
    starts: list[int]
    ends: list[int]


def words_of(text: str, language: str = "en") -> Words:
    """The words of a text in order, signs among them."""
    fold = _fold_es if language == "es" else _fold_en
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _WORD.finditer(text):
        folded.append(fold(match[0]))
        start, end = match.span()
        starts.append(start)
        ends.append(end)
    return Words(folded, starts, ends)


def is_word(folded: str) -> bool:
    """Whether it is a word or a number, and no sign."""
    return folded[:1].isalnum()


def key_of(name: str, language: str = "en") -> str:
    """A name as the dictionary keeps it: its folded words, one blank between."""
    return " ".join(words_of(name, language).folded)


def digits(name: str) -> str:
    """A name with its number words as digits (`chromosome ten`), as some publishers spell them out."""
    return " ".join(NUMBERS.get(word, word) for word in name.split())


@lru_cache(1 << 18)
def _fold_en(word: str) -> str:
    word = _plain(word)
    if word in _ROMAN:
        return _ROMAN[word]
    word = _singular(word).replace("ae", "e").replace("oe", "e")
    return word[:-3] + "or" if word.endswith("our") and len(word) > 5 else word


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and word[-4] not in "ea":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word if word[-2] in "us" or word.endswith("sis") else word[:-1]


@lru_cache(1 << 18)
def _fold_es(word: str) -> str:
    word = _plain(word)
    if len(word) > 5 and word.endswith("es"):
        return word[:-2]
    return word[:-1] if len(word) > 4 and word.endswith("s") else word


def _plain(word: str) -> str:
    word = word.lower()
    if not word.isascii():
        word = unicodedata.normalize("NFKD", word)
        word = "".join(sign for sign in word if not unicodedata.combining(sign)) or word
    return word[:-2] if word.endswith(("'s", "’s")) else word
