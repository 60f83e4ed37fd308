"""What the report counts: bars add up, no bar, step or cell gives a small count away."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartcode.privacy import small
from chartcode.report.cards import folded
from chartcode.report.facts import _edges, merged
from chartcode.report.svg import Axis, nice, short


@given(st.lists(st.integers(0, 60), min_size=1, max_size=400))
def test_bars_hold_every_value_and_none_holds_few(values: list[int]) -> None:
    array = np.array(values)
    bars = merged(array, np.arange(62) - 0.5)
    counts = [round(height * (right - left) * len(values), 6) for left, right, height in bars]
    assert all(not small(count) for count in counts)
    if len(values) >= 11:
        assert sum(counts) == pytest.approx(len(values))
        assert [left for left, _, _ in bars[1:]] == [right for _, right, _ in bars[:-1]]
        for (left, right, _), count in zip(bars, counts, strict=True):
            assert count == pytest.approx(np.count_nonzero((array > left) & (array < right)))
    else:
        assert bars == []


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50))
def test_edges_hold_every_length(values: list[int]) -> None:
    edges = _edges(np.array(values))
    assert edges[0] == 0 and edges[-1] > max(values) and (np.diff(edges) > 0).all()


@given(st.lists(st.sampled_from([0, 0, 1, 5, 10, 11, 40]), max_size=8))
def test_a_waterfall_tells_no_step_of_few_notes_and_loses_none(removed: list[int]) -> None:
    left, steps = 1000, [{"step": "notes", "notes": 1000, "removed": 0}]
    for number, gone in enumerate(removed):
        left -= gone
        steps.append({"step": f"rule {number}", "notes": left, "removed": gone})
    rows = folded(steps)
    assert rows[-1][1] == left
    assert sum(gone for _, _, gone in rows) == sum(removed)
    assert " + ".join(name for name, _, _ in rows) == " + ".join(step["step"] for step in steps)
    if small(sum(removed)):
        assert len(rows) == 1, "the number before is not told"
    else:
        assert not any(small(gone) for _, _, gone in rows)
        assert not any(small(a - b) for (_, a, _), (_, b, _) in itertools.pairwise(rows))


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (0.25, "0.25"), (1500, "1,500"), (20000, "20k"), (1e-4, "1e-4")])
def test_axes_speak_plainly(value: float, said: str) -> None:
    assert short(value) == said


@given(st.floats(1e-6, 1e6), st.floats(0, 1e5))
def test_ticks_are_few_round_and_inside(span: float, low: float) -> None:
    axis = Axis("", low, low + span)
    if span > low * 1e-9:
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 7
        step = nice(span / 5)
        assert all(low - step * 1e-6 <= tick <= low + span + step * 1e-6 for tick in ticks)
