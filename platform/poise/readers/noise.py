"""The denoise task: errors on ground truth, honest (per frame) or as published (per window)."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from poise.catalog.tracks import Noise
from poise.readers.sequence import PoseSequence


def noise_seed(split: str, name: str) -> int:
    """Return the seed of a sequence's noise, which depends on its split and name alone."""
    digest = hashlib.blake2b(f"{split}\n{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def per_frame(truth_FC: NDArray[np.float32], noise: Noise, seed: int) -> NDArray[np.float32]:
    """Add noise that is drawn once for every frame and coordinate, root included.

    Noise of the kind ``simulated`` is made by `poise.readers.simulated.sequence`.

    Args:
        truth_FC: (F, C) in metres.
        noise: kind and scale in metres.
        seed: see `noise_seed`.

    Returns:
        (F, C) float32.
    """
    return _add(truth_FC, noise, seed)


def per_window(
    truth_FC: NDArray[np.float32], length: int, noise: Noise, seed: int
) -> NDArray[np.float32]:
    """Draw the noise anew for every overlapping window, as behind the published tables.

    A frame then has another error in each window that covers it, and averaging the windows alone
    divides the noise by sqrt(length): compare only methods of the same window length.

    Args:
        truth_FC: (F, C) in metres; shorter than a window, it is padded with its last frame.
        length: T, frames of a window.
        noise: kind and scale in metres.
        seed: see `noise_seed`.

    Returns:
        (N, T, C) float32 with N = max(F - T + 1, 1).
    """
    missing = length - truth_FC.shape[0]
    if missing > 0:
        truth_FC = np.concatenate([truth_FC, np.repeat(truth_FC[-1:], missing, axis=0)])
    return _add(sliding_window_view(truth_FC, length, axis=0).swapaxes(1, 2), noise, seed)


def cut_clips(sequence: PoseSequence, frames: int = 120) -> list[PoseSequence]:
    """Cut a sequence into clips that do not overlap, 120 frames each as in the published tables.

    Args:
        sequence: any sequence.
        frames: length of a clip; what is left over at the end is dropped.

    Returns:
        The clips, named ``<sequence>@<first frame>``.
    """
    truth_FC = sequence.truth_FC
    return [
        replace(
            sequence,
            name=f"{sequence.name}@{start:06d}",
            detected_FC=sequence.detected_FC[start : start + frames],
            truth_FC=None if truth_FC is None else truth_FC[start : start + frames],
            unseen_FJ=_cut(sequence.unseen_FJ, start, frames),
            untrue_FJ=_cut(sequence.untrue_FJ, start, frames),
        )
        for start in range(0, len(sequence.detected_FC) - frames + 1, frames)
    ]


def _cut(mask_FJ: NDArray[np.bool_] | None, start: int, frames: int) -> NDArray[np.bool_] | None:
    return None if mask_FJ is None else mask_FJ[start : start + frames]


def _add(poses: NDArray[np.float32], noise: Noise, seed: int) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    if noise.kind == "gaussian":
        error = draw.standard_normal(poses.shape, dtype=np.float32)
    else:
        error = draw.random(poses.shape, dtype=np.float32) - np.float32(0.5)
    return poses + error * np.float32(noise.scale)
