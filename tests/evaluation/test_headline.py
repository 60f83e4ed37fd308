"""Every headline number under its name equals scikit-learn's, or a plain definition where that has none."""

import warnings
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from chartcode.evaluation.cohort import Cohort
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.headline import headline, label_scores
from chartcode.evaluation.ranking import rank_notes
from chartcode.params import EvaluateParams
from tests.evaluation import oracles
from tests.evaluation.test_calibration import plain_error

KS = [1, 3, 15]
PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=KS, bootstrap_rounds=40, seed=1)
TAUS = {"global": 0.5, "per_label": 0.6, "none": 0.4}
NAN = float("nan")


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if len(values) else NAN


def expected(ward: Cohort, tau: dict[str, np.ndarray]) -> dict[str, float]:
    """All of it again, slowly."""
    truth, n = oracles.dense(ward), ward.n
    flat, said = truth.ravel(), ward.scores.ravel().astype(float)
    labelled = np.flatnonzero(truth.any(axis=1))
    present = [j for j in range(ward.labels) if truth[:, j].any()]
    told_apart = [j for j in present if not truth[:, j].all()]
    called = {kind: (ward.scores >= values).astype(int) for kind, values in tau.items()}
    one, gold = called["global"], int(ward.n_codes.sum())
    hits = int((truth & one).sum())
    precision = [hits_of / c if c else 0 for hits_of, c in zip((truth & one).sum(0), one.sum(0), strict=True)]
    recall = [hits_of / t if t else 0 for hits_of, t in zip((truth & one).sum(0), truth.sum(0), strict=True)]
    both = np.mean(precision) + np.mean(recall)
    everything = np.ones_like(truth)
    lists = {f"p_at_{k}": oracles.precision_at(ward, k) for k in KS}
    lists["r_precision"] = oracles.r_precision(ward)
    lists["map"] = oracles.average_precision(ward, truth.sum(1).tolist())
    found = {
        "n": n,
        "n_labelled": len(labelled),
        "patients": len(set(ward.patients)),
        "positives": truth.sum(),
        "labels": ward.labels,
        "labels_with_positives": len(present),
        "labels_with_auc": len(told_apart),
        "map_all_codes": mean(oracles.average_precision(ward, ward.n_codes.tolist())),
        "exact_match": metrics.accuracy_score(truth, one),
        "example_f1": mean([oracles.f1(t, c) if t.any() or c.any() else 1 for t, c in zip(truth, one, strict=True)]),
        "micro_precision": hits / one.sum() if one.any() else 0,
        "micro_recall": hits / truth.sum() if truth.any() else 0,
        "macro_f1_harmonic": 2 * np.mean(precision) * np.mean(recall) / both if both else 0,
        "micro_f1_all_codes": 2 * hits / (one.sum() + gold) if one.sum() + gold else 0,
        "micro_f1_predict_all": oracles.f1(truth, everything),
        "macro_f1_predict_all": oracles.macro_f1(truth, everything),
        "brier": float(np.mean((said - flat) ** 2)),
        "ece": plain_error(flat, ward.scores.ravel()),
        "ece_macro": mean([plain_error(truth[:, j], ward.scores[:, j]) for j in range(ward.labels)]),
        "auc_rounds": 40,
    }
    for key, values in lists.items():
        found |= {key: mean(values), f"{key}_labelled": mean([values[i] for i in labelled])}
    for k in KS:
        found[f"r_at_{k}"] = mean([oracles.precision_at(ward, k)[i] * k / truth[i].sum() for i in labelled])
    for kind, suffix in (("global", ""), ("per_label", "_per_label"), ("none", "_at_half")):
        found[f"micro_f1{suffix}"] = oracles.f1(truth, called[kind])
        found[f"macro_f1{suffix}"] = oracles.macro_f1(truth, called[kind])
    for average in ("micro", "macro"):
        found[f"{average}_f1_lift"] = found[f"{average}_f1"] - found[f"{average}_f1_predict_all"]
    for name, area in (("auroc", metrics.roc_auc_score), ("auprc", metrics.average_precision_score)):
        found[f"{name}_micro"] = area(flat, said) if 0 < flat.sum() < len(flat) else NAN
        found[f"{name}_macro"] = mean([area(truth[:, j], ward.scores[:, j]) for j in told_apart])
    if len(labelled) == truth.sum():  # one label a note: withheld, it is P@1
        found |= {"r_precision": NAN, "r_precision_labelled": NAN}
    return found


@given(oracles.wards(never=False), st.integers(0, 1000))
def test_every_number_is_what_its_name_says(ward: Cohort, seed: int) -> None:
    shift = np.random.default_rng(seed).uniform(-0.3, 0.3, ward.labels)
    tau = {kind: (value + shift).astype(np.float32) for kind, value in TAUS.items()}
    numbers = headline(ward, tau, label_scores(ward), over_all(ward), rank_notes(ward, KS), PARAMS)
    plain = {key: number for key, number in numbers.items() if not key.endswith(("_lo", "_hi"))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = expected(ward, tau)
    assert set(plain) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(plain[key].value, value, atol=1e-9, err_msg=key)
    for key in numbers.keys() - plain.keys():
        assert numbers[key].counts == numbers[key[:-3]].counts  # an interval is told where its number is


def test_intervals_surround_their_numbers() -> None:
    ward = oracles.ward(1, notes=300, labels=6, patients=120)
    tau = {kind: np.full(6, value, np.float32) for kind, value in TAUS.items()}
    numbers = headline(ward, tau, label_scores(ward), over_all(ward), rank_notes(ward, KS), PARAMS)
    bounded = [key[:-3] for key in numbers if key.endswith("_lo")]
    assert len(bounded) == 16
    for key in bounded:
        low, value, high = (numbers[name].value for name in (f"{key}_lo", key, f"{key}_hi"))
        assert low < value < high < low + 0.1, key


def test_all_codes_are_the_labels_where_gold_has_no_others() -> None:
    ward = oracles.ward(1, notes=300, labels=6, patients=120)
    ward = replace(ward, n_codes=ward.note_positives)
    tau = {kind: np.full(6, value, np.float32) for kind, value in TAUS.items()}
    numbers = headline(ward, tau, label_scores(ward), over_all(ward), rank_notes(ward, KS), PARAMS)
    for key in ("micro_f1", "map"):
        for end in ("", "_lo", "_hi"):
            assert abs(numbers[f"{key}_all_codes{end}"].value - numbers[f"{key}{end}"].value) < 1e-12, key + end
