"""Every note is read once an epoch, notes of like length together, never more tokens at once than were allowed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from chartcode.coders.batches import ALIKE, Documents, computed, pieces, updates

LENGTHS = st.lists(st.integers(1, 900), min_size=1, max_size=60).map(np.array)


def test_documents_come_back_padded_behind_their_ends() -> None:
    notes = [np.array([5, 6, 7]), np.array([8]), np.array([], int), np.array([9, 10])]
    documents = Documents.of(notes)
    assert len(documents) == 4
    assert documents.lengths.tolist() == [3, 1, 0, 2]
    ids, mask = documents.padded(np.array([3, 0, 2]))
    assert ids.tolist() == [[9, 10, 0], [5, 6, 7], [0, 0, 0]]
    assert mask.tolist() == [[True, True, False], [True, True, True], [False, False, False]]
    assert len(Documents.of([])) == 0


@given(lengths=LENGTHS, size=st.integers(1, 20), seed=st.integers(0, 5))
def test_an_epoch_holds_every_note_once(lengths: np.ndarray, size: int, seed: int) -> None:
    plan = updates(lengths, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert sorted({len(rows) for rows in plan})[-1] <= size
    assert len(plan) == -(-len(lengths) // size)
    again = updates(lengths, size, np.random.default_rng(seed))
    assert all(np.array_equal(a, b) for a, b in zip(plan, again, strict=True))


def test_notes_of_like_length_meet_others_every_epoch_and_few_pads_are_computed() -> None:
    lengths = np.random.default_rng(0).integers(100, 3000, 2000)
    first, second = (updates(lengths, 16, np.random.default_rng(seed)) for seed in (1, 2))
    assert {frozenset(rows.tolist()) for rows in first} != {frozenset(rows.tolist()) for rows in second}
    assert max(np.ptp(lengths[rows]) for rows in first) < 3 * ALIKE
    assert computed(lengths, first) < 1.03 * lengths.sum()
    in_any_order = np.array_split(np.arange(2000), 125)
    assert computed(lengths, in_any_order) > 1.5 * lengths.sum()


@given(lengths=LENGTHS, tokens=st.integers(1, 4000), fewest=st.integers(1, 4))
def test_pieces_hold_every_note_once_within_the_allowed_tokens(lengths: np.ndarray, tokens: int, fewest: int) -> None:
    rows = np.arange(len(lengths))
    parts = pieces(lengths, rows, tokens, fewest)
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    assert len(parts) >= min(fewest, len(rows))
    for part in parts:
        assert len(part) == 1 or len(part) * lengths[part].max() <= tokens
    assert computed(lengths, parts) >= lengths.sum()
