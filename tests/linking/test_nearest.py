"""Nearest names, spellings, synonyms and the ranker, each against an obvious oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chartcode.linking import ranking
from chartcode.linking.nearest import BATCH, Nearest, top
from chartcode.linking.spelling import parts, plain_words, stems_of
from chartcode.linking.synonyms import Synonyms


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.integers(1, 50))
def test_top_is_the_head_of_a_stable_sort(scores: np.ndarray, count: int) -> None:
    expected = sorted(range(len(scores)), key=lambda at: (-scores[at], at))[:count]
    assert top(scores, count).tolist() == expected


def test_cosines_are_those_of_the_formula() -> None:
    names = ["renal cyst", "renal failure", "asthma", "cystic kidney"]
    queries = ["renal cysts", "zzz"] * BATCH
    found = np.concatenate(list(Nearest(names).cosines(queries)))
    assert found.shape == (2 * BATCH, 4)

    def runs(text: str) -> dict[str, float]:
        counts: dict[str, int] = {}
        for word in text.split():
            for n in (2, 3, 4):
                for at in range(max(1, len(word) + 2 - n + 1)):
                    run = f" {word} "[at : at + n]
                    counts[run] = counts.get(run, 0) + 1
        return {run: 1 + math.log(count) for run, count in counts.items()}

    documents = [runs(name) for name in names]
    idf = {r: 1 + math.log(5 / (1 + sum(r in d for d in documents))) for d in documents for r in d}

    def unit(weights: dict[str, float]) -> dict[str, float]:
        kept = {run: weight * idf[run] for run, weight in weights.items() if run in idf}
        length = math.sqrt(sum(weight**2 for weight in kept.values())) or 1.0
        return {run: weight / length for run, weight in kept.items()}

    query = unit(runs("renal cysts"))
    expected = [sum(query.get(run, 0) * weight for run, weight in unit(d).items()) for d in documents]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert not found[1].any()


def test_spellings_of_one_thing_meet() -> None:
    def bag(name: str) -> tuple[str, ...]:
        return stems_of(plain_words(name))

    assert plain_words("Factor V deficiency") == plain_words("factor five deficiency")
    assert plain_words("Alzheimer's disease") == plain_words("alzheimer s disease")
    assert bag("Carcinoma, breast") == bag("carcinomas of the breast")
    assert bag("hypertensive") == bag("hypertension")
    assert plain_words("hypertensive") != plain_words("hypertension")
    assert bag("type 1 diabetes") != bag("type 2 diabetes")
    assert bag("of the") == ("of", "the"), "a name of small words alone keeps them"


def test_coordinations_are_read_in_each_way() -> None:
    assert ["breast cancer", "ovarian cancer"] in parts("breast and ovarian cancer")
    assert ["cancer of the breast", "cancer of the ovary"] in parts("cancer of the breast or ovary")
    assert ["pleural effusion", "pericardial effusion", "peritoneal effusion"] in parts(
        "pleural, pericardial and peritoneal effusion"
    )
    assert ["nausea", "vomiting"] in parts("nausea/vomiting")
    assert parts("breast cancer") == []
    assert parts("and") == []


def test_synonyms_are_read_off_names_of_one_code() -> None:
    bags = [
        ("failur", "kidney"),
        ("failur", "renal"),
        ("kidney", "stone"),
        ("renal", "stone"),
        ("acut", "hepat"),
        ("hepat",),
    ]
    learned = Synonyms.of(bags, ["A", "A", "B", "B", "C", "C"])
    assert learned.likeness("kidney", "renal") == 1.0
    assert learned.likeness("failur", "stone") == 0.0
    assert learned.without("acut") == 0.0, "once is not often enough"
    assert (("cyst", "renal"), 1.0) in learned.variants(("cyst", "kidney"))


@given(st.integers(0, 10_000))
def test_the_ranker_s_weights_are_where_its_gradient_is_zero(seed: int) -> None:
    random = np.random.default_rng(seed)
    evidence = [random.normal(size=(random.integers(2, 6), 3)) for _ in range(12)]
    right = []
    for one in evidence:
        marks = np.zeros(len(one), bool)
        marks[random.integers(len(one))] = True
        right.append(marks)
    l2 = 0.7
    weights = ranking.fit(evidence, right, l2)

    def loss(w: np.ndarray) -> float:
        total = l2 / 2 * float(w @ w)
        for one, marks in zip(evidence, right, strict=True):
            total -= math.log(ranking.shares(one, w)[marks].sum())
        return total

    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1e-4
        assert abs(loss(weights + step) - loss(weights - step)) / 2e-4 < 1e-2


def test_shares_sum_to_one_and_survive_large_scores() -> None:
    shares = ranking.shares(np.array([[1000.0], [999.0], [-1000.0]]), np.array([1.0]))
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(1 / (1 + math.exp(-1)))
    assert len(ranking.shares(np.zeros((0, 1)), np.array([1.0]))) == 0


def test_a_calibration_finds_the_logit_it_was_drawn_from() -> None:
    random = np.random.default_rng(1)
    x = np.column_stack([np.ones(40_000), random.normal(size=40_000)])
    y = (random.random(40_000) < ranking.sigmoid(x @ [-0.5, 1.5])).astype(float)
    np.testing.assert_allclose(ranking.logistic(x, y, 1.0), [-0.5, 1.5], atol=0.06)
