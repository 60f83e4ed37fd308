"""A network reads notes: its form, and the logits of many notes at once, on CPU or GPU.

A score depends on its note alone: pads and company move it by less than 1e-5 in float32
(tests/coders/test_laat.py, test_transformer.py).
Legend: N notes, B notes of a piece, T tokens, E width of an embedding, H width of a state, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chartcode.coders.base import FloatArray
from chartcode.coders.batches import Array, Documents, pieces
from chartcode.coders.heads import Head


class Network(nn.Module):
    """Embedding, encoder, head. A subclass brings `embed`, `encode` and `head`."""

    head: Head

    def embed(self, ids: Tensor) -> Tensor:
        """Token numbers int64 (B, T) to vectors (B, T, E); evidence takes its gradients here."""
        raise NotImplementedError

    def encode(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Vectors (B, T, E) to states (B, T, H); pads, where mask (B, T) is false, must not move a state."""
        raise NotImplementedError

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits float32 (B, L)."""
        logits: Tensor = self.head(self.encode(self.embed(ids), mask), mask)
        return logits.float()

    def groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for AdamW: matrices decay, biases and norms do not."""
        learned = [p for p in self.parameters() if p.requires_grad]
        matrices, rest = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
        return [
            {"params": matrices, "lr": lr, "weight_decay": weight_decay},
            {"params": rest, "lr": lr, "weight_decay": 0.0},
        ]


def best_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def computing(threads: int, precision: str, device: torch.device) -> Iterator[None]:
    """With so many threads, and bfloat16 where `precision` is bf16.

    The threads are a param, not the machine's: sums of floats are cut by their number, and with them the last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        torch.set_num_threads(before)


def tensors(documents: Documents, rows: Array, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token numbers (B, T) and mask (B, T) of these notes on the device."""
    ids, mask = documents.padded(rows)
    return torch.from_numpy(ids).to(device, non_blocking=True), torch.from_numpy(mask).to(device, non_blocking=True)


def logits_of(network: Network, documents: Documents, rows: Array, labels: int, tokens: int) -> FloatArray:
    """Logits float32 (N, L) of the notes `rows`, in their order; other rows of no note are left 0.

    `tokens` are computed at once, pads counted. Call within `computing`.
    """
    device = next(network.parameters()).device
    found = np.zeros((len(documents), labels), np.float32)
    was_training = network.training
    network.train(False)
    with torch.inference_mode():
        for piece in pieces(documents.lengths, rows, tokens):
            found[piece] = network(*tensors(documents, piece, device)).float().cpu().numpy()
    network.train(was_training)
    return found
