"""What a user sees when something is wrong: one line, naming the file, column or key and what to do.

Rule 11 of the house: a message never holds a note, an id or a cell value.
"""

from __future__ import annotations


class ChartcodeError(Exception):
    """A fault the user can mend. `str(error)` is the one line printed; the process exits with status 1."""


class ParamsError(ChartcodeError):
    """params.yaml has an unknown, missing or mistyped key."""


class DataError(ChartcodeError):
    """An input file is absent, unreadable or breaks the contract of its table."""


class ArtifactError(ChartcodeError):
    """An artifact folder is missing, torn or not the bytes its manifest promises."""
