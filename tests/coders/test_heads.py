"""Heads do what their formulas say, look at no pad, and treat every label by itself."""

from __future__ import annotations

import pytest
import torch

from chartcode.coders.heads import POOLINGS, CrossAttention, LabelAttention, MaxPooling, make_head

ATTENTIVE = ("label_attention", "cross_attention")
STATES = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])  # the third is a pad
MASK = torch.tensor([[True, True, False]])


def by_hand(scores: list[float]) -> torch.Tensor:
    return torch.softmax(torch.tensor(scores), 0)


def test_label_attention_is_its_formula() -> None:
    head = LabelAttention(2, 2, 1)
    weights = {
        "projection.weight": [[0.5, -0.25]], "queries.weight": [[2.0], [-4.0]],
        "output.weight": [[1.0, 3.0], [-1.0, 0.5]], "output.bias": [0.1, -0.2],
    }  # fmt: skip
    head.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    z = torch.tanh(torch.tensor([0.5, -0.5]))  # of the two tokens
    expected = []
    for query, value, bias in zip((2.0, -4.0), ((1.0, 3.0), (-1.0, 0.5)), (0.1, -0.2), strict=True):
        a = by_hand([query * z[0].item(), query * z[1].item()])
        expected.append(value[0] * a[0] * 1.0 + value[1] * a[1] * 2.0 + bias)
    torch.testing.assert_close(head(STATES, MASK), torch.stack(expected)[None])


def test_cross_attention_is_its_formula() -> None:
    head = CrossAttention(2, 1)
    weights = {
        "queries.weight": [[1.0, -1.0]], "keys.weight": [[1.0, 0.0], [0.0, 0.5]],
        "values.weight": [[1.0, 1.0], [0.0, 2.0]], "values.bias": [0.0, 1.0],
        "norm.weight": [1.0, 1.0], "norm.bias": [0.0, 0.5], "output.weight": [[2.0, -1.0]], "output.bias": [0.3],
    }  # fmt: skip
    head.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    a = by_hand([1.0, -1.0])  # keys (1, 0) and (0, 1)
    read = a[0] * torch.tensor([1.0, 1.0]) + a[1] * torch.tensor([2.0, 5.0])
    normed = (read - read.mean()) / torch.sqrt(read.var(unbiased=False) + 1e-5) + torch.tensor([0.0, 0.5])
    torch.testing.assert_close(head(STATES, MASK), (2 * normed[0] - normed[1] + 0.3).reshape(1, 1))


def test_max_takes_the_loudest_chunk_for_each_label_and_mean_all_tokens() -> None:
    states = torch.tensor([[[1.0], [3.0], [-4.0], [0.0], [100.0]]])  # chunks (1, 3), (-4, pad)
    mask = torch.tensor([[True, True, True, False, False]])
    for pooling, expected in (("max", [[2.0, 4.0]]), ("mean", [[0.0, 0.0]])):
        head = make_head(pooling, 1, 2, 1, 2)
        head.load_state_dict({"output.weight": torch.tensor([[1.0], [-1.0]]), "output.bias": torch.zeros(2)})
        torch.testing.assert_close(head(states, mask), torch.tensor(expected))


def test_a_chunk_of_pads_is_no_chunk() -> None:
    head = MaxPooling(1, 1, 2)
    head.load_state_dict({"output.weight": torch.tensor([[1.0]]), "output.bias": torch.tensor([-3.0])})
    states, mask = torch.tensor([[[-5.0], [-5.0], [0.0], [0.0]]]), torch.tensor([[True, True, False, False]])
    assert head(states, mask).item() == -8.0
    assert head(states, torch.zeros_like(mask)).item() == -3.0


@pytest.mark.parametrize("pooling", ATTENTIVE)
def test_attention_over_pads_is_exactly_zero(pooling: str) -> None:
    torch.manual_seed(0)
    head = make_head(pooling, 8, 5, 6, 0)
    states, mask = torch.randn(3, 40, 8) * 50, torch.arange(40) < torch.tensor([[40], [7], [1]])
    attention = head.attention(states, mask)
    assert attention is not None
    assert attention.dtype == torch.float32
    assert (attention.transpose(1, 2)[~mask] == 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 5))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pads_and_what_stands_in_them_move_no_logit(pooling: str) -> None:
    torch.manual_seed(0)
    head = make_head(pooling, 8, 5, 6, 16)
    states = torch.randn(1, 37, 8)
    alone = head(states, torch.ones(1, 37, dtype=torch.bool))
    padded = torch.cat([states, torch.full((1, 30, 8), 1e3)], 1)
    torch.testing.assert_close(head(padded, torch.arange(67)[None] < 37), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_note_without_tokens_has_logits(pooling: str) -> None:
    head = make_head(pooling, 8, 5, 6, 16)
    assert torch.isfinite(head(torch.randn(2, 20, 8), torch.zeros(2, 20, dtype=torch.bool))).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_label_order_permutes_scores(pooling: str) -> None:
    torch.manual_seed(0)
    head = make_head(pooling, 8, 5, 6, 16)
    states, mask = torch.randn(4, 30, 8), torch.arange(30) < torch.tensor([[30], [20], [10], [1]])
    before, order = head(states, mask), torch.tensor([3, 0, 4, 1, 2])
    weights = head.state_dict()
    of_labels = {name for name, value in weights.items() if len(value) == 5 and not name.startswith("projection")}
    head.load_state_dict({name: value[order] if name in of_labels else value for name, value in weights.items()})
    torch.testing.assert_close(head(states, mask), before[:, order])


def test_large_scores_in_half_precision_do_not_overflow() -> None:
    head = LabelAttention(4, 3, 4).to(torch.float16)
    torch.nn.init.constant_(head.queries.weight, 1e4)
    states = torch.randn(1, 10, 4, dtype=torch.float16)
    attention = head.attention(states, torch.ones(1, 10, dtype=torch.bool))
    assert torch.isfinite(attention).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_are_float32_where_states_are_computed_in_half_precision(pooling: str) -> None:
    torch.manual_seed(0)
    head = make_head(pooling, 64, 5, 8, 16)
    torch.nn.init.normal_(head.output.weight, std=10)
    states, mask = torch.randn(3, 40, 64), torch.ones(3, 40, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(states, mask)
    assert found.dtype == torch.float32
    if pooling in ("max", "mean"):
        assert torch.equal(found, head(states, mask)), "nothing before the logits is computed in half precision"


def test_a_head_starts_from_the_shares_of_the_labels() -> None:
    shares = torch.tensor([0.5, 0.1, 0.0, 1.0])
    for pooling in ("label_attention", "max", "mean"):
        head = make_head(pooling, 8, 4, 6, 16)
        head.set_prior(shares)
        torch.testing.assert_close(torch.sigmoid(head.output.bias), shares.clamp(1e-4, 1 - 1e-4), atol=1e-6, rtol=0)
    make_head("cross_attention", 8, 4, 6, 16).set_prior(shares)  # has no bias a label
