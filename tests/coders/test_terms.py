"""Terms and weights are scikit-learn's, whatever the notes hold, however they are batched, on however many threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from chartcode.coders.terms import BLOCK, TfidfTerms
from chartcode.errors import DataError
from tests.conftest import ROOT

HARD = [
    "Éclair na\u0308ive ﬁne ½½ 2½ x_y __ _1 E.\u0301",
    "İstanbul ISPARTA ısı iş ß straße STRASSE ẞA",
    "ΑΣ ΟΔΥΣΣΕΥΣ ΑΣ'Α σας μg µg α β 5α",
    "nul\0inside\0\0 word\u200bjoin soft\u00adhyphen no\u00a0break a\u20ddb",
    "ᴬᴮ ㍱ ⑽ ﷺ Ⅳ ⅷx K5 Å … ´a ¨bb",
    "日本語 の 文 한국어 ไทย हिन्दी עִבְרִית العَرَبِيَّة я я5 ב 🏥 a🏥b 𝔄𝔅 𐐀𐐁 𠀀 𠀀𠀁",
    "a bb a ccc dddddddd eeeeeeeee " + "l" * 70_000 + " " + "é" * 300 + " " + "l" * 70_001,
    "chest pain denies chest pain, CHEST PAIN; Chest-pain chest\npain\r\nchest\tpain",
]
LETTERS = "abAB_1 9.\n\0éÉe\u0301\u0308ßẞİıſﬁ½²µΣσςΑα…´\u20dd\u00ad日한𝔄🏥"
TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=LETTERS, max_size=60),
    st.lists(st.sampled_from(["aa", "bb", "aab", "AA", "é", "éé", "c", "long_word_9", "pain"]), max_size=25).map(
        " ".join
    ),
    st.sampled_from(HARD),
)
CORPORA = st.lists(TEXTS, min_size=1, max_size=12)
RANGES = st.sampled_from([(1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3), (1, 4)])


def arrays(texts: list[str], size: int = 5) -> list[pa.Array]:
    return [pa.array(texts[start : start + size], pa.string()) for start in range(0, len(texts), size)]


def reference(texts: list[str], **knobs: Any) -> tuple[list[str], sp.csr_array, np.ndarray[Any, Any]]:
    """scikit-learn's terms, weights and idf; none where it finds no term."""
    vectorizer = TfidfVectorizer(lowercase=True, strip_accents="unicode", **knobs)
    try:
        weights = sp.csr_array(vectorizer.fit_transform(texts))
    except ValueError:
        return [], sp.csr_array((len(texts), 0)), np.zeros(0)
    weights.sort_indices()
    return vectorizer.get_feature_names_out().tolist(), weights, vectorizer.idf_


def same_weights(ours: sp.csr_array, theirs: sp.csr_array) -> None:
    assert ours.dtype == np.float32
    assert ours.indices.dtype == np.int32
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_allclose(ours.data, theirs.data, atol=1e-6, rtol=0)


def bytes_of(terms: TfidfTerms, matrix: sp.csr_array) -> tuple[Any, ...]:
    return terms.terms_, terms.idf_.tobytes(), *(a.tobytes() for a in (matrix.data, matrix.indices, matrix.indptr))


@given(CORPORA, RANGES, st.integers(1, 4), st.booleans())
@example(HARD * 2, (1, 2), 2, True)
@example(HARD, (1, 3), 1, False)
@example(["", " ", "a", "one"], (1, 2), 1, True)
def test_terms_and_weights_are_scikit_learns(
    texts: list[str], ngram_range: tuple[int, int], min_df: int, sublinear: bool
) -> None:
    assume(min_df <= len(texts))
    knobs = {"ngram_range": ngram_range, "min_df": min_df, "sublinear_tf": sublinear}
    names, weights, idf = reference(texts, **knobs)
    terms = TfidfTerms(**knobs, max_features=None, threads=2)
    if not names:
        with pytest.raises(DataError, match=r"tfidf\.min_df"):
            terms.fit(arrays(texts))
        return
    same_weights(terms.fit_transform(arrays(texts)), weights)
    assert terms.terms_ == names
    np.testing.assert_array_equal(terms.idf_, idf)
    assert bytes_of(terms, terms.transform(arrays(texts, 3))) == bytes_of(terms, terms.fit_transform(arrays(texts)))


