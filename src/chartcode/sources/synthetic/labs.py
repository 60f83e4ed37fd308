"""The laboratory: panels as MIMIC prints them, their values moved by the conditions the patient has.

A value is drawn near its normal mean; a coded condition shifts it by some standard deviations, with so much spread that
the values of patients with and without the condition overlap. Values out of range carry a star. Only a starred value
whose condition is coded is evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[], float]
Fence = Callable[[str, str], str]  # (icd_code, text) -> text fenced as laboratory evidence


@dataclass(frozen=True)
class Analyte:
    """Printed name, mean, standard deviation, decimals, reference range and the share of masked values."""

    name: str
    mean: float
    sd: float
    decimals: int
    low: float
    high: float


PANELS: dict[str, tuple[Analyte, ...]] = {
    "cbc": (
        Analyte("WBC", 7.8, 2.3, 1, 4.0, 11.0), Analyte("RBC", 4.0, 0.5, 2, 3.8, 6.1),
        Analyte("Hgb", 12.2, 1.6, 1, 10.6, 17.5),
        Analyte("Hct", 37.0, 4.5, 1, 33.0, 51.0), Analyte("MCV", 91.0, 5.0, 0, 82.0, 98.0),
        Analyte("MCH", 29.8, 2.0, 1, 26.0, 32.5),
        Analyte("MCHC", 32.8, 1.0, 1, 31.0, 37.0), Analyte("RDW", 14.0, 1.3, 1, 10.5, 16.0),
        Analyte("Plt Ct", 225.0, 60.0, 0, 145.0, 400.0),
    ),
    "chem": (
        Analyte("Glucose", 112.0, 20.0, 0, 70.0, 150.0), Analyte("UreaN", 17.0, 6.0, 0, 6.0, 26.0),
        Analyte("Creat", 0.9, 0.2, 1, 0.4, 1.3),
        Analyte("Na", 139.0, 2.6, 0, 133.0, 147.0), Analyte("K", 4.2, 0.4, 1, 3.3, 5.2),
        Analyte("Cl", 102.0, 3.5, 0, 94.0, 109.0),
        Analyte("HCO3", 25.0, 2.4, 0, 21.0, 32.0), Analyte("AnGap", 14.0, 2.4, 0, 8.0, 20.0),
    ),
    "lft": (
        Analyte("ALT", 24.0, 9.0, 0, 0.0, 45.0), Analyte("AST", 27.0, 9.0, 0, 0.0, 48.0),
        Analyte("AlkPhos", 82.0, 22.0, 0, 30.0, 130.0),
        Analyte("TotBili", 0.6, 0.25, 1, 0.0, 1.5),
    ),
    "electrolytes": (
        Analyte("Calcium", 8.9, 0.5, 1, 8.0, 10.5), Analyte("Phos", 3.5, 0.7, 1, 2.3, 5.0),
        Analyte("Mg", 2.0, 0.25, 1, 1.5, 2.6),
    ),
    "coag": (Analyte("PTT", 31.0, 4.0, 1, 24.0, 38.0), Analyte("INR", 1.1, 0.12, 1, 0.8, 1.4)),
    "cardiac": (Analyte("cTropnT", 0.01, 0.006, 2, 0.0, 0.02), Analyte("proBNP", 600.0, 420.0, 0, 0.0, 2000.0)),
    "gas": (
        Analyte("pO2", 88.0, 14.0, 0, 75.0, 120.0), Analyte("pCO2", 40.0, 5.0, 0, 33.0, 48.0),
        Analyte("pH", 7.40, 0.04, 2, 7.33, 7.46),
        Analyte("Lactate", 1.4, 0.5, 1, 0.0, 2.2),
    ),
    "diabetes": (Analyte("%HbA1c", 5.7, 0.5, 1, 0.0, 6.4),),
    "thyroid": (Analyte("TSH", 2.1, 1.0, 1, 0.3, 4.5),),
    "lipids": (Analyte("Cholest", 165.0, 32.0, 0, 0.0, 215.0), Analyte("LDLcalc", 92.0, 28.0, 0, 0.0, 135.0)),
    "iron": (Analyte("Iron", 75.0, 28.0, 0, 28.0, 160.0), Analyte("Ferritn", 140.0, 70.0, 0, 20.0, 380.0)),
    "uric": (Analyte("UricAcd", 5.2, 1.2, 1, 2.5, 7.5),),
}  # fmt: skip

# (analyte, code): shift of the mean in standard deviations when the code is present.
_SHIFTS: dict[str, tuple[tuple[str, float], ...]] = {
    "Creat": (("N179", 4.0), ("N183", 3.0), ("N189", 2.5), ("I129", 1.0), ("E1122", 1.0), ("N186", 9.0), ("I130", 1.5)),
    "UreaN": (("N179", 3.0), ("N183", 1.5), ("N186", 4.0)),
    "Na": (("E871", -3.2),),
    "K": (("E876", -2.6), ("E875", 3.0)),
    "HCO3": (("E872", -2.6),),
    "AnGap": (("E872", 2.2),),
    "Lactate": (("E872", 4.0), ("A419", 1.5)),
    "Hgb": (("D649", -1.8), ("D62", -2.6), ("D509", -1.8), ("D631", -1.5)),
    "Hct": (("D649", -1.6), ("D62", -2.4)),
    "Plt Ct": (("D696", -2.2),),
    "WBC": (("D72829", 3.0), ("J189", 1.6), ("A419", 2.4), ("N390", 0.8)),
    "Glucose": (("E119", 2.0), ("E1122", 2.4), ("Z794", 1.5), ("E1165", 4.0)),
    "%HbA1c": (("E119", 2.5), ("E1122", 3.0), ("Z794", 1.5)),
    "INR": (("Z7901", 7.0), ("I4891", 1.0)),
    "proBNP": (("I110", 4.0), ("I130", 6.0), ("I5032", 3.0)),
    "cTropnT": (("I214", 12.0), ("I252", 0.5)),
    "pO2": (("J9601", -1.8),),
    "TSH": (("E039", 1.6),),
    "LDLcalc": (("E785", 1.2),),
    "Cholest": (("E785", 1.0),),
    "UricAcd": (("M109", 1.8),),
    "Iron": (("D509", -1.6), ("D649", -0.6)),
}  # fmt: skip

# How often a panel is printed without a reason, and the codes that give one.
_RARE_PANELS: dict[str, tuple[float, tuple[str, ...]]] = {
    "lft": (0.45, ()), "electrolytes": (0.7, ()), "coag": (0.35, ("Z7901",)),
    "cardiac": (0.2, ("I2510", "I110", "I130", "I214")),
    "gas": (0.15, ("E872", "J9601", "A419")), "diabetes": (0.12, ("E119", "E1122")), "thyroid": (0.1, ("E039",)),
    "lipids": (0.06, ("E785",)), "iron": (0.1, ("D649", "D509")), "uric": (0.02, ("M109",)),
}  # fmt: skip


class Laboratory:
    """The laboratory of one admission."""

    def __init__(self, uniform: Uniform, coded: frozenset[str], fence: Fence) -> None:
        self._uniform, self._fence = uniform, fence
        self._shift: dict[str, tuple[float, str]] = {}
        for analyte, causes in _SHIFTS.items():
            strongest = max(((abs(size), size, code) for code, size in causes if code in coded), default=None)
            if strongest:
                # How far the condition shows differs from patient to patient; in some it does not.
                self._shift[analyte] = (strongest[1] * uniform(), strongest[2])
        self._panels = ["cbc", "chem"] + [
            name
            for name, (chance, why) in _RARE_PANELS.items()
            if uniform() < (max(0.4, chance) if coded.intersection(why) else chance)
        ]

        self._hgb = 12.0
        self._level: dict[str, float] = {}  # this patient's usual value, in standard deviations

    def _noise(self, spread: float) -> float:
        u = self._uniform
        return (u() + u() + u() + u() - 2) * 1.73 * spread  # nearly normal

    def _value(self, analyte: Analyte) -> str:
        shift, code = self._shift.get(analyte.name, (0.0, ""))
        level = self._level.get(analyte.name)
        if level is None:
            level = self._level[analyte.name] = self._noise(0.9) + shift
        value = max(analyte.mean + (level + self._noise(0.5)) * analyte.sd, analyte.mean * 0.12)
        if analyte.name == "Hgb":
            self._hgb = value
        elif analyte.name == "Hct":  # g/dL to per cent, as the counter computes it
            value = self._hgb * 3.0 + self._noise(0.8)
        return self._print(analyte, value, shift, code)

    def _print(self, analyte: Analyte, value: float, shift: float, code: str) -> str:
        text = f"{analyte.name}-{value:.{analyte.decimals}f}"
        if value < analyte.low or value > analyte.high:
            text += "*"
            outward = shift > 0 if value > analyte.high else shift < 0
            if code and outward and abs(shift) > 0.8:
                return self._fence(code, text)
        return text

    def _clock(self) -> str:
        u = self._uniform
        return f"{int(u() * 12) + 1:02d}:{int(u() * 60):02d}{'AM' if u() < 0.7 else 'PM'}"

    def panel(self, name: str, clock: str) -> str:
        """One printed line, `___ 06:45AM BLOOD WBC-7.2 ...`; not wrapped."""
        u = self._uniform
        values = " ".join([self._value(analyte) if u() > 0.006 else f"{analyte.name}-___" for analyte in PANELS[name]])
        return f"___ {clock} BLOOD {values}"

    def admission(self) -> list[str]:
        """The panels of the day of admission."""
        clock = self._clock()
        return [self.panel(name, clock) for name in self._panels]

    def day(self) -> list[str]:
        """The panels of a later day."""
        clock, u = self._clock(), self._uniform
        found = [self.panel("cbc", clock), self.panel("chem", clock)]
        if u() < 0.5:
            found.append(
                self.panel(self._panels[2 + int(u() * (len(self._panels) - 2))], clock)
                if len(self._panels) > 2
                else found.pop()
            )
        return found
