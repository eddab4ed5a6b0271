"""A sequence as an estimator sees it that is drawn for it, in space or in a camera's images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.readers.simulated.camera import upright
from poise.readers.simulated.estimator import EstimatorSimulator
from poise_retrieval.geometry.skeletons import Skeleton

Floats = NDArray[np.float32]

#: Seeds of NumPy's have 64 bits; torch takes them signed.
_SEEDS = 2**63


def simulated(truth_FC: Floats, skeleton: Skeleton, seed: int) -> Floats:
    """Return what one estimator makes of a sequence.

    Args:
        truth_FC: (F, C) in metres.
        skeleton: of the C / 3 joints.
        seed: see `poise.readers.noise.noise_seed`.

    Returns:
        (F, J, 3) float32; NaN is not seen.
    """
    truth_BFJD, generator = _window(truth_FC, skeleton, seed)
    return _array(EstimatorSimulator(skeleton).detect(truth_BFJD, generator).poses_BTJD)


def simulated_images(
    truth_FC: Floats, skeleton: Skeleton, up: int, seed: int
) -> tuple[Floats, Floats]:
    """Return a sequence in images of a camera (`Camera`), and what one estimator makes of it.

    Args:
        truth_FC: (F, C) in metres.
        skeleton: of the C / 3 joints.
        up: the vertical axis.
        seed: see `poise.readers.noise.noise_seed`.

    Returns:
        Truth and detections, (F, J, 2) float32 each; NaN is not seen.
    """
    truth_BFJD, generator = _window(truth_FC, skeleton, seed)
    simulator = EstimatorSimulator(skeleton)
    image_BFJD, seen = simulator.detect_images(truth_BFJD @ upright(up), generator)
    return _array(image_BFJD), _array(seen.poses_BTJD)


def _window(truth_FC: Floats, skeleton: Skeleton, seed: int) -> tuple[Tensor, torch.Generator]:
    truth_FJD = torch.tensor(truth_FC).unflatten(-1, (len(skeleton.joints), -1))
    return truth_FJD[None], torch.Generator().manual_seed(seed % _SEEDS)


def _array(poses_BFJD: Tensor) -> Floats:
    return np.ascontiguousarray(poses_BFJD[0].numpy(), dtype=np.float32)
