"""The official Alphabetic Index: a tree of lead terms and subterms, read aloud the ways a clinician would.

`Failure, heart, diastolic (congestive), acute` is found four levels deep; the code stands at the leaf, the words on the
way there. A path becomes names by putting the modifiers before the lead term (innermost first: acute diastolic heart
failure; and as listed), but those that begin with a connective, and all below a bare one, after it. Commas are
inversions unless the parts share a stem (`forms.alternatives`). Nonessential modifiers are left out, and single words
among them are also put before and after the lead term. A `see` leads to the code of the path it names,
and so does a `see also` where no code stands.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from chartcode.icd import ICD10_CM
from chartcode.linking.terminology.forms import alternatives, bare, connects, is_adjective
from chartcode.linking.terminology.rows import Found, damaged, records, release, unique

COLUMNS = ("Level", "Term", "See", "SeeAlso", "NonEssModif", "Code")
LICENCE = "public domain (CMS, NCHS)"
_CODE = re.compile(ICD10_CM)
_REST = re.compile(r"(?:other )?specified\b|by site\b|classified\b|see\b", re.I)
_REST_WORD = re.compile(r"\bNEC\b")
_OPTIONAL = re.compile(r"\(([a-z]{3,})\)", re.I)
_PARENTHESES = re.compile(r"\([^)]*\)?")
_READINGS = 3  # of a term with several alternatives
_OPTIONALS = 8


class Entry(NamedTuple):
    """One line of the index: terms from the lead term down, nonessential modifiers of the last, code, and reference."""

    path: tuple[str, ...]
    optional: tuple[str, ...]
    code: str
    see: str


def entries(path: Path) -> Iterator[Entry]:
    """The lines of the index with their paths. Raises DataError naming file, column and line."""
    stack: list[str] = []
    for line, row in enumerate(records(path, COLUMNS), start=2):
        if not row["Level"].isdigit() or int(row["Level"]) > len(stack):
            raise damaged(path, "Level", line, "must be a number, at most one above the line before")
        code = undashed(row["Code"])
        if code and not _CODE.fullmatch(code):
            raise damaged(path, "Code", line, "not an ICD-10-CM code")
        del stack[int(row["Level"]) :]
        stack.append(row["Term"])
        yield Entry(tuple(stack), tuple(_OPTIONAL.findall(row["NonEssModif"])), code, row["See"] or row["SeeAlso"])


def undashed(code: str) -> str:
    """A code of the index without dot, and without the dash that says more characters follow."""
    return code.strip().rstrip("-").replace(".", "")


def names(path: Path, tumours: dict[str, str]) -> Iterator[Found]:
    """Every name of the index with a code of its own or by reference.

    `tumours`: where a reference into the Neoplasm table leads (`neoplasms.places`).
    """
    listed = list(entries(path))
    codes = {**tumours, **places(listed)}
    source = f"ICD-10-CM Alphabetic Index ({release(path)})"
    for entry in listed:
        code = entry.code or codes.get(place(entry.see), "")
        if not code:
            continue
        for form in forms(entry.path) if len(entry.path) == 1 else ():
            yield Found(code, form, "lead", source, LICENCE)  # what a coder takes when nothing more is said
        for form in forms(entry.path, entry.optional):
            yield Found(code, form, "index", source, LICENCE)


def places(listed: Sequence[Entry]) -> dict[str, str]:
    """The code at each path, written as references write it: `infarct, myocardium`; the first of equal paths counts."""
    found: dict[str, str] = {}
    for entry in listed:
        if entry.code:
            for steps in (entry.path, [step.split(",")[0] for step in entry.path]):
                found.setdefault(place(", ".join(steps)), entry.code)
    return found


def place(reference: str) -> str:
    """A path as one string, the same for a reference and for the line it leads to."""
    return " ".join(_REST_WORD.sub("", _PARENTHESES.sub("", reference)).lower().split())


def forms(path: Sequence[str], optional: Sequence[str] = ()) -> list[str]:
    """What the end of a path is called. Nothing where a step says `specified` or `by site`; a single word only where it
    is a lead term, and of its alternatives no adjective."""
    if any(_REST.match(step) for step in path):
        return []
    lead, *steps = (bare(step) for step in path)
    before: list[str] = []
    after: list[str] = []
    behind = False
    for step in steps:
        behind = behind or connects(step)
        (after if behind else before).append(step)
    before = [step for step in before if step]
    readings = [alternatives(step)[:_READINGS] or [""] for step in before]
    found = []
    for position, head in enumerate(alternatives(lead)[: _READINGS + 1]):
        if len(path) == 1 and position and is_adjective(head):
            continue
        for chosen in itertools.islice(itertools.product(*readings), _READINGS):
            for words in unique([" ".join([*reversed(chosen), head]), " ".join([*chosen, head])]):
                found.append(" ".join([words, *after]))
        if not before and not after:
            for word in optional[:_OPTIONALS]:
                found += [f"{word} {head}", f"{head} {word}"]
        elif optional and not after and len(before) == 1:
            found += [f"{word} {before[0]} {head}" for word in optional[:_OPTIONALS]]
    if len(path) > 1:
        found = [form for form in found if " " in form]
    return unique(found)
