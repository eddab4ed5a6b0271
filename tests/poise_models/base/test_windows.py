"""Windows and SWAA: exact against a naive loop, for every length."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from poise_models.base.windows import overlap_add, triangle, unfold, window_count, window_starts


def naive_average(windows_NTC: Tensor, frames: int) -> Tensor:
    """Collect what every window says of every frame, and take the mean."""
    said: list[list[Tensor]] = [[] for _ in range(frames)]
    for n, window in enumerate(windows_NTC):
        for t, pose in enumerate(window):
            if n + t < frames:
                said[n + t].append(pose)
    return torch.stack([torch.stack(poses).mean(0) for poses in said])


@pytest.mark.parametrize("length", [2, 8, 32])
@pytest.mark.parametrize("frames", range(1, 41))
def test_overlap_add_equals_naive_loop(frames: int, length: int) -> None:
    torch.manual_seed(frames)
    windows = torch.randn(window_count(frames, length), length, 3, dtype=torch.float64)
    torch.testing.assert_close(overlap_add(windows, frames), naive_average(windows, frames))


@given(frames=st.integers(1, 60), length=st.integers(1, 33))
def test_windows_of_a_sequence_average_back_to_it(frames: int, length: int) -> None:
    sequence = torch.arange(frames * 2.0).reshape(frames, 2)
    windows = unfold(sequence, length)
    assert windows.shape == (window_count(frames, length), length, 2)
    torch.testing.assert_close(overlap_add(windows, frames), sequence)


def test_short_sequence_is_padded_with_its_last_frame() -> None:
    windows = unfold(torch.tensor([[1.0], [2.0]]), 4)
    assert windows.squeeze(-1).tolist() == [[1.0, 2.0, 2.0, 2.0]]


def test_one_number_a_frame_averages_too() -> None:
    quality = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
    assert overlap_add(quality, 3).tolist() == [1.0, 3.0, 8.0]


@given(frames=st.integers(1, 60), length=st.integers(1, 33), stride=st.integers(1, 33))
def test_every_stride_covers_every_frame_and_averages(
    frames: int, length: int, stride: int
) -> None:
    stride = min(stride, length)
    starts = window_starts(frames, length, stride)
    assert len(starts) == window_count(frames, length, stride)
    windows = torch.randn(len(starts), length, 2, dtype=torch.float64)
    said: list[list[Tensor]] = [[] for _ in range(max(frames, length))]
    for start, window in zip(starts.tolist(), windows, strict=True):
        for t, pose in enumerate(window):
            said[start + t].append(pose)
    assert all(said)
    expected = torch.stack([torch.stack(poses).mean(0) for poses in said])[:frames]
    torch.testing.assert_close(overlap_add(windows, frames, stride), expected)


@given(frames=st.integers(1, 40), stride=st.integers(1, 8))
def test_a_weighted_mean_is_one(frames: int, stride: int) -> None:
    weights = triangle(8)
    assert weights == (1, 2, 3, 4, 4, 3, 2, 1)
    starts = window_starts(frames, 8, stride)
    windows = torch.randn(len(starts), 8, 2, dtype=torch.float64)
    total, weight = torch.zeros(max(frames, 8), 2, dtype=torch.float64), torch.zeros(max(frames, 8))
    for start, window in zip(starts.tolist(), windows, strict=True):
        total[start : start + 8] += torch.tensor(weights)[:, None] * window
        weight[start : start + 8] += torch.tensor(weights)
    expected = (total / weight[:, None])[:frames]
    torch.testing.assert_close(overlap_add(windows, frames, stride, weights), expected)


def test_weights_that_are_alike_are_the_plain_mean() -> None:
    windows = torch.randn(20, 8, 2, dtype=torch.float64)
    plain = overlap_add(windows, 27)
    torch.testing.assert_close(overlap_add(windows, 27, weights_T=[0.5] * 8), plain)