@given(CORPORA, CORPORA, RANGES)
@example(["aa bb", "aa cc bb"], ["bb aa zz cc", "", "aa aa bb"], (1, 2))
def test_notes_never_seen_are_weighed_as_scikit_learn_does(
    train: list[str], test: list[str], ngram_range: tuple[int, int]
) -> None:
    vectorizer = TfidfVectorizer(ngram_range=ngram_range, lowercase=True, strip_accents="unicode", sublinear_tf=True)
    try:
        vectorizer.fit(train)
    except ValueError:
        assume(False)
    theirs = sp.csr_array(vectorizer.transform(test))
    theirs.sort_indices()
    same_weights(TfidfTerms(ngram_range, 1, None).fit(arrays(train)).transform(arrays(test)), theirs)


@given(CORPORA, st.sampled_from([(1, 1), (1, 2), (2, 2), (1, 3)]), st.integers(1, 2), st.data())
def test_at_the_cut_the_commonest_stay_and_of_equals_the_first_names(
    texts: list[str], ngram_range: tuple[int, int], min_df: int, data: st.DataObject
) -> None:
    assume(min_df <= len(texts))
    knobs = {"ngram_range": ngram_range, "min_df": min_df}
    names, _, _ = reference(texts, **knobs)
    assume(names)
    edges = st.sampled_from([1, len(names) - 1, len(names), len(names) + 1])
    most = max(1, data.draw(st.one_of(edges, st.integers(1, len(names)))))
    analyse = TfidfVectorizer(ngram_range=ngram_range, lowercase=True, strip_accents="unicode").build_analyzer()
    counts = Counter(term for text in texts for term in analyse(text))
    expected = sorted(sorted(names, key=lambda name: (-counts[name], name))[:most])
    assert TfidfTerms(**knobs, max_features=most).fit(arrays(texts)).terms_ == expected


@pytest.mark.parametrize("most", [1, 50, 700, 5000])
@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 2), (2, 3)])
def test_ties_can_fall_as_in_scikit_learn(most: int, ngram_range: tuple[int, int]) -> None:
    texts = ward(300, words=400)
    knobs = {"ngram_range": ngram_range, "min_df": 2, "max_features": most, "sublinear_tf": True}
    names, weights, _ = reference(texts, **knobs, dtype=np.float32)
    terms = TfidfTerms(**knobs, ties="sklearn")
    same_weights(terms.fit_transform(arrays(texts, 64)), weights)
    assert terms.terms_ == names


def ward(notes: int, words: int, length: int = 120) -> list[str]:
    """Notes of random words, few common and most rare, some with accents."""
    rng = np.random.default_rng(notes)
    names = [f"w{word}é" if word % 11 == 0 else f"w{word}_{'x' * (word % 13)}" for word in range(words)]
    share = 1 / np.arange(1, words + 1)
    return [" ".join(rng.choice(names, int(size), p=share / share.sum())) for size in rng.integers(0, length, notes)]


@pytest.mark.parametrize("most", [None, 40, 900, 3000])
@pytest.mark.parametrize("ngram_range", [(1, 2), (2, 2), (1, 3)])
def test_a_sketch_of_shared_cells_loses_no_common_term(most: int | None, ngram_range: tuple[int, int]) -> None:
    """Enough n-grams that cells are shared, tables grow and the first guess of the cut can be wrong."""
    texts = ward(900, words=3000, length=200)
    counter = CountVectorizer(ngram_range=ngram_range, min_df=2, strip_accents="unicode")
    total = np.asarray(counter.fit_transform(texts).sum(axis=0)).ravel()
    names = counter.get_feature_names_out()
    expected = sorted(names[np.lexsort((names, -total))[:most]].tolist())
    assert TfidfTerms(ngram_range, 2, most).fit(arrays(texts, 100)).terms_ == expected


