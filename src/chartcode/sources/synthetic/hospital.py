"""A patient's whole record: the person, the admissions, the codes and the note of each, as rows of the raw tables."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chartcode.sources.synthetic import icd9, patients, phrases, prescriptions, procedures, vocabulary
from chartcode.sources.synthetic.codes import TOP, WARDS
from chartcode.sources.synthetic.labels import Admission, History, LabelModel, stratum_of
from chartcode.sources.synthetic.labs import Laboratory
from chartcode.sources.synthetic.lexicon import Concept, concept
from chartcode.sources.synthetic.mentions import Mark, Planner
from chartcode.sources.synthetic.notes import SHORT, Carried, Note, Stay, Written
from chartcode.sources.synthetic.params import SyntheticParams
from chartcode.sources.synthetic.rates import Rates

_WARD_NAMES = {"CARDIOTHORACIC": ("CARDIOTHORACIC", "MEDICINE"), "OMED": ("MEDICINE", "SURGERY")}
_CHRONIC = 0.5  # share of chronic diagnoses among those named without a code
_SIZE_WEIGHT = 0.45  # correlation of a note's length with the number of its codes
TABLES = ("admissions", "diagnoses_icd", "discharge", "patients", "prescriptions", "procedures_icd")


@dataclass(frozen=True)
class Blueprint:
    """What every worker needs; small enough to send to it."""

    params: SyntheticParams
    model: LabelModel
    rates: Rates
    codes: tuple[str, ...]
    titles: tuple[str, ...]
    lengths: NDArray[np.float64]  # tokens at evenly spaced ranks, see `length_table`
    seed: int


@dataclass
class Rows:
    """Rows of the tables, by table name, the evidence, and every mention, by note and as rows."""

    tables: dict[str, list[Sequence[Any]]] = field(default_factory=lambda: {name: [] for name in TABLES})
    evidence: list[tuple[str, str, int, int, int, str]] = field(default_factory=list)
    mentions: list[list[tuple[Mark, int, int]]] = field(default_factory=list)  # of each row of discharge
    truth: list[tuple[str, str, int, int, str, str, bool]] = field(default_factory=list)  # generate.MENTIONS_SCHEMA


def length_table(points: int = 4001) -> NDArray[np.float64]:
    """Whitespace tokens of a note at evenly spaced ranks of (0, 1): the published generalised gamma, ICD-10 cohort."""
    from scipy.special import gammaincinv

    shape, power, scale, cohort = 13.65, 0.64, 25.9, 1.08
    rank = (np.arange(points) + 0.5) / points
    return np.asarray(np.round(scale * gammaincinv(shape, rank) ** (1 / power) * cohort, 3))


def uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Uniform numbers one by one, drawn in blocks."""
    while True:
        yield from rng.random(4096).tolist()


