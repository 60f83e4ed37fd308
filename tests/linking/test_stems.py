"""Counts worked out by hand."""

from __future__ import annotations

import numpy as np

from chartcode.linking.candidates import ALL
from chartcode.linking.stems import StemCodes

NAMES = [(("kidney", "diseas"), "K"), (("renal", "diseas"), "K"), (("liver", "diseas"), "L")]
MENTIONS = [(("impair", "renal"), "K", 0, 2), (("impair",), "L", 1, 1)]
WEIGHT = {"renal": 3.0, "impair": 1.0, "diseas": 1.0, "odd": 2.0}


def test_each_stem_speaks_for_its_codes_by_its_weight() -> None:
    said = StemCodes(NAMES, MENTIONS).shares(("diseas", "renal"), ["K", "L", "X"], ALL, WEIGHT)
    by_names = np.sqrt([(3 * 1 + 1 * 2 / 3) / 4, (1 / 3) / 4, 0])
    np.testing.assert_allclose(said[:, 0], by_names)
    np.testing.assert_allclose(said[:, 1], np.sqrt([3 * (2 / 3) / 4, 0, 0]))


def test_a_query_of_train_does_not_see_its_own_fold() -> None:
    stems = StemCodes(NAMES, MENTIONS)
    own = stems.shares(("impair",), ["K", "L"], 0, WEIGHT)
    np.testing.assert_allclose(own[:, 1], np.sqrt([0, 1 / 2]))
    np.testing.assert_allclose(stems.shares(("impair",), ["K"], 1, WEIGHT)[:, 1], np.sqrt([2 / 3]))


def test_the_same_name_twice_counts_once_and_unknown_stems_say_nothing() -> None:
    twice, once = StemCodes([*NAMES, NAMES[0]], []), StemCodes(NAMES, [])
    asked = (("diseas",), ["K", "L"], ALL, WEIGHT)
    np.testing.assert_array_equal(twice.shares(*asked), once.shares(*asked))
    assert not twice.shares(("odd",), ["K"], ALL, WEIGHT).any()
    assert twice.shares((), ["K"], ALL, WEIGHT).tolist() == [[0, 0]]
