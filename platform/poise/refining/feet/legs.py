"""The legs of a motion whose feet can be held. Shape letters: F frames, P people, J joints, D."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from poise.catalog.joint_sets import plain_joints
from poise.motion.motion import Motion
from poise.refining.grid import Floats
from poise.runtime.errors import SettingsError

#: The middle of hips that is always so near the origin, in lengths of a leg, is the origin.
_AT_ORIGIN: Final = 0.02
#: Hip, knee, ankle and what touches the floor, as estimators and as animators call them.
_CHAINS: Final = (
    ("hip", "knee", "ankle", "heel", "big_toe", "small_toe", "foot_index", "foot"),
    ("up_leg", "leg", "foot", "toe_base", "foot_end", "toe_base_end"),
)


@dataclass(frozen=True)
class Leg:
    """The places of a leg's joints.

    Attributes:
        hip: where it hangs.
        knee: what follows.
        foot: the ankle, and what moves with it.
    """

    hip: int
    knee: int
    foot: tuple[int, ...]

    @property
    def touching(self) -> tuple[int, ...]:
        """The joints that may touch the floor: the ankle where the foot has no others."""
        return self.foot[1:] or self.foot


def legs_of(motion: Motion) -> list[Leg]:
    """Return the legs of a motion whose feet can be held.

    Raises:
        SettingsError: it is in an image, or has no legs, no upward axis, or no floor.
    """
    source = motion.source or "motion"
    if motion.dims != 3:
        raise SettingsError(
            f"{source}: --feet wants joints in 3D: in an image a foot that stands moves with the "
            "camera"
        )
    plain = {name: at for at, name in reversed(list(enumerate(plain_joints(motion.joints))))}
    legs = [
        Leg(plain[hip], plain[knee], (plain[ankle], *(plain[one] for one in tips if one in plain)))
        for chain in _CHAINS
        for side in ("left", "right")
        for hip, knee, ankle, *tips in [[f"{side}_{word}" for word in chain]]
        if {hip, knee, ankle} <= plain.keys()
    ]
    if not legs:
        raise SettingsError(f"{source}: --feet wants hips, knees and ankles; name them: --skeleton")
    if motion.up is None:
        raise SettingsError(f"{source}: --feet wants to know which way is up: --up")
    hips_FPD = motion.poses_FPJD[:, :, [leg.hip for leg in legs]].mean(2)
    lengths = [
        leg_length(person_FJD, legs) for person_FJD in motion.poses_FPJD.transpose(1, 0, 2, 3)
    ]
    size = float(np.nanmax([*lengths, 0.0]))
    away_FP = np.linalg.norm(hips_FPD, axis=-1)
    if len(motion) > 1 and size and not (away_FP > _AT_ORIGIN * size).any():
        raise SettingsError(
            f"{source}: --feet wants positions in the room, and these are relative to the hips: a "
            "foot that stands moves whenever the hips do"
        )
    return legs


def leg_length(poses_FJD: Floats, legs: Sequence[Leg]) -> float:
    """Return the usual length of a leg; NaN where none is seen."""
    lengths = [
        np.linalg.norm(poses_FJD[:, leg.hip] - poses_FJD[:, leg.knee], axis=-1)
        + np.linalg.norm(poses_FJD[:, leg.knee] - poses_FJD[:, leg.foot[0]], axis=-1)
        for leg in legs
    ]
    every = np.concatenate(lengths)
    every = every[~np.isnan(every)]
    return float(np.median(every)) if len(every) else float("nan")
