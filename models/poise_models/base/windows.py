"""Windows of a sequence, and the way back: the sliding window average algorithm (SWAA).

Shape letters: N windows, T frames of a window, F frames of a sequence, C = joints x dims.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def window_count(frames: int, length: int, stride: int = 1) -> int:
    """Windows over a sequence; a sequence shorter than a window gives one."""
    return -(-max(frames - length, 0) // stride) + 1


def window_starts(frames: int, length: int, stride: int) -> Tensor:
    """First frames (N,) of windows a stride apart; the last one moves back to the last frame."""
    starts_N = torch.arange(window_count(frames, length, stride)) * stride
    return starts_N.clamp(max=max(frames - length, 0))


def unfold(sequence_FC: Tensor, length: int) -> Tensor:
    """All windows of stride 1, as a view where the sequence is long enough.

    A sequence shorter than ``length`` is padded with its last frame: `overlap_add` cuts the
    padding off again.

    Args:
        sequence_FC: (F, C), F >= 1.
        length: T, frames of a window.

    Returns:
        (N, T, C) with N = max(F - T + 1, 1).
    """
    missing = length - sequence_FC.shape[0]
    if missing > 0:
        sequence_FC = torch.cat([sequence_FC, sequence_FC[-1:].expand(missing, -1)])
    return sequence_FC.unfold(0, length, 1).transpose(1, 2)


def triangle(length: int) -> tuple[float, ...]:
    """Weights of a window's frames that fall off from its middle: 1 2 3 4 4 3 2 1 for T = 8."""
    return tuple(float(min(place + 1, length - place)) for place in range(length))


def fade(length: int) -> tuple[float, ...]:
    """Weights of a window's frames that rise from nearly 0 and fall back: the Hann window."""
    places = range(length)
    return tuple(math.sin(math.pi * (place + 0.5) / length) ** 2 for place in places)


def overlap_add(
    windows_NTC: Tensor,
    frames: int,
    stride: int = 1,
    weights_T: Sequence[float] | None = None,
) -> Tensor:
    """SWAA: every frame is the plain mean of all windows that cover it (paper, Fig. 5).

    T shifted additions, so O(N T C) and exact for every length, also below 2 T - 1 frames, where
    the convolution of the paper's code averages the wrong windows.

    Args:
        windows_NTC: (N, T, C), window n begins where `window_starts` says. A (N, T) tensor of one
            number per frame works too.
        frames: F of the sequence; frames beyond it are padding and are cut off.
        stride: frames between windows, at most T.
        weights_T: what each of a window's frames counts for in the mean; None is the plain mean.

    Returns:
        (F, C), or (F,) for (N, T) input.
    """
    windows, length = windows_NTC.shape[:2]
    if stride > 1 or weights_T is not None:
        starts_N = window_starts(frames, length, stride)
        return _scattered(windows_NTC, starts_N, weights_T or [1.0] * length)[:frames]
    shape = (windows + length - 1, *windows_NTC.shape[2:])
    total = windows_NTC.new_zeros(shape)
    for offset in range(length):
        total[offset : offset + windows] += windows_NTC[:, offset]
    frame = torch.arange(shape[0], device=windows_NTC.device)
    last = shape[0] - 1
    cover = torch.minimum(frame, last - frame).clamp(max=min(windows, length) - 1) + 1
    mean = total / cover.to(total.dtype).reshape(-1, *[1] * (total.dim() - 1))
    return mean[:frames]


def _scattered(windows_NTC: Tensor, starts_N: Tensor, weights_T: Sequence[float]) -> Tensor:
    length = windows_NTC.shape[1]
    starts_N = starts_N.to(windows_NTC.device)
    total = windows_NTC.new_zeros((int(starts_N[-1]) + length, *windows_NTC.shape[2:]))
    cover = total.new_zeros(len(total))
    for offset, weight in enumerate(weights_T):
        total.index_add_(0, starts_N + offset, windows_NTC[:, offset], alpha=weight)
        cover.index_add_(0, starts_N + offset, cover.new_ones(len(starts_N)), alpha=weight)
    return total / cover.reshape(-1, *[1] * (total.dim() - 1))
