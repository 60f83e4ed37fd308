"""The truth about medications in synthetic notes: what the generator ordered, listened to while it writes.

The notes are made by the generator as it stands, and their bytes do not change: the functions that write an order are
wrapped, the drawn dose is read from what they return, unit, route and frequency from the formulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chartcode.params import load
from chartcode.sources.synthetic import generate, notes, phrases
from chartcode.sources.synthetic.hospital import Hospital, Rows
from chartcode.sources.synthetic.layout import unfence
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.prescriptions import formulary


class Ordered(NamedTuple):
    """One order as the generator meant it; `reason` is empty where there is none."""

    drug: str
    dose: str
    unit: str
    route: str
    frequency: str
    prn: bool
    reason: str


@dataclass
class Chart:
    """A note and its orders: those of the lists, and those that sentences were offered (not all were used)."""

    text: str = ""
    note_id: str = ""
    admission: list[Ordered] = field(default_factory=list)
    discharge: list[Ordered] = field(default_factory=list)
    offered: list[Ordered] = field(default_factory=list)

    @property
    def told(self) -> list[Ordered]:
        """Orders of running text that the note holds, as often as it does."""
        body = " ".join(self.text.partition("Medications on Admission:")[0].split())
        tail = " ".join(self.text.partition("Discharge Instructions:")[2].split())
        known = dict.fromkeys(self.offered)
        return [one for one in known for _ in range((body + " " + tail).lower().count(_written(one).lower()))]


def _written(one: Ordered) -> str:
    frequency = one.frequency + (("PRN " if not one.frequency else ":PRN ") + one.reason if one.prn else "")
    return f"{one.drug} {one.dose} {one.unit} {one.route} {frequency}"


def _ordered(drug: str, said: str) -> Ordered | None:
    if not said:
        return None
    _, unit, route, frequency = formulary()[drug.lower()]
    dose = said.removesuffix(f" {unit} {route} {frequency}")
    rate, prn, reason = frequency.partition("PRN")
    return Ordered(drug, dose, unit, route, rate.rstrip(":"), bool(prn), reason.strip())


def charts(patients: int, seed: int | None = None) -> list[Chart]:
    """Every note of so many patients with its truth."""
    known = load(SyntheticParams).model_copy(update={"patients": patients})
    plan = generate.blueprint(known if seed is None else known.model_copy(update={"seed": seed}))
    rows = Rows()
    with _listening() as made:
        hospital = Hospital(plan)
        for number in range(patients):
            hospital.patient(number, rows)
    for chart, row in zip(made, rows.tables["discharge"], strict=True):
        chart.note_id, chart.text = row[0], row[7]
    return made


@contextmanager
def _listening() -> Iterator[list[Chart]]:
    made: list[Chart] = []
    held: list[Ordered | None] = []
    write, medicate = notes.Note.write, notes.Note._medications
    in_list, in_phrase = notes.instruction, phrases.instruction

    def heard(instruction: Callable[..., str], keep: Callable[[Ordered | None], Any]) -> Callable[..., str]:
        def said(name: str, uniform: Callable[[], float]) -> str:
            words = instruction(name, uniform)
            keep(_ordered(name, words) or (Ordered(name, "", "", "", "", False, "")))
            return words

        return said

    def writes(self: notes.Note, *given: Any) -> notes.Written:
        made.append(Chart())
        return write(self, *given)

    def medicates(self: notes.Note, drugs: list[str]) -> tuple[str, str]:
        held.clear()
        home, discharge = medicate(self, drugs)
        first = sum(line[:1].isdigit() for line in unfence(home)[0].splitlines())
        made[-1].admission = [one for one in held[:first] if one]
        made[-1].discharge = [one for one in held[first:] if one]
        return home, discharge

    notes.Note.write, notes.Note._medications = writes, medicates  # type: ignore[method-assign]
    notes.instruction = heard(in_list, held.append)  # type: ignore[attr-defined]
    phrases.instruction = heard(in_phrase, lambda one: made[-1].offered.append(one) if one else None)  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        notes.Note.write, notes.Note._medications = write, medicate  # type: ignore[method-assign]
        notes.instruction, phrases.instruction = in_list, in_phrase  # type: ignore[attr-defined]
