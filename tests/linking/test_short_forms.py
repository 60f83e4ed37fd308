"""Short forms behind a hyphen mean what stands before their bracket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chartcode.linking.abbreviations import definitions
from chartcode.linking.short_forms import short_forms


def test_the_part_behind_a_hyphen_is_explained_too() -> None:
    text = "Antituberculosis therapy (ATT)-associated acute liver failure (ATT-ALF) is rare; ALF kills."
    found = {one.short: one for one in short_forms(text)}
    assert found["ALF"].long == "acute liver failure"
    assert text[found["ALF"].start : found["ALF"].end] == "ALF"
    assert text[found["ALF"].long_start : found["ALF"].long_end] == "acute liver failure"
    assert found["ATT"].long == "Antituberculosis therapy"


def test_what_is_explained_already_or_by_nothing_is_left() -> None:
    text = "Heat shock (HS) and renal failure with fever (X-HS, no) or pain (in-QZ) or gout (a-b)."
    assert short_forms(text) == definitions(text)
    long = "word " * 200 + "glucocorticoid-induced hypertension (GC-HT) rose"
    (one,) = [one for one in short_forms(long) if one.short == "HT"]
    assert long[one.long_start : one.long_end] == "hypertension"


@given(st.text(st.sampled_from("aB (-)C1 é"), max_size=60))
def test_any_text_keeps_what_it_explains_and_places_are_those_of_the_text(text: str) -> None:
    found = short_forms(text)
    assert found[: len(definitions(text))] == definitions(text)
    for one in found:
        assert text[one.start : one.end] == one.short
        assert " ".join(text[one.long_start : one.long_end].split()) == one.long
