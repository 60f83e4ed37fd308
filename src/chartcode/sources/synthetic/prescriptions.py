"""The pharmacy: orders for the drugs a note names and for those that every inpatient gets."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from chartcode.sources.synthetic import resources

Uniform = Callable[[], float]


@dataclass(frozen=True)
class Product:
    """What the formulary says of a drug."""

    name: str
    formulary: str
    gsn: str
    ndc: str
    strength: str
    dose: str
    unit: str
    form: str
    per_day: str
    route: str


ROUTINE = (
    "Heparin", "0.9% Sodium Chloride", "Sodium Chloride 0.9%  Flush", "Acetaminophen", "Insulin", "Potassium Chloride",
    "Magnesium Sulfate",
    "Docusate Sodium", "Senna", "Ondansetron", "HYDROmorphone (Dilaudid)", "OxyCODONE (Immediate Release)",
    "Furosemide", "Bisacodyl",
    "Vancomycin", "CefePIME", "Pantoprazole", "Lorazepam", "Morphine Sulfate", "5% Dextrose",
    "Influenza Vaccine Quadrivalent",
)  # fmt: skip
_INTRAVENOUS = (
    "chloride",
    "dextrose",
    "sulfate",
    "vancomycin",
    "cefepime",
    "dilaudid",
    "heparin",
    "ceftriaxone",
    "meropenem",
    "daptomycin",
)
_PER_DAY = {"BID": "2", "Q12H": "2", "TID": "3", "Q8H": "3", "QID": "4", "Q6H": "4", "Q4H": "6"}


@lru_cache(maxsize=1)
def formulary() -> dict[str, tuple[tuple[str, ...], str, str, str]]:
    """Doses, unit, route and frequency of each drug that notes name, from prescriptions.csv."""
    return {
        row["drug"]: (tuple(row["doses"].split("/")), row["unit"], row["route"], row["frequency"])
        for row in resources.rows("prescriptions.csv")
    }


def instruction(name: str, uniform: Uniform) -> str:
    """How a note writes the order, `40 mg PO DAILY`; empty for a drug outside the formulary."""
    entry = formulary().get(name.lower())
    if entry is None:
        return ""
    doses, unit, route, frequency = entry
    return f"{doses[int(uniform() * len(doses))]} {unit} {route} {frequency}"


@lru_cache(maxsize=1024)
def product(name: str) -> Product:
    """The formulary entry of a drug; codes are made up from its name and always the same."""
    key = zlib.crc32(name.lower().encode())
    low = name.lower()
    doses, unit, route, frequency = formulary().get(
        low, ((("5", "10", "100", "500", "1000")[key % 5],), "mg", "PO/NG", "DAILY")
    )
    if low not in formulary() and any(part in low for part in _INTRAVENOUS):
        unit, route = ("mL" if "%" in low else "mg"), "IV"
    strength = doses[key % len(doses)]
    form = (
        "BAG"
        if unit == "mL" and route == "IV"
        else "VIAL"
        if route in ("IV", "SC")
        else "TAB"
        if unit in ("mg", "mcg", "TAB")
        else unit
    )
    letters = "".join(filter(str.isalpha, low))[:4].upper()
    return Product(
        name, f"{letters}{strength}{form[0]}", f"{key % 76_000:06d}", f"{key * 7 % 10**11:011d}",
        f"{strength}{unit} {form.title()}",
        strength, unit, form, _PER_DAY.get(frequency.partition(":")[0], "1"), route,
    )  # fmt: skip


def orders(
    names: list[str], admitted: datetime, discharged: datetime, uniform: Uniform
) -> list[tuple[Product, datetime, datetime]]:
    """(product, start, stop) of each order, inside the stay, in the order they were written."""
    hours = max(int((discharged - admitted).total_seconds() // 3600), 2)
    chosen = [name for name in names if uniform() < 0.85]
    chosen += [name for name in ROUTINE if uniform() < 0.35]
    found = []
    for name in chosen:
        start = (admitted + timedelta(hours=int(uniform() ** 2 * hours * 0.8))).replace(minute=0)
        start = max(start, admitted.replace(minute=0))
        stop = min(start + timedelta(hours=1 + int(uniform() * (hours + 12))), discharged.replace(minute=0))
        found.append((product(name), start, stop))
    return sorted(found, key=lambda order: (order[1], order[0].name))
