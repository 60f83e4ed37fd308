"""How a drug is ordered, read without a dictionary of drugs: dose, unit, route, frequency, PRN and its reason.

An order is read from left to right as tokens (a dose, a route, a frequency ...). What stands before the first of them
is the drug. A dose after a frequency begins a further step of the same drug, as in a taper; of two doses in a step the
first is the strength of the product (`5 mg 1 tablet`, `25 mg Tablet Sig: One (1) Tablet`). Offsets are code points of
the text given, `shift` added.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_FLAGS = re.IGNORECASE | re.VERBOSE
_COUNT = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+|/\d+)?|\.\d+|one-half|half|one|two|three|four|five|six"
NUMBER = rf"(?:{_COUNT})(?:\s?(?:-|–|to|or)\s?(?:{_COUNT}))?(?:\s?\(\s?[\d.]+(?:\s?-\s?[\d.]+)?\s?\))?"
UNIT = (
    r"(?:mg|mcg|µg|ug|micrograms?|milligrams?|grams?|gm|g|meq|mmol|million\ units?|units?|iu|u|ml|cc|tab(?:let)?s?"
    r"|cap(?:sule)?s?|puffs?|inhalations?|inh|sprays?|spry|drops?|drps?|gtts?|patch(?:es)?|ptch|supp(?:ositor(?:y|ies))?"
    r"|neb(?:ulizer)?s?|loz(?:enges?)?|appl(?:ications?)?|dose|packets?|pkts?|pkg|disk|syringes?|vials?|ampules?|enema"
    r"|teaspoons?|tsp|tbsp)(?:\(s\))?(?![a-z])"
)
_PER = (
    r"(?:\s?/\s?(?:\d+(?:\.\d+)?\s?)?(?:hr?|hours?|kg|min|day|ml|actuation|spray|puff|dose|24\s?h(?:ou)?rs?)(?![a-z]))*"
)
DOSE = rf"""(?<![\w.,/])(?P<dose>(?:{NUMBER})(?:\s?{UNIT}{_PER}\s?[-/]\s?(?:{_COUNT}))*)
            [\s-]{{0,2}}(?P<unit>{UNIT}{_PER})(?!\s?/\s?d?l\b)"""
_ROUTES: dict[str, str] = {  # as written -> the code of the order entry system
    r"po/ng|po/?ngt": "PO/NG",
    r"p\.?o\.?|by\ mouth|orally|oral(?:\ route)?|per\ os": "PO",
    r"ng(?:t)?|via\ ng(?:\ tube)?|per\ ng\ tube": "NG",
    r"iv\ drip|iv\ (?:push|bolus)|i\.?v\.?|intravenous(?:ly)?": "IV",
    r"i\.?m\.?|intramuscular(?:ly)?": "IM",
    r"s\.?c\.?|s\.?q\.?|sub-?q|sub-?cut|subcutaneous(?:ly)?|under\ the\ skin": "SC",
    r"s\.?l\.?|sublingual(?:ly)?|under\ the\ tongue": "SL",
    r"pr|per\ rectum|rectal(?:ly)?": "PR",
    r"td|transdermal(?:ly)?": "TD",
    r"tp|topical(?:ly)?|to\ (?:the\ )?(?:skin|affected\ areas?)": "TP",
    r"ih|inh|(?:by\ |via\ )?inhal(?:ed|ation)|neb|nebulized|via\ nebulizer|by\ nebulizer": "IH",
    r"nu|(?:in\ )?(?:each|both|the)\ nostrils?|intranasal(?:ly)?|nasal(?:ly)?": "NU",
    r"both\ eyes|each\ eye|ou": "BOTH EYES",
    r"left\ eye|os": "LEFT EYE",
    r"right\ eye|od": "RIGHT EYE",
    r"both\ ears|left\ ear|right\ ear": "EAR",
    r"vg|vaginal(?:ly)?": "VG",
    r"g-?\ ?tube|via\ peg|peg|j-?\ ?tube": "G TUBE",
    r"buccal(?:ly)?": "BU",
    r"intrathecal(?:ly)?|epidural": "IT",
}
ROUTE = rf"(?<![\w/-])(?P<route>{'|'.join(_ROUTES)})(?![\w/-])"
_MEAL = r"\s?\(?(?:w/?\s?meals|with\smeals|with\sfood|a\.?c\.?h\.?s\.?|&\s?hs|a\.?c\.?|p\.?c\.?|w\.?m\.?)\)?(?![a-z])"
_MEALS = f"(?:{_MEAL})?"
_DAY = r"(?:mon?|tues?|tu|wed?|thurs?|thu?|fri?|sat?|sun?|m|w|f)"
FREQUENCY = rf"""(?<![\w/-])(?P<frequency>
    q\.?\s?\d+\s?(?:-|to)?\s?\d*\s?(?:h(?:ou)?rs?|h|min(?:ute)?s?|d(?:ays?)?|w(?:(?:ee)?ks?)?|months?)\.?(?![a-z])
  | q\.?\s?(?:am|pm|a\.m\.|p\.m\.|hs|h\.s\.|od|o\.d\.|d|day|daily|week(?:ly)?|wk|month(?:ly)?|h(?:ou)?r?|noon|evening
     |morning)\.?(?![a-z])
  | q\.?\s?(?:mon?|tue?|wed?|thu?|fri?|sat?|sun?)+(?![a-z])
  | (?:b\.?i\.?d|t\.?i\.?d|q\.?i\.?d)\.?{_MEALS}(?![a-z])
  | [1-9]\s?x\s?/?\s?(?:per\ |a\ )?(?:day|daily|week|weekly|wk|month)(?:\s?\({_DAY}(?:\s?,\s?{_DAY})*\))?
  | (?:once|twice|thrice|(?:one|two|three|four|five|six|[1-9])\s?(?:\([1-9]\)\s?)?times?)
    \s?(?:a|per|each|every)?\s?(?:/|\ )?(?:daily|day|weekly|week|month|night)(?![a-z])
  | every\ (?:other\ (?:day|night|week)|morning|evening|night|day|week|month|hour
            |(?:\d+|two|three|four|six|eight|twelve)\s?(?:-|to|–)?\s?\d*\ ?
             (?:h(?:ou)?rs?|h|min(?:ute)?s?|days?|weeks?|months?))(?![a-z])
  | each\ (?:morning|evening|night|day)
  | daily(?:16)?(?:\ at\ (?:bedtime|noon|night))? | nightly | weekly | monthly | hourly
  | (?:at|before)\ (?:bedtime|night|noon) | in\ the\ (?:morning|evening|afternoon)
  | (?:before|with)\ (?:breakfast|dinner|lunch)
  | with\ each\ meal | (?:before|with|after)\ meals | breakfast | lunch | dinner | bedtime | achs | hs
  | once | x\s?1 | stat | asdir | as\ directed | infusion | continuous(?:ly)? | ongoing
)(?![\w/])"""
PRN = r"(?P<prn>:?\s?(?<![a-z])p\.?r\.?n\b\.?|(?:only\ )?(?:as|if|when)\ needed)"
DURATION = (
    r"(?P<duration>(?:duration:\s?|for\ (?:a\ total\ of\ )?|x\s?)\d+(?:\s?-\s?\d+)?(?:\s(?:more|additional))?"
    r"\s?(?:days?|weeks?|months?|doses?|d|wks?)(?![a-z]))"
)
QUANTITY = r"(?P<quantity>disp(?:ense)?:?\s?\#?\s?\*?\s?\d+)"
TOKEN = re.compile("|".join([FREQUENCY, DOSE, ROUTE, PRN, DURATION, QUANTITY]), _FLAGS)
DOSE_ONLY = re.compile(DOSE, _FLAGS)
_STEP = re.compile(
    r"[\s,;.:()\-]*(?:\b(?:and|then|followed|by|to|taper|tapered|decrease|decreased|reduce|reduced|increase|increased"
    r"|take|at)\b[\s,;.:]*)*$",
    re.IGNORECASE,
)
_FORM = re.compile(r"[\s,(]*(?:tablets?|capsules?|tabs?|caps?|sig|oral)?[\s,:(]*$", re.IGNORECASE)
_REASON = re.compile(
    r"[\s:]*(?:(?:for|with)\s+)?(?P<reason>[A-Za-z(](?:(?!\b(?:disp|duration|refills?|rx|hold|start|stop|max|please"
    r"|take|do\ not|this\ is|of\ note)\b|\.(?:\s|$)|;|\s-\s*$|\s\*).){1,80})",
    re.IGNORECASE | re.VERBOSE,
)
_PROSE_END = re.compile(r"\s(?:and|with|was|were|which|who|she|he|until|but|on)\s|,|\bfor\s\d", re.IGNORECASE)
_ROUTE_CODES = [(re.compile(rf"(?:{pattern})", _FLAGS), code) for pattern, code in _ROUTES.items()]


class Span(NamedTuple):
    """A stretch of the note: its text and where it stands, code points, end exclusive."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Order:
    """One step of an order. `strength` is that of the product where the line names it beside the dose."""

    strength: Span | None = None
    dose: Span | None = None
    unit: Span | None = None
    route: Span | None = None
    frequency: Span | None = None
    prn: Span | None = None
    reason: Span | None = None
    duration: Span | None = None
    quantity: Span | None = None

    def spans(self) -> list[Span]:
        """Every part that the note names."""
        return [part for part in vars(self).values() if part is not None]


