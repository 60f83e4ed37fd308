"""The short forms of a document: those that it explains, and those that stand behind a hyphen in brackets.

Antituberculosis therapy (ATT)-associated acute liver failure (ATT-ALF) ... ALF ...
-> ATT, and ALF: acute liver failure
"""

from __future__ import annotations

import re

from chartcode.linking.abbreviations import Definition, definitions

_HYPHENED = re.compile(r"\(\w+-(?:\w+-)*([A-Z][A-Z0-9]+)\)")
_BEFORE = 400  # code points, in which the long form stands


def short_forms(text: str) -> list[Definition]:
    """The abbreviations that `text` explains, in its order, and then the last parts of bracketed forms with hyphens.

    A part is explained as if it stood there alone.
    """
    found = definitions(text)
    known = {one.short for one in found}
    for match in _HYPHENED.finditer(text):
        first = max(0, match.start() - _BEFORE)
        before, part = text[first : match.start()], match[1]
        said = [one for one in definitions(f"{before}({part})") if one.start == len(before) + 1]
        if said and part not in known:
            known.add(part)
            long_start, long_end = first + said[0].long_start, first + said[0].long_end
            found.append(Definition(part, said[0].long, match.start(1), match.end(1), long_start, long_end))
    return found
