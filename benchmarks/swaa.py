"""SWAA of 1416 windows by shifted additions, against a convolution and a loop over windows."""

import argparse
import time
from functools import partial

import torch
from benchmarks.timing import compare
from torch import Tensor
from torch.nn import functional

from poise_models.base.windows import overlap_add

WINDOWS, CHANNELS = 1416, 51


def by_convolution(windows_NTC: Tensor) -> Tensor:
    """Sum windows along diagonals with an identity kernel, then divide by the cover."""
    windows, length, _ = windows_NTC.shape
    image = windows_NTC.permute(2, 0, 1).unsqueeze(1)
    kernel = torch.eye(length).flip(0)[None, None]
    total = functional.conv2d(image, kernel, padding=(length - 1, 0)).squeeze(-1).squeeze(1)
    frame = torch.arange(windows + length - 1)
    cover = torch.minimum(frame, frame.flip(0)).clamp(max=length - 1) + 1
    return (total / cover).T


def by_loop(windows_NTC: Tensor) -> Tensor:
    """Add window after window."""
    windows, length, channels = windows_NTC.shape
    total = torch.zeros(windows + length - 1, channels)
    count = torch.zeros(windows + length - 1, 1)
    for n in range(windows):
        total[n : n + length] += windows_NTC[n]
        count[n : n + length] += 1
    return total / count


def main() -> None:
    """Print one line per window length and competitor."""
    parser = argparse.ArgumentParser(description=__doc__)
    help_text = "one thread, its CPU time: for a busy machine"
    parser.add_argument("--cpu-time", action="store_true", help=help_text)
    clock = time.perf_counter
    if parser.parse_args().cpu_time:
        torch.set_num_threads(1)
        clock = time.thread_time
    print(f"SWAA of {WINDOWS} windows x {CHANNELS} channels, {torch.get_num_threads()} threads")
    for length in (8, 32):
        windows = torch.randn(WINDOWS, length, CHANNELS)
        frames = WINDOWS + length - 1
        for name, other in (("convolution", by_convolution), ("loop", by_loop)):
            torch.testing.assert_close(overlap_add(windows, frames), other(windows))
            ours, theirs = partial(overlap_add, windows, frames), partial(other, windows)
            found = compare(ours, theirs, turns=25, clock=clock)
            print(
                f"  T = {length:2}: {1e3 * found.ours:6.2f} ms, "
                f"{name} {1e3 * found.other:7.2f} ms, "
                f"{found.ratio:5.1f} times faster"
            )


if __name__ == "__main__":
    main()
