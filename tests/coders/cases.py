"""Short notes in which only context tells who has an illness, for coders that read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from chartcode.coders.base import LabelledNotes
from chartcode.tables.cleaning import clean_batch

CODES = ("I10", "E119", "N189")
NAMES = ("hypertension", "diabetes", "nephropathy")
MASK = "___"  # guard: invented
FILLER = re.findall(r"\w+", "the patient was seen on rounds and slept well with stable vitals over night no events")
SAID = ("Known {x} .", "History of {x} .", "Suffers from {x} .")
TAKEN_BACK = ("Denies {x} .", "No history of {x} .", "Mother with {x} .")


def labelled(read: Any, labels: Any, codes: Sequence[str]) -> LabelledNotes:
    """Train notes of as many patients, with these labels (N, L) and no other codes."""
    count = len(labels)
    ids, splits = np.arange(count), np.array(["train"] * count)
    return LabelledNotes(
        read, sp.csr_matrix(labels), codes, ids, splits, ids, sp.csr_matrix((count, 0), dtype=np.int8), ()
    )


def note(rng: np.random.Generator, labels: Sequence[bool]) -> str:
    """Every illness is named in every note: affirmed where it is coded, taken back where not."""
    sentences = [
        str(rng.choice(SAID if label else TAKEN_BACK)).format(x=name) for name, label in zip(NAMES, labels, strict=True)
    ]
    sentences += [" ".join(rng.choice(FILLER, int(rng.integers(2, 12)))) + " ." for _ in range(2)]
    rng.shuffle(sentences)
    return f"Name:  {MASK} \n\nBrief Hospital Course:\n  " + "  ".join(sentences) + "\n\nFollowup Instructions:\nnone\n"


def cases(count: int, seed: int) -> LabelledNotes:
    """So many notes, as silver has them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < [0.5, 0.4, 0.3]).astype(np.int8)
    texts = pa.array([note(rng, row.astype(bool).tolist()) for row in labels])
    cleaned = clean_batch(texts)
    columns = {name: cleaned.field(name) for name in ("text", "sections", "edits")}
    batch = pa.RecordBatch.from_arrays([texts, *columns.values()], names=["source", *columns])

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, count, 37):
            yield batch.slice(start, 37).select(list(names))

    return labelled(read, labels, CODES)