class Reading(NamedTuple):
    """Where the order begins in the text (what stands before is the drug), its steps, and where it ends."""

    start: int
    steps: tuple[Order, ...]
    end: int


@lru_cache(maxsize=4096)
def route_code(text: str) -> str:
    """`by mouth` -> PO; the codes of MIMIC-IV's pharmacy. Raises ValueError for what is no route."""
    for pattern, code in _ROUTE_CODES:
        if pattern.fullmatch(text.strip()):
            return code
    raise ValueError("no route")


_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "twelve": 12}
_TIMES = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_DAYS = {"h": 1 / 24, "m": 1 / 1440, "d": 1.0, "w": 7.0, "month": 30.0}  # days in a unit of time; minutes begin with m
_FIXED: tuple[tuple[str, float | None], ...] = (
    (r"once|x\s?1|stat|asdir|as directed|infusion|continuous(?:ly)?|ongoing", None),  # not so many times a day
    (r"q\.?\s?o\.?d\.?|every other (?:day|night)", 0.5),
    (r"every other week", 1 / 14),
    (r"b\.?i\.?d\.?", 2.0),
    (r"t\.?i\.?d\.?|(?:before|with|after) meals|with each meal", 3.0),
    (r"q\.?i\.?d\.?|achs", 4.0),
    (r"q\.?\s?h(?:ou)?r?|hourly|every hour", 24.0),
    (r"q\.?\s?(?:week(?:ly)?|wk)|weekly|every week", 1 / 7),
    (r"q\.?\s?month(?:ly)?|monthly|every month", 1 / 30),
)


