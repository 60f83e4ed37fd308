"""Gathers every source into the table of names: codes of the latest edition, general names dropped, each name once.

Of a name that several sources give for one code, the row of the kind that terms.PREFERENCE puts first stays. A heading
stands for its default leaf, a retired code for what it became. A billable code that no other name is left of keeps its
title, however long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from chartcode.linking.terminology import (
    abbreviations,
    cognates,
    editions,
    folder,
    index,
    neoplasms,
    ontology,
    tabular,
    user,
    vocabularies,
)
from chartcode.linking.terminology.forms import Generic
from chartcode.linking.terminology.rows import ICD10CM, Found
from chartcode.linking.terms import LANGUAGES, PREFERENCE, TERMS, Kind
from chartcode.linking.tokens import key_of
from chartcode.params import Positive, Section

_AS_GIVEN = frozenset({"alias", "abbreviation", "user", "mention"})  # written by people for notes: never too general
_RANK = {kind: rank for rank, kind in enumerate(PREFERENCE)}
Files = dict[str, list[Path]]


class TerminologyParams(Section):
    """Which names the dictionary holds."""

    section: ClassVar[str] = "terminology"
    folder: str
    system: Annotated[str, Field(min_length=1)]
    languages: Literal["en", "es", "all"]
    kinds: Annotated[list[Kind], Field(min_length=1)]
    max_words: Positive

    @property
    def spoken(self) -> tuple[str, ...]:
        """The languages as a tuple."""
        return LANGUAGES if self.languages == "all" else (self.languages,)


@dataclass(frozen=True)
class Terminology:
    """The tables of a terminology, and what happened on the way."""

    terms: pa.Table  # schema TERMS
    codes: pa.Table  # schema editions.CODES
    kinds: tuple[str, ...]  # of the files found in the folder
    found: Counter[str]  # names given, by source
    dropped: Counter[str]  # names not taken, by reason

    @property
    def absent(self) -> tuple[str, ...]:
        """Kinds of files that the folder does not hold."""
        return tuple(kind for kind in folder.KINDS if kind not in self.kinds)


def build(params: TerminologyParams) -> Terminology:
    """The terminology of the packages and of the files in `params.folder`. Raises DataError naming a damaged file."""
    files = folder.files(Path(params.folder))
    known = editions.known_editions(dict(folder.order_file(path) for path in files.get("order", ())))
    headings = {entry.code: entry.title for entry in editions.tabular() if not entry.billable}
    codes = editions.codes_table(known, headings)
    gathering = _Gathering(params, editions.Codes(codes))
    gathering.take(published(params, files))
    gathering.take(_packaged(params, known))
    own = [row.name for row in abbreviations.own()]
    gathering.take(abbreviations.vanderbilt(files.get("vanderbilt", ()), own, gathering.code_of()))
    gathering.take(cognates.names(gathering.rows()))
    kept = gathering.rows()
    if params.system == ICD10CM and "title" in params.kinds and "en" in params.spoken:
        kept += _untitled(codes, {row.code for row in kept})
    return Terminology(
        terms=_table(kept),
        codes=codes if params.system == ICD10CM else _other_codes(kept),
        kinds=tuple(sorted(files)),
        found=gathering.found,
        dropped=gathering.dropped,
    )


def _packaged(params: TerminologyParams, known: dict[int, editions.Edition]) -> Iterator[Found]:
    if params.system == ICD10CM:
        yield from tabular.titles()
        yield from tabular.edition_titles(known)
        yield from tabular.icd9_titles()
        yield from tabular.aliases()
        yield from abbreviations.own()


def published(params: TerminologyParams, files: Files) -> Iterator[Found]:
    """The names in the user's files, by kind as `folder.files` has them; lists of abbreviation senses come later."""
    tumours: dict[str, str] = {}
    for path in files.get("neoplasms", ()):
        tumours.update(neoplasms.places(path))
        yield from neoplasms.names(path)
    for path in files.get("index", ()):
        yield from index.names(path, tumours)
    found: dict[str, list[tuple[str, str]]] = {}
    for path in files.get("do_references", ()):
        found.update(ontology.references(path)[1])
        yield from ontology.disease_ontology(path, next(iter(files.get("do_translations", ())), None))
    for path in files.get("do_labels", ()):
        yield from ontology.labels_only(path)
    for path in files.get("medic", ()):
        yield from ontology.medic(path, found)
    for path in files.get("obo", ()):
        yield from ontology.obo(path)
    descriptions, maps = files.get("snomed_descriptions", ()), files.get("snomed_maps", ())
    yield from vocabularies.snomed(descriptions, maps, params.system, params.spoken)
    for path in files.get("umls", ()):
        yield from vocabularies.umls(path, params.system, params.spoken)
    for path in files.get("user", ()):
        yield from user.names(path)


