"""Windows of a sequence, and the way back: the sliding window average algorithm (SWAA).

Shape letters: N windows, T frames of a window, F frames of a sequence, C = joints x dims.
"""

import torch
from torch import Tensor


def window_count(frames: int, length: int) -> int:
    """Windows of stride 1 over a sequence; a sequence shorter than a window gives one."""
    return max(frames - length + 1, 1)


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


def overlap_add(windows_NTC: Tensor, frames: int) -> Tensor:
    """SWAA: every frame is the plain mean of all windows that cover it (paper, Fig. 5).

    T shifted additions, so O(N T C) and exact for every length, also below 2 T - 1 frames, where
    the convolution of the paper's code averages the wrong windows.

    Args:
        windows_NTC: (N, T, C), window n covers frames n .. n + T - 1. A (N, T) tensor of one
            number per frame works too.
        frames: F of the sequence; frames beyond it are padding and are cut off.

    Returns:
        (F, C), or (F,) for (N, T) input.
    """
    windows, length = windows_NTC.shape[:2]
    shape = (windows + length - 1, *windows_NTC.shape[2:])
    total = windows_NTC.new_zeros(shape)
    for offset in range(length):
        total[offset : offset + windows] += windows_NTC[:, offset]
    frame = torch.arange(shape[0], device=windows_NTC.device)
    last = shape[0] - 1
    cover = torch.minimum(frame, last - frame).clamp(max=min(windows, length) - 1) + 1
    mean = total / cover.to(total.dtype).reshape(-1, *[1] * (total.dim() - 1))
    return mean[:frames]
