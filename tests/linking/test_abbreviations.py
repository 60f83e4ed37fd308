"""What a note explains itself is found where it stands, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.abbreviations import Definition, definitions


def pairs(text: str) -> list[tuple[str, str]]:
    return [(found.short, found.long) for found in definitions(text)]


def test_a_long_form_before_its_short_form() -> None:
    assert pairs("Known congestive heart failure (CHF), on lasix.") == [("CHF", "congestive heart failure")]
    assert pairs("He has chronic obstructive pulmonary disease (COPD).") == [
        ("COPD", "chronic obstructive pulmonary disease")
    ]


def test_a_short_form_before_its_long_form() -> None:
    assert pairs("Known CHF (congestive heart failure), on lasix.") == [("CHF", "congestive heart failure")]


def test_letters_inside_words_count_but_not_the_first() -> None:
    assert pairs("with gastroesophageal reflux disease (GERD)") == [("GERD", "gastroesophageal reflux disease")]
    assert pairs("an electrocardiogram (EKG)") == []  # there is no k


def test_spanish_accents_do_not_matter() -> None:
    text = "Enfermedad pulmonar obstructiva crónica (EPOC) e índice de masa corporal (IMC)."
    assert pairs(text) == [
        ("EPOC", "Enfermedad pulmonar obstructiva crónica"),
        ("IMC", "índice de masa corporal"),
    ]


def test_wrapped_lines_are_one_long_form_and_offsets_are_those_of_the_text() -> None:
    text = "Héart: atrial\nfibrillation (AF) since."
    (found,) = definitions(text)
    assert found == Definition("AF", "atrial fibrillation", 28, 30, 7, 26)
    assert text[found.start : found.end] == "AF"


def test_what_no_abbreviation_explains_is_left_alone() -> None:
    for text in (
        "pneumonia (resolved)",
        "CAD s/p CABG (2009)",
        "metoprolol 25 mg (BID)",
        "seen at clinic (she was late)",
        "(CHF)",
        "AF. (AF)",
        "atrial fibrillation (AF",
        "",
    ):
        assert pairs(text) == [], text


def test_a_long_form_does_not_begin_in_the_sentence_before() -> None:
    assert pairs("Has a cough. Heart failure (CHF) known.") == []


def test_what_follows_in_the_bracket_is_no_part_of_the_short_form() -> None:
    assert pairs("deep venous thrombosis (DVT, left leg)") == [("DVT", "deep venous thrombosis")]


words = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=7)


@given(words, st.text("abc", min_size=2, max_size=4))
def test_the_long_form_is_the_shortest_run_of_words_that_holds_the_letters(before: list[str], short: str) -> None:
    def holds(run: list[str]) -> bool:
        letters = iter("".join(run)[1:])
        return run[0][0] == short[0] and all(letter in letters for letter in short[1:])

    most = min(len(short) + 5, 2 * len(short))
    ends = [before[-size:] for size in range(1, min(len(before), most) + 1)]
    wanted = next((run for run in ends if holds(run)), None)
    if wanted is not None and (len(" ".join(wanted)) <= len(short) or short in wanted):
        wanted = None
    found = definitions(f"{' '.join(before)} ({short.upper()})")
    assert [one.long for one in found] == ([" ".join(wanted)] if wanted else [])


@given(st.text(st.sampled_from("aB é(),.;:-\n3"), max_size=60))
def test_any_text_yields_forms_that_stand_in_it(text: str) -> None:
    for found in definitions(text):
        assert text[found.start : found.end] == found.short
        assert text[found.long_start : found.long_end].split() == found.long.split()
