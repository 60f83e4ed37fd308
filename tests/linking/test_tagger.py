"""The tagger finds what it learned to find, at the right place, the same every time, and reads no damaged file."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.errors import ArtifactError, DataError
from chartcode.linking.corpora import NCBI_TYPES, read_pubtator
from chartcode.linking.features import Knowledge, features, shape, tokens_of
from chartcode.linking.lexicon import ALL, Lexicon, MentionLexicon
from chartcode.linking.tagger import Found, Tagger, TaggerParams, best_sequence, labels_of, runs
from chartcode.linking.tokens import words_of
from tests.linking.marked import NAMES, abstracts

PARAMS = TaggerParams(folds=5, iterations=40)
DICTIONARY = [[name for _, name, _ in NAMES]]
LABELS = ("B-x", "B-y", "I-x", "I-y", "O")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("tagger")
    Tagger.train(abstracts(here), DICTIONARY, PARAMS, here / "tagger")
    return here / "tagger"


def test_it_finds_mentions_of_both_types_in_a_new_text(folder: Path) -> None:
    text = "We report renal failure in a patient given warfarin for asthma. The dose was 9 mg."
    found = Tagger.load(folder).find(text)
    assert [(text[one.start : one.end], one.kind) for one in found] == [
        ("renal failure", "Disease"),
        ("warfarin", "Chemical"),
        ("asthma", "Disease"),
    ]
    assert all(0.3 < one.p <= 1 for one in found)


def test_a_short_form_follows_its_long_form(folder: Path) -> None:
    text = "We report intracerebral hemorrhage (ICH) in a patient given lithium. Later the ICH grew."
    found = [text[one.start : one.end] for one in Tagger.load(folder).find(text)]
    assert found.count("ICH") == 2


def test_a_name_that_train_never_saw_is_taken_whole(folder: Path) -> None:
    tagger = Tagger.load(folder)
    text = "We report renal cyst in a patient."
    assert "mammary carcinoma" in tagger._knowledge.names[0].keys
    part = [Found(18, 27, "Disease", 0.7)]
    whole = tagger._with_whole_names("We report mammary carcinoma twice.", part)
    assert whole == [Found(10, 27, "Disease", 0.7)]
    chemical = [Found(18, 27, "Chemical", 0.7)]
    assert tagger._with_whole_names("We report mammary carcinoma twice.", chemical) == chemical
    seen = [Found(16, 20, "Disease", 0.7)]
    assert tagger._with_whole_names(text, seen) == seen, "train has seen it, and knows better"


@pytest.mark.parametrize("text", ["", " ", "\n\n", "...", "é", "asthma", "Asthma 😀 asthma"])
def test_any_text_is_read(folder: Path, text: str) -> None:
    for one in Tagger.load(folder).find(text):
        assert text[one.start : one.end].lower() == "asthma"


def test_two_trainings_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    Tagger.train(abstracts(tmp_path), DICTIONARY, PARAMS, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", ["0.crfsuite", "knowledge.json", "tagger.json", "manifest.json"])
def test_a_damaged_file_is_refused_in_one_line(folder: Path, tmp_path: Path, name: str) -> None:
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == name:
            content[len(content) // 2] ^= 1
        (tmp_path / path.name).write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        Tagger.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_mention_nothing_is_learned(tmp_path: Path) -> None:
    silent = [document._replace(mentions=()) for document in abstracts(tmp_path)]
    with pytest.raises(DataError, match="no document with a mention"):
        Tagger.train(silent, DICTIONARY, PARAMS, tmp_path / "none")


@given(st.lists(st.lists(st.integers(1, 50), min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_best_sequence_is_the_best_of_all_that_are_allowed(weights: list[list[int]]) -> None:
    marginals = [{label: n / sum(row) for label, n in zip(LABELS, row, strict=True)} for row in weights]

    def allowed(labels: tuple[str, ...]) -> bool:
        pairs = zip(("O", *labels), labels, strict=False)
        return all(after[0] != "I" or (before != "O" and before[2:] == after[2:]) for before, after in pairs)

    def score(labels: tuple[str, ...]) -> float:
        return sum(math.log(m[label]) for m, label in zip(marginals, labels, strict=True))

    best = max(score(one) for one in itertools.product(LABELS, repeat=len(marginals)) if allowed(one))
    found = tuple(best_sequence(marginals, LABELS))
    assert allowed(found)
    assert score(found) == pytest.approx(best)


def test_labels_give_the_mentions_back(shared_data: Path) -> None:
    """All but those that begin or end within a word (`non` of `nonhemolytic`): under one in two hundred."""
    documents = read_pubtator(shared_data / "ncbi-disease/devel/NCBIdevelopset_corpus.txt", NCBI_TYPES)
    lost = total = 0
    for document in documents:
        tokens = tokens_of(document.text)
        back = {(tokens.starts[a], tokens.ends[b - 1]) for a, b, _ in runs(labels_of(tokens, document))}
        lost += len({(m.start, m.end) for m in document.mentions} - back)
        total += len(document.mentions)
    assert lost < total / 200


@given(st.text(st.sampled_from("aB3 .,(é\n-'"), max_size=80))
def test_sentences_hold_every_word_once(text: str) -> None:
    tokens = tokens_of(text)
    assert [at for first, end in tokens.sentences for at in range(first, end)] == list(range(len(tokens.words)))
    assert [text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)] == tokens.words


def test_shapes() -> None:
    assert [shape(word) for word in ("Marfan", "DMPK", "IIa", "1994", "-")] == ["Aa", "AAA", "AAa", "0", "-"]


def test_a_document_of_train_sees_what_the_others_say(tmp_path: Path) -> None:
    """`asthma` is a mention in documents 0 and 1 and none in 2: each fold reads the rate of the other two."""
    documents = abstracts(tmp_path)
    one = next(
        d for d in documents if "asthma" in d.text and any(d.text[m.start : m.end] == "asthma" for m in d.mentions)
    )
    three = [one, one, one._replace(mentions=())]
    words = [words_of(document.text) for document in three]
    lexicon = Lexicon.of(["asthma"], three, words, [0, 1, 2])
    rates = {fold: lexicon.find(words[0], fold)[0].rate for fold in (ALL, 0, 1, 2)}
    assert rates[2] > rates[ALL] >= rates[0] == rates[1]
    alone = Lexicon.of(["asthma"], [one], words[:1], [0])
    assert alone.find(words[0], 0)[0].rate == "u", "its own mention does not count for it"


def test_a_mention_of_one_fold_alone_is_unknown_to_it(tmp_path: Path) -> None:
    documents = abstracts(tmp_path)[:2]
    words = [words_of(document.text) for document in documents]
    lexicon = MentionLexicon.of(documents, words, [0, 1])
    own = {documents[0].text[m.start : m.end].lower() for m in documents[0].mentions}
    other = {documents[1].text[m.start : m.end].lower() for m in documents[1].mentions}
    seen = {" ".join(words[0].folded[hit.first : hit.end]) for hit in lexicon.find(words[0], 0)}
    assert not seen & (own - other)
    assert lexicon.find(words[0], ALL)


def test_what_is_kept_gives_the_same_features(tmp_path: Path) -> None:
    documents = abstracts(tmp_path)
    knowledge = Knowledge.of(DICTIONARY, documents, [at % 5 for at in range(len(documents))])
    text = "New asthma (AST) and renal failure in 3 patients.\n- diabetic"
    again = Knowledge.from_json(knowledge.to_json())
    assert features(text, tokens_of(text), knowledge) == features(text, tokens_of(text), again)
