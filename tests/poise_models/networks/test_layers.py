"""The fast path of attention is the published formulation."""

from unittest import mock

import pytest
import torch
from benchmarks.refiners import textbook
from torch import Tensor

from poise_models.networks import layers
from poise_models.networks.layers import Attention


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


def _gradients(attention: Attention, training: bool, bf16: bool = False) -> list[Tensor]:
    attention.train(training).zero_grad()
    query, memory = (given.clone().requires_grad_() for given in _tokens(5, 0))
    with (
        mock.patch.object(layers, "ATTENTION_DROPOUT", 0.0),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        attention(query, memory).square().sum().backward()
    found = [query.grad, memory.grad, *(weight.grad for weight in attention.parameters())]
    assert all(gradient is not None for gradient in found)
    return [gradient.clone() for gradient in found if gradient is not None]


def test_training_has_the_gradients_of_plain_products() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.0)
    plain = _gradients(attention, training=False)
    torch.testing.assert_close(_gradients(attention, training=True), plain, atol=1e-4, rtol=1e-4)


def test_in_bfloat16_its_gradients_are_as_near_as_those_of_plain_products() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=3, dropout=0.0)
    exact = _gradients(attention, training=False)
    for ours, plain, wanted in zip(
        _gradients(attention, training=True, bf16=True),
        _gradients(attention, training=False, bf16=True),
        exact,
        strict=True,
    ):
        error, allowed = (float((found - wanted).norm()) for found in (ours, plain))
        assert error <= 1.1 * allowed + 1e-4 * float(wanted.norm())
