"""The notes read as discharge summaries and their evidence stands where it is said to stand."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.sources.synthetic import icd9, layout, phrases
from chartcode.sources.synthetic.codes import TOP, catalogue
from chartcode.sources.synthetic.labs import PANELS
from chartcode.sources.synthetic.lexicon import Concept, concept, titles_of
from chartcode.sources.synthetic.vocabulary import WORDS, word
from tests.sources.synthetic.conftest import Generated

SECTIONS = (
    "Name:", "Unit No:", "Admission Date:", "Discharge Date:", "Date of Birth:", "Sex:", "Service:", "Allergies:",
    "Attending:",
    "Chief Complaint:", "Major Surgical or Invasive Procedure:", "History of Present Illness:", "Past Medical History:",
    "Social History:", "Family History:", "Physical Exam:", "Pertinent Results:", "Brief Hospital Course:",
    "Medications on Admission:", "Discharge Medications:", "Discharge Disposition:", "Facility:",
    "Discharge Diagnosis:",
    "Discharge Condition:", "Discharge Instructions:", "Followup Instructions:",
)  # fmt: skip
KINDS = {"title", "synonym", "abbreviation", "lab", "drug", "implied"}
ANALYTES = {analyte.name for panel in PANELS.values() for analyte in panel}


def test_sections_stand_in_mimic_order(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        places = [row["text"].find(f"{section}") for section in SECTIONS]
        assert -1 not in places
        assert places == sorted(places)


def test_social_history_is_masked(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        assert "\nSocial History:\n___\n \nFamily History:" in row["text"]


def test_separators_hold_one_blank_and_no_fence_is_left(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        assert row["text"].count("\n \n") >= 20
        assert not re.search("[\ue000-\uf8ff]", row["text"])
        assert "{" not in row["text"]


def test_prose_is_hard_wrapped(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        story = row["text"].partition("History of Present Illness:\n")[2].partition("\n \n")[0]
        assert max(map(len, story.split("\n"))) <= 66
    story_lines = [line for row in generated.tables["discharge"] for line in row["text"].split("\n") if len(line) > 50]
    assert sum(line.endswith(" ") for line in story_lines) > 0.5 * len(story_lines)


def test_masks_are_three_underscores_only(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        assert "[**" not in row["text"]
        assert set(re.findall("_+", row["text"])) == {"___"}


def test_no_code_leaks_into_the_text(generated: Generated) -> None:
    codes = {row["icd_code"] for row in generated.tables["d_icd_diagnoses"] if row["icd_version"] == "10"}
    forbidden = codes | {f"{code[:3]}.{code[3:]}" for code in codes if len(code) > 3}
    for row in generated.tables["discharge"]:
        assert forbidden.isdisjoint(re.findall(r"[A-Za-z0-9.]+", row["text"]))


def test_evidence_spans_hold_the_words_of_a_coded_condition(generated: Generated) -> None:
    known = catalogue()
    title = dict(zip(known.codes, known.titles, strict=True))
    concepts: dict[str, Concept] = {}
    notes, ten, nine = generated.notes(), generated.codes("10"), generated.codes("9")
    of_nine: dict[str, list[str]] = {}
    for code in known.codes:
        if icd9.is_mapped(code):
            of_nine.setdefault(icd9.to_icd9(code), []).append(code)
    exact = total = 0
    for row in generated.evidence:
        note, code = notes[str(row["note_id"])], str(row["icd_code"])
        assert code in ten.get(note["hadm_id"], set()) | nine.get(note["hadm_id"], set())
        assert row["kind"] in KINDS
        start, end = int(str(row["start"])), int(str(row["end"]))
        span = note["text"][start:end]
        assert span == span.strip() != ""
        if row["kind"] == "lab":
            analyte, value = re.fullmatch(r"(.+?)-(\d+\.?\d*)\*", " ".join(span.split())).groups()  # type: ignore[union-attr]
            assert analyte in ANALYTES
            assert float(value) >= 0
            continue
        forms: set[str] = set()
        for source in [code] if code in title else of_nine[code]:
            if source not in concepts:
                concepts[source] = concept(source, title[source])
            forms |= {form.lower() for form in concepts[source].forms}
        total += 1
        exact += " ".join(span.split()).lower() in forms
    assert total > 5000
    assert exact / total > 0.97  # the rest is misspelt


def test_mentions_are_numbered_in_the_order_of_the_text(generated: Generated) -> None:
    by_note: dict[str, list[dict[str, object]]] = {}
    for row in generated.evidence:
        by_note.setdefault(str(row["note_id"]), []).append(row)
    for rows in by_note.values():
        assert [row["mention"] for row in rows] == list(range(len(rows)))
        starts = [int(str(row["start"])) for row in rows]
        assert starts == sorted(starts)
        assert all(int(str(a["end"])) <= int(str(b["start"])) for a, b in pairwise(rows))


def test_every_kind_of_evidence_occurs_and_most_admissions_have_some(generated: Generated) -> None:
    assert {row["kind"] for row in generated.evidence} == KINDS
    assert len({row["note_id"] for row in generated.evidence}) > 0.97 * len(generated.tables["discharge"])


def test_some_coded_conditions_are_not_stated_and_some_stated_ones_not_coded(generated: Generated) -> None:
    codes, notes = generated.codes("10"), generated.notes()
    stated = {(str(row["note_id"]), str(row["icd_code"])) for row in generated.evidence}
    common = set(catalogue().codes[:TOP])
    silent = said = stray = 0
    for note_id, note in notes.items():
        has = codes.get(note["hadm_id"])
        if has is None:
            continue
        for code in common & has:
            said += (note_id, code) in stated
            silent += (note_id, code) not in stated
        stray += "E785" not in has and bool(re.search(r"\b(hyperlipidemia|HLD)\b", note["text"], re.I))
    assert said > silent > 0
    assert stray > 0


def test_immunisation_is_never_stated(generated: Generated) -> None:
    assert not [row for row in generated.evidence if row["icd_code"] == "Z23"]


def test_obstetric_patients_are_women_of_age_and_prostates_are_mens(generated: Generated) -> None:
    person = {row["subject_id"]: row for row in generated.tables["patients"]}
    seen = set()
    for row in generated.tables["diagnoses_icd"]:
        patient = person[row["subject_id"]]
        if row["icd_version"] == "10" and row["icd_code"].startswith(("O", "Z37", "Z3A")):
            assert patient["gender"] == "F"
            assert int(patient["anchor_age"]) <= 50
            seen.add("O")
        if row["icd_version"] == "10" and row["icd_code"].startswith(("N40", "C61")):
            assert patient["gender"] == "M"
            seen.add("N40")
    assert seen == {"O", "N40"}


def test_a_note_speaks_of_a_man_or_of_a_woman(generated: Generated) -> None:
    others = {"M": r"\b(she|hers?|husband|ovarian)\b", "F": r"\b(he|his|him|wife)\b"}
    sex = {row["subject_id"]: row["gender"] for row in generated.tables["patients"]}
    assert set(sex.values()) == set(others)
    for row in generated.tables["discharge"]:
        assert not re.search(others[sex[row["subject_id"]]], row["text"], re.I)


def test_discharge_diagnoses_are_told_once_each(generated: Generated) -> None:
    for row in generated.tables["discharge"]:
        told = row["text"].partition("\nDischarge Diagnosis:\n")[2].partition("\n \n")[0].lower()
        diagnoses = re.sub("^primary: |secondary: \n", "", told, flags=re.M).split("\n")
        assert len(set(diagnoses)) == len(diagnoses)


def test_text_of_a_later_stay_repeats_lines_of_the_one_before(generated: Generated) -> None:
    before: dict[str, set[str]] = {}
    shared = later = 0
    for row in generated.tables["discharge"]:
        history = set(row["text"].partition("Past Medical History:\n")[2].partition("\n \n")[0].split("\n"))
        if row["subject_id"] in before:
            later += 1
            shared += len(history & before[row["subject_id"]]) >= 3
        before[row["subject_id"]] = history
    assert 0.1 < shared / later < 0.8


@given(
    st.lists(st.tuples(st.text("ab \n", max_size=6), st.text("xyz", min_size=1, max_size=5)), max_size=8),
    st.integers(10, 70),
)
def test_fences_come_out_as_the_spans_they_enclosed(parts: list[tuple[str, str]], width: int) -> None:
    fenced = " ".join(between + " " + layout.fence(number, inside) for number, (between, inside) in enumerate(parts))
    text, spans = layout.unfence(layout.wrap(fenced, width))
    assert [number for number, _, _ in spans] == list(range(len(parts)))
    assert [text[start:end] for _, start, end in spans] == [inside for _, inside in parts]
    assert text.split() == layout.unfence(fenced)[0].split()
    assert text == layout.wrap(layout.unfence(fenced)[0], width)  # no line is shorter because evidence stands on it


@given(st.text("ab cd\n", max_size=200), st.integers(5, 70))
def test_wrapping_changes_white_space_only_and_breaks_as_late_as_it_can(text: str, width: int) -> None:
    lines = layout.wrap(text, width).split("\n")
    assert " ".join(lines).split() == text.split()
    for line, following in pairwise(lines):
        assert len(line.rstrip()) <= max(width, len(line.split()[0]))
        assert len(line) + len(following.split()[0]) > width


def test_refencing_keeps_known_mentions_and_drops_the_others() -> None:
    copied = layout.refence(f"has {layout.fence(0, 'gout')} and {layout.fence(1, 'flu')}", {1: 7})
    text, spans = layout.unfence(copied)
    assert text == "has gout and flu"
    assert [(number, text[start:end]) for number, start, end in spans] == [(7, "flu")]


@pytest.mark.parametrize(
    ("title", "form"),
    [
        ("Hyperlipidemia, unspecified", "hyperlipidemia"),
        ("Essential (primary) hypertension", "essential hypertension"),
        ("Cellulitis of right lower limb", "cellulitis of right lower limb"),
        ("Unspecified atrial fibrillation", "atrial fibrillation"),
        ("COVID-19", "COVID-19"),
        ("Fracture of unspecified part of neck of right femur, initial encounter for closed fracture",
         "fracture of neck of right femur"),
        ("Parkinson's disease", "Parkinson's disease"),
    ],
)  # fmt: skip
def test_titles_lose_the_language_of_coding(title: str, form: str) -> None:
    assert titles_of(title)[0] == form


def test_rare_words_are_distinct_for_distinct_ranks_in_the_main() -> None:
    words = {word(rank) for rank in range(0, WORDS, 37)}
    assert len(words) > 0.98 * len(range(0, WORDS, 37))
    assert all(candidate.replace("-", "").isalpha() for candidate in words)


def test_every_sentence_of_the_bank_can_be_said() -> None:
    voice = phrases.Voice(lambda: 0.5, 1, ["word"], 0.5)
    for sentences in phrases.bank().values():
        for sentence in sentences:
            said = voice.say(sentence)
            assert said.strip() == said != ""
            assert "{" not in said
