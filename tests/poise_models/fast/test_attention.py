"""The fast attention is the published one, in use and in training, to rounding."""

import pytest
import torch
from torch import Tensor, nn

from poise_models.base.attention import Attention
from poise_models.fast.attention import FusedAttention


def pair(dtype: torch.dtype = torch.float32) -> tuple[Attention, FusedAttention]:
    """Both kinds, of the same weights, which drop nothing in training."""
    torch.manual_seed(0)
    plain, fast = Attention(32, 3, dropout=0.2), FusedAttention(32, 3, dropout=0.2)
    fast.load_state_dict(plain.state_dict())
    for part in (*plain.modules(), *fast.modules()):
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return plain.to(dtype), fast.to(dtype)


def tokens(windows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(windows, 8, 32, generator=generator)
    return query, torch.randn(windows, 16, 32, generator=generator)


def gradients(attention: Attention, windows: int = 5, bf16: bool = False) -> list[Tensor]:
    attention.zero_grad()
    dtype = next(attention.parameters()).dtype
    query, memory = (given.to(dtype).requires_grad_() for given in tokens(windows))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        attention(query, memory).square().sum().backward()
    found = [query.grad, memory.grad, *(weight.grad for weight in attention.parameters())]
    assert all(gradient is not None for gradient in found)
    return [gradient.clone() for gradient in found if gradient is not None]


@pytest.mark.parametrize("windows", [1, 3, 300])
def test_both_give_the_same(windows: int) -> None:
    plain, fast = pair()
    query, memory = tokens(windows)
    expected = plain(query, memory)
    torch.testing.assert_close(fast(query, memory), expected, atol=1e-5, rtol=1e-5)
    plain.eval(), fast.eval()
    torch.testing.assert_close(fast(query, memory), expected, atol=1e-5, rtol=1e-5)


def test_products_that_are_kept_are_those_of_the_weights_there_are_now() -> None:
    plain, fast = pair()
    query, memory = tokens(3)
    with torch.inference_mode():
        before = fast.eval()(query, memory)
        assert torch.equal(fast(query, memory), before)
    with torch.no_grad():
        fast.query.weight.mul_(1.5)
        fast.out.weight.mul_(0.5)
    plain.load_state_dict(fast.state_dict())
    with torch.inference_mode():
        after = fast(query, memory)
        torch.testing.assert_close(after, plain(query, memory), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after, before)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_both_have_the_same_gradients(dtype: torch.dtype, close: float, training: bool) -> None:
    plain, fast = (attention.train(training) for attention in pair(dtype))
    query, memory = (given.to(dtype) for given in tokens(5))
    torch.testing.assert_close(fast(query, memory), plain(query, memory), atol=close, rtol=close)
    torch.testing.assert_close(gradients(fast), gradients(plain), atol=close, rtol=close)


def test_in_bfloat16_gradients_are_as_near_as_those_of_plain_products() -> None:
    _, fast = pair()
    exact = gradients(fast.eval())
    plain = gradients(fast.eval(), bf16=True)
    for ours, product, wanted in zip(gradients(fast.train(), bf16=True), plain, exact, strict=True):
        error, allowed = (float((found - wanted).norm()) for found in (ours, product))
        assert error <= 1.1 * allowed + 1e-4 * float(wanted.norm())
