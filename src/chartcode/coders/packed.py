"""Attention over chunks that stand one behind the other in one row, without pads between them.

On a GPU in half precision, `torch.nn.attention.varlen` (FlashAttention's kernel) computes every chunk's attention at
its own length; a Python loop does the same elsewhere, slowly, and holds the fast path to its meaning in tests.
transformers calls it as it calls its own (`AttentionInterface`). Attention weights have no dropout here.
Legend: T tokens of all chunks together, C chunks, D width of a head.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "chartcode_packed"


class Packing(NamedTuple):
    """Where the chunks of a row begin and end."""

    bounds: Tensor  # int32 (C + 1,), on the device
    longest: int
    positions: Tensor  # int64 (1, T), from 0 in every chunk

    @classmethod
    def of(cls, mask: Tensor, chunk: int) -> Packing:
        """Of the tokens that mask (B, T) keeps, cut at every multiple of `chunk` from each note's beginning."""
        within = torch.arange(mask.shape[1], device=mask.device) % chunk
        positions = within.expand_as(mask)[mask]
        begins = torch.nonzero(positions == 0).flatten()
        ends = begins.new_full((1,), len(positions))
        return cls(torch.cat([begins, ends]).int(), min(chunk, mask.shape[1]), positions[None])


def attention(
    module: torch.nn.Module,  # noqa: ARG001 - transformers' signature
    query: Tensor,  # (1, heads, T, D), as key and value
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    scaling: float | None = None,
    sliding_window: int | None = None,  # ModernBERT: one more than the tokens seen on each side
    packing: Packing | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Each chunk attends to itself alone; (1, T, heads, D)."""
    if packing is None:
        raise TypeError("packed attention needs a packing")
    sides = -1 if sliding_window is None else sliding_window - 1
    if query.is_cuda:
        half = torch.get_autocast_dtype("cuda")  # rotary embeddings may have made float32 of it
        q, k, v = (states[0].transpose(0, 1).to(half).contiguous() for states in (query, key, value))  # (T, heads, D)
        bounds, longest = packing.bounds, packing.longest
        found = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=(sides, sides))
        assert isinstance(found, Tensor)
        return found[None], None
    return _slowly(query, key, value, packing.bounds.tolist(), scaling, sides), None


def _slowly(query: Tensor, key: Tensor, value: Tensor, bounds: list[int], scaling: float | None, sides: int) -> Tensor:
    parts = []
    for start, end in pairwise(bounds):
        near = None
        if sides >= 0:
            places = torch.arange(end - start, device=query.device)
            near = (places[:, None] - places).abs() <= sides
        q, k, v = (states[:, :, start:end] for states in (query, key, value))
        parts.append(scaled_dot_product_attention(q, k, v, attn_mask=near, scale=scaling))
    return torch.cat(parts, 2).transpose(1, 2)


AttentionInterface.register(NAME, attention)
