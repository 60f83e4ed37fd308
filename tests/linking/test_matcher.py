"""The automaton against a search that tries every place: leftmost, then longest, whole words."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.errors import DataError
from chartcode.linking.matcher import MOST, Match, Matcher
from chartcode.linking.tokens import Words

WORD = st.sampled_from(["a", "b", "ab", "ba", "\n", ",", "é", "zzz"])
KEYS = st.lists(st.lists(WORD, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=8, unique=True)


def words(folded: list[str]) -> Words:
    return Words(folded, list(range(len(folded))), list(range(1, len(folded) + 1)))


def slow(keys: list[str], folded: list[str]) -> list[Match]:
    found, at = [], 0
    while at < len(folded):
        fits = [k for k, key in enumerate(keys) if folded[at : at + len(key.split(" "))] == key.split(" ")]
        if not fits:
            at += 1
            continue
        best = max(fits, key=lambda k: len(keys[k].split(" ")))
        end = at + len(keys[best].split(" "))
        found.append(Match(at, end, best))
        at = end
    return found


@given(KEYS, st.lists(st.one_of(WORD, st.just("unknown")), max_size=20))
def test_finds_what_a_search_at_every_place_finds(keys: list[str], folded: list[str]) -> None:
    assert Matcher(keys).find(words(folded)) == slow(keys, folded)


@given(KEYS, st.lists(st.one_of(WORD, st.just("unknown")), max_size=20))
def test_overlapping_it_finds_every_name_at_every_place(keys: list[str], folded: list[str]) -> None:
    spans = [(first, end) for first in range(len(folded)) for end in range(first + 1, len(folded) + 1)]
    every = [Match(*span, k) for span in spans for k, key in enumerate(keys) if key == " ".join(folded[slice(*span)])]
    assert sorted(Matcher(keys, overlapping=True).find(words(folded))) == sorted(every)


def test_a_vocabulary_reaches_beyond_the_surrogates() -> None:
    """Words are numbered as characters; those of U+D800 to U+DFFF cannot stand in a string of UTF-8."""
    keys = [f"w{number}" for number in range(60_000)]
    found = Matcher(keys).find(words(["w55039", "w55040", "w57343", "w59999", "w60000"]))
    assert [match.key for match in found] == [55039, 55040, 57343, 59999]


def test_more_words_than_characters_are_one_line() -> None:
    assert chr(0x100 + MOST + 0x800 - 1) == chr(sys.maxunicode)
    with pytest.raises(DataError, match="more than 1,111,808 different words"):
        Matcher([f"w{number}" for number in range(MOST + 1)])
