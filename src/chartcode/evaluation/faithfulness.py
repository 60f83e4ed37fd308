"""Whether the evidence a coder points at is what moves its score: words are taken away, and the note is scored again.

For a pair (one code of one note), score p, and its K strongest words, for each K of WORDS (DeYoung et al. 2020, ERASER:
area over the perturbation curve, AOPC; relative to p as Edin et al. 2024 have it):
- comprehensiveness: mean over K of (p - p without those words) / p; large when the words mattered;
- sufficiency: mean over K of max(0, p - p of those words alone) / p; small when they are enough;
- random: the same of K words drawn at random: what a coder gets that points anywhere. A coder whose score hardly falls
  without any word has a low sufficiency for nothing, so the two must be read together.
Where fewer than K words carry evidence, those that do are taken. Edin et al. remove up to 100 words in steps of 2 and
put a mask token in their place; numbers with other K do not compare.
A word is blanked, not cut out: every offset of the note stays, and a bag of words sees the same as after a cut. A coder
that reads so many words of a note and no more then reads others in their place, as it would of a note without them.
Legend: M pairs, K numbers of words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from chartcode.coders.base import Coder, cells

WORDS = (1, 2, 5, 10, 20, 50)  # strongest words taken away, or left
CHANGES = 4  # ways in which a note is changed for each K
TOGETHER = 4096  # changed notes scored at once; 40 MB of discharge summaries
BLANK = ord(" ")
Places = NDArray[np.int64]  # start and end of words (T, 2), code points of the clean text


@dataclass(frozen=True)
class Question:
    """One pair: the row of its note, the code's column, the note's words and the order of those that carry evidence."""

    row: int
    column: int
    words: Places
    strongest: NDArray[np.int64]  # indices into `words`, falling share, only those with a share


def without(text: str, words: Places) -> str:
    """The text with these words blanked."""
    points = _points(text)
    points[_inside(words, len(points))] = BLANK
    return _text(points)


def alone(text: str, words: Places) -> str:
    """The text with all but these words, and line ends, blanked."""
    points = _points(text)
    points[~_inside(words, len(points)) & (points != ord("\n"))] = BLANK
    return _text(points)


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32).copy()


def _text(points: NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32-le")


def _inside(words: Places, length: int) -> NDArray[np.bool_]:
    """Which code points lie in a word (length,)."""
    edges = np.zeros(length + 1, np.int64)
    np.add.at(edges, words[:, 0], 1)
    np.add.at(edges, words[:, 1], -1)
    return np.asarray(np.cumsum(edges)[:length] > 0)


def changed(question: Question, text: str, generator: np.random.Generator) -> Iterator[str]:
    """For each K: the note without its strongest words, those alone, and the same of as many random words."""
    shuffled = generator.permutation(len(question.words))
    for count in WORDS:
        best = question.strongest[:count]
        yield without(text, question.words[best])
        yield alone(text, question.words[best])
        drawn = question.words[shuffled[: len(best)]]
        yield without(text, drawn)
        yield alone(text, drawn)


def curves(coder: Coder[Any], notes: pa.RecordBatch, questions: Sequence[Question], seed: int) -> NDArray[np.float32]:
    """Scores (M, K, 4) of the changed notes: strongest words gone, strongest alone, random ones gone, and alone."""
    generator = np.random.default_rng(seed)
    place = notes.schema.get_field_index("text")
    scores = np.empty((len(questions), len(WORDS), CHANGES), np.float32)
    step = max(1, TOGETHER // (CHANGES * len(WORDS)))
    for first in range(0, len(questions), step):
        some = questions[first : first + step]
        known: dict[tuple[int, str], int] = {}  # where few words carry evidence, many changes are one and the same
        made = ((q.row, new) for q in some for new in changed(q, notes.column("text")[q.row].as_py(), generator))
        of = np.array([known.setdefault(version, len(known)) for version in made], np.int64)
        rows, texts = (list(column) for column in zip(*known, strict=True))
        batch = notes.take(pa.array(rows)).set_column(place, "text", pa.array(texts, pa.string()))
        columns = np.repeat([q.column for q in some], CHANGES * len(WORDS))
        found = cells(coder.scores([batch.select(list(coder.reads))]), of, columns)
        scores[first : first + step] = found.reshape(len(some), len(WORDS), CHANGES)
    return scores


def measures(before: Iterable[float], after: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Comprehensiveness, sufficiency and both of random words, a pair each (M,), from its score and `curves`."""
    p = np.asarray(list(before), np.float64)[:, None]
    gone, kept, random_gone, random_kept = (after[:, :, kind].astype(np.float64) for kind in range(CHANGES))
    return {
        "comprehensiveness": ((p - gone) / p).mean(axis=1),
        "sufficiency": (np.maximum(p - kept, 0) / p).mean(axis=1),
        "comprehensiveness_random": ((p - random_gone) / p).mean(axis=1),
        "sufficiency_random": (np.maximum(p - random_kept, 0) / p).mean(axis=1),
    }
