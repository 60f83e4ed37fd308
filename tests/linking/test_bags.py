"""Names in another order against every window spelled out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.bags import MOST_STEMS, SMALL, WIDEST, Bags, Window, longest
from chartcode.linking.tokens import Words, words_of

STEMS = ["kidney", "stone", "left", "heart", "failur"]  # their own Snowball stems
TEXT = st.lists(st.sampled_from([*STEMS, "of", "the", "in", ",", "unknown"]), max_size=14)


def words(folded: list[str]) -> Words:
    return Words(folded, list(range(len(folded))), list(range(1, len(folded) + 1)))


@given(st.lists(st.lists(st.sampled_from(STEMS), min_size=2, max_size=3, unique=True), min_size=1, max_size=4), TEXT)
def test_finds_every_window_that_holds_just_the_stems(names: list[list[str]], folded: list[str]) -> None:
    keys = {" ".join(name): number for number, name in enumerate(names)}
    first_of: dict[frozenset[str], int] = {}
    for key, number in keys.items():
        first_of.setdefault(frozenset(key.split(" ")), number)
    expected = []
    for first in range(len(folded)):
        for end in range(first + 2, min(first + WIDEST, len(folded)) + 1):
            window = folded[first:end]
            content = [word for word in window if word not in SMALL["en"]]
            edges_hold = window[0] not in SMALL["en"] and window[-1] not in SMALL["en"]
            surface = first_of.get(frozenset(content))
            if edges_hold and "," not in window and len(set(content)) == len(content) and surface is not None:
                expected.append(Window(first, end, surface, len(content)))
    assert [w for w in Bags(keys, "en").find(words(folded)) if w.stems <= MOST_STEMS] == expected


def test_order_endings_and_small_words_do_not_matter_but_signs_do() -> None:
    bags = Bags({"left kidney stone": 7}, "en")
    assert [w.surface for w in bags.find(words_of("stones in the left kidney"))] == [7]
    assert bags.find(words_of("stones, left kidney")) == []
    assert bags.find(words_of("left kidney stone stone"))[0].end == 3


def test_forgetting_words_changes_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"left kidney stone": 7, "heart failure": 8}
    text = words_of("stones in left kidneys. failures of the heart")
    expected = Bags(names, "en").find(text)
    monkeypatch.setattr("chartcode.linking.bags.REMEMBERED", 2)
    bags = Bags(names, "en")
    for _ in range(3):
        assert bags.find(text) == expected != []
        assert len(bags._numbers) <= 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 4)), max_size=8))
def test_no_kept_window_crosses_an_exact_match_or_another_window(spans: list[tuple[int, int, int]]) -> None:
    windows = [Window(first, first + size, 0, stems) for first, size, stems in spans]
    exact = [Window(2, 4, 1, 2)]
    kept = sorted(longest(exact, windows))
    for window in kept:
        touches = window.first < 4 and window.end > 2
        assert not touches or (window.first <= 2 and window.end >= 4 and window.stems > 2)
    assert all(one.end <= other.first for one, other in pairwise(kept))


WINDOWS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5), st.integers(1, 4)), max_size=14)


@given(WINDOWS, WINDOWS)
def test_windows_are_kept_as_by_looking_at_every_pair(
    some: list[tuple[int, int, int]], more: list[tuple[int, int, int]]
) -> None:
    windows = [Window(first, first + size, 0, stems) for first, size, stems in some]
    exact: list[Window] = []
    for first, size, stems in sorted(more):
        if not exact or first >= exact[-1].end:
            exact.append(Window(first, first + size, 1, stems))
    taken, kept = list(exact), []
    for window in sorted(windows, key=lambda w: (-w.stems, w.end - w.first, w.first)):
        over = [other for other in taken if other.first < window.end and window.first < other.end]
        larger = all(w.first >= window.first and w.end <= window.end and w.stems < window.stems for w in over)
        if larger and not any(other in kept for other in over):
            taken.append(window)
            kept.append(window)
    assert longest(exact, windows) == kept
