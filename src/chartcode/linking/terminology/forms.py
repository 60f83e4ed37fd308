"""From a publisher's wording to what a clinician writes, and which names are too general to be looked for.

Titles are written for lists: `Pneumonia, unspecified organism`, `Essential (primary) hypertension`, `Fever NOS`,
`Diabetes Mellitus, Type 2`. In a note the rest words are missing, nonessential modifiers stand or do not, and
inversions are undone. forms.csv holds words that mean nothing to code when they stand alone, each with the reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from chartcode.linking.terms import LANGUAGES
from chartcode.linking.tokens import is_word, key_of

_BRACKETS = re.compile(r"\s*\[[^\[\]]*\]")
_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_REST_CLAUSE = re.compile(
    r",\s*(?:unspecified(?: (?:organism|sites?|cause|type|origin|trimester|severity|stage|degree|ear|eye|eyelid"
    r"|location|side|limb|(?:as to|whether) [^,]*))?"
    r"|(?:part|site|cause|type|organism) unspecified"
    r"|not elsewhere classified|not otherwise specified|so stated|nec|nos)(?=,|$)",
    re.I,
)
_REST_WORDS = re.compile(
    r"\b(?:NOS|NEC|not elsewhere classified|not otherwise specified|unspecified (?:part|site|type|cause|organism) of"
    r"|of unspecified (?:site|origin|type|cause|organism)|unspecified)\b|(?<=\w)\((?:s|es)\)",
    re.I,
)
_SPACE = re.compile(r"\s+")
_STEM_LETTERS = 4
_CONNECTIVE = re.compile(
    r"(?:with|without|due to|in|of|from|following|associated with|by|caused by|during|and|or|nor|complicating|affecting"
    r"|secondary to|involving|resulting from|after|for|on|to|as|at|not|other than|except|any|type|stage|grade)\b",
    re.I,
)


_ENCOUNTER = re.compile(r", (?:initial encounter|subsequent encounter|sequela)\b", re.I)
_ADJECTIVE = re.compile(r"\w{3,}(?:ic|al|ous|ive|ed|ary|ar|oid|ing|ful|tile)$", re.I)


def plain_forms(text: str) -> list[str]:
    """What a title or a term may look like in a note; the first is the title itself, without rest words.

    Nonessential modifiers, in parentheses, are left out, and stand where they are up to two words; a comma stays, is
    left out, or turns the two parts round. A title that names an encounter is written nowhere else: it stays as it is.
    """
    if _ENCOUNTER.search(text):
        return [_tidy(_PARENTHESES.sub("", text))]
    bare = _BRACKETS.sub("", text)
    bases = [_PARENTHESES.sub("", bare)]
    if any(len(inner.split()) <= 2 and inner not in ("s", "es") for inner in _PARENTHESES.findall(bare)):
        bases.append(_PARENTHESES.sub(r" \1", bare))
    forms = [form for base in bases for form in _commas(_tidy(_REST_WORDS.sub(" ", _REST_CLAUSE.sub("", base))))]
    return [form for form in dict.fromkeys(form.removesuffix(" of").removesuffix(" due to") for form in forms) if form]


def bare(text: str) -> str:
    """A term without nonessential modifiers and rest words: `Failure, heart (congestive) NEC` -> `Failure, heart`."""
    return _tidy(_REST_WORDS.sub(" ", _PARENTHESES.sub("", _BRACKETS.sub("", text))))


def _tidy(text: str) -> str:
    return _SPACE.sub(" ", text).replace(" ,", ",").strip(" ,;:-")


def _commas(text: str) -> Iterator[str]:
    yield text
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1:
        yield " ".join(parts)
    if len(parts) == 2 and len(parts[1].split()) <= 3 and not connects(parts[1]):
        yield f"{parts[1]} {parts[0]}"


def connects(text: str) -> bool:
    """Whether a modifier follows its noun: `with coma`, `due to alcohol`."""
    return _CONNECTIVE.match(text) is not None


def same_stem(one: str, other: str) -> bool:
    """Whether two words are forms of one: `Abdomen, abdominal`, `Tabes, tabetic`; `Satiety, early` are not."""
    one, other = one.lower().split(" ")[0], other.lower().split(" ")[0]
    wanted = min(_STEM_LETTERS, max(2, min(len(one), len(other)) - 2))
    return one[:wanted] == other[:wanted]


def alternatives(term: str) -> list[str]:
    """The readings of an index term with commas: alternatives where parts share a stem, else an inversion.

    `Hypertension, hypertensive` are two words for one thing; `Satiety, early` is early satiety; `Mottled, mottling,
    teeth` is both: mottled teeth, teeth mottling ...
    """
    parts = [part.strip() for part in term.split(",") if part.strip()]
    if len(parts) < 2:
        return parts
    heads = [parts[0], *(part for part in parts[1:] if same_stem(parts[0], part))]
    rest = [part for part in parts[1:] if part not in heads and not part.startswith("meaning ")]
    if not rest:
        return heads
    before = [part for part in rest if not connects(part)]
    after = [part for part in rest if connects(part)]
    found = []
    for head in heads:
        found += [" ".join([*reversed(before), head, *after]), " ".join([head, *before, *after])]
    return list(dict.fromkeys(found))


def is_adjective(word: str) -> bool:
    """Whether a single word looks like an adjective: `hypertensive` of `Hypertension, hypertensive`."""
    return _ADJECTIVE.fullmatch(word) is not None


class Generic:
    """Decides which names are not looked for, and says why."""

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words
        with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self._alone = {key_of(row["words"], language): row["reason"] for row in rows for language in LANGUAGES}

    def reason(self, key: str) -> str | None:
        """Why the name of this key (`tokens.key_of`) is dropped; None: it is not."""
        words = [word for word in key.split(" ") if is_word(word)]
        if not any(word.isalpha() and len(word) > 1 for word in words):
            return "no word"
        letters = [word for word in words if word.isalpha()]
        if len(letters) == 1 and len(letters[0]) < _STEM_LETTERS:
            return "short"
        if len(words) > self.max_words:
            return "long"
        if words[0] == "other" or words[:2] == ["specified", "other"]:
            return "rest class"
        alone = self._alone.get(" ".join(words))
        if alone is not None:
            return alone
        if all(self._alone.get(word) == "function" for word in words):
            return "function"
        return None