@lru_cache(maxsize=4096)
def times_per_day(frequency: str) -> float | None:
    """`q6h` 4, `TID` 3, `QHS` 1, `weekly` 1/7, `Q72H` 1/3; of a range the most often (`q4-6h` 6).

    None where the words give no rate: once, an infusion, as directed.
    """
    said = re.sub(r"\s+", " ", re.sub(r"\s?\([1-9]\)", "", frequency.lower())).strip()
    said = re.sub(rf"(?<=d|\.){_MEAL}", "", said)
    for pattern, rate in _FIXED:
        if re.fullmatch(pattern, said):
            return rate
    every = re.match(r"(?:q\.?|every)\s?(\d+|[a-z]+)\s?(?:-|to|–)?\s?\d*\s?(month|[hmdw])[a-z]*", said)
    if every and (every[1].isdigit() or every[1] in _WORDS):
        count = int(every[1]) if every[1].isdigit() else _WORDS[every[1]]
        return 1 / (count * _DAYS[every[2]]) if count else None
    several = re.match(
        r"(once|twice|thrice|[a-z]+|\d)\s?(?:times?|x)?\s?(?:a|per|each|every)?\s?/?\s?(day|dai|night|week|month)", said
    )
    if several and (several[1] in _TIMES or several[1] in _WORDS or several[1].isdigit()):
        times = _TIMES.get(several[1]) or float(_WORDS.get(several[1], 0) or several[1])
        return times / {"week": 7.0, "month": 30.0}.get(several[2], 1.0)
    weekdays = re.fullmatch(r"q\.?\s?((?:mon?|tue?|wed?|thu?|fri?|sat?|sun?)+)", said)
    if weekdays:
        return len(re.findall(r"mo|tu|we|th|fr|sa|su", weekdays[1])) / 7
    return 1.0  # the rest are times of day: DAILY, QAM, at bedtime, breakfast


