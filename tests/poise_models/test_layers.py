"""The fast path of attention is the published formulation."""

from unittest import mock

import pytest
import torch
from benchmarks.refiners import textbook
from torch import Tensor

from poise_models import layers
from poise_models.layers import Attention


def _tokens(windows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(windows, 8, 32, generator=generator)
    return query, torch.randn(windows, 16, 32, generator=generator)


@pytest.mark.parametrize("windows", [1, 3, 300])
def test_both_paths_give_what_keys_and_values_give(windows: int) -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.2).eval()
    query, memory = _tokens(windows, 0)
    expected = textbook(attention, query, memory)
    torch.testing.assert_close(attention(query, memory), expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        fast = attention(query, memory)
        attention(*(tokens + 1 for tokens in _tokens(windows, 1)))
    torch.testing.assert_close(fast, expected, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_keys_and_values() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.0).eval()
    query, memory = _tokens(5, 0)
    both = []
    for forward in (Attention.forward, textbook):
        attention.zero_grad()
        forward(attention, query, memory).square().sum().backward()
        both.append(
            [weight.grad.clone() for weight in attention.parameters() if weight.grad is not None]
        )
    assert len(both[0]) == len(list(attention.parameters()))
    torch.testing.assert_close(both[0], both[1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("bf16", [False, True])
def test_training_has_the_gradients_of_plain_products(bf16: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.0)
    tokens = _tokens(5, 0)
    both = []
    with mock.patch.object(layers, "ATTENTION_DROPOUT", 0.0):
        for mode in (True, False):
            attention.train(mode).zero_grad()
            query, memory = (given.clone().requires_grad_() for given in tokens)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                attention(query, memory).square().sum().backward()
            found = [query.grad, memory.grad, *(weight.grad for weight in attention.parameters())]
            both.append([gradient.clone() for gradient in found if gradient is not None])
    assert len(both[0]) == 2 + len(list(attention.parameters()))
    atol, rtol = (0.5, 0.1) if bf16 else (1e-4, 1e-4)
    torch.testing.assert_close(both[0], both[1], atol=atol, rtol=rtol)
