"""How the report writes numbers: three decimals, thousands apart, a dash for what is withheld or not defined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chartcode.privacy import small
from chartcode.report.document import NOTHING


def number(value: Any, digits: int = 3) -> str:
    """A score or a count."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return NOTHING
    said = f"{value:,d}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return said.replace("-", "−")


def with_interval(numbers: Mapping[str, Any], key: str) -> str:
    """A score and its 95% interval, where there is one."""
    low, high = numbers.get(f"{key}_lo"), numbers.get(f"{key}_hi")
    value = number(numbers.get(key))
    return value if low is None or high is None else f"{value} [{low:.3f}, {high:.3f}]"


def count(value: int | None) -> str:
    """A count, withheld when it is small."""
    return NOTHING if value is None or small(value) else f"{value:,d}"


def about(value: int) -> str:
    """A count to two digits, so that no difference of two of them is known to the note."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 100 else "fewer than 100"


def percent(value: float) -> str:
    """A share of one."""
    return f"{100 * value:.1f}%"
