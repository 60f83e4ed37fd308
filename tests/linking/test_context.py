"""Flags say what a clinician would read, for every mention, wherever it stands."""

from __future__ import annotations

import csv
import re
import textwrap
from collections.abc import Iterable
from importlib.resources import files

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.context import Case, Truth, hospital, pairs_of, score, sentences
from chartcode.linking.context import LANGUAGES, Context, flags
from chartcode.linking.flags import FLAGS
from chartcode.tables.cleaning import clean_batch

OWN = sentences()
REACHES = {
    "pre": {"next", "item", "closed", "list", "clause", "sentence", "events"},
    "post": {"item", "list", "sentence", "events"},
    "over": {"item"},
    "verdict": {"sentence"},
}


def of(text: str, section: str = "preamble", language: str = "en") -> list[tuple[str, str]]:
    """(flags by first letters but y for hypothetical, trigger) of the [mentions] of a text."""
    spans, plain = [], ""
    for number, piece in enumerate(re.split(r"\[(.+?)\]", text, flags=re.S)):
        if number % 2:
            spans.append((len(plain), len(plain) + len(piece)))
        plain += piece
    found = flags(plain, spans, [(section, 0, len(plain))], language)
    return [(_letters(one), one.trigger) for one in found]


def _letters(context: Context) -> str:
    return "".join(letter for letter, on in zip("nuhyf", context, strict=False) if on)


def letters(text: str, section: str = "preamble") -> list[str]:
    return [said for said, _ in of(text, section)]


def own(language: str, held_out: Iterable[bool] = (False, True)) -> list[Case]:
    return [case for out, case in OWN if case.language == language and out in tuple(held_out)]


NOTE = """
History of Present Illness:
67F w/ PMH of [HTN], [T2DM] c/b [neuropathy], [A-fib] on apixaban,
[COPD] (2L home O2) and remote [DVT:h] who p/w 3d of productive
[cough] and [dyspnea]. No [chest pain:n], [palpitations:n] or
[syncope:n]. Denies [fevers:n]/[chills:n]. +sick contacts (grandson
with [influenza:f]). No h/o [PE:n]. In the ED, CXR concerning for LLL
[pneumonia:u] vs [atelectasis:u], CTA negative for [PE:n]. Given CTX
for presumed [CAP:u].

ROS: (+) per HPI, (-) [headache:n], [melena:n], [dysuria:n]. Endorses [insomnia].

Past Medical History:
1. [HTN] - well controlled
2. [T2DM], last A1c 7.2, no [retinopathy:n]
3. [A-fib] s/p [ablation:h] 2015
4. [OA] s/p R [TKR:h]
5. [GERD]; [migraine], none recently
6. h/o [breast CA:h] s/p [lumpectomy:h] (2003), NED
7. ?[OSA:u] - never tested

Social History:
Former [smoker:h], quit 2010. No [EtOH:n].

Family History:
Mother: [CAD:f], died of [stroke:f]. Father w/ [DM:f]. No hx [colon cancer:nf].

Physical Exam:
Gen: [obese], NAD. Lungs: [crackles] LLL, no [wheezes:n]. Ext: no
[edema:n] or [cyanosis:n].

Brief Hospital Course:
# [Pneumonia]: sputum grew S. pneumo. No [empyema:n] on US. Treated
with CTX then cefpodoxime. [Hypoxia] resolved.
# [Chest pain]: brief episode HD2, trops flat, [ACS:n] ruled out.
# [AKI]: Cr 1.8, thought prerenal vs [ATN:u], resolved with IVF.
# [PE:n]: initially on the differential given [tachycardia]. CTA was
without filling defect. This was ruled out.
# [DVT:y] ppx: on apixaban.

Discharge Instructions:
You came in with [pneumonia]. Call your doctor if you have:
- [fever:y]
- worsening [shortness of breath:y]
- [chest pain:y]

You do not have a [blood clot:n].
"""


def test_every_flag_of_a_note_written_as_charts_are() -> None:
    pieces = re.split(r"\[([^\[\]:]+):?([nuhyf]*)\]", NOTE)
    spans, wanted, plain = [], [], ""
    for name, said, behind in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        plain = plain or pieces[0]
        spans.append((len(plain), len(plain) + len(name)))
        wanted.append((name, said))
        plain += name + behind
    note = clean_batch(pa.array([plain]))[0].as_py()
    assert note["text"] == plain  # so the spans are those of the clean text
    sections = [(part["name"], part["clean_start"], part["clean_end"]) for part in note["sections"]]
    found = flags(plain, spans, sections)
    assert [(name, _letters(one)) for (name, _), one in zip(wanted, found, strict=True)] == wanted