def read_order(text: str, shift: int = 0, prose: bool = False) -> Reading | None:
    """The order in the text of one entry, or in running `prose` from its dose on; None where nothing is ordered."""
    tokens = list(_tokens(text))
    while tokens and tokens[0].lastgroup in ("prn", "duration", "quantity") and not prose and len(tokens) > 1:
        if tokens[0].lastgroup == "prn":
            break
        tokens = tokens[1:]
    if not tokens or tokens[0].lastgroup in ("duration", "quantity"):
        return None
    first_dose = next((place for place, token in enumerate(tokens) if token["dose"]), None)
    if (
        first_dose
    ):  # what precedes the dose is the name's unless nothing after it says the same: `heparin sc 5000 UNIT SC`
        kinds = {token.lastgroup for token in tokens[first_dose:]}
        kept = [token for token in tokens[:first_dose] if token.lastgroup not in kinds]
        tokens = [*kept, *tokens[first_dose:]]
    steps: list[dict[str, Span]] = [{}]
    start, end = tokens[0].start(), tokens[0].start()
    for token in tokens:
        if token.start() < end:
            continue  # inside the reason
        kind, step = token.lastgroup or "", steps[-1]
        gap = text[end : token.start()]
        if prose and end > start and not _near(gap):
            break
        if prose and token["dose"] and "dose" in step and not (_STEP.match(gap) or _FORM.match(gap)):
            break  # another drug's
        if token["dose"] and "dose" in step and "route" in step and not (_STEP.match(gap) or _FORM.match(gap)):
            break
        if token["dose"]:
            dose, unit = (_span(text, *token.span(part), shift) for part in ("dose", "unit"))
            if "frequency" in step or "prn" in step or "duration" in step:
                if not _STEP.match(gap):
                    break
                steps.append({})
                step = steps[-1]
            if "dose" in step:
                step.setdefault("strength", _span(text, step["dose"].start - shift, step["unit"].end - shift, shift))
            step["dose"], step["unit"] = dose, unit
        elif kind not in step:
            step[kind] = _span(text, *token.span(kind), shift)
        end = token.end()
        if kind == "prn" and "reason" not in step and (reason := _reason(text, end, prose)) is not None:
            step["reason"] = _span(text, *reason, shift)
            end = reason[1]
    return Reading(start, tuple(Order(**step) for step in steps), end)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Tokens from left to right; `lastgroup` of a dose is `unit`."""
    return TOKEN.finditer(text)


def _span(text: str, start: int, end: int, shift: int) -> Span:
    while start < end and text[start] in " :\n":
        start += 1
    while end > start and text[end - 1] in " ,;\n":
        end -= 1
    if text[start:end].count(".") == 1 and text[end - 1] == ".":  # ends the sentence, not an abbreviation as `b.i.d.`
        end -= 1
    return Span(text[start:end], start + shift, end + shift)


def _near(gap: str) -> bool:
    """Whether two tokens of running text belong to one order."""
    return len(gap) <= 12 and not re.search(r"\.\s|;", gap)


def _reason(text: str, start: int, prose: bool) -> tuple[int, int] | None:
    """Where the reason of a PRN order stands, right behind it."""
    found = _REASON.match(text, start)
    if found is None:
        return None
    begin, end = found.span("reason")
    stop = (
        _PROSE_END.search(text, begin, end)
        if prose
        else re.compile(r",?\s+for\s+\d|,?\s+x\s?\d").search(text, begin, end)
    )
    end = stop.start() if stop else end
    while end > begin and not (text[end - 1].isalnum() or text[end - 1] in ")%"):
        end -= 1
    return (begin, end) if end > begin else None
