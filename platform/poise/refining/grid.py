"""An even grid under frames that come at uneven times, some of them twice, some of them not at all.

Shape letters: F frames, G points of the grid, X any channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Frames this near to points of the grid, in steps, are at them.
_NEAR: Final = 0.1
#: Between frames further apart than so many steps the grid has gaps.
_APART: Final = 1.5
#: Frames that are worked on at a time, where each is by itself: more only take memory.
_BLOCK: Final = 4096


@dataclass(frozen=True)
class Grid:
    """Points in time, a step apart, from the first frame to the last.

    Attributes:
        step: time between points.
        places_F: where the frames lie, in steps.
        size: how many points there are, G.
    """

    step: float
    places_F: Floats
    size: int

    @classmethod
    def under(cls, times_F: Floats, step: float) -> Self:
        """Lay a grid under frames.

        Args:
            times_F: of the frames, never falling.
            step: the usual time between frames; the grid's differs where clocks drift.
        """
        steps = int(np.rint(np.diff(times_F) / step).sum())
        if steps:
            step = float(times_F[-1] - times_F[0]) / steps
        places_F = (times_F - times_F[0]) / step
        return cls(step, places_F, max(steps, int(np.ceil(places_F[-1] - _NEAR))) + 1)

    @property
    def even(self) -> bool:
        """Whether every frame is at a point."""
        return bool(np.all(np.abs(self.places_F - np.rint(self.places_F)) <= _NEAR))

    @property
    def _is_frames(self) -> bool:
        """Whether the points are the frames, one by one."""
        return self.even and np.array_equal(np.rint(self.places_F), np.arange(self.size))

    def onto(self, values_FX: Floats) -> Floats:
        """Return values at the points; NaN where no frame is near, or none with a value.

        Not to be written to: where the points are the frames they are the same values.
        Of frames at the same time the first that has a value counts.
        """
        if not self.even:
            return self._interpolated(values_FX)
        if self._is_frames:
            return values_FX
        even_GX = np.full((self.size, *values_FX.shape[1:]), np.nan)
        at_F = np.rint(self.places_F).astype(np.int64)
        even_GX[at_F[::-1]] = values_FX[::-1]
        for frame in np.flatnonzero(np.diff(at_F) == 0) + 1:
            point_X, again_X = even_GX[at_F[frame]], values_FX[frame]
            even_GX[at_F[frame]] = np.where(np.isnan(point_X), again_X, point_X)
        return even_GX

    def _interpolated(self, values_FX: Floats) -> Floats:
        points_G = np.arange(self.size, dtype=np.float64)
        flat_FX = values_FX.reshape(len(values_FX), -1)
        even_GX = np.full((self.size, flat_FX.shape[1]), np.nan)
        for channel, values_F in enumerate(flat_FX.T):
            even_GX[:, channel] = _through(self.places_F, values_F, points_G)
        return even_GX.reshape(self.size, *values_FX.shape[1:])

    def off(self, even_GX: Floats) -> Floats:
        """Return what values at the points are at the frames: cubics through four points."""
        if self._is_frames:
            return even_GX
        if self.even:
            values_FX: Floats = even_GX[np.rint(self.places_F).astype(np.int64)]
            return values_FX
        left_F = np.clip(np.floor(self.places_F).astype(np.int64), 0, max(self.size - 2, 0))
        share_F = (self.places_F - left_F).reshape(-1, *[1] * (even_GX.ndim - 1))
        four = [even_GX[np.clip(left_F + at, 0, self.size - 1)] for at in (-1, 0, 1, 2)]
        before, start, end, after = four
        straight = start + share_F * (end - start)
        bent = share_F * (end - before) / 2 + start
        bent = bent + share_F**2 * (before - 2.5 * start + 2 * end - after / 2)
        bent = bent + share_F**3 * (1.5 * (start - end) + (after - before) / 2)
        return np.where(np.isnan(bent), straight, bent)


def _through(times_F: Floats, values_F: Floats, at_G: Floats) -> Floats:
    """Curves without overshoot through values, NaN in gaps and outside."""
    seen_F = ~np.isnan(values_F)
    times, first = np.unique(times_F[seen_F], return_index=True)
    found_G = np.full(len(at_G), np.nan)
    if not len(times):
        return found_G
    values = values_F[seen_F][first]
    after_G = np.searchsorted(times, at_G)
    next_G = times[np.minimum(after_G, len(times) - 1)]
    last_G = times[np.maximum(after_G - 1, 0)]
    inside_G = (after_G > 0) & (after_G < len(times)) & (next_G - last_G <= _APART)
    if len(times) > 1:
        found_G[inside_G] = PchipInterpolator(times, values)(at_G[inside_G])
    near_G = np.where(np.abs(next_G - at_G) < np.abs(at_G - last_G), after_G, after_G - 1)
    near_G = np.clip(near_G, 0, len(times) - 1)
    close_G = np.isnan(found_G) & (np.abs(times[near_G] - at_G) <= _NEAR)
    found_G[close_G] = values[near_G[close_G]]
    return found_G


def seen(poses_XD: Floats) -> Mask:
    """Say where all dimensions are there."""
    return np.asarray(~np.isnan(poses_XD).any(-1))


def filled(values_GX: Floats, reach: float = np.inf) -> Floats:
    """Fill gaps between values along the first axis by curves without overshoot.

    Args:
        values_GX: NaN in gaps.
        reach: a gap of more points stays one.
    """
    flat_GX = values_GX.reshape(len(values_GX), -1).copy()
    gaps_GX = np.isnan(flat_GX)
    points_G = np.arange(len(flat_GX), dtype=np.float64)
    for channel in np.flatnonzero(gaps_GX.any(0) & ((~gaps_GX).sum(0) > 1)):
        gap_G = gaps_GX[:, channel]
        seen_G = np.flatnonzero(~gap_G)
        wanted_G = gap_G & (gap_lengths(~gap_G) <= reach)
        wanted_G[: seen_G[0]] = wanted_G[seen_G[-1] + 1 :] = False
        curve = PchipInterpolator(points_G[seen_G], flat_GX[seen_G, channel])
        flat_GX[wanted_G, channel] = curve(points_G[wanted_G])
    return flat_GX.reshape(values_GX.shape)


def blocks(frames: int, before: int = 0) -> Iterator[slice]:
    """Yield slices of some thousand frames, each with so many before it, where there are."""
    for first in range(0, frames, _BLOCK):
        yield slice(max(first - before, 0), min(first + _BLOCK, frames))


def gap_lengths(seen_FX: Mask, times_F: Floats | None = None, step: float = 1.0) -> Floats:
    """How long the gap is in which something lies; infinite at the ends, 0 where it was seen.

    Args:
        seen_FX: whether it was seen.
        times_F: of the frames; without them they are 1 apart.
        step: the usual time between frames. A gap is as long as what is missing: the time from the
            frame before to the frame after, less a step.
    """
    frames = len(seen_FX)
    times_F = np.arange(frames, dtype=np.float64) if times_F is None else times_F
    column_F = times_F.reshape(-1, *[1] * (seen_FX.ndim - 1))
    before_FX = np.maximum.accumulate(np.where(seen_FX, column_F, -np.inf), 0)
    after_FX = np.minimum.accumulate(np.where(seen_FX, column_F, np.inf)[::-1], 0)[::-1]
    return np.where(seen_FX, 0.0, after_FX - before_FX - step)
