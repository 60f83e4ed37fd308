"""Names whose words stand apart, against a search of every stretch of a sentence."""

from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.apart import MOST_STEMS, WIDEST, Apart, Stems, shortest
from chartcode.linking.matcher import Match
from chartcode.linking.tokens import words_of
from tests.linking.test_matcher import words

STEM = st.sampled_from(["masa", "riñon", "tac", "dolor", "mama"])
SETS = st.lists(st.sets(STEM, min_size=2, max_size=MOST_STEMS).map(lambda own: " ".join(sorted(own))), unique=True)
PLACES = st.lists(st.sets(st.integers(0, 12), min_size=1).map(sorted), min_size=1, max_size=4)


class Plain(Stems):
    """Words that are their own stems."""

    def __missing__(self, word: str) -> str:
        return word if word.isalpha() else ""


@given(PLACES)
def test_the_shortest_stretch_holds_a_place_of_each(places: list[list[int]]) -> None:
    stretches = [(first, end) for first in range(13) for end in range(first + 1, 14)]
    fits = [s for s in stretches if all(any(s[0] <= place < s[1] for place in own) for own in places)]
    first, end = shortest(places)
    assert (end - first, first) == min((end - first, first) for first, end in fits)


@given(SETS, st.lists(st.one_of(STEM, st.sampled_from([".", ",", "\n", "7"])), max_size=25))
def test_a_name_is_found_once_a_sentence_where_its_stems_are(names: list[str], folded: list[str]) -> None:
    expected = []
    begin = 0
    for end in [place for place, word in enumerate(folded) if word in (".", "\n")] + [len(folded)]:
        for number, name in enumerate(names):
            places = [[p for p in range(begin, end) if folded[p] == stem] for stem in name.split(" ")]
            if all(places):
                expected.append(Match(*shortest(places), number))
        begin = end + 1
    assert Apart(names, Plain("es")).find(words(folded)) == expected


def test_endings_order_and_words_between_do_not_matter() -> None:
    stems = Stems("es")
    name = stems.name(words_of("masa testicular", "es").folded)
    text = words_of("Se palpan masas, de 3 cm, en la zona testicular. Masa en mama.", "es")
    (found,) = Apart([name], stems).find(text)
    assert text.folded[found.first] == "masa"
    assert text.folded[found.end - 1] == "testicular"


def test_names_of_one_stem_or_of_very_many_do_not_stand_apart() -> None:
    stems = Stems("es")
    assert stems.name(["dolor", "de"]) == ""
    assert stems.name(["masa", "dura", "renal", "izquierdo", "quiste"]) == ""


def test_a_stretch_that_is_too_wide_is_no_name() -> None:
    filled = ["x"] * (WIDEST - 2)
    finder = Apart(["dolor mama"], Plain("es"))
    assert len(finder.find(words(["dolor", *filled, "mama"]))) == 1
    assert finder.find(words(["dolor", *filled, "x", "mama"])) == []
