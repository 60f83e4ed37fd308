"""Vectors of names by an encoder from a folder: names are encoded once and kept, a mention when it is asked for.

Mean of the last layer's states over a text's tokens, scaled to length 1 (Reimers and Gurevych 2019, Sentence-BERT); the
cosine of two texts is then a dot product, and of all names a matmul: no index is needed for 100,000 of them.
The folder is a snapshot (config.json, model.safetensors, tokenizer.json); nothing is fetched.
Legend: N texts, H width of the encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chartcode.artifacts import Artifact, Writer, digest_file

FILE = "vectors.npz"
MOST_TOKENS = 48  # names are short; what is longer is cut
BATCH = 256  # texts of like length


class DenseEncoder:
    """An encoder of short texts. Torch is imported when one is made."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError in one line for a folder that is no whole and safe snapshot."""
        # Private there: a public name would change the digest of every stage that trains an encoder.
        from chartcode.coders.encoders import _taken

        self._model, self._tokenizer = _taken(folder)
        self._model.train(False)
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.no_padding()
        weights = sorted(folder.glob("*.safetensors"))
        self.digest = hashlib.sha256("".join(map(digest_file, weights)).encode()).hexdigest()

    @property
    def width(self) -> int:
        """H."""
        return int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Vectors (N, H) float32 of length 1."""
        import torch

        out = np.zeros((len(texts), self.width), np.float32)
        pieces = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda at: (len(pieces[at]), at))
        with torch.inference_mode():
            for first in range(0, len(order), BATCH):
                batch = order[first : first + BATCH]
                longest = max(1, *(len(pieces[at]) for at in batch)) if batch else 1
                ids = torch.zeros((len(batch), longest), dtype=torch.long)
                mask = torch.zeros((len(batch), longest), dtype=torch.long)
                for row, at in enumerate(batch):
                    ids[row, : len(pieces[at])] = torch.tensor(pieces[at])
                    mask[row, : len(pieces[at])] = 1
                states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
                weights = mask.unsqueeze(-1).to(states.dtype)
                mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
                out[batch] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return out


def write(names: Sequence[str], encoder: DenseEncoder, writer: Writer) -> None:
    """Encode names and keep their vectors beside a terminology: float16, a thousandth of a cosine off at most."""
    writer.npz(FILE, len(names), vectors=encoder.encode(names).astype(np.float16))


def read(artifact: Artifact) -> np.ndarray[Any, Any]:
    """The kept vectors (N, H) float32, of length 1 again."""
    vectors = artifact.npz(FILE)["vectors"].astype(np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
