"""A name in the forms by which two spellings of one thing meet: folded, and as a bag of stems; and its coordinations.

- `plain`: folded words (tokens.py), number words and roman numerals as digits, no signs: `Factor V deficiency` and
  `factor five deficiency` are one.
- `bag`: its stems (Snowball English) without words that carry no meaning, sorted: order, inversion (`Carcinoma,
  breast`), plural and derivation fall away. `hypertensive` meets `hypertension`: an exact name goes before a bag.
- `parts`: what a coordination names: `breast and ovarian cancer` is breast cancer, ovarian cancer.
"""

from __future__ import annotations

import re
from functools import lru_cache

import snowballstemmer

from chartcode.linking.tokens import NUMBERS, is_word, words_of

# x is left out: it is a chromosome.
_DIGITS = NUMBERS | {
    "i": "1",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "xi": "11",
    "xii": "12",
}
_EMPTY = frozenset(
    [
        "of",
        "the",
        "a",
        "an",
        "in",
        "to",
        "with",
        "and",
        "or",
        "by",
        "for",
        "on",
        "at",
        "as",
        "from",
        "due",
        "type",
        "s",
        "nos",
        "its",
        "his",
        "her",
        "their",
    ]
)
_STEMMER = snowballstemmer.stemmer("english")
_JOIN = re.compile(r"\s*(?:,?\s+(?:and/or|and|or|as well as)\s+|\s*[,/]\s*)\s*", re.IGNORECASE)


@lru_cache(1 << 18)
def _stem(word: str) -> str:
    return str(_STEMMER.stemWord(word))


def plain_words(name: str) -> list[str]:
    """The folded words of a name, numbers as digits, no signs."""
    folded = [word for word in words_of(name).folded if is_word(word)]
    return [_DIGITS.get(word, word) for word in folded if word != "s" or len(folded) == 1]


def stems_of(words: list[str]) -> tuple[str, ...]:
    """The stems of plain words that carry meaning, sorted; all of them where none does."""
    kept = [word for word in words if word not in _EMPTY] or words
    return tuple(sorted({_stem(word) for word in kept}))


def parts(mention: str) -> list[list[str]]:
    """The ways to read a mention as a coordination, likeliest first: each a list of two or more names.

    Of `A and B C`: [A C, B C] (what stands after the last part belongs to all) and [A, B C]; of `C of A and B`:
    [C of A, C of B].
    """
    found = [part.strip() for part in _JOIN.split(mention) if part.strip()]
    if len(found) < 2 or len(found) > 6:
        return []
    ways: list[list[str]] = []
    last = found[-1].split()
    for keep in range(1, len(last)):
        # `breast | ovarian cancer`: one to all words of the last part but its first are shared
        tail = " ".join(last[keep:])
        ways.append([*(f"{part} {tail}" for part in found[:-1]), found[-1]])
    head = re.match(r"(.*?\b(?:of|in|to)\b(?:\s+the\b)?)\s+(.+)", found[0], re.IGNORECASE)
    if head:
        ways.append([found[0], *(f"{head[1]} {part}" for part in found[1:])])
    first = found[0].split()
    for keep in range(1, len(first)):
        lead = " ".join(first[:keep])
        ways.append([found[0], *(f"{lead} {part}" for part in found[1:])])
    ways.append(found)
    return ways
