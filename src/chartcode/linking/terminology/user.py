"""The user's own lists: any CSV with columns name and code, and perhaps system, language and kind.

One such list comes with the package: mini.csv, fifty common conditions with their SNOMED CT and ICD-10-CM codes, the
size of ontology that a first notebook works with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

from chartcode.icd import undotted
from chartcode.linking.terminology.rows import ICD10CM, Found, damaged, records
from chartcode.linking.terms import LANGUAGES, Kind

MINI = Path(__file__).parent / "mini.csv"
COLUMNS = ("name", "code")
LICENCE = "the user's own"


def names(path: Path, default_system: str = ICD10CM) -> Iterator[Found]:
    """The rows of a user's list, as they stand. Raises DataError naming file, column and line."""
    for line, row in enumerate(records(path, COLUMNS), start=2):
        name, system = row["name"].strip(), row.get("system") or default_system
        language, kind = row.get("language") or "en", row.get("kind") or "user"
        if not name:
            raise damaged(path, "name", line, "is empty")
        if language not in LANGUAGES:
            raise damaged(path, "language", line, f"not one of {', '.join(LANGUAGES)}")
        if kind not in get_args(Kind):
            raise damaged(path, "kind", line, f"not one of {', '.join(get_args(Kind))}")
        code = undotted(row["code"]) if system == ICD10CM else row["code"].strip()
        yield Found(code, name, cast(Kind, kind), f"user ({path.name})", LICENCE, system, language)
