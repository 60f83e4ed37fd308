"""A note as one structured record: what a reader would copy onto a form, each entry with where it stands.

The schema is versioned; `Summary.model_json_schema()` prints it. `summarise` fills it by rules alone. A local
language model may fill the same schema: any callable from text to `Summary` is a `Summariser`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from chartcode.extraction.drugs import Medication
from chartcode.extraction.notes import Mention, Note
from chartcode.extraction.orders import Order, Span, route_code, times_per_day
from chartcode.extraction.relations import Relation

List = Literal["admission", "discharge", "course"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quote(_Record):
    """Words of the note; `start` and `end` are code points of the source note, end exclusive."""

    text: str
    start: int
    end: int


class Diagnosis(Quote):
    """A mention with its code, how sure the linker is (p) and in what context it stands."""

    code: str
    p: float
    section: str
    negated: bool
    uncertain: bool
    historical: bool
    hypothetical: bool
    family: bool


class Drug(_Record):
    """One step of an order. `per_day` is the frequency as a rate, `route_code` the route as order entry codes it."""

    drug: Quote
    list: List
    section: str
    form: Literal["entry", "rx", "dose", "change", "name"]
    entry: int
    step: int
    strength: Quote | None
    dose: Quote | None
    unit: Quote | None
    route: Quote | None
    route_code: str | None
    frequency: Quote | None
    per_day: float | None
    prn: bool
    reason: Quote | None
    duration: Quote | None
    quantity: Quote | None
    change: Literal["start", "stop", "change", "hold", "continue"] | None


class Changed(_Record):
    """A drug of one list beside the other: started, stopped, with another order, or continued as it was."""

    drug: str
    change: Literal["start", "stop", "change", "continue"]


class Treatment(_Record):
    """A drug and the problem it was for, with the words that say so."""

    rule: Literal["item", "prn", "for", "with"]
    problem: Quote
    code: str | None
    treatment: Quote
    trigger: Quote


class Patient(_Record):
    """What the note itself says of the patient."""

    sex: Literal["F", "M"] | None
    age: int | None


class Summary(_Record):
    """Everything that was found in one note."""

    version: Literal["1"] = "1"
    note_id: str
    note_types: list[str] | None
    patient: Patient
    admission_reason: Quote | None
    diagnoses: list[Diagnosis]
    procedures: list[Quote]
    medications_on_admission: list[Drug]
    medications_at_discharge: list[Drug]
    medications_in_course: list[Drug]
    medication_changes: list[Changed]
    no_known_allergies: bool
    allergies: list[Quote]
    treatments: list[Treatment]
    disposition: Quote | None
    followup: Quote | None


Summariser = Callable[[str], Summary]


_SEX = (
    re.compile(r"\bSex:[ \t]*([MF])\b"),
    re.compile(
        r"(?:year|yr)s?[- ]?old\s+(?:[\w-]+\s+){0,3}?(woman|female|lady|girl|man|male|gentleman|boy)\b", re.IGNORECASE
    ),
    re.compile(r"(?:\b\d{1,3}|_)[ ]?(?:yo|y/o|y\.o\.|yo-)?[ ]?([MF])\b"),
    re.compile(r"\b(Mr|Mrs|Ms)\.?\s"),
)
_FEMALE = {"f", "woman", "female", "lady", "girl", "mrs", "ms"}
_AGE = re.compile(
    r"\b(\d{1,3})[- ]?(?:year|yr)s?[- ]?old\b|\b(\d{1,3})[ ]?(?:yo|y/o|y\.o\.)(?![a-z])"
    r"|\b(\d{2,3})[ ]?[MF]\b(?= with| who| p/w| s/p)",
    re.IGNORECASE,
)
_NO_ALLERGY = re.compile(
    r"no (?:known|drug|medication|medicine)|\bnkda\b|\bnka\b|^none\b|no allerg|denies", re.IGNORECASE
)
_NOTHING = re.compile(r"(?:none|n/?a|nil|no|not applicable|unknown|_{3})[.\s]*$", re.IGNORECASE)


def summarise(
    note: Note,
    mentions: Sequence[Mention],
    medications: Sequence[Medication],
    pairs: Sequence[Relation],
    note_types: Sequence[str] | None = None,
) -> Summary:
    """What was found in the clean text of `note` as a summary with offsets into its source.

    `mentions` are in the coordinates of the source note, `medications` and `pairs` of the clean text.
    """
    quote = _Quoter(note)
    drugs = [_drug(found, quote) for found in medications]
    allergies, none_known = _allergies(note, quote)
    return Summary(
        note_id=note.note_id,
        note_types=None if note_types is None else list(note_types),
        patient=patient(note),
        admission_reason=_section(note, quote, "chief_complaint", "reason_for_consultation", "admission_diagnosis"),
        diagnoses=[Diagnosis(**mention._asdict()) for mention in mentions],
        procedures=_several(note, quote, r";|\n|,\s(?=[A-Z])", "procedures"),
        medications_on_admission=[drug for drug in drugs if drug.list == "admission"],
        medications_at_discharge=[drug for drug in drugs if drug.list == "discharge"],
        medications_in_course=[drug for drug in drugs if drug.list == "course"],
        medication_changes=changes(medications),
        no_known_allergies=none_known,
        allergies=allergies,
        treatments=[_treatment(pair, quote) for pair in pairs],
        disposition=_section(note, quote, "discharge_disposition"),
        followup=_section(note, quote, "followup_instructions"),
    )


class _Quoter:
    """Spans of the clean text as quotes of the source."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def __call__(self, span: Span | None) -> Quote | None:
        return None if span is None else self.sure(span)

    def sure(self, span: Span) -> Quote:
        start, end = self._note.source(span)
        return Quote(text=span.text, start=start, end=end)


