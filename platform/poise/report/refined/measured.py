"""What refined sequences show beyond a table: joints, frequencies, expected errors.

Shape letters: F frames, J joints, D dimensions, K frequencies.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from poise.analysis.error_spectrum import SEGMENT, density
from poise.analysis.uncertainty import Calibration, calibrations, pooled
from poise.catalog.tracks import TrackInfo
from poise.report.refined.again import Again, Floats
from poise.report.sweeps.trials import Method


@dataclass(frozen=True)
class Measured:
    """What one method's sequences show.

    Attributes:
        error_J: mean distance of each joint; NaN where it is never scored.
        hertz_K: frequencies.
        density_K: power of the error over them, the median of the sequences that are long enough;
            None where none is, or the frame rate is not known.
        met: how well expected errors are met; none where the method says nothing.
        kept: the sequences that were asked for, by name.
    """

    method: Method
    error_J: Floats
    hertz_K: Floats
    density_K: Floats | None
    met: list[Calibration]
    kept: dict[str, Again]


def measure(
    method: Method, sequences: Iterator[Again], info: TrackInfo, keep: Collection[str]
) -> Measured:
    """Look at a method's sequences, one by one.

    Args:
        method: whose they are.
        sequences: of all folds.
        info: of the track.
        keep: names of those to keep.
    """
    sum_J, count_J = np.zeros(info.joints), np.zeros(info.joints)
    densities: list[Floats] = []
    expected: list[list[Tensor]] = []
    kept: dict[str, Again] = {}
    for one in sequences:
        error_FJD = one.refined_FJD - one.truth_FJD
        sum_J += (np.linalg.norm(error_FJD, axis=-1) * one.scored_FJ).sum(0)
        count_J += one.scored_FJ.sum(0)
        density_K = density(error_FJD, one.scored_FJ, info.fps) if info.fps else None
        if density_K is not None:
            densities.append(density_K)
        if one.expected is not None:
            expected.append(one.expected)
        if one.name in keep:
            kept[one.name] = one
    error_J = np.where(count_J > 0, sum_J / np.maximum(count_J, 1), np.nan)
    return Measured(
        method,
        error_J,
        np.fft.rfftfreq(SEGMENT, 1 / (info.fps or 1)).astype(np.float64),
        np.median(densities, axis=0) if densities else None,
        calibrations(method.title, pooled(expected)) if expected else [],
        kept,
    )
