from typing import NamedTuple


class Context(NamedTuple):
    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    family: bool = False
    trigger: str = ""


def flags(text, spans, sections, language):
    return [Context() for _ in spans]