def test_cells_count_no_further_than_a_byte_holds_and_terms_are_still_counted() -> None:
    texts = ["aa bb " * 400, "aa bb cc dd " * 300, "cc dd ee"]
    names, weights, _ = reference(texts, ngram_range=(1, 2), min_df=2)
    terms = TfidfTerms((1, 2), 2, None, sublinear_tf=False)
    same_weights(terms.fit_transform(arrays(texts)), weights)
    assert terms.terms_ == names
    assert TfidfTerms((2, 2), 1, 2).fit(arrays(texts)).terms_ == ["aa bb", "bb aa"]


def test_a_min_df_above_what_a_cell_can_count() -> None:
    texts = ["aa bb"] * 400 + ["cc dd"] * 299
    assert TfidfTerms((1, 2), 300, None).fit(arrays(texts, 90)).terms_ == ["aa", "aa bb", "bb"]


def test_words_that_share_a_key_are_told_apart_by_their_bytes() -> None:
    """Found by running the hash backwards: equal length, equal 56 bits."""
    texts = ["creatininemia 5suna_89jz8z1", "creatininemia", "5suna_89jz8z1 creatininemia creatininemia"]
    names, weights, _ = reference(texts, ngram_range=(1, 2))
    terms = TfidfTerms((1, 2), 1, sublinear_tf=False)
    same_weights(terms.fit_transform(arrays(texts)), weights)
    assert terms.terms_ == names


def test_bytes_depend_neither_on_threads_nor_on_batches() -> None:
    texts = [*ward(3 * BLOCK + 17, words=800), *HARD]
    results = []
    for threads, size in ((1, 10_000), (2, 37), (3, BLOCK), (7, 301), (12, 37)):
        terms = TfidfTerms((1, 2), 2, 2500, threads=threads)
        results.append(bytes_of(terms, terms.fit_transform(arrays(texts, size))))
        assert results[-1] == results[0]
        assert bytes_of(terms, terms.transform(arrays(texts, size + 1))) == results[0]


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "slice", "chunks", "iterator"])
def test_any_arrow_string_will_do(kind: str) -> None:
    texts = ["aa bb", "", "été aa", "bb bb"]
    whole = pa.array(["zz aa", *texts, "zz"])
    batches: dict[str, Any] = {
        "string": [pa.array(texts)],
        "large_string": [pa.array(texts, pa.large_string())],
        "string_view": [pa.array(texts, pa.string_view())],
        "slice": [whole.slice(1, 4)],
        "chunks": [pa.chunked_array([texts[:1], [], texts[1:]], pa.string())],
        "iterator": iter([pa.array(texts[:2]), pa.array([], pa.string()), pa.array(texts[2:])]),
    }
    names, weights, _ = reference(texts, sublinear_tf=True)
    terms = TfidfTerms((1, 1), 1)
    same_weights(terms.fit_transform(batches[kind]), weights)
    assert terms.terms_ == names


def test_what_was_learned_comes_back_from_terms_and_idf() -> None:
    texts = HARD * 2
    fitted = TfidfTerms((1, 3), 1, None, sublinear_tf=False).fit(arrays(texts))
    again = TfidfTerms.restore(fitted.terms_, fitted.idf_, (1, 3), sublinear_tf=False)
    assert bytes_of(again, again.transform(arrays(texts))) == bytes_of(fitted, fitted.transform(arrays(texts)))


@pytest.mark.parametrize(
    ("terms", "idf"),
    [(["bb", "aa"], 2), (["aa", "aa"], 2), (["aa bb cc"], 1), (["aa", "a"], 2), (["aa"], 2), (["aa-bb"], 1), ([""], 1)],
    ids=["unsorted", "twice", "too-long", "no-word", "no-idf", "no-term", "empty"],
)
def test_what_are_no_terms_is_refused(terms: list[str], idf: int) -> None:
    with pytest.raises(DataError, match="terms: not the sorted terms"):
        TfidfTerms.restore(terms, np.ones(idf), (1, 2))


