"""One person's motion: what is believed of it, refined piece by piece, gaps filled or left.

Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.motion.motion import Floats as MotionFloats
from poise.refining.cutoff import Residuals
from poise.refining.doubts import jumps, unsure
from poise.refining.feet.hold import Feet
from poise.refining.grid import Floats, Grid, Mask, filled, gap_lengths, seen
from poise.refining.method import Method
from poise.refining.options import Options
from poise.refining.sides import Swap, mend

#: Frames that lie so far apart belong together, whether what is between them is filled or not.
_TOGETHER_S: Final = 0.5
#: A piece of fewer frames is left as it is.
_FEWEST: Final = 4


@dataclass(frozen=True)
class Person:
    """What became of one person.

    Attributes:
        poses_FJD: refined; NaN where a joint is still not there.
        before_FJD: what the file has.
        unsure_FJ: of that, where the estimator was not sure enough.
        jumped_FJ: of that, where a joint was off the body for a moment.
        filled_FJ: gaps that were filled.
        error_FJ: how far off joints are expected to be; None where the refiner does not say.
        swaps: limbs whose sides were put right.
        cutoffs: that were used, in Hz, piece by piece.
        residuals: how the cutoff of the longest piece was found, where it was.
        alone: frames too few to refine, which are left as they are.
        feet: how feet that stand were held; None where nobody asked.
    """

    poses_FJD: Floats
    before_FJD: Floats
    unsure_FJ: Mask
    jumped_FJ: Mask
    filled_FJ: Mask
    error_FJ: Floats | None
    swaps: tuple[Swap, ...]
    cutoffs: tuple[float, ...]
    residuals: Residuals | None
    alone: int
    feet: Feet | None = None

    @property
    def seen_FJ(self) -> Mask:
        """Where the file has a place."""
        return seen(self.before_FJD)

    @property
    def believed_FJ(self) -> Mask:
        """Where the file has a place that is believed."""
        return self.seen_FJ & ~self.unsure_FJ & ~self.jumped_FJ

    @property
    def left_FJ(self) -> Mask:
        """Gaps that are still there, in frames between the person's first and last."""
        gone_FJ = ~seen(self.poses_FJD)
        there = np.flatnonzero(self.seen_FJ.any(1))
        if len(there):
            gone_FJ[: there[0]] = gone_FJ[there[-1] + 1 :] = False
        return gone_FJ


def refined(
    given_FJD: MotionFloats,
    confidence_FJ: MotionFloats | None,
    joints: Sequence[str],
    times_F: Floats,
    step: float,
    method: Method,
    options: Options,
) -> Person:
    """Refine one person.

    Args:
        given_FJD: NaN where a joint was not seen.
        confidence_FJ: None where the estimator says nothing.
        joints: their names.
        times_F: of the frames, in seconds.
        step: usual time between them.
        method: the refiner.
        options: what counts as seen, and what is filled.
    """
    before_FJD = given_FJD.astype(np.float64, copy=False)
    unsure_FJ = unsure(before_FJD, confidence_FJ, options.min_confidence)
    poses_FJD = before_FJD.copy()  # the one copy of an hour: what is refined takes its place
    poses_FJD[~seen(before_FJD) | unsure_FJ] = np.nan
    swaps = mend(poses_FJD, joints, times_F)
    jumped_FJ = jumps(poses_FJD, times_F, step)
    poses_FJD[jumped_FJ] = np.nan
    there_FJ = seen(poses_FJD)
    fills_FJ = _fills(there_FJ, times_F, step, options.fill)
    errors, alone = np.full(there_FJ.shape, np.nan), 0
    cutoffs: list[float] = []
    analysed: list[tuple[int, Residuals]] = []
    bridge = max(options.fill, _TOGETHER_S)
    for part in _pieces(np.asarray(there_FJ.any(1)), times_F, bridge + step):
        frames = int(there_FJ[part].any(1).sum())
        if frames < _FEWEST:
            _replace(poses_FJD[part], filled(poses_FJD[part]), there_FJ[part])
            alone += frames
            continue
        grid = Grid.under(times_F[part], step)
        smooth = method.run(grid.onto(poses_FJD[part]), 1 / grid.step, bridge / grid.step)
        _replace(poses_FJD[part], grid.off(smooth.poses_GJD), there_FJ[part])
        if smooth.error_GJ is not None:
            errors[part] = grid.off(smooth.error_GJ)
        if smooth.cutoff is not None:
            cutoffs.append(smooth.cutoff)
        if smooth.residuals is not None:
            analysed.append((frames, smooth.residuals))
    poses_FJD[~there_FJ & ~fills_FJ] = np.nan
    return Person(
        poses_FJD=poses_FJD,
        before_FJD=before_FJD,
        unsure_FJ=unsure_FJ,
        jumped_FJ=jumped_FJ,
        filled_FJ=fills_FJ & seen(poses_FJD),
        error_FJ=None if np.isnan(errors).all() else errors,
        swaps=swaps,
        cutoffs=tuple(cutoffs),
        residuals=max(analysed, key=lambda one: one[0])[1] if analysed else None,
        alone=alone,
    )


def _fills(there_FJ: Mask, times_F: Floats, step: float, longest: float) -> Mask:
    """Say which gaps are to be filled, joint by joint."""
    fills_FJ = np.zeros_like(there_FJ)
    for joint, there_F in enumerate(there_FJ.T):
        gap_F = gap_lengths(there_F, times_F, step)
        # At the ends gaps are without end, and none is filled.
        short_F = np.isfinite(gap_F) & (gap_F <= longest + step / 2)
        fills_FJ[:, joint] = ~there_F & short_F & (longest > 0)
    return fills_FJ


def _replace(poses_FJD: Floats, refined_FJD: Floats, there_FJ: Mask) -> None:
    """Put refined poses in; a refiner that has nothing to go by takes nothing away."""
    found_FJ = seen(refined_FJD) | ~there_FJ
    np.copyto(poses_FJD, refined_FJD, where=found_FJ[..., None])


def _pieces(there_F: Mask, times_F: Floats, longest: float) -> Iterator[slice]:
    """Yield the pieces between gaps in which nobody is there for longer, in time."""
    frames = np.flatnonzero(there_F)
    if not len(frames):
        return
    cuts = np.flatnonzero(np.diff(times_F[frames]) > longest + 1e-9) + 1
    for part in np.split(frames, cuts):
        yield slice(int(part[0]), int(part[-1]) + 1)
