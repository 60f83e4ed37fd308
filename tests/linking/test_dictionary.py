"""Which sense of a name counts where."""

import pyarrow as pa

from chartcode.linking.dictionary import Senses, compile_terms, is_cased
from chartcode.linking.terms import TERMS


def terms(*rows: dict[str, object]) -> pa.Table:
    whole = {"system": "icd10cm", "kind": "title", "language": "en", "sections": [], "share": 1.0}
    whole |= {"source": "test", "licence": "none"}
    return pa.Table.from_pylist([whole | row for row in rows], schema=TERMS)


def meant(table: pa.Table, name: str, text: str, section: str = "hospital_course") -> str:
    """The preferred code of a name written `text` in a section; "" where it is silent."""
    dictionary = compile_terms(table, ["en"], 8)
    senses = Senses(dictionary.surfaces)
    if name not in senses.keys:
        return ""
    surface = senses.surface(senses.keys.index(name), text, section)
    rows = dictionary.candidates.to_pylist()
    return next((r["code"] for r in rows if r["surface"] == surface and r["best"]), "")


def test_a_short_abbreviation_counts_in_capitals_and_a_word_in_any_case() -> None:
    table = terms({"code": "M069", "name": "RA", "kind": "abbreviation"}, {"code": "J189", "name": "Pneumonia"})
    assert meant(table, "ra", "RA") == "M069"
    assert meant(table, "ra", "ra") == ""
    assert meant(table, "pneumonia", "PNEUMONIA") == meant(table, "pneumonia", "pneumonia") == "J189"
    assert is_cased("pAF")
    assert not is_cased("mrsa")
    assert not is_cased("COPD")


def test_a_sense_of_the_section_comes_before_the_common_one_and_may_be_nothing() -> None:
    table = terms(
        {"code": "I4891", "name": "AF", "kind": "abbreviation"},
        {"code": "", "name": "AF", "kind": "abbreviation", "sections": ["physical_exam"]},
    )
    assert meant(table, "af", "AF") == "I4891"
    assert meant(table, "af", "AF", "physical_exam") == ""


def test_a_name_that_mostly_means_nothing_is_silent() -> None:
    rows = [{"code": "R079", "name": "CP", "kind": "abbreviation", "share": 0.3}]
    table = terms(*rows, {"code": "", "name": "CP", "kind": "abbreviation", "share": 0.7})
    assert meant(table, "cp", "CP") == ""
    assert meant(terms(*rows), "cp", "CP") == "R079"


def test_the_commoner_sense_then_the_more_trusted_kind_is_meant() -> None:
    table = terms(
        {"code": "E119", "name": "diabetes", "kind": "alias"},
        {"code": "E149", "name": "diabetes", "kind": "index"},
        {"code": "I351", "name": "AIDA", "kind": "abbreviation", "share": 0.4},
        {"code": "E2740", "name": "AIDA", "kind": "abbreviation", "share": 0.6},
    )
    assert meant(table, "diabete", "diabetes") == "E119"
    assert meant(table, "aida", "AIDA") == "E2740"


def test_names_with_signs_are_known_without_them_too() -> None:
    table = terms({"code": "E119", "name": "Diabetes mellitus, type 2"})
    keys = compile_terms(table, ["en"], 8).surfaces["key"].to_pylist()
    assert keys == ["diabete mellitus , type 2", "diabete mellitus type 2"]


def test_long_names_numbers_and_other_languages_are_left_out() -> None:
    table = terms(
        {"code": "A00", "name": "one two three four five"},
        {"code": "B00", "name": "46"},
        {"code": "C00", "name": "diabetes", "language": "es"},
    )
    assert len(compile_terms(table, ["en"], 4).surfaces) == 0


def test_a_name_that_a_list_gives_is_none_of_train_too() -> None:
    """Or a train note would lose a name of the dictionary for being marked in that very note."""
    rows = [{"code": "J189", "name": "pneumonia", "kind": kind} for kind in ("mention", "title", "mention")]
    rows += [{"code": "J180", "name": "pneumonia", "kind": "mention"}]
    kinds = {r["code"]: r["kind"] for r in compile_terms(terms(*rows), ["en"], 8).candidates.to_pylist()}
    assert kinds == {"J189": "title", "J180": "mention"}