@given(TEXTS, CORPORA, RANGES)
@example(HARD[1], HARD, (1, 2))
@example(HARD[2], HARD, (1, 2))
@example(HARD[4], HARD, (2, 2))
def test_every_occurrence_of_a_term_is_placed_in_the_note(
    text: str, corpus: list[str], ngram_range: tuple[int, int]
) -> None:
    vectorizer = CountVectorizer(ngram_range=ngram_range, strip_accents="unicode")
    try:
        terms = TfidfTerms(ngram_range, 1, None).fit(arrays([text, *corpus]))
    except DataError:
        assume(False)
    counts = vectorizer.set_params(vocabulary=terms.terms_).transform([text]).toarray()[0]
    found = list(terms.occurrences(text))
    assert np.array_equal(np.bincount([column for _, _, column in found], minlength=len(terms.terms_)), counts)
    analyse = vectorizer.build_analyzer()
    for start, end, column in found:
        assert 0 <= start < end <= len(text)
        if "Σ" not in text:  # its lower case depends on what follows, which a slice cuts off
            assert terms.terms_[column] in analyse(text[start:end])


def test_no_term_at_all_is_named() -> None:
    for texts in ([], ["a b c", "!"], ["aa", "bb"]):
        with pytest.raises(DataError, match=r"tfidf\.min_df"):
            TfidfTerms((1, 2), 2).fit(arrays(texts))


def test_a_note_without_text_is_refused() -> None:
    with pytest.raises(DataError, match="text: a note is null"):
        TfidfTerms().fit([pa.array(["aa", None])])


def test_ngrams_too_long_for_their_key_are_refused() -> None:
    texts = [f"w{word} v{word}" for word in range(2000)]
    with pytest.raises(DataError, match=r"tfidf\.ngram_range: n-grams of 6 words"):
        TfidfTerms((1, 6), 1).fit(arrays(texts, 500))
    assert len(TfidfTerms((1, 5), 1).fit(arrays(texts, 500)).terms_) == 6000


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )


def test_numba_is_loaded_at_first_use() -> None:
    source = str(ROOT / "src")
    code = "import sys, chartcode.coders.terms as t; t.TfidfTerms(); sys.exit('numba' in sys.modules)"
    run_python(code, PYTHONPATH=source)


FIT = (
    "import pyarrow as pa; from chartcode.coders.terms import TfidfTerms as T; "
    "from chartcode.coders import terms_kernel as k; "
    "assert T(min_df=1).fit([pa.array(['aa bb'])]).terms_ == ['aa', 'aa bb', 'bb']; "
    "s = k.count_words.stats; import sys; sys.stdout.write(f'{sum(s.cache_hits.values())}')"
)


@pytest.mark.slow
def test_loops_are_kept_compiled_where_that_can_be_written_and_work_where_it_cannot(tmp_path: Path) -> None:
    """A file in place of each cache folder refuses root too."""
    shutil.copytree(ROOT / "src/chartcode", tmp_path / "src/chartcode", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/chartcode/coders/__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    source, home = str(tmp_path / "src"), str(tmp_path / "home")
    nowhere = str(tmp_path / "file")
    assert run_python(FIT, PYTHONPATH=source, HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR="").stdout == "0"
    for hits in ("0", "1"):
        done = run_python(FIT, PYTHONPATH=source, HOME=home, XDG_CACHE_HOME=home, NUMBA_CACHE_DIR="")
        assert done.stdout == hits


def codiesp(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("codiesp/**/text_files/*.txt")):
        yield path.read_text(encoding="utf-8")


def test_real_spanish_cases(shared_data: Path) -> None:
    texts = list(codiesp(shared_data))
    assert texts
    knobs = {"ngram_range": (1, 2), "min_df": 2, "max_features": 10_000, "sublinear_tf": True}
    names, weights, _ = reference(texts, **knobs, dtype=np.float32)
    terms = TfidfTerms(**knobs, ties="sklearn")
    same_weights(terms.fit_transform(arrays(texts, 200)), weights)
    assert terms.terms_ == names
