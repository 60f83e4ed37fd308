"""Fitting from files: types chosen, NCBI's as one, faults in one line; the encoder that names were encoded with."""

from __future__ import annotations

from pathlib import Path

import pytest

from chartcode.errors import DataError
from chartcode.linking.dense import DenseEncoder
from chartcode.linking.fitting import fit_resolver, fit_tagger, read_corpus
from chartcode.linking.resolver import Resolver
from chartcode.linking.unnamed import load
from tests.coders.test_encoders import minilm
from tests.linking.marked import abstracts, pubtator
from tests.linking.test_unnamed import LIST


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    abstracts(tmp_path)
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path / "train.pubtator"


def test_types_are_chosen(corpus: Path) -> None:
    kinds = [{m.kind for d in read_corpus(corpus, some) for m in d.mentions} for some in ((), ("Chemical",))]
    assert kinds == [{"Disease", "Chemical"}, {"Chemical"}]
    with pytest.raises(DataError, match="no mention of type Drug; there are: Chemical, Disease"):
        read_corpus(corpus, ["Drug"])


def test_the_four_types_of_ncbi_are_one(tmp_path: Path) -> None:
    marks = [("asthma", "SpecificDisease", "D008"), ("lung disease", "DiseaseClass", "D009")]
    (tmp_path / "ncbi.txt").write_text(pubtator(1, "Asthma, asthma.", "A lung disease.", marks))
    (document,) = read_corpus(tmp_path / "ncbi.txt", ["Disease"])
    assert [mention.kind for mention in document.mentions] == ["Disease", "Disease"]


def test_figures_are_those_of_the_other_documents(corpus: Path, tmp_path: Path) -> None:
    dev = tmp_path / "dev.pubtator"
    dev.write_text(
        pubtator(
            9,
            "Hypertension after lithium.",
            "A qwxyz of a zzyx.",
            [("Hypertension", "Disease", "D007"), ("qwxyz", "Disease", "D777")],
        )
    )
    written, disease = list(fit_tagger(corpus, tmp_path / "t", [tmp_path / "list.csv"], ["Disease"], dev))
    assert "30 documents" in written
    assert disease == "Disease: exact spans P 1.000, R 0.500, F1 0.667"
    written, figures = list(fit_resolver(tmp_path / "list.csv", tmp_path / "r", corpus, ["Disease"], None, dev))
    assert "taught by" in written
    assert figures == "2 mentions: first answer right 0.500, one of the first five 0.500"


def test_nothing_is_written_where_something_is_wrong(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("name,code\nasthma,\n")
    with pytest.raises(DataError, match="no name has a code"):
        list(fit_resolver(tmp_path / "empty.csv", tmp_path / "out", None, [], None, None))
    with pytest.raises(DataError, match="not found"):
        list(fit_tagger(tmp_path / "missing", tmp_path / "out", [], [], None))
    with pytest.raises(DataError, match="not found"):
        list(fit_tagger(corpus, tmp_path / "out", [], [], tmp_path / "missing"))
    assert not (tmp_path / "out").exists()


def test_a_resolver_knows_which_encoder_made_its_vectors(corpus: Path, tmp_path: Path) -> None:
    encoder = DenseEncoder(minilm())
    list(fit_resolver(tmp_path / "list.csv", tmp_path / "with", corpus, [], minilm(), None))
    list(fit_resolver(tmp_path / "list.csv", tmp_path / "without", corpus, [], None, None))
    with pytest.raises(DataError, match="with: the resolver was made with one: name it"):
        Resolver.load(tmp_path / "with")
    with pytest.raises(DataError, match="without: the resolver was made without encoder"):
        Resolver.load(tmp_path / "without", encoder)
    (answers,) = Resolver.load(tmp_path / "with", encoder).resolve(["raised blood pressure"])
    assert "D007" in [answer.code for answer in answers]
    encoder.digest = "other"
    with pytest.raises(DataError, match="made with another encoder"):
        Resolver.load(tmp_path / "with", encoder)


def test_notes_are_linked_by_meaning(corpus: Path, tmp_path: Path) -> None:
    """The real encoder: words that share no letters with the name."""
    list(fit_tagger(corpus, tmp_path / "tagger", [tmp_path / "list.csv"], ["Disease"], None))
    found = load(tmp_path / "tagger", None, tmp_path / "list.csv", minilm(), least=0.0)
    (link,) = found.find("We report hepatitis in a patient.", [], [])
    assert (link.code, link.method) == ("D010", "exact")