def test_there_are_enough_labelled_sentences_and_both_halves_know_every_flag() -> None:
    assert len(OWN) >= 300
    for out in (False, True):
        labels = [truth for case in own("en", (out,)) for truth in case.truth]
        assert all(sum(flag in truth for truth in labels) >= 8 for flag in FLAGS)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("flag", FLAGS)
def test_flags_of_english_sentences(flag: str, held_out: bool) -> None:
    floor = 0.95 if flag in ("negated", "family", "historical") else 0.9
    assert score(pairs_of(own("en", (held_out,))), flag).f1 >= floor


@pytest.mark.parametrize("flag", ["negated", "uncertain", "family"])
def test_flags_of_spanish_sentences(flag: str) -> None:
    assert score(pairs_of(own("es")), flag).f1 >= 0.95


@pytest.fixture(scope="module")
def notes() -> list[tuple[Truth, Truth]]:
    """Every mention of a small synthetic hospital: its flags, true and set."""
    return pairs_of(case for _, case in hospital(20))


@pytest.mark.parametrize("flag", ["negated", "family"])
def test_flags_of_the_synthetic_hospital(notes: list[tuple[Truth, Truth]], flag: str) -> None:
    found = score(notes, flag)
    assert found.true >= 20
    assert found.f1 >= 0.95


def test_what_a_synthetic_note_calls_over_is_historical(notes: list[tuple[Truth, Truth]]) -> None:
    """Its truth does not say whether `a history of pneumonia` is over, so precision is not asked for."""
    found = score(notes, "historical")
    assert found.true >= 20
    assert found.recall >= 0.95


def test_the_trigger_says_what_decided() -> None:
    assert of("Denies [fever], [chills], or [chest pain].") == [("n", "denies")] * 3
    assert of("[Gout]: well.", "family_history") == [("f", "section family_history")]
    assert of("No [gout].", "family_history") == [("nf", "no; section family_history")]
    assert of("[Gout] and [asthma].") == [("", ""), ("", "")]


def test_a_scope_ends_at_but_at_a_bullet_and_at_a_heading() -> None:
    assert letters("No [fever] but [cough].") == ["n", ""]
    assert letters("- no [fever]\n- [cough]") == ["n", ""]
    assert letters("No [fever]\nCOUGH:\n[bronchitis]") == ["n", ""]
    assert letters("No [fever]. [Cough].") == ["n", ""]
    assert letters("No [fever]; [cough].") == ["n", ""]


def test_a_scope_ends_where_another_clause_begins() -> None:
    assert letters("No [fever] and has [cough]. No fever and has [cough].") == ["n", "", ""]
    assert letters("No [fever], [cough] is new.") == ["n", ""]
    assert letters("Denies [fever], reports [cough].") == ["n", ""]
    assert letters("No [fever], he had [cough].") == ["n", ""]
    assert letters("No prior history of [stroke], no change in [gout].") == ["n", ""]


def test_a_scope_is_bounded_in_a_text_without_stops() -> None:
    text = "denies " + "[gout], " * 300
    assert letters(text) == ["n"] * 100 + [""] * 200


def test_a_bracket_encloses_a_scope() -> None:
    assert letters("[Diabetes] (no [retinopathy]), [gout]") == ["", "n", ""]


def test_resolved_is_history_in_the_history_and_not_in_the_course() -> None:
    assert letters("[AKI], resolved", "past_medical_history") == ["h"]
    assert letters("[AKI], resolved", "hospital_course") == [""]
    text = "Resolved:\n- [AKI]\n\n- [gout]\nActive:\n- [COPD]"
    assert letters(text, "past_medical_history") == ["h", "h", ""]
    assert letters("Resolved issues:\n- [AKI]", "hospital_course") == [""]


def test_a_heading_of_one_section_says_nothing_in_the_next() -> None:
    text = "Resolved:\n- gout\nSocial: smoker"
    spans = [(12, 16), (25, 31)]
    sections = [("past_medical_history", 0, 17), ("social_history", 17, len(text))]
    assert [one.historical for one in flags(text, spans, sections)] == [True, False]


def test_a_list_under_a_trigger_is_in_its_scope_until_a_blank_line() -> None:
    text = "Call your doctor if you have any of the following:\n- [fever]\n- [rash]\n\nYou had [gout]."
    assert letters(text, "discharge_instructions") == ["y", "y", ""]


def test_a_verdict_judges_the_problem_and_not_the_next_one() -> None:
    text = "# [PE]: heparin was given. Echo was done. It was ruled out.\n# [AKI]: better."
    assert letters(text, "hospital_course") == ["n", ""]
    assert letters("# [PE]: heparin was given.\n\nIt was ruled out.") == [""]
    assert letters("# [PE]: heparin was given. It was confirmed.") == [""]


def test_of_several_mentions_a_verdict_means_the_doubted_one_or_all() -> None:
    assert letters("Possible [PE] with known [COPD]. It was ruled out by CTA.") == ["n", ""]
    assert letters("Notes list [PE] and [COPD]. These were ruled out.") == ["n", "n"]


