"""A mention finds its concept by the step that should find it, says how sure it is, and train does not see itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chartcode.errors import ArtifactError, DataError
from chartcode.linking.candidates import FEATURES, Index, Query
from chartcode.linking.corpora import Document, Mention
from chartcode.linking.resolver import Resolver, candidates_of, is_right, mention_names, samples
from tests.linking.marked import abstracts, terms

RESOLVER = Resolver.of(terms())


@pytest.mark.parametrize(
    ("mention", "code", "method"),
    [
        ("Breast Cancer", "D001", "exact"),
        ("breast cancers", "D001", "exact"),
        ("cancer of the breast", "D001", "bag"),
        ("Carcinoma, ovarian", "D002", "bag"),
        ("renal cysts", "D009", "exact"),
        ("kidney cyst", "D009", "synonym"),
        ("hypertensive", "D007", "bag"),
        ("breast and ovarian cancer", "D001|D002", "composite"),
        ("cancer of the breast and ovarian cancer", "D001|D002", "composite"),
        ("type II diabetes", "D006", "exact"),
        ("type I diabetes", "D005", "exact"),
        ("hypertensions", "D007", "exact"),
        ("hepatitiss", "D010", "similar"),
    ],
)
def test_a_mention_is_found_by_its_step(mention: str, code: str, method: str) -> None:
    (answers,) = RESOLVER.resolve([mention])
    assert (answers[0].code, answers[0].method) == (code, method)
    assert 0 < answers[0].p < 1
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)


@pytest.mark.parametrize("mention", ["", "(", "qwxyz", "\n"])
def test_what_is_like_no_name_has_no_answer(mention: str) -> None:
    assert RESOLVER.resolve([mention]) == [[]]


def test_answers_stand_in_the_order_of_the_questions_and_do_not_depend_on_one_another() -> None:
    asked = ["asthma", "renal failure", "asthma", "kidney cyst"]
    together = RESOLVER.resolve(asked)
    assert together == [RESOLVER.resolve([one])[0] for one in asked]


def test_the_only_candidate_of_a_short_list_is_not_sure_to_be_meant() -> None:
    short = Resolver.of(terms([("D003", "renal failure", "title"), ("D008", "asthma", "title")]))
    failure, pressure = (answers[0] for answers in short.resolve(["renal failures", "raised blood pressure"]))
    assert failure.code == pressure.code == "D003"
    assert pressure.score == 1.0
    assert failure.p > 0.8
    assert pressure.p < 0.2


def test_below_the_least_p_it_abstains() -> None:
    sure, unsure = RESOLVER.resolve(["asthma"])[0][0].p, RESOLVER.resolve(["hepatic stone"])[0][0].p
    assert unsure < sure
    strict = Resolver.of(terms(), least=(sure + unsure) / 2)
    assert [bool(answers) for answers in strict.resolve(["asthma", "hepatic stone"])] == [True, False]


def test_a_short_form_means_what_its_document_says() -> None:
    text = "We saw intracerebral hemorrhage (ICH) twice; ICH was fatal."
    at = text.rindex("ICH")
    (answers,) = RESOLVER.resolve_document(text, [(at, at + 3)])
    assert answers[0].code == "D011"
    assert not RESOLVER.resolve(["ICH"])[0] or RESOLVER.resolve(["ICH"])[0][0].method == "similar"


def test_a_user_s_name_goes_before_an_index_entry_of_the_same_words() -> None:
    both = terms([("A1", "spell", "index"), ("B2", "spell", "user"), ("C3", "asthma", "title")])
    assert Resolver.of(both).resolve(["spells"])[0][0].code == "B2"


def test_train_teaches_a_sense_that_no_list_has(tmp_path: Path) -> None:
    documents = abstracts(tmp_path)
    odd = Document("1", "wheeze", (Mention(0, 6, "Disease", ("D008",)),), ())
    taught = Resolver.learn(terms(), [*documents, odd, odd._replace(number="2")], frozenset({"Disease"}))
    assert taught.resolve(["wheezes"])[0][0].code == "D008"
    untaught = Resolver.learn(terms(), documents, frozenset({"Disease"}))
    assert not untaught.resolve(["wheezes"])[0] or untaught.resolve(["wheezes"])[0][0].method == "similar"


def test_a_mention_of_train_does_not_find_itself() -> None:
    marked = samples([Document("1", "wheeze", (Mention(0, 6, "Disease", ("D008",)),), ())], folds=5)
    index = Index(terms(), mention_names(marked))
    (own,), (new,) = index.find([Query("wheeze", 0)]), index.find([Query("wheeze")])
    assert own.codes == [] or own.evidence[:, FEATURES.index("exact in train")].max() == 0
    assert new.codes == ["D008"]
    assert new.steps == ["exact"]


def test_of_a_coordination_every_concept_is_asked_for() -> None:
    (sample,) = samples([Document("1", "a and b", (Mention(0, 7, "Disease", ("X", "Y"), "|"),), ())])
    assert is_right(["X", "X|Y", "X|Z", "Z"], sample).tolist() == [True, True, False, False]


def test_another_mention_of_the_document_speaks_for_its_concept() -> None:
    text = "asthma; hepatitis"
    document = Document("1", text, (Mention(0, 6, "", ()), Mention(8, 17, "", ())), ())
    twice = Document("1", "Asthma; asthma", (Mention(0, 6, "", ()), Mention(8, 14, "", ())), ())
    column = FEATURES.index("in document")
    for one in candidates_of(RESOLVER.index, samples([document])):
        assert one.evidence[one.steps.index("exact"), column] == 0
    for one in candidates_of(RESOLVER.index, samples([twice])):
        assert one.evidence[:, column].sum() == 0, "the same words are no second witness"


def test_it_is_the_same_after_a_round_trip_and_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    made = Resolver.learn(terms(), abstracts(tmp_path), frozenset({"Disease"}))
    made.save(tmp_path / "resolver", terms())
    asked = ["breast cancers", "renal tumour", "asthma and hepatitis"]
    assert Resolver.load(tmp_path / "resolver").resolve(asked) == made.resolve(asked)
    path = tmp_path / "resolver/resolver.json"
    path.write_bytes(path.read_bytes().replace(b'"near": 40', b'"near": 41'))
    with pytest.raises(ArtifactError, match=r"resolver\.json: not the bytes"):
        Resolver.load(tmp_path / "resolver")


def test_two_runs_learn_the_same_weights(tmp_path: Path) -> None:
    documents = abstracts(tmp_path)
    one, two = (Resolver.learn(terms(), documents) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.calibration, two.calibration)


def test_without_a_mention_that_can_be_linked_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        Resolver.learn(terms(), [Document("1", "asthma", (), ())])


def test_on_bc5cdr_p_means_what_it_says(shared_data: Path) -> None:
    """Learned on 400 abstracts of train, asked on the other 100: of answers with p about .9, about .9 are right."""
    from chartcode.linking.corpora import read_medic, read_pubtator, renamed

    medic, other = read_medic(shared_data / "ncbi-disease/medic_kb.tsv.gz")
    documents = renamed(read_pubtator(shared_data / "bc5cdr/train.pubtator.gz", {"Disease": "Disease"}), other)
    resolver = Resolver.learn(medic, documents[:400])
    marked = [sample for sample in samples(documents[400:]) if sample.concepts]
    first = [resolver.ranked(one, 1)[0] for one in candidates_of(resolver.index, marked)]
    right = np.array([is_right([a.code], s)[0] for a, s in zip(first, marked, strict=True)])
    p = np.array([answer.p for answer in first])
    assert right.mean() > 0.84
    assert abs(p.mean() - right.mean()) < 0.05
    assert right[p > 0.9].mean() > 0.9
    # Fifty answers, many of them of one abstract: no rate to hold to a number.
    assert right[p < 0.5].mean() < right[p > 0.9].mean() - 0.2
