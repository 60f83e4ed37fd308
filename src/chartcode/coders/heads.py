"""From the states of a note's tokens to one logit a code: where the reading of a note becomes a judgement.

One interface: `forward(states (B, T, H), mask (B, T)) -> logits (B, L)`, and `attention`: where each code looked.
- label_attention: Z = tanh(W H), A = softmax over tokens of U Z, logit = v_l . (A H)_l + b_l (LAAT: Vu et al. 2020,
  github.com/aehrc/LAAT; over all chunks of a note together as PLM-ICD: Huang et al. 2022)
- cross_attention: learned label queries on keys and values, LayerNorm, one output for all labels (PLM-CA: Edin et al.
  2024, github.com/JoakimEdin/explainable-medical-coding)
- max: logits of every chunk from the mean of its tokens, the largest one counts, inside the loss
- mean: one vector a note
Pads are masked before the softmax and have attention exactly 0 (CAML's and PLM-ICD's own code leaves them in). Softmax
and logits are float32 whatever the precision of the states: float16 overflows here.
Legend: B notes of a batch, T tokens, H width of a state, P width of the projection, L labels, C chunks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _fresh(*layers: nn.Linear) -> None:
    """Weights that make numbers of unit spread out of such. Both sources draw theirs with 0.03, which is this for the
    768 numbers of a BERT-base state; with 0.03, narrower states look at all tokens alike for many epochs."""
    for layer in layers:
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Head(nn.Module):
    """States to logits."""

    def attention(self, states: Tensor, mask: Tensor) -> Tensor | None:  # noqa: ARG002 - a head without any looks at nothing
        """How much each label looks at each token, float32 (B, L, T), rows of sum 1; None where a head has no such."""
        return None

    def set_prior(self, shares: Tensor) -> None:
        """Start from the labels' shares (L,) of the notes instead of one half, where the head has a bias a label."""
        output = getattr(self, "output", None)
        if isinstance(output, nn.Linear) and output.bias.shape == shares.shape:
            with torch.no_grad():
                output.bias.copy_(torch.logit(shares, eps=1e-4))


def softmax_over_tokens(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax of scores (B, L, T) in float32 over the tokens that mask (B, T) keeps; exactly 0 elsewhere.

    A note without tokens attends to nothing: all zeros, no NaN.
    """
    kept = mask[:, None, :]
    scores = scores.float().masked_fill(~kept, torch.finfo(torch.float32).min)
    return torch.softmax(scores, dim=-1) * kept


class LabelAttention(Head):
    """Each label's own attention and its own linear layer."""

    def __init__(self, hidden: int, labels: int, projection: int) -> None:
        super().__init__()
        self.projection = nn.Linear(hidden, projection, bias=False)  # W (P, H)
        self.queries = nn.Linear(projection, labels, bias=False)  # U (L, P)
        self.output = nn.Linear(hidden, labels)  # v (L, H), b (L,)
        _fresh(self.projection, self.queries, self.output)

    def attention(self, states: Tensor, mask: Tensor) -> Tensor:
        """A (B, L, T)."""
        scores = self.queries(torch.tanh(self.projection(states)))  # (B, T, L)
        return softmax_over_tokens(scores.transpose(1, 2), mask)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L)."""
        read = self.attention(states, mask).to(states.dtype) @ states  # (B, L, H)
        return (read.float() * self.output.weight).sum(-1) + self.output.bias


class CrossAttention(Head):
    """Labels ask, tokens answer; one output layer for all labels, so that rare ones learn from common ones."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.queries = nn.Linear(hidden, labels, bias=False)  # (L, H)
        self.keys = nn.Linear(hidden, hidden, bias=False)
        self.values = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.output = nn.Linear(hidden, 1)
        _fresh(self.queries, self.keys, self.values, self.output)

    def attention(self, states: Tensor, mask: Tensor) -> Tensor:
        """A (B, L, T)."""
        return softmax_over_tokens(self.queries(self.keys(states)).transpose(1, 2), mask)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L)."""
        values = self.values(states)
        read = self.norm((self.attention(states, mask).to(values.dtype) @ values).float())  # (B, L, H)
        return in_full(read, self.output).squeeze(-1)


def mean_of_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """The mean state (..., H) of the tokens that the mask (..., T) keeps, float32; zeros where it keeps none."""
    kept = mask.unsqueeze(-1)
    return (states.float() * kept).sum(-2) / kept.sum(-2).clamp(min=1)


def in_full(states: Tensor, layer: nn.Linear) -> Tensor:
    """A linear layer in float32, where autocast would take bfloat16."""
    with torch.autocast(states.device.type, enabled=False):
        return nn.functional.linear(states.float(), layer.weight, layer.bias)


class MeanPooling(Head):
    """The mean of all tokens, and a linear layer."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.output = nn.Linear(hidden, labels)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L)."""
        return in_full(mean_of_tokens(states, mask), self.output)


class MaxPooling(Head):
    """A chunk begins at every multiple of `chunk` tokens; for each label the chunk that speaks loudest counts."""

    def __init__(self, hidden: int, labels: int, chunk: int) -> None:
        super().__init__()
        self.chunk = chunk
        self.output = nn.Linear(hidden, labels)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L)."""
        missing = -states.shape[1] % self.chunk
        notes, _, hidden = states.shape
        states = nn.functional.pad(states, (0, 0, 0, missing)).reshape(notes, -1, self.chunk, hidden)
        mask = nn.functional.pad(mask, (0, missing)).reshape(notes, -1, self.chunk)  # (B, C, tokens of a chunk)
        logits = in_full(mean_of_tokens(states, mask), self.output)  # (B, C, L)
        empty = ~mask.any(-1)
        empty[:, 0] = False  # a note without tokens has the logits of its empty first chunk
        return logits.masked_fill(empty[..., None], -torch.inf).amax(1)


POOLINGS = ("label_attention", "cross_attention", "max", "mean")


def make_head(pooling: str, hidden: int, labels: int, projection: int, chunk_tokens: int) -> Head:
    """The head of that name; `projection` is label attention's, `chunk_tokens` max pooling's."""
    if pooling == "label_attention":
        return LabelAttention(hidden, labels, projection)
    if pooling == "cross_attention":
        return CrossAttention(hidden, labels)
    return MaxPooling(hidden, labels, chunk_tokens) if pooling == "max" else MeanPooling(hidden, labels)