def patient(note: Note) -> Patient:
    """Sex and age, from the head of the note, else from the sentence that presents the patient."""
    text, sex, age = note.text[:20_000], None, None
    for pattern in _SEX:
        if found := pattern.search(text):
            sex = "F" if found[1].lower() in _FEMALE else "M"
            break
    if found := _AGE.search(text):
        years = int(next(part for part in found.groups() if part))
        age = years if years <= 120 else None
    return Patient(sex=sex, age=age)  # type: ignore[arg-type]


def changes(medications: Iterable[Medication]) -> list[Changed]:
    """The list at discharge beside that on admission, by the drug's name; nothing where a list is missing."""
    lists: dict[str, dict[str, Order]] = {"admission": {}, "discharge": {}}
    for found in medications:
        if found.form == "entry" and found.step == 0 and found.list in lists:
            lists[found.list].setdefault(found.key, found.order)
    before, after = lists["admission"], lists["discharge"]
    if not before or not after:
        return []
    made = [Changed(drug=name, change="stop") for name in before if name not in after]
    for name, order in after.items():
        if name not in before:
            made.append(Changed(drug=name, change="start"))
        else:
            same = _essence(order) == _essence(before[name])
            made.append(Changed(drug=name, change="continue" if same else "change"))
    return sorted(made, key=lambda change: change.drug)


def _essence(order: Order) -> tuple[object, ...]:
    rate = times_per_day(order.frequency.text) if order.frequency else None
    said = [part.text.lower() if part else None for part in (order.strength, order.dose, order.unit)]
    return (*said, route_code(order.route.text) if order.route else None, rate)


def _drug(found: Medication, quote: _Quoter) -> Drug:
    order = found.order
    return Drug(
        drug=quote.sure(found.drug),
        list=found.list,  # type: ignore[arg-type]
        section=found.section,
        form=found.form,  # type: ignore[arg-type]
        entry=found.entry,
        step=found.step,
        strength=quote(order.strength),
        dose=quote(order.dose),
        unit=quote(order.unit),
        route=quote(order.route),
        route_code=route_code(order.route.text) if order.route else None,
        frequency=quote(order.frequency),
        per_day=times_per_day(order.frequency.text) if order.frequency else None,
        prn=order.prn is not None,
        reason=quote(order.reason),
        duration=quote(order.duration),
        quantity=quote(order.quantity),
        change=found.change,  # type: ignore[arg-type]
    )


def _treatment(pair: Relation, quote: _Quoter) -> Treatment:
    return Treatment(
        rule=pair.rule,  # type: ignore[arg-type]
        problem=quote.sure(pair.problem),
        code=pair.mention.code if pair.mention else None,
        treatment=quote.sure(pair.treatment),
        trigger=quote.sure(pair.trigger),
    )


def _section(note: Note, quote: _Quoter, *names: str) -> Quote | None:
    found = note.body(*names)
    return None if found is None else quote.sure(Span(" ".join(found[1].split()), found[0].start, found[0].end))


def _several(note: Note, quote: _Quoter, between: str, *names: str) -> list[Quote]:
    """The parts of a section, without bullets and without `None`; a hard-wrapped line goes with the one above."""
    found = note.body(*names)
    if found is None:
        return []
    section, body = found
    joined = re.sub(r"\n(?=[a-z(])", " ", body)  # hard-wrapped lines
    quotes, place = [], 0
    for cut in [*re.finditer(between, joined), None]:
        end = cut.start() if cut else len(joined)
        part = joined[place:end]
        inside = re.match(r"\s*(?:\d{1,2}[.)]\s*|[-*•#]\s*)?", part)
        start = place + (inside.end() if inside else 0)
        said = joined[start:end].rstrip(" .,_\n")
        if len(said) > 1 and not _NOTHING.match(said) and said.strip("_ "):
            quotes.append(quote.sure(Span(said, section.start + start, section.start + start + len(said))))
        place = cut.end() if cut else end
    return quotes


def _allergies(note: Note, quote: _Quoter) -> tuple[list[Quote], bool]:
    found = note.body("allergies")
    if found is None:
        return [], False
    if _NO_ALLERGY.search(found[1]):
        return [], True
    return _several(note, quote, r"\s/\s|;|\n|,\s", "allergies"), False
