"""Masks drawn four at a time are dropout as PyTorch has it."""

import pytest
import torch

from poise_models.fast.dropout import Dropout

SHAPES = [(1,), (3, 5), (7, 8, 129), (0, 4)]


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.5, 0.9])
def test_the_share_and_the_mean_are_right(probability: float) -> None:
    torch.manual_seed(0)
    number = 1_000_000
    out = Dropout(probability)(torch.ones(number))
    kept = out != 0
    # Five standard deviations of a binomial's share.
    bound = 5 * (probability * (1 - probability) / number) ** 0.5
    assert abs(float(kept.double().mean()) - (1 - probability)) < bound
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - probability)))


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.2)(torch.ones(1_000_000)) != 0).double() - 0.8
    for lag in range(1, 9):
        correlation = float((kept[lag:] * kept[:-lag]).mean() / 0.16)
        assert abs(correlation) < 5e-3, lag


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_pass_where_numbers_pass(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    assert x.grad is not None
    assert out.shape == x.shape
    torch.testing.assert_close(x.grad * x.detach(), out.detach())


def test_the_seed_decides() -> None:
    layer, x = Dropout(0.5), torch.ones(1000)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(layer(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_nothing_is_dropped_in_use_or_at_zero() -> None:
    x = torch.randn(10)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