class Hospital:
    """Writes patients' records; one a process."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self.codes = blueprint.codes
        self._concepts: dict[int, Concept] = {}
        self._common = [self._concept(position) for position in range(TOP)]
        self._zipf = vocabulary.zipf_cdf()

    def _concept(self, position: int) -> Concept:
        found = self._concepts.get(position)
        if found is None:
            found = concept(self._blueprint.codes[position], self._blueprint.titles[position])
            self._concepts[position] = found
        return found

    def patient(self, number: int, rows: Rows) -> None:
        """Append the record of patient `number` (0-based)."""
        blueprint, params = self._blueprint, self._blueprint.params
        rng = np.random.default_rng([blueprint.seed, number])
        uniform = uniforms(rng).__next__
        history = History(blueprint.model, rng)
        count = patients.admissions_of(uniform)
        early = int(rng.poisson(count * params.icd9_share / (1 - params.icd9_share)))
        early = min(early, patients.MAX_ADMISSIONS - count)
        offsets = patients.gaps(count + early, uniform)
        ages = [history.age + offset for offset in offsets]
        first = datetime(2105 + int(uniform() * 80), 1, 1) + timedelta(days=int(uniform() * 365))
        admissions = history.admissions(ages)
        subject = patients.subject_id(number, uniform())
        death = self._death(admissions, uniform)
        person = self._person(subject, history, first, uniform, early > 0)
        sequence = 2 + int(uniform() ** 3 * 40)
        before: Carried | None = None
        discharged: datetime | None = None
        for which, admission in enumerate(admissions[: death + 1] if death is not None else admissions):
            start = first + timedelta(days=offsets[which] * 365.25)
            if discharged is not None and start < discharged + timedelta(days=1):
                start = discharged + timedelta(days=2)
            visit = patients.visit(
                number,
                which,
                start,
                9 if which < early else 10,
                admission.age,
                len(admission.diagnoses),
                which == death,
                uniform,
            )
            discharged = visit.discharged
            before = self._admission(person, visit, admission, sequence, before, uniform, rows)
            sequence += 1 + int(uniform() * 3)
        dod = discharged.date() if death is not None and discharged else None
        if dod is None and discharged is not None and uniform() < 0.17:
            dod = (discharged + timedelta(days=3 + uniform() * 362)).date()  # MIMIC-IV knows deaths within a year
        rows.tables["patients"].append(
            (subject, "MF"[person.sex], person.anchor_age, person.anchor_year, person.anchor_year_group, dod)
        )

    def _death(self, admissions: list[Admission], uniform: patients.Uniform) -> int | None:
        """Which admission ends in death, if any: only a patient's last can, and large code counts raise the odds."""
        last = admissions[-1]
        risk = 0.004 + 0.0028 * len(last.diagnoses) * (0.4 + last.age / 100)
        return len(admissions) - 1 if uniform() < risk else None

    def _person(
        self, subject: int, history: History, first: datetime, uniform: patients.Uniform, early: bool
    ) -> patients.Patient:
        age = int(history.age)
        weights = (0.30, 0.55, 0.80, 0.95, 1.0) if early else (0.05, 0.15, 0.47, 0.78, 1.0)
        draw = uniform()
        group = patients.YEAR_GROUPS[next(i for i, weight in enumerate(weights) if draw < weight)]
        return patients.Patient(
            subject, history.sex, 91 if age > 89 else age, first.year, group, patients.draw(patients.RACE, uniform),
            patients.draw(patients.LANGUAGE, uniform), patients.draw(patients.MARITAL, uniform), None,
        )  # fmt: skip

    def _admission(
        self, person: patients.Patient, visit: patients.Visit, admission: Admission, sequence: int,
        before: Carried | None, uniform: patients.Uniform, rows: Rows,
    ) -> Carried:  # fmt: skip
        tables = rows.tables
        done = procedures.of_ward(WARDS[admission.ward], uniform)
        codes = self._codes(admission, visit.icd_version)
        coded = frozenset(admission.diagnoses)
        if visit.icd_version == 9:  # a stock code does not say what the diagnosis was
            coded = frozenset(place for place in coded if icd9.is_mapped(self._blueprint.codes[place]))
        written = self._note(person, visit, admission, coded, done, before)
        subject, hadm = person.subject_id, visit.hadm_id
        note_id = f"{subject}-DS-{sequence}"
        chart = datetime(visit.discharged.year, visit.discharged.month, visit.discharged.day)
        store = chart + timedelta(days=int(uniform() * uniform() * 9), seconds=int(25_000 + uniform() * 60_000))
        tables["discharge"].append(
            (note_id, subject, hadm, "DS", sequence, chart, None if uniform() < 0.015 else store, written.text)
        )
        tables["admissions"].append(
            (subject, hadm, visit.admitted, visit.discharged, visit.discharged if visit.died else None,
                visit.admission_type, visit.provider,
             visit.admission_location, visit.discharge_location, visit.insurance, person.language,
             person.marital_status, person.race,
             visit.registered, visit.left_emergency, int(visit.died))
        )  # fmt: skip
        tables["diagnoses_icd"].extend(
            (subject, hadm, place, code, visit.icd_version)
            for place, code in enumerate(dict.fromkeys(codes.values()), 1)
        )
        for place, procedure in enumerate(done, 1):
            day = (visit.admitted + (visit.discharged - visit.admitted) * uniform()).date()
            code = procedure.pcs if visit.icd_version == 10 else procedure.icd9
            tables["procedures_icd"].append((subject, hadm, place, day, code, visit.icd_version))
        self._pharmacy(subject, visit, written.drugs, uniform, tables["prescriptions"])
        stated = [
            (mark, start, end) for mark, start, end in written.mentions if mark.affirmed and mark.position in coded
        ]
        rows.evidence.extend(
            (note_id, codes[mark.position], mention, start, end, mark.kind)
            for mention, (mark, start, end) in enumerate(stated)
        )
        rows.mentions.append(written.mentions)
        ten = self._blueprint.codes
        rows.truth.extend(
            (note_id, ten[mark.position], start, end, mark.kind, mark.context, mark.position in coded)
            for mark, start, end in written.mentions
        )
        return written.carried

    def _codes(self, admission: Admission, version: int) -> dict[int, str]:
        """Code written for each diagnosis, by catalogue position, in order."""
        codes = self._blueprint.codes
        if version == 10:
            return {position: codes[position] for position in admission.diagnoses}
        return {position: icd9.to_icd9(codes[position]) for position in admission.diagnoses}

    def _note(
        self, person: patients.Patient, visit: patients.Visit, admission: Admission, coded: frozenset[int],
        done: list[procedures.Procedure], before: Carried | None,
    ) -> Written:  # fmt: skip
        """The note of a stay, from a random stream of its own: what one note says moves no other note."""
        blueprint, params = self._blueprint, self._blueprint.params
        codes = blueprint.codes
        rng = np.random.default_rng([blueprint.seed, visit.hadm_id])
        words = [
            vocabulary.word(rank)
            for rank in np.searchsorted(self._zipf, rng.random(int(rng.poisson(params.rare_words)))).tolist()
        ]
        length = self._length(admission.size, rng)
        uniform = uniforms(rng).__next__
        voice = phrases.Voice(uniform, person.sex, words, 0.3)
        planner = Planner(params, blueprint.rates, self._common, blueprint.model.chronic, voice)
        plan = planner.make(
            coded,
            [(p, self._concept(p)) for p in admission.diagnoses if p >= TOP],
            self._besides(stratum_of(person.sex, admission.age), admission, rng),
            admission.diagnoses[0],
            rng,
        )
        index = {codes[position]: position for position in coded}
        laboratory = Laboratory(uniform, frozenset(index), lambda code, text: planner.mark(index[code], "lab", text))
        stay = Stay(
            person.sex, self._ward(admission.ward, uniform), visit.died,
            visit.discharge_location in ("HOME", "HOME HEALTH CARE", ""),
            tuple(procedure.name for procedure in done), length,
        )  # fmt: skip
        copied = before if before is not None and uniform() < params.copied_forward else None
        return Note(stay, plan, planner, voice, laboratory).write(copied, params.misspelling / 8, params.ambiguous)

    def _besides(self, stratum: int, admission: Admission, rng: np.random.Generator) -> list[tuple[int, Concept, bool]]:
        """Rare diagnoses of such stays that the note names though nobody coded them; True where it affirms them."""
        model, params = self._blueprint.model, self._blueprint.params
        taken = set(admission.diagnoses)
        named: list[tuple[int, Concept, bool]] = []
        affirmed, refuted = rng.poisson((params.rare_uncoded, params.rare_unaffirmed)).tolist()
        for course, place in rng.random((4 * (affirmed + refuted), 2)).tolist():  # many codes are no reason for a stay
            if len(named) == affirmed + refuted:
                break
            codes, cumulative = model.tail[stratum, admission.ward, int(course < _CHRONIC)]
            position = int(codes[min(bisect_right(cumulative, place), len(codes) - 1)]) if len(codes) else 0
            if position >= TOP and position not in taken and model.reason[position]:
                taken.add(position)
                named.append((position, self._concept(position), len(named) < affirmed))
        return named

    def _ward(self, ward: int, uniform: patients.Uniform) -> str:
        names = _WARD_NAMES.get(WARDS[ward])
        return WARDS[ward] if names is None else names[int(uniform() * len(names))]

    def _length(self, size: float, rng: np.random.Generator) -> int:
        from scipy.special import ndtr

        normal = _SIZE_WEIGHT * size + np.sqrt(1 - _SIZE_WEIGHT**2) * rng.standard_normal()
        table = self._blueprint.lengths
        length = float(table[min(int(ndtr(normal) * len(table)), len(table) - 1)])
        # What must be said makes some of the shortest notes longer than they should be; the others make up for it.
        return int(length - 0.2 * max(SHORT - length, 0))

    def _pharmacy(
        self,
        subject: int,
        visit: patients.Visit,
        drugs: list[str],
        uniform: patients.Uniform,
        into: list[Sequence[Any]],
    ) -> None:
        prescriber = patients.provider(uniform)
        for order, (product, start, stop) in enumerate(
            prescriptions.orders(drugs, visit.admitted, visit.discharged, uniform), 1
        ):
            entry = visit.hadm_id % 997 + order
            into.append(
                (subject, visit.hadm_id, 10_000_000 + (visit.hadm_id * 31 + order * 7919) % 89_999_999,
                    f"{subject}-{entry}", entry, prescriber,
                 start, stop, "MAIN", product.name, product.formulary, product.gsn, product.ndc, product.strength,
                 None, product.dose,
                 product.unit, "1", product.form, product.per_day, product.route)
            )  # fmt: skip


def to_csv(table: str, rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as MIMIC-IV prints them: nulls empty, times with seconds, the text of notes quoted whatever it holds."""
    buffer = io.StringIO(newline="")
    if table == "discharge":
        for *cells, text in rows:
            buffer.write(",".join([_cell(cell) for cell in cells]))
            buffer.write(',"' + text.replace('"', '""') + '"\n')
        return buffer.getvalue().encode()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode()


def _plain(cell: Any) -> Any:
    return cell.isoformat(" ") if isinstance(cell, datetime) else "" if cell is None else cell


def _cell(cell: Any) -> str:
    return str(_plain(cell))
