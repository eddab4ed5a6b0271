"""Layers in one call of oneDNN give what PyTorch's own calls give."""

import pytest
import torch
from tests.support.small_refiners import SPECS, build
from torch import nn
from torch.nn import functional

from poise_models.fast import linear
from poise_models.fast.linear import added, fuses, usual_rows
from poise_models.networks.poise import Poise


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


def test_few_numbers_of_rows_are_met_and_none_is_a_quarter_too_large() -> None:
    met = [usual_rows(rows) for rows in range(1, 257)]
    assert len(set(met)) == 28
    assert all(rows <= more < 1.25 * rows for rows, more in enumerate(met, 1))


def test_rows_that_are_added_change_no_other() -> None:
    torch.manual_seed(0)
    network = build("poise", SPECS["3D"])
    assert isinstance(network, Poise)
    windows = torch.randn(9, network.window, network.spec.channels)
    with torch.inference_mode():
        each = [network(one, one[:, None], torch.ones(1, 1)) for one in windows.split(1)]
        found = network(windows, windows[:, None], torch.ones(9, 1))
    torch.testing.assert_close(
        found.poses_BTC, torch.cat([one.poses_BTC for one in each]), rtol=0, atol=1e-5
    )
    assert found.error_BTJ is not None
    assert len(found.error_BTJ) == 9
