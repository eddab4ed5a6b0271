"""The classical filters against their definitions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import SequenceRefiner
from poise_models.filters.offset import Offset

SPEC = PoseSpec(joints=2, dims=3)


def filtered(name: str, sequence: torch.Tensor, **settings: object) -> np.ndarray:
    refiner = catalogue.build(name, SPEC, settings)
    assert isinstance(refiner, SequenceRefiner)
    return refiner.filter(sequence).numpy()


@pytest.fixture
def sequence() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(70, SPEC.channels).cumsum(0)


def test_gaussian_filters_blocks_of_31_and_leaves_the_rest(sequence: torch.Tensor) -> None:
    out, raw = filtered("gaussian1d", sequence), sequence.numpy()
    for start in (0, 31):
        expected = gaussian_filter1d(raw[start : start + 31], 3, axis=0)
        np.testing.assert_allclose(out[start : start + 31], expected, rtol=1e-6)
    np.testing.assert_array_equal(out[62:], raw[62:])


def test_gaussian_without_blocks_filters_the_sequence(sequence: torch.Tensor) -> None:
    expected = gaussian_filter1d(sequence.numpy(), 3, axis=0)
    np.testing.assert_allclose(filtered("gaussian1d", sequence, block=0), expected, rtol=1e-6)


def test_savgol_is_scipys(sequence: torch.Tensor) -> None:
    expected = savgol_filter(sequence.numpy(), 31, 2, axis=0)
    np.testing.assert_allclose(filtered("savgol", sequence), expected, rtol=1e-6)


@pytest.mark.parametrize(("frames", "window"), [(30, 29), (31, 31), (4, 3)])
def test_savgol_takes_the_longest_odd_window_that_fits(frames: int, window: int) -> None:
    sequence = torch.randn(frames, SPEC.channels)
    expected = savgol_filter(sequence.numpy(), window, 2, axis=0)
    np.testing.assert_allclose(filtered("savgol", sequence), expected, rtol=1e-5, atol=1e-6)


def test_oneeuro_equals_its_definition_sample_by_sample(sequence: torch.Tensor) -> None:
    def gain(cutoff: float) -> float:
        tau = 1 / (2 * np.pi * cutoff)
        return 1 / (1 + tau)

    raw = sequence[:, 0].double().tolist()
    smooth, speed, expected = raw[0], 0.0, [raw[0]]
    for x in raw[1:]:
        speed = gain(1.0) * (x - smooth) + (1 - gain(1.0)) * speed
        a = gain(0.04 + 0.7 * abs(speed))
        smooth = a * x + (1 - a) * smooth
        expected.append(smooth)
    np.testing.assert_allclose(filtered("oneeuro", sequence)[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_oneeuro_measures_speed_relative_to_the_root(sequence: torch.Tensor) -> None:
    walk = torch.linspace(0, 50, len(sequence))[:, None, None].expand(-1, 2, 3).flatten(1)
    root = torch.cat([sequence[:, :3]] * 2, dim=1)
    still, walking = (filtered("oneeuro", s) for s in (sequence - root, sequence - root + walk))
    np.testing.assert_allclose(walking[:, 3:] - walking[:, :3], still[:, 3:], atol=1e-4)


def test_offset_removes_a_constant_and_only_that() -> None:
    truth = torch.randn(50, SPEC.channels)
    constant = torch.tensor([0, 0, 0, 0.1, -0.2, 0.3])
    wandering = torch.randn(50, 1, 3).expand(50, 2, 3).reshape(50, 6)
    refiner = Offset(SPEC, catalogue.build("offset", SPEC).config)
    refiner.fit(truth + constant + wandering, truth)
    torch.testing.assert_close(refiner.offset_C, constant, atol=1e-6, rtol=0)
    torch.testing.assert_close(refiner.filter(truth + constant), truth)
