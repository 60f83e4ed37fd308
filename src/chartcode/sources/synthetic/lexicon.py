"""How clinicians name a diagnosis: its title, synonyms, abbreviations, drugs, and the words that merely imply it.

lexicon.csv was written by hand for the conditions met most often. Every other code is named by its ICD-10-CM title,
cleaned of coding language, and by the shorter title that is left when its qualifiers are dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from chartcode.sources.synthetic import resources

Forms = tuple[str, ...]

_CODING_LANGUAGE = re.compile(
    r", (?:unspecified|initial encounter|not elsewhere classified|so stated|uncomplicated)\b.*"
    r"| \((?:primary|adult\)? ?\(?pediatric|current)\)"
    r"| not elsewhere classified|, site not specified| \[[^\]]*\]|, unspecified organism"
)
_UNSPECIFIED = re.compile(
    r"\b(?:unspecified (?:part|site|body|type|nature|degree) of |other and unspecified |other specified "
    r"|unspecified |other )",
    re.I,
)
_QUALIFIERS = re.compile(
    r",? (?:with|without|due to|following|as the cause of|in diseases|of other|and other) .*|,.*| \(.*"
)
_CAUSE = "as the cause of"
_PLACE = "Y92"
_ACRONYM = re.compile(r"^(?:[A-Z][A-Z0-9-]+\b|[A-Z][a-z]+'s\b)")


@dataclass(frozen=True)
class Concept:
    """The forms of one code. `shared` forms fit several codes and do not tell them apart."""

    titles: Forms
    synonyms: Forms = ()
    abbreviations: Forms = ()
    shared: Forms = ()
    cues: tuple[tuple[str, str], ...] = ()  # (kind, form) of drugs, then of implying phrases

    @property
    def forms(self) -> Forms:
        """Everything that may stand for the code in a note, laboratory values aside."""
        named = self.titles + self.synonyms + self.abbreviations + self.shared
        return named + tuple(form for _, form in self.cues)


def _lower_first(text: str) -> str:
    return text if _ACRONYM.match(text) else text[:1].lower() + text[1:]


def titles_of(long_title: str) -> Forms:
    """The title as charts write it, and a shorter one where its qualifiers can go."""
    clean = _CODING_LANGUAGE.sub("", long_title)
    clean = _lower_first(_UNSPECIFIED.sub("", clean).strip(" ,"))
    short = _QUALIFIERS.sub("", clean).strip(" ,")
    found = [form for form in (clean, short) if len(form) > 3]
    if _CAUSE in clean:  # nobody writes that
        found = found[1:]
    return tuple(dict.fromkeys(found or [_lower_first(long_title)]))


@lru_cache(maxsize=1)
def _written() -> dict[str, dict[str, Forms]]:
    found: dict[str, dict[str, Forms]] = {}
    for row in resources.rows("lexicon.csv"):
        found.setdefault(row["icd_code"], {})[row["kind"]] = tuple(row["forms"].split("|"))
    return found


def concept(code: str, long_title: str) -> Concept:
    """The forms of an ICD-10-CM code."""
    written = _written().get(code, {})
    titles = titles_of(long_title)
    synonyms = written.get("synonym", ()) or titles[1:]
    if code.startswith(_PLACE) and written:  # nobody writes down that the place was unspecified
        titles = ()
    return Concept(
        titles=titles[:1],
        synonyms=synonyms,
        abbreviations=written.get("abbreviation", ()),
        shared=written.get("shared", ()),
        cues=tuple((kind, form) for kind in ("drug", "implied") for form in written.get(kind, ())),
    )


def kind_of_shared(form: str) -> str:
    """A shared form counts as an abbreviation when it is written in capitals."""
    return "abbreviation" if form[:2].isupper() else "synonym"
