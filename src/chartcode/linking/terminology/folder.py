"""What lies in the folder of publishers' files, recognised by name and header.

A file that is none of the known kinds is an error that names it: a terminology that silently lacks a file would be
another terminology.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from chartcode.errors import DataError
from chartcode.linking.terminology.rows import damaged, lines_of, records

# Kind -> what its first line begins with, or must hold. The order matters: the first that fits is taken.
_HEADERS: tuple[tuple[str, str], ...] = (
    ("index", r"RowID,Letter,Level,Term\b"),
    ("neoplasms", r"RowID,Level,Term,SeeAlso\b"),
    ("order", r"code,billable,short,long\b"),
    ("do_references", r"\"?id\"?\t\"?label\"?\t\"?xref"),
    ("do_labels", r"\"?id\"?\t\"?label\"?\t\"?subClassOf"),
    ("do_translations", r"source_id\tpredicate\tsource_text\ttranslation_text"),
    ("vanderbilt", r"abbreviation\tsense\tvariation\tCUI\tfrequency"),
    ("snomed_descriptions", r"id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm"),
    ("snomed_maps", r"id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tmapGroup"),
    ("obo", r"format-version:"),
)
# Kind -> the publisher's name of the file; it counts where the header does not say, so that a damaged one is named.
_NAMES: tuple[tuple[str, str], ...] = (
    ("umls", r"MRCONSO(?:\.[A-Za-z]+)?\.RRF(?:\.gz)?$"),
    ("medic", r"(?:medic|CTD_diseases)\w*\.tsv(?:\.gz)?$"),
    ("order", r"(?:icd10cm[-_])?order[-_]\d{4}\.(?:txt|csv)(?:\.gz)?$"),
    ("index", r"(?:\w+_)?index_\d{4}\.csv(?:\.gz)?$"),
    ("neoplasms", r"(?:\w+_)?neoplasms?_\d{4}\.csv(?:\.gz)?$"),
    ("do_references", r"allXREFinDO\w*\.tsv(?:\.gz)?$"),
    ("do_labels", r"HumanDO\w*\.tsv(?:\.gz)?$"),
    ("do_translations", r"doid-\w+-translated\.tsv(?:\.gz)?$"),
    ("vanderbilt", r"vanderbilt_\w+\.txt(?:\.gz)?$"),
    ("snomed_descriptions", r"sct2_Description_\S+\.txt(?:\.gz)?$"),
    ("snomed_maps", r"der2_\w+_ExtendedMap\S+\.txt(?:\.gz)?$"),
)
KINDS = (*dict(_HEADERS), "umls", "medic", "user")
EXTERNAL = Path("data/external/terminology")
_ENDING = re.compile(r"\.(?:csv|tsv|txt|obo|rrf)(?:\.gz)?$", re.I)
_USER = re.compile(r"(?=.*\bname\b)(?=.*\bcode\b)\"?\w+\"?(?:,\"?\w+\"?)+\s*$")
_PAPERS = re.compile(r"(?:README|LICEN[CS]E|\.)", re.I)
_YEAR = re.compile(r"(20\d\d)")
_SHOWN = 5  # names of files in a message
_ORDER_TITLE = 77  # column of the long title in the publisher's fixed-width file


def kind_of(path: Path) -> str | None:
    """The kind of a file, or None. Raises DataError where it cannot be read."""
    first = next(iter(lines_of(path)), "")
    for kind, pattern in _HEADERS:
        if re.match(pattern, first):
            return kind
    for kind, pattern in _NAMES:
        if re.match(pattern, path.name, re.I):
            return kind
    return "user" if _USER.match(first) else None


def files(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by kind, sorted by name; papers (README, LICENSE) do not count.

    Raises DataError when the folder is not there, or holds a file of no known kind.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; correct terminology.folder in params.yaml")
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or _PAPERS.match(path.name):
            continue
        kind = kind_of(path)
        if kind is None:
            raise DataError(f"{path}: no file that the terminology knows; stages/no_names/README.md lists them")
        found[kind].append(path)
    return dict(found)


def order_file(path: Path) -> tuple[int, dict[str, tuple[bool, str]]]:
    """An order file: its fiscal year, from its name, and (billable, title) of each code; CSV, or the publisher's text.

    Raises DataError naming file, column and line.
    """
    year = _YEAR.search(path.name)
    if year is None:
        raise DataError(f"{path}: the file's name must hold the fiscal year, as order_2021.csv does")
    codes: dict[str, tuple[bool, str]] = {}
    if re.search(r"\.txt(?:\.gz)?$", path.name):
        for line, text in enumerate(lines_of(path), start=1):
            if text[14:15] not in ("0", "1"):
                raise damaged(path, "billable", line, "neither 0 nor 1")
            codes[text[6:13].strip()] = text[14] == "1", text[_ORDER_TITLE:].strip()
    else:
        for line, row in enumerate(records(path, ("code", "billable", "long")), start=2):
            if row["billable"] not in ("0", "1"):
                raise damaged(path, "billable", line, "neither 0 nor 1")
            codes[row["code"]] = row["billable"] == "1", row["long"]
    return int(year[1]), codes


class Linked(NamedTuple):
    """What `link` made of a folder."""

    names: dict[str, list[str]]  # of the files linked, by kind
    left_out: list[Path]  # tables and texts below the folder that the terminology does not know


def link(source: Path, target: Path = EXTERNAL) -> Linked:
    """Link every file below `source` that the terminology knows into `target`.

    A link of the same file again is no error. Raises DataError, and links nothing, when there is no such file, when two
    of them bear one name, or when `target` holds another file of that name.
    """
    if not source.is_dir():
        raise DataError(f"{source}: {'name the folder that holds it' if source.exists() else 'no such folder'}")
    linked: dict[str, list[str]] = defaultdict(list)
    left_out: list[Path] = []
    places: dict[Path, Path] = {}
    for path in sorted(source.resolve().rglob("*")):
        if path.is_dir() or _PAPERS.match(path.name) or not _ENDING.search(path.name):
            continue
        kind = _kind_or_none(path)
        if kind is None:
            left_out.append(path)
            continue
        place, real = target / path.name, path.resolve()
        if places.setdefault(place, real) != real:
            raise DataError(f"{source}: holds two files {path.name}; remove or rename one of the two")
        if place.exists() and place.resolve() != real:
            raise DataError(f"{place}: is there already and is another file; remove or rename one of the two")
        linked[kind].append(path.name)
    if not linked:
        seen = f" (it holds {_some(left_out)})" if left_out else ""
        raise DataError(
            f"{source}: no file that the terminology knows{seen}; stages/no_names/README.md lists them; "
            "a list of your own is a UTF-8 .csv whose first line is name,code"
        )
    target.mkdir(parents=True, exist_ok=True)
    for place, real in places.items():
        if not place.exists():
            place.unlink(missing_ok=True)  # a link to what has moved
            place.symlink_to(real)
    return Linked(dict(linked), left_out)


def _kind_or_none(path: Path) -> str | None:
    """The kind of a file that may be anything: one that nobody can read is none of ours, unless its name says it is."""
    try:
        return kind_of(path)
    except DataError:
        if any(re.match(pattern, path.name, re.I) for _, pattern in _NAMES):
            raise
        return None


def _some(paths: list[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def left_out_line(linked: Linked) -> list[str]:
    """What to tell of the files left out: a line, or none."""
    return [f"left out, no kind that the terminology knows: {_some(linked.left_out)}"] if linked.left_out else []
