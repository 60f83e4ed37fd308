"""A discharge summary: MIMIC-IV's sections in MIMIC-IV's order, filled from a plan of mentions up to a wanted length.

What must be said is placed first; sentences,
panels and findings then fill each section in proportion until the note has
the length drawn for it (whitespace tokens, from the published generalised gamma).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from chartcode.sources.synthetic import contexts, phrases
from chartcode.sources.synthetic.labs import Laboratory
from chartcode.sources.synthetic.layout import MAX_FENCES, capital, refence, unfence, wrap
from chartcode.sources.synthetic.mentions import AMBIGUOUS, MASK, Mark, Plan, Planner, misspell
from chartcode.sources.synthetic.prescriptions import instruction

BREAK = "\n \n"
_FILL = {"hpi": 0.13, "exam": 0.19, "results": 0.34, "course": 0.2, "issue": 0.04, "instructions": 0.10}
_TOLD = ("hpi", "instructions")
_ALLERGIES = ("No Known Allergies / Adverse Drug Reactions", "Penicillins", "Sulfa (Sulfonamide Antibiotics)",
    "Codeine", "lisinopril",
              "Percocet / Bactrim", "Iodinated Contrast Media - IV Dye", "morphine", "latex", "Shellfish Derived",
              "aspirin",
              "Patient recorded as having No Known Allergies to Drugs")  # fmt: skip
_EXAMS = ("ADMISSION EXAM", "EXAM ON TRANSFER", "DISCHARGE EXAM")
_EXAM_ORDER = {
    label: place
    for place, labels in enumerate((
        ("VS", "Vitals"), ("Wt", "I/O"), ("GENERAL", "General"), ("HEENT",), ("NECK",), ("CARDIAC", "CV"),
        ("LUNG", "LUNGS"), ("ABDOMEN", "ABD"),
        ("GU", "RECTAL"), ("BACK", "MSK"), ("EXTREMITIES", "EXT"), ("PULSES",), ("NEURO",), ("PSYCH",), ("SKIN",),
        ("ACCESS", "Wound"),
    ))
    for label in labels
}  # fmt: skip
_MAN = (f"{MASK} year old man", f"{MASK} yo M", f"Mr. {MASK} is a {MASK} year old male")
_WOMAN = (f"{MASK} year old woman", f"{MASK} yo F", f"Ms. {MASK} is a {MASK} year old female")
_MENTAL = ("Clear and coherent", "Clear and coherent", "Confused - sometimes")
_CONSCIOUS = ("Alert and interactive", "Alert and interactive", "Lethargic but arousable")
_ACTIVE = ("Ambulatory - Independent", "Ambulatory - requires assistance or aid (walker or cane)", "Bedbound")
_PLANS = (
    "was stable during admission and home regimen was continued", "managed conservatively with close monitoring",
    "discussed with outpatient provider who agreed with plan", "improved over the course of the hospitalization",
    "no changes were made to medications", "will be followed up after discharge", "continued home medications",
    "was treated as above with good effect", "likely multifactorial, trended daily", "remained at baseline",
)  # fmt: skip
_BULLETS = ("- ", "", "# ", "* ")
_ASIDES = ("Of note, {x}.", "Per chart, {x}.", "As before, {x}.", "In addition, {x}.", "Overnight, {x}.")


@dataclass
class Carried:
    """What a later note may copy from an earlier one: fenced lines, and what their fences meant."""

    history: list[str] = field(default_factory=list)
    past: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    table: list[Mark] = field(default_factory=list)


@dataclass(frozen=True)
class Stay:
    """What the note must agree with."""

    sex: int  # 0 men, 1 women
    ward: str
    died: bool
    home: bool
    procedures: tuple[str, ...]
    tokens: int  # wanted length, whitespace tokens


@dataclass(frozen=True)
class Written:
    """A finished note: text, every mention with its start and end in it, what it carries on, drugs it names."""

    text: str
    mentions: list[tuple[Mark, int, int]]
    carried: Carried
    drugs: list[str]


def _unlike(texts: list[str]) -> list[str]:
    """`texts` without those that say what an earlier one says."""
    return list({unfence(text)[0].lower(): text for text in reversed(texts)}.values())[::-1]


class Note:
    """Writes one note."""

    def __init__(self, stay: Stay, plan: Plan, planner: Planner, voice: phrases.Voice, laboratory: Laboratory) -> None:
        self._stay, self._plan, self._planner, self._voice, self._lab = stay, plan, planner, voice, laboratory
        self._width = voice.number(60, 65)
        self._bank = phrases.bank()

    def write(self, before: Carried | None, typo: float, ambiguous: float) -> Written:
        """Compose the note. `before` is copied forward where given."""
        voice, plan, stay = self._voice, self._plan, self._stay
        history, past, blocks = self._copied(before)
        lead, lines, problems, diagnoses = self._place(history)
        past = contexts.past(plan.historical, past, voice)
        drugs = [*plan.drugs]
        while len(drugs) < 3 + int(voice.uniform() * 5) + stay.tokens // 400:
            drugs.append(capital(voice.pick(phrases.DRUGS)))
        drugs = self._shuffled(drugs)[: 4 + stay.tokens // 70]
        home, discharge = self._medications(drugs)
        asides = [phrase for phrase in AMBIGUOUS if voice.uniform() < ambiguous]

        opening = 1 + int(voice.uniform() * 3)  # conditions that the first sentence names
        hpi = [self._opening(lead[:opening])]
        told = contexts.affirmed(lead[opening:], voice) + contexts.denied(plan.negated, voice)
        implied = [
            capital(f"{text}.") if voice.uniform() < 0.6 else voice.pick(_ASIDES).replace("{x}", text)
            for text in plan.implied
        ]
        hpi += implied[0::3]
        course = implied[1::3] + [f"{a}." for a in asides]
        findings = implied[2::3]
        family = contexts.of_family(plan.family, voice)
        family.append(
            voice.pick(
                (
                    "No family history of premature cardiac disease.",
                    "Non-contributory.",
                    "Father died at ___.",
                    "Mother alive, healthy.",
                )
            )
        )
        panels = self._lab.admission()

        fixed = [
            *hpi,
            *told,
            *lines,
            *past,
            *problems,
            *blocks,
            *diagnoses,
            *course,
            *findings,
            *family,
            *panels,
            home,
            discharge,
        ]
        room = stay.tokens - sum(len(text.split()) for text in fixed) - 118
        story = self._fill("hpi", room * _FILL["hpi"], typo)
        halfway = len(story) // 2
        hpi += story[:halfway] + self._shuffled(told) + story[halfway:]
        exam = self._fill("exam", max(room * _FILL["exam"], 30), typo)
        issues = self._fill("issue", room * _FILL["issue"], typo)
        results = self._results(panels, findings, room * _FILL["results"], typo)
        course += self._fill("course", room * _FILL["course"], typo)
        head = self._head()
        tail_dx = "\n".join(diagnoses)
        body = BREAK.join(
            [
                head,
                f"History of Present Illness:\n{wrap(' '.join(hpi), self._width)}",
                "Past Medical History:\n" + self._history(lines, past) + f"{BREAK}Social History:\n{MASK}",
                "Family History:\n" + wrap(" ".join(family), self._width),
                "Physical Exam:\n" + self._exam(exam),
                "Pertinent Results:\n" + results,
                "Brief Hospital Course:\n" + self._course(course, problems + blocks, issues),
                "Medications on Admission:\n" + home,
                "Discharge Medications:\n" + discharge,
                self._disposition(),
                "Discharge Diagnosis:\n" + tail_dx,
                self._condition(),
            ]
        )
        left = stay.tokens - len(body.split()) - 6
        advice = self._fill("instructions", max(left, 8), typo)
        body += f"{BREAK}Discharge Instructions:\nDear {'Mr.' if stay.sex == 0 else 'Ms.'} {MASK},\n" + wrap(
            " ".join(advice), self._width
        )
        body += f"{BREAK}Followup Instructions:\n{MASK}\n"
        text, spans = unfence(body)
        mentions = [(plan.table[number], start, end) for number, start, end in spans]
        carried = Carried(lines, past, problems, plan.table)
        return Written(text, mentions, carried, [unfence(drug)[0] for drug in drugs])

    def _shuffled(self, items: list[str]) -> list[str]:
        return [item for _, item in sorted([(self._voice.uniform(), item) for item in items])]

    def _copied(self, before: Carried | None) -> tuple[list[str], list[str], list[str]]:
        """Lines of the history, of what is past, and problems of the earlier note, their mentions numbered anew."""
        if before is None:
            return [], [], []
        first, most = len(self._plan.table), MAX_FENCES - len(self._plan.table)
        self._plan.table += before.table[:most]
        renumber = {number: first + number for number in range(min(len(before.table), most))}
        history, past, blocks = (
            [refence(text, renumber) for text in texts] for texts in (before.history, before.past, before.blocks)
        )
        return history, past, blocks

    def _place(self, history: list[str]) -> tuple[list[str], list[str], list[str], list[str]]:
        """Deal affirmed mentions to the opening sentence, the history, the problems and the diagnoses."""
        voice, plan = self._voice, self._plan
        lead: list[str] = []
        lines: list[str] = list(history)
        problems: list[str] = []
        diagnoses: list[str] = []
        for text in plan.chronic:
            place = voice.uniform()
            target = lines if place < 0.35 else lead if place < 0.7 else problems if place < 0.9 else diagnoses
            target.append(text)
        for text in plan.acute:
            place = voice.uniform()
            target = lead if place < 0.3 else problems if place < 0.8 else diagnoses
            target.append(text)
        for text in plan.repeated:
            place = voice.uniform()
            target = lines if place < 0.2 else lead if place < 0.6 else problems if place < 0.85 else diagnoses
            target.append(text)
        lines += [voice.pick(contexts.ILLNESSES) for _ in range(voice.number(1, 3))]
        lines += [voice.say(voice.pick_sentence(self._bank["pmh"])) for _ in range(voice.number(0, 3))]
        lines, problems = _unlike(lines), _unlike(problems)
        bullet = voice.pick(_BULLETS)
        lines = [line if line.startswith(bullet) and bullet else bullet + line for line in self._shuffled(lines)] or [
            "None"
        ]
        problems = [contexts.problem(text, voice.pick(_PLANS), True, voice) for text in problems]
        problems += [contexts.problem(text, voice.pick(_PLANS), False, voice) for text in plan.ruled_out]
        return lead, lines, problems, self._diagnoses(diagnoses)

    def _diagnoses(self, texts: list[str]) -> list[str]:
        principal = self._plan.principal
        texts = _unlike(principal + texts)[len(principal) :]
        if not principal and not texts:
            return [capital(self._voice.pick(phrases.SYMPTOMS))]
        if self._voice.uniform() < 0.5:
            return [capital(text) for text in principal + texts]
        first, rest = (principal + texts)[:1], (principal + texts)[1:]
        return [f"PRIMARY: {first[0]}", *(["SECONDARY: "] if rest else []), *rest]

    def _opening(self, lead: list[str]) -> str:
        voice, sex = self._voice, self._stay.sex
        who = voice.pick(_MAN if sex == 0 else _WOMAN)
        past = f" with {voice.pick(contexts.HISTORY_OF)} {contexts.series(lead, voice)}" if lead else ""
        return f"{who}{past} who presents with {voice.pick(phrases.SYMPTOMS)}."

    def _history(self, lines: list[str], past: list[str]) -> str:
        """Active and past conditions, each under its heading where there are both, in either order."""
        if not past:
            return "\n".join(lines)
        bullet = next((mark for mark in _BULLETS if mark and lines[0].startswith(mark)), "")
        over = [past[0], *(line if line.startswith(bullet) else bullet + line for line in past[1:])]
        if self._voice.uniform() < 0.5:
            return "\n".join([*lines, *over])
        return "\n".join([*over, "Active:", *lines])

    def _fill(self, section: str, tokens: float, typo: float) -> list[str]:
        """Sentences of `section` of about `tokens` whitespace tokens altogether, none twice before all were used.

        Stories and advice are told in the order of the bank, which is that of events.
        """
        voice, bank = self._voice, self._bank[section]
        out: list[tuple[int, str]] = []
        left, misfits, size_of_bank = int(tokens), 0, len(bank)
        at, step = int(voice.uniform() * size_of_bank), self._step(size_of_bank)
        while left > 4 and misfits < 8:
            place, sentence = at, voice.say(bank[at])
            at = (at + step) % size_of_bank
            size = sentence.count(" ") + 1
            if size > left:
                misfits += 1
                continue
            if voice.uniform() < typo * size:
                sentence = misspell(sentence, voice)
            out.append((place, sentence))
            left -= size
        if section in _TOLD:
            out.sort()
        return [sentence for _, sentence in out]

    def _step(self, size: int) -> int:
        """A stride through a bank of `size` sentences that meets each once."""
        while True:
            step = 1 + int(self._voice.uniform() * (size - 1))
            if gcd(step, size) == 1:
                return step

    def _results(self, panels: list[str], findings: list[str], tokens: float, typo: float) -> str:
        voice = self._voice
        lines = [wrap(panel, self._width) for panel in panels]
        left, labs = int(tokens), int(tokens * 0.62)
        later: list[str] = []
        while labs > 24:
            for panel in self._lab.day():
                size = panel.count(" ") + 1
                later.append(wrap(panel, self._width))
                labs -= size
                left -= size
        prose = self._shuffled(self._fill("results", max(left, 0), typo) + findings)
        blocks = ["ADMISSION LABS:", *lines]
        step = max(len(prose) // 4, 3)
        for start in range(0, len(prose), step):
            blocks.append("\n" + wrap(" ".join(prose[start : start + step]), self._width))
        if later:
            blocks += [voice.pick(("\nDISCHARGE LABS:", "\nINTERVAL LABS:", "\nLABS:")), *later]
        return "\n".join(blocks) + ("" if voice.uniform() < 0.5 else "\n")

    def _exam(self, lines: list[str]) -> str:
        """One to three examinations, each from the head down. Neighbours among `lines` never say the same."""
        number = 1 if len(lines) <= 8 else 2 if len(lines) <= 34 else 3
        size = -(-len(lines) // number)
        blocks = []
        for visit in range(number):
            seen = sorted(
                lines[visit * size : (visit + 1) * size], key=lambda line: _EXAM_ORDER.get(line.split(":")[0], 99)
            )
            blocks.append(
                "\n".join(
                    [f"{_EXAMS[visit if visit < number - 1 or number == 1 else 2]}:"]
                    + [wrap(line, self._width) for line in seen]
                )
            )
        return "\n\n".join(blocks)

    def _course(self, sentences: list[str], problems: list[str], issues: list[str]) -> str:
        sentences = self._shuffled(sentences)
        step = max(len(sentences) // (len(problems) + 1), 1)
        parts = [wrap(" ".join(sentences[:step]), self._width)]
        at = step
        for problem in self._shuffled(problems):
            parts.append("\n" + wrap(" ".join([problem, *sentences[at : at + step]]), self._width))
            at += step
        if at < len(sentences):
            parts.append("\n" + wrap(" ".join(sentences[at:]), self._width))
        if issues:
            parts.append("\nTRANSITIONAL ISSUES:\n" + "\n".join(wrap(issue, self._width) for issue in issues))
        return "\n".join(parts)

    def _medications(self, drugs: list[str]) -> tuple[str, str]:
        voice = self._voice

        def listed(names: list[str]) -> str:
            return "\n".join(
                [
                    f"{number}. {name} {instruction(unfence(name)[0], voice.uniform)} "
                    for number, name in enumerate(names, 1)
                ]
            )

        known = [drug for drug in drugs if voice.uniform() < 0.7]
        given = [drug for drug in drugs if drug not in known or voice.uniform() < 0.55]
        home = "The Preadmission Medication list is accurate and complete.\n" + listed(known) if known else "None"
        return home, listed(given) if given else "None"

    def _head(self) -> str:
        voice, stay = self._voice, self._stay
        complaint = voice.pick(phrases.SYMPTOMS)
        complaint = complaint[:1].upper() + complaint[1:]
        procedure = wrap("; ".join(stay.procedures), self._width) if stay.procedures else "None"
        return BREAK.join(
            [
                f" \nName:  {MASK}                     Unit No:   {MASK}",
                f"Admission Date:  {MASK}              Discharge Date:   {MASK}",
                f"Date of Birth:  {MASK}             Sex:   {'M' if stay.sex == 0 else 'F'}",
                f"Service: {stay.ward}",
                f"Allergies: \n{voice.pick(_ALLERGIES) if voice.uniform() < 0.5 else _ALLERGIES[0]}",
                f"Attending: {MASK}.",
                f"Chief Complaint:\n{complaint}",
                f"Major Surgical or Invasive Procedure:\n{procedure}\n",
            ]
        )

    def _disposition(self) -> str:
        stay = self._stay
        if stay.died:
            return f"Discharge Disposition:\nExpired{BREAK}Facility:\n{MASK}"
        if stay.home:
            service = " With Service" if self._voice.uniform() < 0.5 else ""
            return f"Discharge Disposition:\nHome{service}{BREAK}Facility:\n{MASK}"
        return f"Discharge Disposition:\nExtended Care{BREAK}Facility:\n{MASK}"

    def _condition(self) -> str:
        voice = self._voice
        if self._stay.died:
            return "Discharge Condition:\nExpired"
        return (
            f"Discharge Condition:\nMental Status: {voice.pick(_MENTAL)}.\n"
            f"Level of Consciousness: {voice.pick(_CONSCIOUS)}.\nActivity Status: {voice.pick(_ACTIVE)}."
        )
