"""A terminology ready to be searched: every surface form, when it counts, and the codes it may stand for.

A surface is a key (`tokens.key_of`) in one sense: an abbreviation of up to three letters counts only as it is written
(or in capitals), and one that means something else in some section has a surface of its own there. A surface whose
commonest sense is nothing to code is silent.
Legend: S surfaces, P candidate pairs of a surface and a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chartcode.linking.terms import PREFERENCE
from chartcode.linking.tokens import is_word, words_of

SHORT = 3  # letters; abbreviations of more are told from words by their letters alone
SILENT = 0.5  # share of a name's uses that mean nothing to code, from which on it says nothing

SURFACES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("cased", pa.bool_(), nullable=False),  # counts in capitals only
        pa.field("sections", pa.list_(pa.string()), nullable=False),  # where it has this sense; empty: elsewhere
        pa.field("silent", pa.bool_(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # of its preferred candidate
    ]
)
CANDIDATES = pa.schema(
    [
        pa.field("surface", pa.int32(), nullable=False),  # row of SURFACES
        pa.field("code", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # of the term that offers it; `learned` where train does
        pa.field("share", pa.float32(), nullable=False),
        pa.field("best", pa.bool_(), nullable=False),  # the one meant, as far as the names tell
    ]
)


class Dictionary(NamedTuple):
    """SURFACES (S,) sorted by key, and CANDIDATES (P,) sorted by surface, the preferred one first."""

    surfaces: pa.Table
    candidates: pa.Table


def compile_terms(terms: pa.Table, languages: Sequence[str], most_words: int) -> Dictionary:
    """The surfaces of a table of TERMS in these languages, of at most `most_words` words.

    A name with signs in it (`diabetes mellitus, type 2`) is also known without them.
    """
    terms = terms.filter(pc.is_in(terms["language"], pa.array(list(languages), pa.string())))
    rank = {kind: number for number, kind in enumerate(PREFERENCE)}
    found: dict[tuple[str, bool, tuple[str, ...]], dict[str, tuple[int, float]]] = {}
    columns = ("code", "name", "kind", "language", "sections", "share")
    for code, name, kind, language, sections, share in zip(*(terms[c].to_pylist() for c in columns), strict=True):
        cased = is_cased(name)
        for key in _keys(name, language, most_words):
            senses = found.setdefault((key, cased, tuple(sorted(sections))), {})
            known = senses.get(code)
            here = (rank[kind], float(share))
            if known is not None:  # what a list says too is no name that train gives
                listed = [number for number, _ in (known, here) if number != rank["mention"]]
                here = (min(listed, default=known[0]), max(known[1], here[1]))
            senses[code] = here
    return _tables(found)


def is_cased(name: str) -> bool:
    """Whether a name counts only as it is written: up to three letters, one of them a capital (MS, pAF)."""
    letters = [sign for sign in name if sign.isalpha()]
    return len(letters) <= SHORT and any(sign.isupper() for sign in letters)


def _keys(name: str, language: str, most_words: int) -> set[str]:
    folded = words_of(name, language).folded
    words = [word for word in folded if is_word(word)]
    if not any(word.isalpha() for word in words) or len(words) > most_words or sum(map(len, words)) < 2:
        return set()
    return {" ".join(words), " ".join(folded)} if is_word(folded[0]) and is_word(folded[-1]) else {" ".join(words)}


def _tables(found: Mapping[tuple[str, bool, tuple[str, ...]], Mapping[str, tuple[int, float]]]) -> Dictionary:
    surfaces: list[tuple[Any, ...]] = []
    candidates: list[tuple[Any, ...]] = []
    for number, ((key, cased, sections), senses) in enumerate(sorted(found.items())):
        silent = senses.get("", (0, 0.0))[1] >= SILENT
        ordered = sorted((c for c in senses if c), key=lambda c: _meant(c, senses[c]))
        kinds = [PREFERENCE[senses[code][0]] for code in ordered]
        surfaces.append((key, cased, sections, silent or not ordered, kinds[0] if kinds else ""))
        candidates.extend(
            (number, code, kind, senses[code][1], place == 0)
            for place, (code, kind) in enumerate(zip(ordered, kinds, strict=True))
        )
    return Dictionary(_table(surfaces, SURFACES), _table(candidates, CANDIDATES))


def _meant(code: str, sense: tuple[int, float]) -> tuple[Any, ...]:
    """Order of the codes of a name: commonest sense, most trusted kind of name, `unspecified` before the others."""
    rank, share = sense
    return (-round(share, 3), rank, not code.endswith(("9", "90")), len(code), code)


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


class Senses:
    """Which surface a match is, given how it is written and in which section it stands."""

    def __init__(self, surfaces: pa.Table) -> None:
        keys = surfaces["key"].to_pylist()
        self.keys: list[str] = sorted(set(keys))
        number = {key: place for place, key in enumerate(self.keys)}
        self._of: list[list[tuple[bool, frozenset[str], int]]] = [[] for _ in self.keys]
        cased, sections = surfaces["cased"].to_pylist(), surfaces["sections"].to_pylist()
        self._silent = np.asarray(surfaces["silent"].to_numpy(zero_copy_only=False), bool).tolist()
        for row, key in enumerate(keys):
            self._of[number[key]].append((cased[row], frozenset(sections[row]), row))
        for senses in self._of:  # a sense of this section before one of anywhere, as written before any case
            senses.sort(key=lambda sense: (not sense[1], not sense[0], sense[2]))

    def may_head(self, key: int) -> bool:
        """Whether it has a sense that means nothing to code, as headings have."""
        return any(self._silent[row] for _, _, row in self._of[key])

    def surface(self, key: int, text: str, section: str) -> int:
        """Row of SURFACES for a match of key number `key`, written `text`; -1 where it says nothing here."""
        for cased, sections, row in self._of[key]:
            if (not sections or section in sections) and (not cased or _as_written(text)):
                return -1 if self._silent[row] else row
        return -1


def _as_written(text: str) -> bool:
    """Capitals, with at most one small letter among them (PTx, pAF, T2dM is not)."""
    small = sum(sign.islower() for sign in text)
    return any(sign.isupper() for sign in text) and small <= (len(text) > 2)
