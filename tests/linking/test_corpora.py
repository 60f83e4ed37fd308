"""Marked abstracts are read as their publishers mean them, and what is wrong with a file is said by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.linking.corpora import (
    NCBI_TYPES,
    Relation,
    read_medic,
    read_pubtator,
    renamed,
    without_mentions,
)
from chartcode.linking.tokens import key_of

GOOD = (
    "7|t|Rash after lithium.\n7|a|Breast and ovarian cancer with a naïve rash.\n"
    "7\t0\t4\tRash\tDisease\tMESH:D005076\n7\t11\t18\tlithium\tChemical\t-1\n"
    "7\t20\t45\tBreast and ovarian cancer\tDisease\tD001943|D010051\tBreast cancer|ovarian cancer\n"
    "7\tCID\tD008094\tD005076\n"
)


def written(folder: Path, text: str) -> Path:
    path = folder / "some.pubtator"
    path.write_text(text)
    return path


def test_a_document_is_title_blank_abstract_with_mentions_concepts_and_relations(tmp_path: Path) -> None:
    (document,) = read_pubtator(written(tmp_path, GOOD))
    assert document.text == "Rash after lithium. Breast and ovarian cancer with a naïve rash."
    rash, lithium, cancer = document.mentions
    assert (rash.concepts, rash.joint) == (("D005076",), "")
    assert lithium.concepts == ()
    assert (cancer.concepts, cancer.joint) == (("D001943", "D010051"), "|")
    assert document.text[cancer.start : cancer.end] == "Breast and ovarian cancer"
    assert document.relations == (Relation("CID", "D008094", "D005076"),)


def test_types_are_renamed_and_others_left_out(tmp_path: Path) -> None:
    (document,) = read_pubtator(written(tmp_path, GOOD), {"Chemical": "Drug"})
    assert [mention.kind for mention in document.mentions] == ["Drug"]


def test_a_document_that_stands_twice_is_one(tmp_path: Path) -> None:
    assert len(read_pubtator(written(tmp_path, GOOD + "\n" + GOOD))) == 1


def test_a_file_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "some.pubtator.gz"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert len(read_pubtator(path)) == 1


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("7\t0\t4\tRash", "7\t1\t5\tRash", 3),
        ("7\t0\t4\tRash", "7\t0\tx\tRash", 3),
        ("7\t0\t4\tRash", "7\t0\t4000\tRash", 3),
        ("7\t11\t18", "8\t11\t18", 4),
        ("7\t11\t18\tlithium\tChemical", "7\t11\t18\tlithium", 4),
        ("7|a|", "8|a|", 2),
        ("7|t|", "7|a|", 2),
        ("7|t|Rash after lithium.\n", "", 2),
        ("\n7|a|Breast and ovarian cancer with a naïve rash.", "", 2),
    ],
)
def test_a_fault_names_file_and_line_and_shows_no_text(tmp_path: Path, old: str, new: str, line: int) -> None:
    with pytest.raises(DataError) as caught:
        read_pubtator(written(tmp_path, GOOD.replace(old, new, 1)))
    message = str(caught.value)
    assert f"some.pubtator: line {line}: " in message
    assert "\n" not in message
    assert "ithium" not in message


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe|t|"])
def test_what_is_no_text_or_holds_no_document_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.pubtator"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"some\.pubtator: [^\n]+$"):
        read_pubtator(path)
    with pytest.raises(DataError, match="not found"):
        read_pubtator(tmp_path / "none")


def test_a_torn_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.pubtator.gz"
    path.write_bytes(gzip.compress(GOOD.encode())[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_pubtator(path)


def test_medic_has_its_digits_back_and_knows_other_ids(tmp_path: Path) -> None:
    path = tmp_path / "medic.tsv"
    path.write_text("D1\tfactor five deficiency\tOMIM:2|OMIM:3\nD2|D4\tboth\nOMIM:3\tnine p syndrome\n")
    table, other = read_medic(path)
    assert table["name"].to_pylist() == ["factor 5 deficiency", "both", "both", "9 p syndrome"]
    assert table["code"].to_pylist() == ["D1", "D2", "D4", "OMIM:3"]
    assert other == {"OMIM:2": "D1"}, "an id that has names of its own stays"
    (document,) = renamed(read_pubtator(written(tmp_path, GOOD.replace("MESH:D005076", "OMIM:2"))), other)
    assert document.mentions[0].concepts == ("D1",)


def test_names_taken_over_from_a_corpus_are_dropped_and_those_that_stand_again_stay(tmp_path: Path) -> None:
    path = tmp_path / "medic.tsv"
    names = ["exanthema", "rash", "naïve rash", "eruption", "rash", "skin rash"]
    path.write_text("".join(f"D005076\t{name}\n" for name in names))
    table, _ = read_medic(path)
    kept = without_mentions(table, read_pubtator(written(tmp_path, GOOD)))
    assert kept["name"].to_pylist() == ["exanthema", "naïve rash", "eruption", "rash", "skin rash"]


def test_the_open_corpora_are_whole(shared_data: Path) -> None:
    ncbi = read_pubtator(shared_data / "ncbi-disease/train/NCBItrainset_corpus.txt", NCBI_TYPES)
    assert len(ncbi) == 592, "593 with the one that stands twice"
    assert len({document.number for document in ncbi}) == 592
    cdr = read_pubtator(shared_data / "bc5cdr/dev.pubtator.gz")
    assert len(cdr) == 500
    assert {mention.kind for document in cdr for mention in document.mentions} == {"Disease", "Chemical"}
    assert {relation.kind for document in cdr for relation in document.relations} == {"CID"}
    for document in (*ncbi, *cdr):
        for mention in document.mentions:
            assert document.text[mention.start : mention.end].strip()


def test_the_copy_of_medic_holds_ncbis_train_mentions_until_they_are_taken_out(shared_data: Path) -> None:
    train = read_pubtator(shared_data / "ncbi-disease/train/NCBItrainset_corpus.txt", NCBI_TYPES)
    medic, _ = read_medic(shared_data / "ncbi-disease/medic_kb.tsv.gz")
    mentions = {key_of(d.text[m.start : m.end]) for d in train for m in d.mentions}
    before, after = ({key_of(n) for n in t["name"].to_pylist()} for t in (medic, without_mentions(medic, train)))
    assert len(mentions & before) / len(mentions) > 0.8
    assert len(mentions & after) / len(mentions) < 0.6
