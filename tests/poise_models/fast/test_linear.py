"""Layers in one call of oneDNN give what PyTorch's own calls give."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from poise_models.fast import linear
from poise_models.fast.linear import added, fuses


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("there", [True, False])
def test_one_call_is_what_two_are(rows: int, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, beside = nn.Linear(17, 5), torch.randn(rows, 32, 5)
    turned = torch.randn(rows, 17, 32).transpose(1, 2)
    expected = functional.gelu(layer(turned)), beside + layer(turned)
    monkeypatch.setattr(linear, "_has_onednn", lambda: there)
    with torch.inference_mode():
        found = linear.linear(layer, turned, gelu=True), added(layer, turned, beside)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_training_and_other_precisions_go_the_usual_way() -> None:
    assert not fuses(torch.ones(1))
    with torch.inference_mode():
        assert fuses(torch.ones(1)) == torch.backends.mkldnn.is_available()
        assert not fuses(torch.ones(1, dtype=torch.float64))