class _Gathering:
    """Names on their way in: filtered, resolved, the first of equal ones kept."""

    def __init__(self, params: TerminologyParams, codes: editions.Codes) -> None:
        self._params, self._codes = params, codes
        self._generic = Generic(params.max_words)
        self._kept: dict[tuple[str, ...], Found] = {}
        self.found: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def take(self, names: Iterable[Found]) -> None:
        params = self._params
        for row in names:
            if row.system != params.system or row.language not in params.spoken or row.kind not in params.kinds:
                continue
            self.found[row.source] += 1
            code = self._code(row)
            if code is None:
                self.dropped["unknown code"] += 1
                continue
            name_key = key_of(row.name, row.language)
            reason = None if row.kind in _AS_GIVEN else self._generic.reason(name_key)
            if reason is not None:
                self.dropped[reason] += 1
                continue
            as_written = row.name if row.kind == "abbreviation" else ""
            key = (name_key, code, row.language, " ".join(row.sections), as_written)
            held = self._kept.get(key)
            if held is None or _RANK[row.kind] < _RANK[held.kind]:
                self._kept[key] = row._replace(code=code, name=" ".join(row.name.split()))

    def _code(self, row: Found) -> str | None:
        if row.system != ICD10CM or row.kind == "user" or not row.code:
            return row.code
        code = self._codes.resolve(row.code)
        return code if self._codes.billable(code) else None

    def code_of(self) -> _Meanings:
        """What the words of a sense mean, by the names held so far."""
        best: dict[str, tuple[int, str]] = {}
        for (key, *_), row in self._kept.items():
            if row.kind != "abbreviation" and row.language == "en":
                best[key] = min(best.get(key, (len(_RANK), "")), (_RANK[row.kind], row.code))
        return _Meanings({key: code for key, (_, code) in best.items()})

    def rows(self) -> list[Found]:
        """The names kept. An acronym of an ontology goes where a list of abbreviations knows its senses."""
        listed = {row.name.lower() for row in self._kept.values() if _is_listed(row)}
        return [
            row
            for row in self._kept.values()
            if row.kind != "abbreviation" or _is_listed(row) or row.name.lower() not in listed
        ]


def _is_listed(row: Found) -> bool:
    return row.kind == "abbreviation" and row.licence in (tabular.OUR_LICENCE, abbreviations.LICENCE)


class _Meanings:
    def __init__(self, codes: dict[str, str]) -> None:
        self._codes = codes

    def __call__(self, words: str) -> str:
        return self._codes.get(key_of(words), "")


def _untitled(codes: pa.Table, named: set[str]) -> list[Found]:
    """The titles of billable codes that have no name."""
    columns = codes.to_pydict()
    return [
        Found(code, title, "title", tabular.TABULAR, tabular.PUBLIC_DOMAIN)
        for code, title, billable in zip(columns["code"], columns["title"], columns["billable"], strict=True)
        if billable and code not in named
    ]


def _table(rows: list[Found]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (row.code, row.language, row.name, row.sections, row.kind, row.source))
    columns = {name: [getattr(row, name) for row in ordered] for name in TERMS.names}
    return pa.table(columns, schema=TERMS)


def _other_codes(rows: list[Found]) -> pa.Table:
    """The codes of another system, each with the first of its names."""
    titles: dict[str, str] = {}
    for row in rows:
        if row.code:
            titles.setdefault(row.code, row.name)
    ordered = sorted(titles)
    empty = [None] * len(ordered)
    columns = [ordered, [titles[code] for code in ordered], [True] * len(ordered), empty, empty]
    return pa.table(columns, schema=editions.CODES)
