"""A sequence as an estimator sees it that is drawn for it."""

import numpy as np
import torch
from numpy.typing import NDArray

from poise.readers.simulated.estimator import EstimatorSimulator
from poise_retrieval.geometry.skeletons import Skeleton

#: Seeds of NumPy's have 64 bits; torch takes them signed.
_SEEDS = 2**63


def simulated(truth_FC: NDArray[np.float32], skeleton: Skeleton, seed: int) -> NDArray[np.float32]:
    """Return what one estimator makes of a sequence.

    Args:
        truth_FC: (F, C) in metres.
        skeleton: of the C / 3 joints.
        seed: see `poise.readers.noise.noise_seed`.

    Returns:
        (F, J, 3) float32; NaN is not seen.
    """
    truth_FJD = torch.tensor(truth_FC).unflatten(-1, (len(skeleton.joints), -1))
    generator = torch.Generator().manual_seed(seed % _SEEDS)
    seen = EstimatorSimulator(skeleton).detect(truth_FJD[None], generator)
    return np.ascontiguousarray(seen.poses_BTJD[0].numpy(), dtype=np.float32)
