"""Feet that stand are held where they stand; knees follow, and no bone changes its length.

Shape letters: F frames, J joints, D dimensions, K knots of a curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from poise.refining.feet.legs import Leg
from poise.refining.feet.stands import Stand, slid, slide, stands
from poise.refining.grid import Floats, seen

#: Corrections come and go within so long.
_BLEND_S: Final = 0.15
#: No leg is stretched farther than this share of its length.
_STRETCHED: Final = 0.9999


@dataclass(frozen=True)
class Feet:
    """What was made of a person's feet.

    Attributes:
        stands: how often a foot stands.
        seconds: how long in all.
        slide: mean speed along the floor meanwhile, before and after, a second.
    """

    stands: int
    seconds: float
    slide: tuple[float, float]


def held(
    poses_FJD: Floats, before_FJD: Floats, legs: Sequence[Leg], up: str, times_F: Floats
) -> tuple[Floats, Feet]:
    """Hold feet where they stand; the knees follow, and no bone changes its length.

    Args:
        poses_FJD: of one person, refined; NaN where a joint is not there.
        before_FJD: what the file has, to say how far feet slid there.
        legs: of the person.
        up: the axis that points up.
        times_F: of the frames, in seconds.
    """
    found = stands(poses_FJD, legs, up, times_F)
    held_FJD = poses_FJD.copy()
    for leg in legs:
        mine = [one for one in found if one.leg == leg]
        if mine:
            _move(held_FJD, leg, _blended(poses_FJD, mine, up, times_F))
    seconds = sum(float(np.ptp(times_F[one.frames])) for one in found)
    slides = (slide(before_FJD, found, up, times_F), slide(held_FJD, found, up, times_F))
    return held_FJD, Feet(len(found), seconds, slides)


def _blended(poses_FJD: Floats, found: Sequence[Stand], up: str, times_F: Floats) -> Floats:
    """What a foot is to be moved by in every frame: all while it stands, none soon after."""
    knots: dict[float, Floats] = {}
    nothing_D = np.zeros(poses_FJD.shape[-1])
    let_go = -np.inf
    for one in sorted(found, key=lambda one: one.frames.start):
        first, last = float(times_F[one.frames.start]), float(times_F[one.frames.stop - 1])
        # Between times that follow each other soon there is none to let go.
        if first - _BLEND_S >= let_go:
            if np.isfinite(let_go):
                knots[let_go] = nothing_D
            knots[first - _BLEND_S] = nothing_D
        slid_FD = slid(poses_FJD, one.frames, one.joint_F, up)
        knots |= dict(zip(times_F[one.frames].tolist(), -slid_FD, strict=True))
        let_go = last + _BLEND_S
    knots[let_go] = nothing_D
    at_K = np.array(sorted(knots))
    way_FD = np.zeros((len(times_F), poses_FJD.shape[-1]))
    inside_F = (times_F >= at_K[0]) & (times_F <= at_K[-1])
    curve = PchipInterpolator(at_K, np.array([knots[at] for at in at_K.tolist()]))
    way_FD[inside_F] = curve(times_F[inside_F])
    return way_FD


def _move(poses_FJD: Floats, leg: Leg, way_FD: Floats) -> None:
    """Move a foot, as far as the leg reaches, and the knee with it, in place."""
    whole_F = seen(poses_FJD[:, [leg.hip, leg.knee, leg.foot[0]]]).all(1)
    moved_F = np.flatnonzero((way_FD != 0).any(1) & whole_F)
    way_FD = way_FD[moved_F]
    hip_FD, knee_FD, ankle_FD = (
        poses_FJD[moved_F, joint] for joint in (leg.hip, leg.knee, leg.foot[0])
    )
    thigh_F = np.linalg.norm(knee_FD - hip_FD, axis=-1)
    shank_F = np.linalg.norm(ankle_FD - knee_FD, axis=-1)
    line_FD = ankle_FD + way_FD - hip_FD
    far_F = np.linalg.norm(line_FD, axis=-1)
    least_F, most_F = np.abs(thigh_F - shank_F), _STRETCHED * (thigh_F + shank_F)
    # A leg that is stretched as it is stays so.
    most_F = np.maximum(most_F, np.linalg.norm(ankle_FD - hip_FD, axis=-1))
    reach_F = np.clip(far_F, least_F, most_F)
    along_FD = line_FD / np.where(far_F > 0, far_F, 1.0)[:, None]
    new_ankle_FD = hip_FD + along_FD * reach_F[:, None]
    # The knee: on the circle that both bones leave it, nearest to the side it was on.
    foot_F = (thigh_F**2 - shank_F**2 + reach_F**2) / np.where(reach_F > 0, 2 * reach_F, 1.0)
    out_F = np.sqrt(np.maximum(thigh_F**2 - foot_F**2, 0.0))
    bend_FD = knee_FD - hip_FD
    bend_FD = bend_FD - along_FD * (bend_FD * along_FD).sum(1, keepdims=True)
    bent_F = np.linalg.norm(bend_FD, axis=-1)
    aside_FD = bend_FD / np.where(bent_F > 0, bent_F, 1.0)[:, None]
    poses_FJD[moved_F, leg.knee] = hip_FD + along_FD * foot_F[:, None] + aside_FD * out_F[:, None]
    for joint in leg.foot:
        poses_FJD[moved_F, joint] += new_ankle_FD - ankle_FD
