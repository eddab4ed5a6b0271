"""One sequence on its way through a refiner: what goes in, and what comes out."""

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """One sequence as a refiner receives it, in the units its track stores.

    Attributes:
        detected_FC: the estimator's output, (F, C) float32. NaN marks a joint that was not seen:
            smoothing filters fill it (`poise_models.filters.gaps.filled`), networks want none.
        windows_NTC: overlapping windows whose frames disagree (the paper's per-window noise);
            None means the windows of ``detected_FC``.
        neighbours_NKTC: per window the K nearest poses of the PVD, nearest first, already in the
            window's frame; None means retrieval was unavailable.
        distances_NK: their squared L2 distances in embedding space.
        times_F: frame numbers, increasing, fractions allowed, best float64; None where no frame is
            missing. Filters go by them; networks know frames in order only.
    """

    detected_FC: Tensor
    windows_NTC: Tensor | None = None
    neighbours_NKTC: Tensor | None = None
    distances_NK: Tensor | None = None
    times_F: Tensor | None = None

    def with_neighbours(self, neighbours_NKTC: Tensor, distances_NK: Tensor) -> Self:
        """The same clip with what retrieval found: (N, K, T, C), nearest first, and (N, K)."""
        return replace(self, neighbours_NKTC=neighbours_NKTC, distances_NK=distances_NK)


@dataclass(frozen=True)
class Refined:
    """Refined poses, and what the refiner knows of their worth.

    Attributes:
        poses_FC: (F, C).
        quality_F: of each detected frame, in (0, 1]; None where the refiner knows none.
        error_FJ: how far off each refined joint is expected to be, in the poses' unit; None where
            the refiner knows it not.
    """

    poses_FC: Tensor
    quality_F: Tensor | None = None
    error_FJ: Tensor | None = None
