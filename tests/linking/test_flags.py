"""One list of flags serves context, mentions, metrics and reports."""

from __future__ import annotations

from chartcode.extraction.notes import Mention
from chartcode.linking.calibration import BAG, LEARNED, UNUSED
from chartcode.linking.context import Context
from chartcode.linking.flags import FLAGS, ORDER, TAKEN_BACK
from chartcode.linking.mentions import MENTIONS
from chartcode.report.mentions import CONTEXTS


def test_whoever_names_flags_names_these() -> None:
    assert Context._fields == (*FLAGS, "trigger"), "Context is built by place"
    assert [name for name in MENTIONS.names if name in FLAGS] == list(FLAGS)
    assert set(FLAGS) < set(Mention._fields)
    assert set(ORDER) == set(CONTEXTS) == set(UNUSED) - {BAG, LEARNED} == set(FLAGS)
    assert set(TAKEN_BACK) < set(FLAGS)
