"""The difficulty of the hospital is measured on the notes of the hospital, and the oracle is told no code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import difficulty, fit_twin, twin
from chartcode import params
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from chartcode.coders.tfidf import TfidfParams
from chartcode.lineage import ROOT
from chartcode.sources.synthetic.codes import TOP
from chartcode.sources.synthetic.generate import blueprint
from chartcode.sources.synthetic.hospital import Blueprint, Hospital
from chartcode.sources.synthetic.rates import published
from tests.sources.synthetic.settings import settings

PATIENTS = 90
CODER = params.load(TfidfParams, ROOT / "params.yaml")


@pytest.fixture(scope="module")
def plan() -> Blueprint:
    return blueprint(settings(PATIENTS))


@pytest.fixture(scope="module")
def data(plan: Blueprint) -> difficulty.Data:
    return difficulty.gather(plan, CODER, 1)


def test_parts_hold_clean_icd_10_notes_their_codes_and_mentions(plan: Blueprint) -> None:
    part = difficulty.part_of(Hospital(plan), 0, 20)
    assert len(part.texts) == len(part.truth) == len(part.patient) == len(part.mentions)
    assert set(part.patient.tolist()) <= set(range(20))
    assert part.truth.sum() > len(part.truth)
    assert not any("\n \n" in text for text in part.texts.to_pylist())
    words = [mention for found in part.mentions for mention in found]
    assert {mention[:2] for mention in words} == {"0 ", "1 "}
    assert not [mention for mention in words if re.search(r"-\d+\.?\d*\*$", mention)]  # no laboratory value


def test_patients_are_dealt_evenly() -> None:
    shares = np.bincount(difficulty.dealt(np.arange(700, 1100), 0.6)) / 400
    assert np.allclose(shares, (0.6, 0.2, 0.2), atol=0.01)


def test_rows_of_features_are_those_of_the_labels(data: difficulty.Data) -> None:
    held = int((data.split > 0).sum())
    for train, rest in (data.linear, data.oracle):
        assert train.shape[0] == len(data.split) - held
        assert rest.shape[0] == held
        assert train.shape[1] == rest.shape[1]
    of_patient = {(p, s) for p, s in zip(data.patient.tolist(), data.split.tolist(), strict=True)}
    assert len(of_patient) == len({p for p, _ in of_patient})  # nobody is in two splits


def test_the_oracle_finds_what_is_stated() -> None:
    """It gains from notes that state what is coded and affirm nothing else, more than who cannot read a denial."""
    clear = settings(
        400, unmentioned=0.0, uncoded=0.0, negated=5.0, shared_form=0.0, implied_uncoded=0.0, over_mask=0.0,
        copied_forward=0.0,
    )  # fmt: skip
    easy = difficulty.gather(blueprint(clear), CODER, 1)
    hard = difficulty.gather(blueprint(settings(400)), CODER, 1)
    model = OneVsRestLogistic(C=1.0, tol=1e-3)
    scores = [difficulty.judge(data, data.oracle, model).micro_f1 for data in (easy, hard)]
    assert scores[0] > scores[1] + 0.05
    assert difficulty.judge(easy, easy.linear, model).micro_f1 < scores[0]


def test_the_table_says_what_is_off(data: difficulty.Data, capsys: pytest.CaptureFixture[str]) -> None:
    linear = difficulty.judge(data, data.linear, OneVsRestLogistic(class_weight="balanced", tol=1e-2))
    as_published = replace(linear, f1=published(), micro_f1=0.617, p_at_5=0.526, auroc_micro=0.928, auroc_macro=0.910)
    assert twin.difficulty(as_published, replace(as_published, micro_f1=0.75)) == 0
    assert twin.difficulty(replace(as_published, micro_f1=0.7), as_published) == 2  # and no gap
    assert len(capsys.readouterr().out.splitlines()) == 2 * (13 + 2 + TOP)


def test_the_fit_keeps_its_best_round(tmp_path: Path, data: difficulty.Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital that answers each aim with an F1 below it: the fit asks for more until it has what it wants."""
    judged = difficulty.judge(data, data.linear, OneVsRestLogistic(class_weight="balanced", tol=1e-2))
    asked: list[fit_twin.Aims] = []
    closed_form = fit_twin.closed_form

    def remember(aims: fit_twin.Aims) -> object:
        asked.append(aims)
        return closed_form(aims)

    def answer(*_: object, **__: object) -> tuple[difficulty.Judged, difficulty.Judged]:
        return replace(judged, both=asked[-1].linear - 0.1), replace(judged, both=asked[-1].oracle - 0.05)

    monkeypatch.setattr(fit_twin, "closed_form", remember)
    monkeypatch.setattr(fit_twin, "measure", answer)
    path = tmp_path / "rates.csv"
    assert fit_twin.fit(settings(3), CODER, fit_twin.targets(), 6, path) < 0.01
    kept = [line.split(",") for line in path.read_text().splitlines() if not line.startswith("#")]
    assert len(kept) == TOP + 1
    wanted = np.clip(fit_twin.targets().linear + 0.1, 0.03, 0.97)
    assert np.allclose([float(row[-2]) for row in kept[1:]], wanted, atol=0.01)
