"""Licensed vocabularies that a user may bring: SNOMED CT (release format 2) and the UMLS Metathesaurus (MRCONSO.RRF).

SNOMED CT's names are names of its own concepts, and of ICD-10-CM codes through the map of the US edition
(extended map reference set): of a concept's first map group the unconditional target, else the last resort. UMLS joins
names by concept (CUI): every name of a concept that has a code of the wanted system.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chartcode.icd import undotted
from chartcode.linking.terminology.forms import plain_forms
from chartcode.linking.terminology.rows import ICD10CM, Found, damaged, lines_of, records, release, unique

DESCRIPTIONS = ("active", "conceptId", "languageCode", "typeId", "term")
MAPS = ("active", "refsetId", "referencedComponentId", "mapGroup", "mapPriority", "mapRule", "mapTarget")
SNOMED_LICENCE = "SNOMED CT Affiliate Licence (SNOMED International)"
UMLS_LICENCE = "UMLS Metathesaurus Licence (NLM)"
FULL_NAME, SYNONYM = "900000000000003001", "900000000000013009"
ICD10CM_MAP = "6011000124106"  # the reference set `ICD-10-CM extended map`
_SABS = {ICD10CM: "ICD10CM", "snomed": "SNOMEDCT_US", "mesh": "MSH"}
_LANGUAGES = {"ENG": "en", "SPA": "es"}
_MRCONSO_FIELDS = 18


def snomed(
    descriptions: Iterable[Path], maps: Iterable[Path], system: str, languages: Sequence[str]
) -> Iterator[Found]:
    """Active names of SNOMED CT's concepts, as names of `system` (snomed or icd10cm)."""
    targets = icd10cm_map(maps) if system == ICD10CM else None
    for path in descriptions:
        for row in records(path, DESCRIPTIONS, "\t", quoted=False):
            if (
                row["active"] != "1"
                or row["languageCode"] not in languages
                or row["typeId"] not in (FULL_NAME, SYNONYM)
            ):
                continue
            code = row["conceptId"] if targets is None else targets.get(row["conceptId"], "")
            if code:
                name = row["term"].rpartition(" (")[0] if row["typeId"] == FULL_NAME else row["term"]
                for form in plain_forms(name):
                    source = f"SNOMED CT ({release(path)})"
                    yield Found(code, form, "ontology", source, SNOMED_LICENCE, system, row["languageCode"])


def icd10cm_map(paths: Iterable[Path]) -> dict[str, str]:
    """SNOMED CT concept -> undotted ICD-10-CM code of its first map group."""
    rules: dict[str, list[tuple[bool, int, str]]] = defaultdict(list)
    for path in paths:
        for line, row in enumerate(records(path, MAPS, "\t", quoted=False), start=2):
            if row["active"] != "1" or row["refsetId"] != ICD10CM_MAP or row["mapGroup"] != "1" or not row["mapTarget"]:
                continue
            if not row["mapPriority"].isdigit():
                raise damaged(path, "mapPriority", line, "not a number")
            target = undotted(row["mapTarget"]).rstrip("?")
            rules[row["referencedComponentId"]].append((row["mapRule"] != "TRUE", -int(row["mapPriority"]), target))
    return {concept: min(found)[2] for concept, found in rules.items()}


def umls(path: Path, system: str, languages: Sequence[str]) -> Iterator[Found]:
    """Names of every concept that holds a code of `system`. Two passes over the file: codes, then names."""
    wanted = _SABS.get(system, system.upper())
    codes: dict[str, list[str]] = defaultdict(list)
    for cells in _mrconso(path):
        if cells[11] == wanted and cells[16] == "N":
            codes[cells[0]].append(undotted(cells[13]) if system == ICD10CM else cells[13])
    for cells in _mrconso(path):
        language = _LANGUAGES.get(cells[1], "")
        if language in languages and cells[16] == "N":
            for code in unique(codes.get(cells[0], ())):
                if "-" not in code:
                    for form in plain_forms(cells[14]):
                        yield Found(code, form, "ontology", f"UMLS ({cells[11]})", UMLS_LICENCE, system, language)


def _mrconso(path: Path) -> Iterator[list[str]]:
    for number, line in enumerate(lines_of(path), start=1):
        cells = line.rstrip("\r\n").split("|")
        if len(cells) < _MRCONSO_FIELDS:
            raise damaged(path, "STR", number, f"the line has fewer than {_MRCONSO_FIELDS} fields")
        yield cells
