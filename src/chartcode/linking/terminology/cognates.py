"""Spanish names made of English ones: medicine's Greek and Latin words are spelled by rule in both languages.

hydronephrosis -> hidronefrosis, acute pyelonephritis -> pielonefritis aguda, scoliosis -> escoliosis. One word, or up
to two adjectives before a noun, which follow it in Spanish and take its gender. Nouns and adjectives that are no
cognates (stone, heart) stand in cognates.csv. No accents: the matcher folds them away. A name that nobody writes never
matches; one that means something else gets its p from train.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chartcode.linking.terminology.rows import Found
from chartcode.linking.terminology.tabular import OUR_LICENCE

FROM = frozenset({"alias", "gem", "inclusion", "index", "lead", "ontology", "title"})  # kinds of names
SOURCE = "chartcode (spelled from English)"
SHORTEST = 6  # letters of a word that is spelled by rule
_SPELLING = (
    ("rrh", "rr"), ("ph", "f"), ("th", "t"), ("rh", "r"), ("ae", "e"), ("oe", "e"),
    (r"ch(?=[ei])", "qu"), ("ch", "c"), (r"k(?=[eiy])", "qu"), ("k", "c"), (r"y$", "ia"), ("y", "i"),
    (r"([bdfglmnpstz])\1", r"\1"), (r"cc(?![ei])", "c"), (r"tion$", "cion"), (r"ism$", "ismo"),
    (r"ectasis$", "ectasia"), (r"^s(?=[bcdfglmnpqtv])", "es"), ("quu", "qu"),
)  # fmt: skip
_NOUN = re.compile(
    r"(?:itis|osis|oma|emia|uria|algia|pathy|megaly|cele|plegia|plasia|penia|rrhea|rrhagia|trophy|tion|sion|ism|ia|asis"
    r"|esis|ectasis|edema)$"
)
_ALONE = re.compile(r"(?:us|um|is|cy|ty|y)$")  # endings of a noun that says enough by itself
_FEMININE = re.compile(r"(?:a|sis|itis|cion|sion|dad|tos)$")
_MASCULINE = re.compile(r"(?:oma|ema)$")  # of Greek, as edema


class _Words(NamedTuple):
    nouns: Mapping[str, str]
    adjectives: Mapping[str, tuple[str, ...]]  # one form for both genders, or masculine and feminine


def names(rows: Iterable[Found]) -> Iterator[Found]:
    """The Spanish names of English ones of kinds FROM that can be spelled by rule."""
    for row in rows:
        if row.language == "en" and row.code and row.kind in FROM:
            for name in spelled(row.name):
                yield Found(row.code, name, "cognate", SOURCE, OUR_LICENCE, row.system, "es")


def spelled(name: str) -> list[str]:
    """What an English name is in Spanish; nothing where a word has no rule."""
    words = name.lower().split()
    if not 1 <= len(words) <= 3 or not all(word.isascii() and word.isalpha() for word in words):
        return []
    noun = _noun(words[-1], alone=len(words) == 1)
    before = [_adjective(word) for word in words[:-1]]
    if noun is None or not all(before):
        return []
    gender = int(_FEMININE.search(noun) is not None and _MASCULINE.search(noun) is None)
    chosen = [forms[min(gender, len(forms) - 1)] for forms in before]
    return [" ".join([noun, *order]) for order in dict.fromkeys(itertools.permutations(chosen))]


@lru_cache(1 << 16)
def spell(word: str) -> str:
    """An English word in Spanish spelling."""
    for pattern, instead in _SPELLING:
        word = re.sub(pattern, instead, word)
    return word


def _noun(word: str, alone: bool) -> str | None:
    known = _words().nouns.get(word)
    if known is not None:
        return known if len(word) > SHORTEST or not alone else None  # `mass` alone says too little
    fits = _NOUN.search(word) or (alone and _ALONE.search(word))
    return spell(word) if fits and len(word) >= SHORTEST else None


@lru_cache(1 << 16)
def _adjective(word: str) -> tuple[str, ...]:
    known = _words().adjectives.get(word)
    if known is not None:
        return known
    for ending, instead in (("ical", "ic"), ("ic", "ic"), ("ous", "os"), ("ive", "iv"), ("ary", "ari")):
        if word.endswith(ending) and len(word) >= SHORTEST:
            stem = spell(word[: -len(ending)] + instead)
            return f"{stem}o", f"{stem}a"
    if word.endswith(("al", "ar")):
        return (spell(word),)
    return (f"{spell(word)}e",) if word.endswith("oid") else ()


@lru_cache(1)
def _words() -> _Words:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return _Words(
        {row["english"]: row["spanish"] for row in rows if row["part"] == "noun"},
        {row["english"]: tuple(row["spanish"].split()) for row in rows if row["part"] == "adjective"},
    )