def test_words_of_a_mention_are_no_triggers() -> None:
    assert letters("[Diverticulosis without bleeding], [COPD], [no heroic measures], [gout]") == ["", "", "", ""]


def test_a_status_is_not_over_where_the_event_is() -> None:
    assert letters("History of [stroke], [hypertension], [old MI], [former smoker].") == ["h", "", "", ""]
    assert letters("H/o [pressure ulcer of the heel], [gastric ulcer], [current tobacco use].") == ["", "h", ""]


def test_what_a_condition_comes_with_or_from_is_not_what_happened() -> None:
    assert letters("H/o [aneurysm without rupture] and [neuropathy due to trauma].") == ["", ""]
    assert letters("H/o [fracture due to osteoporosis] and [pneumonia with abscess].") == ["h", "h"]
    assert of("Antecedentes de [úlcera por presión], [fractura sin desplazamiento].", language="es") == [
        ("", ""), ("h", "antecedentes de"),
    ]  # fmt: skip


def test_relatives_who_only_tell_are_no_family_history() -> None:
    assert letters("Her husband reports [confusion]. Per daughter, no [falls]. Lives with wife, has [gout].") == [
        "", "n", "",
    ]  # fmt: skip
    assert letters("Mother with [gout], father had [MI]; [asthma] in her sister.") == ["f", "f", "f"]


def test_a_mention_gets_a_context_whatever_surrounds_it() -> None:
    assert flags("", [], []) == []
    assert flags("gout", [(0, 4)]) == [Context()]
    assert flags("   ", [(0, 1)]) == [Context()]
    assert flags("No acute gout", [(9, 13), (3, 13)]) == [Context(negated=True, trigger="no")] * 2


@given(
    st.text(st.sampled_from("aN o.,:;?()\n-#/'é0"), max_size=80),
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 9)), max_size=6),
)
def test_any_text_gives_one_context_a_mention(text: str, places: list[tuple[int, int]]) -> None:
    spans = [(start, min(start + size, len(text))) for start, size in places if start < len(text)]
    for language in LANGUAGES:
        assert len(flags(text, spans, [("family_history", 0, len(text) // 2)], language)) == len(spans)


@given(st.sampled_from(OWN), st.randoms(use_true_random=False))
def test_the_order_of_mentions_does_not_matter(sentence: tuple[bool, Case], random) -> None:  # type: ignore[no-untyped-def]
    case = sentence[1]
    order = list(range(len(case.spans)))
    random.shuffle(order)
    said = flags(case.text, case.spans, case.sections, case.language)
    again = flags(case.text, [case.spans[place] for place in order], case.sections, case.language)
    assert again == [said[place] for place in order]


@given(st.sampled_from(OWN), st.sampled_from(OWN))
def test_paragraphs_do_not_touch_each_other(one: tuple[bool, Case], other: tuple[bool, Case]) -> None:
    first, second = one[1], other[1]
    if first.language != second.language:
        return
    gap = len(first.text) + 2
    spans = [*first.spans, *((start + gap, end + gap) for start, end in second.spans)]
    sections = [(first.sections[0][0], 0, gap), (second.sections[0][0], gap, gap + len(second.text))]
    alone = [flags(case.text, case.spans, case.sections, case.language) for case in (first, second)]
    assert flags(f"{first.text}\n\n{second.text}", spans, sections, first.language) == alone[0] + alone[1]


PROSE = [case for _, case in OWN if "\n" not in case.text and case.text.endswith(".") and case.text[0] not in "#-?("]


@given(st.lists(st.sampled_from(PROSE), min_size=6, max_size=10), st.integers(60, 90))
def test_hard_wrapped_prose_says_what_it_says_on_one_line(cases: list[Case], width: int) -> None:
    cases = [case for case in cases if case.language == cases[0].language]
    text, spans = "", []
    for case in cases:
        spans += [(start + len(text), end + len(text)) for start, end in case.spans]
        text += case.text + " "
    wrapped = "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))
    assert wrapped.replace("\n", " ") == text.rstrip()
    language = cases[0].language
    assert flags(wrapped, spans, language=language) == flags(text, spans, language=language)


def test_triggers_are_well_formed_and_none_stands_twice() -> None:
    rows = list(csv.DictReader(files("chartcode.linking").joinpath("context.csv").read_text("utf-8").splitlines()))
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    assert {row["language"] for row in rows} == set(LANGUAGES)
    for row in rows:
        assert row["phrase"] == row["phrase"].strip().lower()
        assert set(row["flags"].split("+")) - {""} <= set(FLAGS)
        assert row["reach"] in REACHES.get(row["kind"], {""}), row
        assert bool(row["flags"]) or row["kind"] not in REACHES
