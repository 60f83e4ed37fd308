"""The orders of a note written as other hospitals write them, to see what the grammar owes to one style."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from chartcode.extraction.drugs import Medication
from chartcode.extraction.orders import route_code, times_per_day
from tests.extraction.pharmacy import Ordered

Meaning = tuple[str, str, str, float | None, bool, str]  # drug, amount, route code, times a day, PRN, its reason
_SPOKEN = {
    "DAILY": "once a day", "BID": "twice daily", "TID": "three times a day", "QID": "four times a day",
    "QHS": "at bedtime", "QAM": "every morning", "QPM": "every evening", "Q24H": "every 24 hours",
    "Q12H": "every 12 hours", "Q8H": "every 8 hours", "Q6H": "every six hours", "Q4H": "every 4 hours",
}  # fmt: skip
_ROUTES = {
    "PO": "by mouth",
    "IV": "intravenously",
    "SC": "subcutaneously",
    "SL": "under the tongue",
    "TD": "to the skin",
}


def _rate(one: Ordered) -> str:
    return one.frequency + (":PRN " + one.reason if one.prn else "")


def plain(one: Ordered) -> str:
    return f"{one.drug} {one.dose} {one.unit} {one.route} {_rate(one).lstrip(':')}"


def spoken(one: Ordered) -> str:
    route = _ROUTES.get(one.route, one.route) if one.route != "TD" else one.route
    need = f" as needed for {one.reason}" if one.prn else ""
    return f"{one.drug.lower()} {one.dose}{one.unit} {route} {_SPOKEN.get(one.frequency, one.frequency)}{need}"


def signed(one: Ordered) -> str:
    need = f" as needed for {one.reason}" if one.prn else ""
    return f"{one.drug} {one.dose} {one.unit} Tablet Sig: One (1) Tablet {one.route} {one.frequency}{need}."


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line} " for number, line in enumerate(lines, 1))


STYLES: dict[str, tuple[Callable[[Ordered], str], Callable[[Sequence[str]], str]]] = {
    "numbered": (plain, _numbered),
    "hard-wrapped": (plain, lambda lines: "\n".join(textwrap.fill(line, 28) for line in _numbered(lines).splitlines())),
    "dashes": (plain, lambda lines: "\n".join(f"- {line}" for line in lines)),
    "bare lines": (plain, "\n".join),
    "one sentence": (plain, lambda lines: ", ".join(lines) + "."),
    "spelled out": (spoken, "\n".join),
    "Sig": (signed, _numbered),
}


def note(orders: Sequence[Ordered], style: str) -> str:
    write, join = STYLES[style]
    return f"Medications on Admission:\n{join([write(one) for one in orders])}\n\nDischarge Medications:\nNone\n"


def meant(one: Ordered) -> Meaning:
    rate = times_per_day(one.frequency) if one.frequency else None
    return one.drug.lower(), f"{one.dose} {one.unit}".lower(), route_code(one.route), rate, one.prn, one.reason


def found(drug: Medication) -> Meaning:
    order = drug.order
    amount = (
        order.strength.text
        if order.strength
        else f"{order.dose.text} {order.unit.text}"
        if order.dose and order.unit
        else ""
    )
    return (
        drug.drug.text.lower(),
        amount.lower(),
        route_code(order.route.text) if order.route else "",
        times_per_day(order.frequency.text) if order.frequency else None,
        order.prn is not None,
        order.reason.text if order.reason else "",
    )
