"""Agreement of evidence with marked spans: each measure against its definition by sets, and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from chartcode.evaluation import plausibility
from chartcode.evaluation.plausibility import Marks, Shares

Pairs = list[tuple[Shares, Marks]]


@st.composite
def pairs(draw: st.DrawFn) -> Pairs:
    """One to five pairs of notes of 1 to 12 words; few different shares, so ties; some gold in each."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 12))
        raw = np.array(draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, 5]), min_size=size, max_size=size)), float)
        gold = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        gold[draw(st.integers(0, size - 1))] = True
        found.append((raw / raw.sum() if raw.any() else raw, gold))
    return found


def words(shares: Shares, boundary: float) -> set[int]:
    return {word for word, share in enumerate(shares) if share >= boundary}


def stretches(chosen: set[int]) -> list[set[int]]:
    """Sequences of neighbouring words."""
    found: list[set[int]] = []
    for word in sorted(chosen):
        if found and word - 1 in found[-1]:
            found[-1].add(word)
        else:
            found.append({word})
    return found


def pooled_f1(given_pairs: Pairs, boundary: float) -> float:
    said = {(n, w) for n, (shares, _) in enumerate(given_pairs) for w in words(shares, boundary)}
    true = {(n, w) for n, (_, gold) in enumerate(given_pairs) for w in np.flatnonzero(gold).tolist()}
    return 2 * len(said & true) / (len(said) + len(true))


@given(pairs())
def test_the_boundary_is_the_share_of_best_pooled_f1_and_the_highest_of_equals(given_pairs: Pairs) -> None:
    shares = sorted({s for found, _ in given_pairs for s in found.tolist() if s > 0}, reverse=True)
    best = max(((pooled_f1(given_pairs, s), s) for s in shares), default=(0.0, plausibility.NOTHING))
    found = plausibility.best_boundary(given_pairs)
    if best[0] == 0:
        assert found == plausibility.NOTHING
    else:
        assert pooled_f1(given_pairs, found) == pytest.approx(best[0])
        assert all(pooled_f1(given_pairs, s) < best[0] + 1e-12 for s in shares if s > found)


@given(pairs())
def test_auprc_is_average_precision_of_the_pooled_words(given_pairs: Pairs) -> None:
    gold = np.concatenate([marks for _, marks in given_pairs])
    shares = np.concatenate([share for share, _ in given_pairs])
    assert plausibility.auprc(given_pairs) == pytest.approx(average_precision_score(gold, shares))


@given(pairs(), st.sampled_from([0.05, 0.2, 0.5, 1.0, plausibility.NOTHING]))
def test_a_pair_counts_as_the_definitions_say(given_pairs: Pairs, boundary: float) -> None:
    for shares, marks in given_pairs:
        found = plausibility.agreement(shares, marks, boundary)
        said, true = words(shares, boundary), set(np.flatnonzero(marks).tolist())
        assert found.words == (len(said & true), len(said), len(true))
        assert found.empty == (not said)
        said_runs, true_runs = stretches(said), stretches(true)
        matched = sum(max((len(s & t) / len(s | t) for t in true_runs), default=0) >= 0.5 for s in said_runs)
        assert found.runs == (matched, len(said_runs), len(true_runs))
        met = [run for run in true_runs if run & said]
        assert found.span_recall == pytest.approx(len(met) / len(true_runs))
        inside = sum(len(run) for run in met)
        assert found.cover == pytest.approx(sum(len(run & said) for run in met) / inside if inside else 0)
        top = sorted(range(len(shares)), key=lambda w: (-shares[w], w))[: len(true)]
        best = {w for w in top if shares[w] > 0}
        assert found.iou == pytest.approx(len(best & true) / len(best | true))


def test_perfect_evidence_is_perfect_and_none_is_nothing() -> None:
    gold = np.array([False, True, True, False, True])
    shares = gold / 3
    boundary = plausibility.best_boundary([(shares, gold)])
    found = plausibility.agreement(shares, gold, boundary)
    assert found == plausibility.Agreement((3, 3, 3), (2, 2, 2), 1.0, 1.0, 1.0)
    nothing = plausibility.agreement(np.zeros(5), gold, boundary)
    assert nothing == plausibility.Agreement((0, 0, 3), (0, 0, 2), 0.0, 0.0, 0.0)
    assert nothing.empty
    assert np.isnan(plausibility.auprc([]))
    assert plausibility.best_boundary([]) == plausibility.NOTHING
