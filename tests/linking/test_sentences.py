"""Sentences of a note as typed: lines that were wrapped are one, items and headings are not."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from chartcode.linking.sentences import sentences


def split(text: str, *spans: tuple[int, int]) -> list[str]:
    return [text[part.start : part.end].strip() for part in sentences(text, spans)]


def test_a_wrapped_sentence_is_one_and_a_full_stop_ends_it() -> None:
    text = "He denies chest pain, shortness of breath and any other\nsymptom. He walks."
    assert split(text) == ["He denies chest pain, shortness of breath and any other\nsymptom.", "He walks."]


def test_short_lines_are_items_unless_they_cannot_end_there() -> None:
    assert split("HTN\nDM2\ngout") == ["HTN", "DM2", "gout"]
    assert split("asthma, \ngout or\nlupus\nHTN") == ["asthma, \ngout or\nlupus", "HTN"]


def test_bullets_and_numbers_begin_items() -> None:
    for mark in ("- ", "* ", "# ", "• ", "1. ", "2) "):
        text = f"{mark}a history of hypertension which has lasted for decades now\n{mark}gout"
        assert len(split(text)) == 2


def test_abbreviations_numbers_and_marks_of_doubt_end_nothing() -> None:
    for text in ("Seen by Dr. Smith for C. difficile.", "Cr 1.6 and K 4.2.", "?PE vs. pneumonia.", "1. Hypertension"):
        assert split(text) == [text]
    assert split("? sarcoid\nGout") == ["? sarcoid", "Gout"]
    assert split("Pain? Gone.") == ["Pain?", "Gone."]


def test_headings_stand_over_their_list_until_the_next() -> None:
    text = "Resolved:\n- gout\n\n- asthma\nActive:\n- COPD"
    parts = sentences(text)
    over = {text[part.start : part.end]: (text[slice(*part.heading)], part.near) for part in parts}
    assert over == {
        "Resolved:": ("", False),
        "- gout": ("Resolved:", True),
        "- asthma": ("Resolved:", False),
        "Active:": ("", False),
        "- COPD": ("Active:", True),
    }


def test_a_sentence_that_ends_with_a_colon_stands_over_the_list_behind_it() -> None:
    text = "You had gout. Call if you have:\n- fever\n- rash"
    assert [text[slice(*part.heading)] for part in sentences(text)][-2:] == [" Call if you have:"] * 2


def test_a_block_ends_at_a_blank_line_and_at_a_bullet() -> None:
    parts = sentences("# PE: treated. It was ruled out.\n# AKI: better.\n\nHome. Well.")
    assert [part.block for part in parts] == [0, 0, 1, 2, 2]


def test_no_sentence_ends_inside_a_mention() -> None:
    text = "chronic\nkidney disease. Gout"
    assert split(text) == ["chronic", "kidney disease.", "Gout"]
    assert split(text, (0, 22)) == ["chronic\nkidney disease.", "Gout"]


@example(":\n1", 0, 3)
@given(st.text(st.sampled_from("aB .,:?\n-#1"), max_size=80), st.integers(0, 70), st.integers(1, 20))
def test_sentences_are_in_order_and_leave_no_word_out(text: str, start: int, size: int) -> None:
    span = (start, min(start + size, len(text)))
    parts = sentences(text, [span] if span[1] > span[0] else [])
    assert all(part.start < part.end for part in parts)
    assert all(one.end <= other.start for one, other in pairwise(parts))
    covered = {place for part in parts for place in range(part.start, part.end)}
    assert all(text[place].isspace() for place in set(range(len(text))) - covered)
    assert not any(span[0] < part.start < span[1] for part in parts if text[slice(*span)].strip() == text[slice(*span)])
