"""What no name of the dictionary covers: a tagger says where something is meant, a resolver says what.

The dictionary goes first: a span that touches one of its mentions is left to it. A link is right with

    p(link) = p(the span is a mention) p(its first answer is right)

by the tagger and the resolver; below `least` there is none. A coordination (breast and ovarian cancer) has a link each.
Offsets are those of the clean text.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from chartcode.artifacts import Artifact
from chartcode.linking.calibration import BEST, UNUSED
from chartcode.linking.candidates import JOINT
from chartcode.linking.context import Context, flags
from chartcode.linking.dense import DenseEncoder
from chartcode.linking.flags import ORDER
from chartcode.linking.lists import terms_of
from chartcode.linking.resolver import TERMS_FILE, Resolver
from chartcode.linking.tagger import Found, Tagger
from chartcode.tables.cleaning import PREAMBLE

LEAST = 0.5


class Finder(Protocol):
    """Something that says where a text may mean something."""

    def find(self, text: str) -> list[Found]:
        """The spans, in order, none over another."""


class Link(NamedTuple):
    """A span that means a code: how sure (`link`), by which step, and p that the note is coded so."""

    start: int
    end: int
    section: str
    kind: str  # what the tagger calls it
    code: str
    name: str  # the one that the resolver found it by
    method: str
    link: float
    p: float
    context: Context


class Unnamed:
    """A tagger and a resolver, for spans that a dictionary does not know."""

    def __init__(
        self, finder: Finder, resolver: Resolver, system: str, language: str = "en", least: float = LEAST
    ) -> None:
        """`system` is that of the resolver's codes."""
        self.system = system
        self._finder, self._resolver, self._language, self._least = finder, resolver, language, least

    def find(self, text: str, sections: Sequence[Mapping[str, Any]], named: Sequence[tuple[int, int]]) -> list[Link]:
        """The links of a clean note, in order; `sections` are silver's, `named` what the dictionary has found."""
        found = [f for f in self._finder.find(text) if not any(a < f.end and f.start < b for a, b in named)]
        if not found:
            return []
        bounds = [(s["clean_start"], s["clean_end"], s["name"]) for s in sections]
        starts = [start for start, _, _ in bounds]
        answers = self._resolver.resolve_document(text, [(one.start, one.end) for one in found], 1)
        spans = sorted({*named, *((one.start, one.end) for one in found)})
        read = flags(text, spans, [(name, a, b) for a, b, name in bounds], self._language)
        context = dict(zip(spans, read, strict=True))
        links = []
        for one, (answer, *_) in ((one, some) for one, some in zip(found, answers, strict=True) if some):
            sure = one.p * answer.p
            if sure < self._least:
                continue
            at = bisect.bisect_right(starts, one.start) - 1
            section = bounds[at][2] if at >= 0 and one.start < bounds[at][1] else PREAMBLE
            here = context[one.start, one.end]
            p = coded(sure, here)
            for code in answer.code.split(JOINT):
                said = (one.kind, code, answer.name, answer.method, sure, p, here)
                links.append(Link(one.start, one.end, section, *said))
        return links


def coded(sure: float, context: Context) -> float:
    """p that a note is coded as a link says: that of a name nobody has counted, by context, times that of the link."""
    flag = next((flag for flag in ORDER if getattr(context, flag)), "")
    return sure * BEST * (UNUSED[flag] if flag else 1.0)


def load(
    tagger: Path, resolver: Path | None, names: Path, encoder: Path | None, language: str = "en", least: float = LEAST
) -> Unnamed:
    """What the folders hold; without a resolver, one of `names` (lists.terms_of) that nobody has taught.

    Raises DataError or ArtifactError in one line.
    """
    finder = Tagger.load(tagger)
    by = DenseEncoder(encoder) if encoder else None
    if resolver is None:
        terms = terms_of(names, language)
        made = Resolver.of(terms, encoder=by)
    else:
        made = Resolver.load(resolver, by)
        terms = Artifact(resolver).table(TERMS_FILE, ["system"])
    return Unnamed(finder, made, terms["system"][0].as_py(), language, least)
