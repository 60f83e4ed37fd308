"""The rates of mentions: fitted per condition, multiplied by params, and drawn so that little else moves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fit_twin
from chartcode.sources.synthetic import contexts, phrases, resources
from chartcode.sources.synthetic.codes import PUBLISHED_PERCENT, TOP, catalogue
from chartcode.sources.synthetic.generate import blueprint
from chartcode.sources.synthetic.hospital import Hospital, Rows, uniforms
from chartcode.sources.synthetic.lexicon import concept
from chartcode.sources.synthetic.mentions import Mark, Planner
from chartcode.sources.synthetic.rates import CONTEXTS, fitted, published, rates
from tests.sources.synthetic.settings import settings

FACTORS = ("uncoded", "negated", "family", "ruled_out", "historical", "implied_uncoded", "implied_coded")


def test_rates_csv_has_a_row_a_common_code_in_catalogue_order() -> None:
    assert tuple(fit_twin.codes()) == catalogue().codes[:TOP]
    found = fitted()
    for name, column in vars(found).items():
        assert column.shape == (TOP,), name
        assert ((column >= 0) & (column <= 1)).all(), name
    assert sum(CONTEXTS.values()) == pytest.approx(1)
    assert np.median(published()) == pytest.approx(0.589, abs=0.03)


def test_rates_csv_is_as_the_fit_wrote_it() -> None:
    again = fit_twin.closed_form(fit_twin.read_aims())
    for name, column in vars(fitted()).items():
        assert np.allclose(column, getattr(again, name), atol=1e-3), name


def test_what_the_fit_writes_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aims = fit_twin.targets()
    fit_twin.write(tmp_path / "rates.csv", aims, ["a comment", "another, with a comma"])
    monkeypatch.setattr(resources, "text", lambda name: (tmp_path / name).read_text(encoding="utf-8"))
    assert np.allclose(fit_twin.read_aims(), aims, atol=1e-5)
    assert (tmp_path / "rates.csv").read_text().startswith("# a comment\n# another, with a comma\nicd_code,")


def test_the_closed_form_gives_the_f1_it_was_asked_for() -> None:
    """Of a detector that has nothing but mentions, and of one that sees through those that are not affirmed."""
    aims = fit_twin.targets()
    found, share = fit_twin.closed_form(aims), np.array(PUBLISHED_PERCENT) / 100
    false = (found.stray + found.unaffirmed) * (1 - share) / share
    linear = 2 * found.mention / (1 + found.mention + false)
    oracle = 2 * found.mention / (1 + found.mention + found.stray * (1 - share) / share)
    inside = (found.mention > 0) & (found.mention < 0.969) & (found.stray + found.unaffirmed < 0.6)
    assert inside.sum() > 35
    assert np.allclose(linear[inside], aims.linear[inside], atol=0.01)
    free = inside & (found.mention > aims.linear / (2 - aims.linear) + 0.002)
    assert np.allclose(oracle[free], aims.oracle[free], atol=0.01)


@given(st.lists(st.floats(-0.3, 1.3), min_size=TOP, max_size=TOP), st.floats(-0.2, 0.5))
def test_any_aims_give_rates(linear: list[float], gap: float) -> None:
    found = fit_twin.closed_form(fit_twin.Aims(np.array(linear), np.array(linear) + gap))
    for column in vars(found).values():
        assert ((column >= 0) & (column <= 1)).all()


def test_params_multiply_the_fitted_rates() -> None:
    found, plain = fitted(), rates(settings(1))
    assert np.allclose(plain.mention, found.mention)
    assert np.allclose(plain.negated + plain.family + plain.ruled_out + plain.historical, found.unaffirmed)
    none = rates(settings(1, **dict.fromkeys(FACTORS, 0.0), unmentioned=0.0, shared_form=0.0))
    said = found.mention > 0
    assert (none.mention == said).all()
    for name in ("stray", "negated", "family", "ruled_out", "historical", "cue_coded", "cue_uncoded", "shared"):
        assert not getattr(none, name).any(), name
    assert np.allclose(rates(settings(1, negated=2.0)).negated, np.minimum(2 * plain.negated, 1))
    assert rates(settings(1, uncoded=20.0)).stray.max() <= 1


def _planned(**changes: float) -> list[set[Mark]]:
    """Conditions of 30 planned notes of nobody and somebody, whatever the words."""
    known, params = catalogue(), settings(1, over_mask=0.0, **changes)
    concepts = [concept(*pair) for pair in zip(known.codes[:TOP], known.titles[:TOP], strict=True)]
    found = []
    for number in range(30):
        rng = np.random.default_rng([3, number])
        voice = phrases.Voice(uniforms(np.random.default_rng(4)).__next__, 0, [], 0.3)
        planner = Planner(params, rates(params), concepts, known.chronic, voice)
        plan = planner.make(frozenset(range(number % 7, TOP, 7)), [], [], 0, rng)
        found.append({m._replace(kind=m.kind if m.kind in ("drug", "implied") else "") for m in plan.table})
    return found


@pytest.mark.parametrize("factor", FACTORS)
def test_a_higher_rate_adds_mentions_and_takes_none_away(factor: str) -> None:
    few, many = _planned(), _planned(**{factor: 3.0})
    assert all(one <= other for one, other in zip(few, many, strict=True))
    assert sum(map(len, many)) > sum(map(len, few))


def test_rates_move_no_code_and_no_patient_but_what_notes_say() -> None:
    one, other = _hospital_of(4), _hospital_of(4, uncoded=4.0)
    assert one.tables["diagnoses_icd"] == other.tables["diagnoses_icd"]
    people = [[row[:5] for row in rows.tables["patients"]] for rows in (one, other)]  # deaths at home are drawn later
    assert people[0] == people[1]
    assert one.tables["discharge"] != other.tables["discharge"]


def test_all_affirmed_mentions_of_coded_conditions_are_evidence_and_nothing_else() -> None:
    rows = _hospital_of(12, negated=8.0, uncoded=8.0)
    codes: dict[int, set[str]] = {}
    for _, hadm, _, code, version in rows.tables["diagnoses_icd"]:
        if version == 10:
            codes.setdefault(hadm, set()).add(code)
    known, marks = catalogue().codes, []
    wanted = set()
    for row, mentions in zip(rows.tables["discharge"], rows.mentions, strict=True):
        assert all(row[-1][start:end].strip() for _, start, end in mentions)
        marks += [mark for mark, _, _ in mentions]
        wanted |= {
            (row[0], known[mark.position], start, end, mark.kind)
            for mark, start, end in mentions
            if mark.affirmed and known[mark.position] in codes.get(row[2], ())
        }
    ten = {row[0] for row in rows.tables["discharge"] if row[2] in codes}
    assert {(note, code, *rest) for note, code, _, *rest in rows.evidence if note in ten} == wanted
    assert {mark.affirmed for mark in marks} == {True, False}
    assert 0 < len(wanted) < sum(mark.affirmed for mark in marks)


def test_what_stands_around_a_mention_says_whether_it_is_affirmed() -> None:
    """Also where it was copied forward: a verdict, a heading of the history, a relative."""
    refuted = [verdict for _, verdict in contexts.VERDICTS]
    seen: Counter[tuple[str, bool]] = Counter()
    rows = _hospital_of(60, copied_forward=0.8)
    for row, mentions in zip(rows.tables["discharge"], rows.mentions, strict=True):
        text = row[-1]
        for mark, start, end in mentions:
            section = re.findall(r"\n \n([A-Z][A-Za-z ]+):\n", text[:start])[-1]
            if mark.kind in ("lab", "drug", "implied"):
                assert mark.affirmed
                continue
            if section == "Past Medical History":
                headings = re.findall(r"^(.+):$", text[:start].rpartition(section)[2][1:], flags=re.M)
                affirmed = not headings or headings[-1] == "Active"
            elif section == "Brief Hospital Course":
                told = " ".join(text[end:].partition("\n\n")[0].partition("\n \n")[0].split())
                affirmed = not any(verdict in told for verdict in refuted)
            elif section == "Discharge Diagnosis":
                affirmed = True
            elif section == "Family History":
                affirmed = False
            else:
                continue
            assert mark.affirmed == affirmed, section
            seen[section, affirmed] += 1
    assert len(seen) == 6
    assert min(seen.values()) > 20


@pytest.mark.parametrize("say", [contexts.denied, contexts.of_family])
def test_sentences_say_every_condition_once_and_leave_no_slot(say: Callable[..., list[str]]) -> None:
    voice = _voice()
    told = {" ".join(say(["gout", "sepsis", "asthma", "scurvy"], voice)) for _ in range(300)}
    for sentences in told:
        assert all(sentences.lower().count(name) == 1 for name in ("gout", "sepsis", "asthma", "scurvy"))
        assert "{" not in sentences
    assert len(told) > 250  # other words stand around them each time
    assert say([], voice) == []


def _hospital_of(patients: int, **changes: float) -> Rows:
    hospital, rows = Hospital(blueprint(settings(1, **changes))), Rows()
    for number in range(patients):
        hospital.patient(number, rows)
    return rows


def _voice() -> phrases.Voice:
    return phrases.Voice(uniforms(np.random.default_rng(1)).__next__, 0, [], 0.3)


def test_neighbouring_words_do_not_tell_whether_a_condition_is_affirmed() -> None:
    """Words beside a mention that is taken back also stand beside affirmed ones, about as often."""
    rows = _hospital_of(400, uncoded=3.0)
    beside: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for row, mentions in zip(rows.tables["discharge"], rows.mentions, strict=True):
        text = row[-1].lower()
        for mark, start, end in mentions:
            if mark.kind not in ("lab", "drug", "implied"):
                beside[mark.affirmed].update(re.findall(r"\w\w+", text[end : end + 40])[:1])
                beside[mark.affirmed].update(re.findall(r"\w\w+", text[max(start - 40, 0) : start])[-1:])
    total = {kind: sum(found.values()) for kind, found in beside.items()}
    telling = [
        word
        for word, count in beside[False].items()
        if count > 0.01 * total[False] and beside[True][word] / total[True] < 0.2 * count / total[False]
    ]
    assert total[False] > 1000
    assert telling == []
