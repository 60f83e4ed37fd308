"""Names of open ontologies: Disease Ontology (English and Spanish), MEDIC and MeSH through it, any OBO file.

The Disease Ontology's cross references make its names names of ICD-10-CM, SNOMED CT and MeSH concepts alike; a
reference to a range of categories is too wide to mean a code. A MeSH descriptor's names reach ICD-10-CM only where one
disease of the ontology has that one descriptor and one code.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chartcode.icd import undotted
from chartcode.linking.terminology.forms import plain_forms
from chartcode.linking.terminology.rows import ICD10CM, Found, lines_of, records, release
from chartcode.linking.terms import Kind
from chartcode.linking.tokens import digits

DO_LICENCE = "CC0-1.0 (Disease Ontology)"
MEDIC_LICENCE = "MeSH terms (NLM) as compiled in MEDIC (CTD); see the publisher's terms"
_SYSTEMS = {"ICD10CM": ICD10CM, "SNOMEDCT": "snomed", "MESH": "mesh", "MSH": "mesh", "SCTID": "snomed"}
_SYNONYM = re.compile(r'^"(?P<text>(?:[^"\\]|\\.)*)" (?P<scope>[A-Z]+)')
_ACRONYM = re.compile(r"[A-Z][A-Z0-9-]{1,6}")
References = Mapping[str, Sequence[tuple[str, str]]]  # term of the ontology -> (system, code)


def reference(xref: str) -> tuple[str, str] | None:
    """`SNOMEDCT_US_2025_09_01:400211001` as (snomed, 400211001); None for other systems and for ranges of codes."""
    name, _, code = xref.partition(":")
    system = next((system for prefix, system in _SYSTEMS.items() if name.upper().startswith(prefix)), None)
    if system is None or not code or (system == ICD10CM and "-" in code):
        return None
    return system, undotted(code) if system == ICD10CM else code.strip()


def references(path: Path) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    """Labels and cross references of allXREFinDO.tsv, by DOID."""
    labels: dict[str, str] = {}
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in records(path, ("id", "label", "xref"), "\t"):
        labels[row["id"]] = row["label"]
        target = reference(row["xref"])
        if target is not None and target not in found[row["id"]]:
            found[row["id"]].append(target)
    return labels, found


def disease_ontology(xrefs: Path, translations: Path | None) -> Iterator[Found]:
    """Labels, English exact synonyms and their Spanish translations, for every system the disease is linked to."""
    labels, found = references(xrefs)
    source = f"Disease Ontology ({release(xrefs)})"
    for term, label in labels.items():
        yield from _rows(label, found[term], source, DO_LICENCE)
    if translations is None:
        return
    columns = ("source_id", "predicate", "source_text", "translation_text")
    source = f"Disease Ontology ({release(translations)})"
    for row in records(translations, columns, "\t"):
        if row["predicate"] not in ("oboInOwl:hasExactSynonym", "rdfs:label"):
            continue
        targets = found.get(row["source_id"], ())
        yield from _rows(row["source_text"], targets, source, DO_LICENCE)
        if not _ACRONYM.fullmatch(row["source_text"]) or _translated(row["source_text"], row["translation_text"]):
            yield from _rows(row["translation_text"], targets, source, DO_LICENCE, "es")


def _translated(acronym: str, other: str) -> bool:
    """Whether an acronym was translated as one (ALL to LLA), not as the word it looks like (ALL to TODO)."""
    return other == acronym or (len(other) <= len(acronym) and _ACRONYM.fullmatch(other) is not None)


def _rows(
    name: str, targets: Sequence[tuple[str, str]], source: str, licence: str, language: str = "en"
) -> Iterator[Found]:
    kind: Kind = "abbreviation" if _ACRONYM.fullmatch(name) else "ontology"
    for system, code in targets:
        for form in plain_forms(name.strip(' "')):
            yield Found(code, form, kind, source, licence, system, language)


def labels_only(path: Path) -> Iterator[Found]:
    """HumanDO.tsv has names but no cross references: its ids alone, as the system `doid`."""
    for row in records(path, ("id", "label"), "\t"):
        for form in plain_forms(row["label"]):
            yield Found(row["id"], form, "ontology", f"Disease Ontology ({release(path)})", DO_LICENCE, "doid")


def medic(path: Path, found: References) -> Iterator[Found]:
    """Names of MeSH descriptors from MEDIC: the table of the NCBI corpus (id, name; digits spelled out), or CTD's own.

    `found`: cross references of the Disease Ontology, the way from MeSH to ICD-10-CM.
    """
    onward = _one_to_one(found)
    source = f"MEDIC ({release(path)})"
    for identifier, name in _medic_names(path):
        targets = [("mesh", identifier)]
        if identifier in onward:
            targets.append((ICD10CM, onward[identifier]))
        yield from _rows(name, targets, source, MEDIC_LICENCE)


def _one_to_one(found: References) -> dict[str, str]:
    """MeSH descriptor -> ICD-10-CM code, where one disease has that one descriptor and that one code."""
    pairs: dict[str, set[str]] = defaultdict(set)
    for targets in found.values():
        mesh = [code for system, code in targets if system == "mesh"]
        icd = [code for system, code in targets if system == ICD10CM]
        for descriptor in mesh:
            pairs[descriptor].update(icd if len(mesh) == len(icd) == 1 else ("", "?"))
    return {descriptor: next(iter(codes)) for descriptor, codes in pairs.items() if len(codes) == 1}


def _medic_names(path: Path) -> Iterator[tuple[str, str]]:
    header: list[str] | None = None
    for line in lines_of(path):
        cells = line.rstrip("\r\n").split("\t")
        if line.startswith("#"):
            cells[0] = cells[0].lstrip("# ")
            header = cells if "DiseaseID" in cells else header
        elif header is None:
            if len(cells) > 1 and cells[0]:
                yield cells[0], digits(cells[1])
        elif len(cells) == len(header):
            row = dict(zip(header, cells, strict=True))
            identifier = row["DiseaseID"].removeprefix("MESH:")
            for name in [row.get("DiseaseName", ""), *row.get("Synonyms", "").split("|")]:
                if name:
                    yield identifier, name


def obo(path: Path) -> Iterator[Found]:
    """Names and exact synonyms of an OBO file (doid.obo, hp.obo, mondo.obo) for the systems it refers to."""
    source, name, obsolete = f"OBO ({release(path)})", "", False
    synonyms: list[str] = []
    targets: list[tuple[str, str]] = []
    for line in [*lines_of(path), "[Term]"]:
        key, _, value = line.strip().partition(": ")
        if key.startswith("["):
            for text in [] if obsolete else [name, *synonyms]:
                yield from _rows(text, targets, source, "see the file's licence")
            name, synonyms, targets, obsolete = "", [], [], False
        elif key == "name":
            name = value
        elif key == "is_obsolete":
            obsolete = value == "true"
        elif key == "synonym":
            match = _SYNONYM.match(value)
            if match is not None and match["scope"] == "EXACT":
                synonyms.append(match["text"])
        elif key == "xref":
            target = reference(value.split(" ")[0])
            if target is not None and target not in targets:
                targets.append(target)
