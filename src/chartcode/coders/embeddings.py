"""A note as one vector: the mean of a frozen encoder's states of its tokens, kept as sums of stretches of the note.

The encoder is models/encoder's, its weights as they came. A mean can do without a part of its sum: what the vector
would be without a stretch of the note costs no second reading (boosted.py's evidence).

Notes are encoded each by itself, by one thread, several notes at once: a tree jumps at a threshold, so a vector that
moved in its seventh digit with the company a note is read in could move a score.
Legend: S stretches, T tokens, C chunks, H width of a state.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from chartcode.artifacts import Artifact
from chartcode.coders.batches import Document
from chartcode.coders.chunks import PieceReader
from chartcode.coders.encoders import most_tokens, pretrained
from chartcode.coders.heads import MeanPooling
from chartcode.coders.scoring import best_device, computing
from chartcode.coders.transformer import ChunkedEncoder
from chartcode.errors import DataError
from chartcode.parallel import cores, in_order

Array = np.ndarray[Any, Any]
STRETCH = 64  # tokens; some thirty words


class Embedded(NamedTuple):
    """Sums of the states of each stretch, float64 (S, H), its tokens (S,), and where each token stands (T, 2)."""

    sums: Array
    sizes: Array
    places: Array

    def mean(self) -> Array:
        """The note's vector (H,)."""
        return np.asarray(self.sums.sum(axis=0) / self.sizes.sum())

    def without(self) -> Array:
        """The vectors of the note without each of its stretches (S, H); NaN where nothing is left."""
        left = (self.sizes.sum() - self.sizes)[:, None]
        found: Array = np.where(left > 0, self.sums.sum(axis=0) - self.sums, np.nan) / np.maximum(left, 1)
        return found

    def spans(self, text: str) -> list[list[tuple[int, int]]]:
        """Where each stretch stands in the text, a span for each run of it that has no unread text inside."""
        found = []
        for start in range(0, len(self.places), STRETCH):
            places = [(a, b) for a, b in self.places[start : start + STRETCH].tolist() if a < b]
            gaps = [i for i, (one, two) in enumerate(pairwise(places), 1) if text[one[1] : two[0]].strip()]
            runs = [places[a:b] for a, b in pairwise([0, *gaps, len(places)])]
            found.append([(run[0][0], run[-1][1]) for run in runs if run])
        return found


class Embedder:
    """A frozen encoder and its tokenizer."""

    def __init__(self, encoder: Artifact, chunk_tokens: int | None, max_tokens: int) -> None:
        self.reader = PieceReader(encoder.path("tokenizer.json"), chunk_tokens, max_tokens)
        model, chunk = pretrained(encoder), self.reader.chunking.chunk
        if (chunk or max_tokens) > most_tokens(model):
            raise DataError(
                f"params.yaml: boosted.chunk_tokens: this encoder reads at most {most_tokens(model)} tokens at once; "
                "chunk_tokens, or without chunks max_tokens, must not be larger"
            )
        self.width = int(model.config.hidden_size)
        self.device = best_device()
        unused = MeanPooling(self.width, 1)
        self.network = ChunkedEncoder(model, unused, chunk).train(False).requires_grad_(False).to(self.device)

    def read(self, notes: pa.RecordBatch) -> Iterator[tuple[Embedded, int]]:
        """Each note embedded, and how many of its pieces stay unread."""
        texts, sections = (notes.column(name).to_pylist() for name in ("text", "sections"))
        cpus = cores() if self.device.type == "cpu" else 1
        with computing(1, "fp32", self.device):  # the last bits of a sum depend on the threads that share it
            yield from in_order(cpus, self._embedded, self.reader.read(texts, sections))

    def _embedded(self, read: tuple[Document, int]) -> tuple[Embedded, int]:
        document, left_out = read
        ids = torch.from_numpy(document.ids).long()[None].to(self.device)
        with torch.inference_mode():
            states = self.network.encode(self.network.embed(ids), torch.ones_like(ids, dtype=torch.bool))
        starts = np.arange(0, len(document.ids), STRETCH)
        sums = np.add.reduceat(states[0].cpu().numpy().astype(np.float64), starts)
        sizes = np.diff(np.append(starts, len(document.ids)))
        return Embedded(sums, sizes, document.places), left_out
