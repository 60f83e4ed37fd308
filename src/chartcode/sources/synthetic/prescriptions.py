"""The pharmacy: orders for the drugs a note names and for those that every inpatient gets."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

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
    "Heparin", "0.9% Sodium Chloride", "Sodium Chloride 0.9%  Flush", "Acetaminophen", "Insulin", "Potassium Chloride", "Magnesium Sulfate",
    "Docusate Sodium", "Senna", "Ondansetron", "HYDROmorphone (Dilaudid)", "OxyCODONE (Immediate Release)", "Furosemide", "Bisacodyl",
    "Vancomycin", "CefePIME", "Pantoprazole", "Lorazepam", "Morphine Sulfate", "5% Dextrose", "Influenza Vaccine Quadrivalent",
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


def product(name: str) -> Product:
    """The formulary entry of a drug, made up from its name and always the same."""
    key = zlib.crc32(name.lower().encode())
    low = name.lower()
    strength = ("5", "10", "20", "25", "40", "50", "81", "100", "250", "325", "500", "1000")[key % 12]
    letters = "".join(filter(str.isalpha, low))[:4].upper()
    if "insulin" in low or low in ("lantus", "glargine", "humalog", "detemir"):
        unit, form, route, per_day = "UNIT", "VIAL", "SC", ""
    elif any(part in low for part in _INTRAVENOUS):
        unit, form, route, per_day = (
            ("mL" if "%" in low else "mg"),
            "BAG" if "%" in low else "VIAL",
            "IV",
            str(key // 7 % 3 + 1),
        )
    elif low in ("albuterol", "tiotropium", "ipratropium", "spiriva", "advair", "fluticasone"):
        unit, form, route, per_day = "NEB", "VIAL", "IH", str(key // 7 % 4 + 1)
    else:
        unit, form, route, per_day = (
            "mg",
            ("TAB", "CAP", "UDCUP")[key // 5 % 3 if key % 4 == 0 else 0],
            ("PO/NG", "PO")[key // 3 % 2],
            str(key // 7 % 3 + 1),
        )
    return Product(
        name, f"{letters}{strength}{form[0]}", f"{key % 76_000:06d}", f"{key * 7 % 10**11:011d}", f"{strength}{unit} {form.title()}",
        strength, unit, form, per_day, route,
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
