"""A whole note as an encoder can take it: pieces of words, in chunks, nothing lost at their borders, places kept.

A note becomes one row of token ids in which every chunk already carries the special tokens that its encoder wants
([CLS] ... [SEP]): chunk k is tokens k*chunk to (k+1)*chunk, so cutting a note is a reshape and putting it together
again is the reverse. Chunks do not overlap, all but the last are full, and a note that fills its last chunk exactly
has no empty one behind it; a note without words is one chunk of special tokens. An encoder of long context reads a
note as one chunk (`chunk` None).
Legend: N notes, T tokens of a note, C chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from chartcode.coders.batches import Document
from chartcode.coders.budget import within
from chartcode.errors import DataError


@dataclass(frozen=True)
class Chunking:
    """How pieces stand in chunks: tokens of a chunk, special ones included, and the special ones around each."""

    chunk: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @property
    def around(self) -> int:
        """Special tokens of a chunk."""
        return len(self.prefix) + len(self.suffix)

    def pieces(self, tokens: int) -> int:
        """How many pieces fit into so many tokens."""
        if self.chunk is None:
            return max(0, tokens - self.around)
        whole, rest = divmod(tokens, self.chunk)
        return whole * (self.chunk - self.around) + max(0, rest - self.around)

    def split(self, pieces: NDArray[Any], prefix: Sequence[Any], suffix: Sequence[Any]) -> NDArray[Any]:
        """Rows of `pieces` (P, ...) with `prefix` and `suffix` around every chunk, one behind the other: (T, ...)."""
        body = max(1, len(pieces)) if self.chunk is None else self.chunk - self.around
        before, after = (np.array(edge, pieces.dtype).reshape(-1, *pieces.shape[1:]) for edge in (prefix, suffix))
        stretches = (pieces[start : start + body] for start in range(0, max(1, len(pieces)), body))
        return np.concatenate([part for stretch in stretches for part in (before, stretch, after)])

    def merge(self, tokens: NDArray[Any]) -> NDArray[Any]:
        """The pieces of a chunked note (T, ...): `split` undone."""
        size = len(tokens) if self.chunk is None else self.chunk
        inner = [
            tokens[start : start + size][len(self.prefix) : -len(self.suffix) or None]
            for start in range(0, len(tokens), size)
        ]
        return np.concatenate(inner)


class PieceReader:
    """Texts to token ids, by a trained tokenizer (tokenizer.json of a snapshot)."""

    def __init__(self, path: Path, chunk_tokens: int | None, max_tokens: int) -> None:
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception:  # noqa: BLE001 - tokenizers raises plain Exceptions
            raise DataError(f"{path}: not a tokenizer; run `dvc repro --force encoder`") from None
        # Snapshots carry the settings of their last use: all-MiniLM-L6-v2 cuts at 128 tokens and pads.
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.max_tokens = max_tokens
        chunk = None if chunk_tokens is None or chunk_tokens >= max_tokens else chunk_tokens
        self.chunking = Chunking(chunk, *self._specials())
        if self.chunking.pieces(chunk or max_tokens) < 1:
            raise DataError("params.yaml: transformer.chunk_tokens: no room for a piece beside the special tokens")

    def _specials(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that the tokenizer puts before and behind a text."""
        bare, whole = (self.tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
        at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return tuple(whole[:at]), tuple(whole[at + len(bare) :])

    def read(
        self, texts: Sequence[str], sections: Sequence[Sequence[Mapping[str, Any]]]
    ) -> Iterator[tuple[Document, int]]:
        """Each text as tokens and their places, and how many pieces stay unread.

        Of a text too long for `max_tokens` those are read that `budget.within` chooses. A special token stands nowhere.
        """
        chunking = self.chunking
        most = chunking.pieces(self.max_tokens)
        nowhere = ([(0, 0)] * len(chunking.prefix), [(0, 0)] * len(chunking.suffix))
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for found, parts in zip(encoded, sections, strict=True):
            ids, places = np.array(found.ids, np.int32), np.array(found.offsets, np.int32).reshape(-1, 2)
            kept = within(places[:, 0], parts, most)
            tokens = chunking.split(ids[kept], chunking.prefix, chunking.suffix)
            yield Document(tokens, chunking.split(places[kept], *nowhere)), len(ids) - len(kept)
