"""Chemicals that induce diseases: read, learned without the answer, called, kept."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from chartcode.artifacts import Artifact, writing
from chartcode.errors import DataError
from chartcode.extraction.induced import Abstract, Inducer, Seen, features, judged, pairs, read_pubtator

DRUGS = {"lithium": "D1", "aspirin": "D2", "heparin": "D3"}
ILLS = {"tremor": "X1", "bleeding": "X2", "gout": "X3"}


def block(number: int, title: str, body: str, induced: list[tuple[str, str]]) -> str:
    text = f"{title} {body}"
    lines = [f"{number}|t|{title}", f"{number}|a|{body}"]
    for names, kind in ((DRUGS, "Chemical"), (ILLS, "Disease")):
        for name, identifier in names.items():
            place = text.find(name)
            while place >= 0:
                lines.append(f"{number}\t{place}\t{place + len(name)}\t{name}\t{kind}\t{identifier}")
                place = text.find(name, place + 1)
    lines.append(f"{number}\t0\t3\tnothing\tChemical\t-1")
    lines += [f"{number}\tCID\t{one}\t{two}" for one, two in induced]
    return "\n".join(lines)


def corpus(count: int) -> str:
    blocks = []
    for number in range(count):
        drug, other = list(DRUGS)[number % 3], list(DRUGS)[(number + 1) % 3]
        ill, treated = list(ILLS)[number % 3], list(ILLS)[(number + 2) % 3]
        body = f"Case {number}: {drug}-induced {ill} was seen. It was given for {treated}."
        body += f" Later {other} was taken for {treated}."
        blocks.append(block(number, f"On {drug}.", body, [(DRUGS[drug], ILLS[ill])]))
    return "\n\n".join(blocks) + "\n"


@pytest.fixture
def documents(tmp_path: Path) -> list[Abstract]:
    with gzip.open(tmp_path / "train.pubtator.gz", "wt") as file:
        file.write(corpus(40))
    return read_pubtator(tmp_path / "train.pubtator.gz")


def test_a_document_is_read_with_its_mentions_and_pairs(documents: list[Abstract]) -> None:
    assert len(documents) == 40
    first = documents[0]
    assert first.induced == {("D1", "X1")}
    assert pairs(first) == [("D1", "X1"), ("D1", "X3"), ("D2", "X1"), ("D2", "X3")]
    for concept in first.concepts:
        assert {**DRUGS, **ILLS}[first.text[concept.start : concept.end]] == concept.id


def test_what_train_says_of_a_pair_leaves_the_document_itself_out(documents: list[Abstract]) -> None:
    seen = Seen.of(documents)
    for document in documents[:6]:
        rest = Seen.of([other for other in documents if other is not document])
        less = seen.without(document)
        for pair in pairs(document):
            for key in (pair, *pair):
                assert less.stood.get(key, 0) == rest.stood.get(key, 0)
                assert less.induced.get(key, 0) == rest.induced.get(key, 0)


def test_features_do_not_know_the_answer(documents: list[Abstract]) -> None:
    blind = Abstract(documents[0].text, documents[0].title, documents[0].concepts, frozenset())
    seen = Seen.of(documents[1:])
    assert list(features(blind, seen)) == list(features(documents[0], seen))


def test_it_learns_the_phrase_and_is_the_same_after_a_trip_to_disk(documents: list[Abstract], tmp_path: Path) -> None:
    model = Inducer.fit(documents[:30])
    called = [model.induced(document) for document in documents[30:]]
    assert judged(documents[30:], called)[2] > 0.9
    with writing(tmp_path / "model", "test") as writer:
        model.write(writer)
    again = Inducer.load(Artifact(tmp_path / "model"))
    assert [again.scores(document) for document in documents] == [model.scores(document) for document in documents]
    assert again.threshold == model.threshold


def test_the_judge_counts_pairs() -> None:
    document = Abstract("", 0, (), frozenset({("a", "b"), ("a", "c")}))
    assert judged([document], [{("a", "b"), ("x", "y"), ("x", "z")}]) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert judged([document], [set()]) == (0, 0, 0)


def test_no_pubtator_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no such thing")
    for name in ("x.txt", "missing.gz"):
        with pytest.raises(DataError) as error:
            read_pubtator(tmp_path / name)
        assert "\n" not in str(error.value)


def test_bc5cdr_dev(shared_data: Path) -> None:
    train, dev = (read_pubtator(shared_data / f"bc5cdr/{name}.pubtator.gz") for name in ("train", "dev"))
    model = Inducer.fit(train)
    assert judged(dev, [model.induced(document) for document in dev])[2] > 0.6
