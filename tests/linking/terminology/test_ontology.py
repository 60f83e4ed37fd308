"""Open ontologies and licensed vocabularies give names to the codes they refer to."""

from __future__ import annotations

from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.linking.terminology import ontology, vocabularies

XREFS = (
    'id\tlabel\txref\n"DOID:1"\t"yellow nail syndrome"\t"SNOMEDCT_US_2025_09_01:400211001"\n'
    '"DOID:1"\t"yellow nail syndrome"\t"ICD10CM:L60.5"\n"DOID:1"\t"yellow nail syndrome"\t"MESH:D056684"\n'
    '"DOID:2"\t"diabetes mellitus"\t"ICD10CM:E08-E13"\n"DOID:3"\t"abc disease"\t"ICD10CM:A01.0"\n'
    '"DOID:3"\t"abc disease"\t"MESH:D3"\n"DOID:3"\t"abc disease"\t"MESH:D4"\n'
)
TRANSLATED = (
    "source_id\tpredicate\tsource_text\ttranslation_text\ttranslator\n"
    "DOID:1\toboInOwl:hasExactSynonym\tyellow nails\tuñas amarillas\tx\n"
    "DOID:1\tIAO:0000115\tA disease of nails.\tUna enfermedad.\tx\n"
    'DOID:1\toboInOwl:hasExactSynonym\tYNS\tNUNCA JAMÁS\t"a note\nof two lines"\n'
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "allXREFinDO.tsv", tmp_path / "doid-es-translated.tsv"
    one.write_text(XREFS)
    other.write_text(TRANSLATED)
    return one, other


def test_a_disease_names_every_code_it_refers_to(files: tuple[Path, Path]) -> None:
    rows = {(r.name, r.code, r.system, r.language, r.kind) for r in ontology.disease_ontology(*files)}
    for target in (("L605", "icd10cm"), ("400211001", "snomed"), ("D056684", "mesh")):
        assert ("yellow nail syndrome", *target, "en", "ontology") in rows
        assert ("uñas amarillas", *target, "es", "ontology") in rows
        assert ("YNS", *target, "en", "abbreviation") in rows
    assert not any("nunca" in name.lower() for name, *_ in rows), "a word for an acronym"
    assert not any("diabetes" in name for name, *_ in rows), "a range of categories is no code"
    assert not any("disease of nails" in name for name, *_ in rows), "a definition is no name"


def test_mesh_reaches_icd_only_one_to_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "medic_kb.tsv"
    path.write_text("D056684\tsyndrome of yellow nail type two\t\nD3\tabc\t\n")
    rows = {(r.name, r.code, r.system) for r in ontology.medic(path, ontology.references(files[0])[1])}
    assert ("syndrome of yellow nail type 2", "L605", "icd10cm") in rows
    assert ("abc", "D3", "mesh") in rows
    assert not any(code == "A010" for _, code, _ in rows)


def test_ctd_s_own_file_is_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "CTD_diseases.tsv"
    path.write_text("# Fields:\n# DiseaseName\tDiseaseID\tSynonyms\n#\nYellow Nail\tMESH:D056684\tNail, Yellow|YNS\n")
    names = {r.name for r in ontology.medic(path, ontology.references(files[0])[1]) if r.system == "mesh"}
    assert names == {"Yellow Nail", "Nail, Yellow", "Nail Yellow", "YNS"} | {"Yellow Nail"}


def test_an_obo_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.obo"
    path.write_text(
        "format-version: 1.2\n\n[Term]\nid: X:1\nname: yellow nails\nxref: ICD10CM:L60.5 {a}\n"
        'synonym: "nails, which are yellow" EXACT []\nsynonym: "nails" BROAD []\n\n'
        "[Term]\nid: X:2\nname: gone\nxref: ICD10CM:L60.5\nis_obsolete: true\n"
    )
    rows = {(row.name, row.code) for row in ontology.obo(path)}
    assert {("yellow nails", "L605"), ("nails, which are yellow", "L605")} <= rows
    assert not {"gone", "nails"} & {name for name, _ in rows}


DESCRIPTION = "id effectiveTime active moduleId conceptId languageCode typeId term caseSignificanceId".replace(
    " ", "\t"
)
MAP = (
    "id effectiveTime active moduleId refsetId referencedComponentId mapGroup mapPriority mapRule mapAdvice mapTarget "
    "correlationId mapCategoryId"
).replace(" ", "\t")


def rf2(folder: Path) -> tuple[Path, Path]:
    descriptions, maps = folder / "sct2_Description_Snapshot-en_US.txt", folder / "der2_ExtendedMapSnapshot_US.txt"
    rows = [
        ("1", "0", "1", "m", "44054006", "en", vocabularies.FULL_NAME, "Diabetes mellitus type 2 (disorder)", "c"),
        ("2", "0", "1", "m", "44054006", "en", vocabularies.SYNONYM, "Type II diabetes", "c"),
        ("3", "0", "0", "m", "44054006", "en", vocabularies.SYNONYM, "Maturity onset", "c"),
        ("4", "0", "1", "m", "999", "en", vocabularies.SYNONYM, "Unmapped", "c"),
    ]
    descriptions.write_text("\n".join([DESCRIPTION, *("\t".join(row) for row in rows)]) + "\n")
    targets = [
        ("1", "IFA 1 | child |", "E10.9"),
        ("2", "TRUE", "E11.9"),
        ("3", "OTHERWISE TRUE", "E13.9"),
    ]
    lines = [
        "\t".join(["x", "0", "1", "m", vocabularies.ICD10CM_MAP, "44054006", "1", p, rule, "", code, "", ""])
        for p, rule, code in targets
    ]
    maps.write_text("\n".join([MAP, *lines]) + "\n")
    return descriptions, maps


def test_snomed_names_its_concepts_and_the_codes_they_map_to(tmp_path: Path) -> None:
    descriptions, maps = rf2(tmp_path)
    own = {(row.name, row.code) for row in vocabularies.snomed([descriptions], [maps], "snomed", ("en",))}
    assert own == {("Diabetes mellitus type 2", "44054006"), ("Type II diabetes", "44054006"), ("Unmapped", "999")}
    mapped = {(row.name, row.code) for row in vocabularies.snomed([descriptions], [maps], "icd10cm", ("en",))}
    assert mapped == {("Diabetes mellitus type 2", "E119"), ("Type II diabetes", "E119")}


def mrconso(*rows: dict[int, str]) -> str:
    return "".join("|".join(row.get(column, "") for column in range(18)) + "|\n" for row in rows)


def test_umls_names_a_code_by_every_name_of_its_concept(tmp_path: Path) -> None:
    path = tmp_path / "MRCONSO.RRF"
    path.write_text(
        mrconso(
            {0: "C1", 1: "ENG", 11: "ICD10CM", 13: "E11.9", 14: "Type 2 diabetes mellitus", 16: "N"},
            {0: "C1", 1: "ENG", 11: "MSH", 13: "D003924", 14: "MODY", 16: "O"},
            {0: "C1", 1: "SPA", 11: "MSHSPA", 13: "D003924", 14: "diabetes tipo 2", 16: "N"},
            {0: "C2", 1: "ENG", 11: "MSH", 13: "D1", 14: "elsewhere", 16: "N"},
        )
    )
    rows = {(row.name, row.code, row.language) for row in vocabularies.umls(path, "icd10cm", ("en", "es"))}
    assert rows == {("Type 2 diabetes mellitus", "E119", "en"), ("diabetes tipo 2", "E119", "es")}
    path.write_text("C1|ENG\n")
    with pytest.raises(DataError, match=r"MRCONSO\.RRF: column STR, line 1"):
        list(vocabularies.umls(path, "icd10cm", ("en",)))
