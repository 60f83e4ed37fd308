"""Rules about traces of patients in text: identifiers, de-identification masks, shifted dates, small counts.

Shapes are those of MIMIC-IV: subjects 1xxxxxxx, admissions 2xxxxxxx, stays 3xxxxxxx, notes 1xxxxxxx-DS-n, masks of
three underscores or more, dates moved to 2100-2210.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chartcode.guard.blobs import Blob
from chartcode.guard.files import Span
from chartcode.privacy import small

# A number of eight digits that is no part of a word, a hash, a UUID or a fraction; p1xxxxxxx is a folder of waveforms.
# MIMIC-IV uses none of the first ten of each range: they are free for invented patients.
_ID = re.compile(r"(?<![0-9A-Za-z])(?<!\d\.)p?(?![123]0{6}\d(?!\d))[123]\d{7}(?![0-9A-Za-z]|\.\d*[1-9]|-[0-9a-f]{4}-)")
_LOCK_SIZE = re.compile(r"size: $")
_LOCK = re.compile(r"\.(?:lock|dvc)$")
_ID_COLUMN = re.compile(r"(?i)\b(?:subject|hadm|stay|note)_id\b")

_MASK = re.compile(r"(?<![A-Za-z0-9_])_{3,}|\[\*\*[^\]\n*]*\*\*\]")

# Months of the examples in our documentation and tests; any other shifted date may be a patient's.
_INVENTED = r"(?!2151-0[23]|2180-0[125]|2181-01)"
_DATE = re.compile(
    rf"(?<![\d-]){_INVENTED}2(?:1\d\d|20\d|210)([-/])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?![\d-])"
    r"|(?<![\d/-])(?:0?[1-9]|[12]\d|3[01])([-/])(?:0?[1-9]|[12]\d|3[01])\2(?!2180\b)2(?:1\d\d|20\d|210)(?!\d)"
)

_METRICS = re.compile(r"^metrics/")
_AGGREGATE = re.compile(r"\.(?:json|csv|tsv)$")
_KEY = re.compile(r'"([^"\n]*)"\s*:')
_ID_KEY = re.compile(r"subject_id|hadm_id|stay_id|note_id|patient_id|row_id", re.I)
_COUNTED = r"(?:(?:\w+_)?(?:n|patients|positives|negatives|notes|admissions|support|count)|n_\w+)"
_COUNT = re.compile(rf'"({_COUNTED})"\s*:\s*"?(\d+)"?(?![\d.])')
_COUNT_NAME = re.compile(_COUNTED)
_STRING = re.compile(r'"([^"\n]*)"')
_PROSE = 8  # words in a string: no name of a metric


def ids(blob: Blob) -> Iterator[Span]:
    """Identifiers, and tables with a column of identifiers and at least one row."""
    text = blob.text
    for found in _ID.finditer(text):
        if not (_LOCK.search(blob.path) and _LOCK_SIZE.search(text, max(0, found.start() - 6), found.start())):
            yield found.span()
    if blob.path.endswith((".csv", ".tsv")):
        header, _, rows = text.partition("\n")
        if _ID_COLUMN.search(header) and rows.strip():
            yield (0, len(header))


def masks(blob: Blob) -> Iterator[Span]:
    """What de-identification left in place of a name: `___`, or MIMIC-III's [** **]."""
    return (found.span() for found in _MASK.finditer(blob.text))


def dates(blob: Blob) -> Iterator[Span]:
    """Full dates as MIMIC shifts them."""
    return (found.span() for found in _DATE.finditer(blob.text))


def metrics(blob: Blob) -> Iterator[Span]:
    """Under metrics/: anything but JSON, CSV and TSV; keys that name identifiers; sentences; counts of 1..10."""
    if not _METRICS.match(blob.path):
        return
    if not _AGGREGATE.search(blob.path):
        yield (0, 0)
    text = blob.text
    if blob.path.endswith(".json"):
        yield from (key.span() for key in _KEY.finditer(text) if _ID_KEY.search(key[1]))
        yield from (count.span() for count in _COUNT.finditer(text) if small(int(count[2])))
        yield from (string.span() for string in _STRING.finditer(text) if len(string[1].split()) >= _PROSE)
    else:
        yield from _small_cells(text)


def _small_cells(text: str) -> Iterator[Span]:
    """Counts of 1..10 in the counting columns of a CSV or TSV table, and columns of identifiers."""
    start = 0
    names: list[str] = []
    for line in text.splitlines(keepends=True):
        cells = [cell.strip().strip('"') for cell in re.split(r"[,\t]", line)]
        if not names:
            names = cells
            if any(_ID_KEY.search(name) for name in names):
                yield (start, start + len(line))
        for name, cell in zip(names, cells, strict=False):
            if _COUNT_NAME.fullmatch(name) and re.fullmatch(r"\d{1,2}(?:\.0*)?", cell) and small(float(cell)):
                yield (start, start + len(line))
                break
        start += len(line)
