"""Names to link to, from where a user has them: a list of one's own, stage `terminology`, a fitted linker.

A list is any CSV with columns name and code, and perhaps system, so that a name may have a code in each: ICD-10-CM's
are linked to, if it has them, and what clinicians call these besides (abbreviations, aliases) is added.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from chartcode.artifacts import Artifact
from chartcode.errors import ArtifactError, DataError
from chartcode.linking.calibration import LEARNED
from chartcode.linking.terminology import abbreviations, tabular
from chartcode.linking.terminology.rows import ICD10CM, Found
from chartcode.linking.terminology.user import names
from chartcode.linking.terms import TERMS


class Listed(NamedTuple):
    """A list: all its rows, the system that is linked to, the rows of that system with what it is called besides."""

    rows: list[Found]
    system: str
    own: list[Found]

    def terms(self, language: str) -> pa.Table:
        """The rows of the system as a table TERMS, to be read in notes of this language."""
        rows = [row._asdict() | {"sections": list(row.sections), "language": language} for row in self.own]
        return pa.Table.from_pylist(rows, schema=TERMS)


def read_list(path: Path) -> Listed:
    """A list of one's own. Raises DataError naming file, column and line of what is wrong."""
    rows = list(names(path))
    if not rows:
        raise DataError(f"{path}: holds no name; columns are name, code, and perhaps system and language")
    system = _linked_to({row.system for row in rows})
    own = [row for row in rows if row.system == system]
    if system == ICD10CM:  # what clinicians call these codes besides
        listed = {row.code for row in own}
        own += [row for row in (*abbreviations.own(), *tabular.aliases()) if row.code in listed or not row.code]
    return Listed(rows, system, own)


def _linked_to(systems: set[str]) -> str:
    return ICD10CM if ICD10CM in systems else min(systems)


def terms_of(source: Path, language: str = "en") -> pa.Table:
    """Names with a code, a table TERMS, of a list (CSV), of data/terminology or of models/linker.

    Raises DataError or ArtifactError where it is none of them or no name has a code.
    """
    if not source.is_dir():
        terms = read_list(source).terms(language)
    else:
        artifact = Artifact(source)
        if "terms.parquet" in artifact.names():
            terms = artifact.table("terms.parquet")
            terms = terms.filter(pc.equal(terms["language"], language))
            systems = set(terms["system"].to_pylist())
            terms = terms.filter(pc.equal(terms["system"], _linked_to(systems))) if systems else terms
        elif {"surfaces.parquet", "candidates.parquet"} <= set(artifact.names()):
            terms = _of_linker(artifact, language)
        else:
            raise ArtifactError(f"{source}: no names; give a CSV of name and code, data/terminology or models/linker")
    terms = terms.filter(pc.not_equal(terms["code"], ""))
    if not len(terms):
        raise DataError(f"{source}: no name has a code")
    return terms


def _of_linker(artifact: Artifact, language: str) -> pa.Table:
    """The names of a fitted linker but those that stand for something in capitals, or in some section, alone."""
    surfaces, candidates = artifact.table("surfaces.parquet"), artifact.table("candidates.parquet")
    candidates = candidates.filter(pc.not_equal(candidates["kind"], LEARNED))
    named = surfaces.take(candidates["surface"])
    rows = len(named)
    table = pa.table(
        {
            "code": candidates["code"],
            "system": [ICD10CM] * rows,
            "name": named["key"],
            "kind": candidates["kind"],
            "language": [language] * rows,
            "sections": named["sections"],
            "share": candidates["share"],
            "source": ["linker"] * rows,
            "licence": [""] * rows,
        },
        schema=TERMS,
    )
    apart = pc.or_(pc.or_(named["cased"], named["silent"]), pc.greater(pc.list_value_length(named["sections"]), 0))
    return table.filter(pc.invert(apart))
