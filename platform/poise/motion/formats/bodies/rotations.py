"""Rotations behind a motion of an SMPL body, and those of the motion as it is now."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Motion
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Turned:
    """A person's rotations in a file.

    Attributes:
        frames_F: numbers of the frames, rising.
        pose_FJ3: axis-angles, (F, 24, 3).
        trans_F3: metres.
        betas: shape coefficients.
    """

    frames_F: NDArray[np.int64]
    pose_FJ3: Floats
    trans_F3: Floats
    betas: Floats


@dataclass(frozen=True)
class BodyRest:
    """What a file holds of bodies whose joints were computed.

    Attributes:
        path: the file.
        gender: of the body model.
        family: likewise; see `poise.mocap.formats.body_model.Bodies.of`.
        people: by id.
    """

    path: Path
    gender: str
    family: str | None
    people: dict[str, Turned]


def fitted_to(motion: Motion, rest: BodyRest) -> Turned:
    """Return the rotations of a motion's first person, in every frame that both speak of.

    Where the file has no rotation, one between its neighbours' is turned to fit.

    Raises:
        DataError: nobody of that name has rotations, or none in these frames.
    """
    from poise.mocap.formats.body_fit import fitted  # SciPy takes a second to import
    from poise.mocap.formats.body_model import Bodies

    who = motion.people[0] if motion.people else ""
    one, models = rest.people.get(who), Settings.current().smpl
    if one is None or models is None:
        raise DataError(f"{rest.path}: has no rotations of person {who}; write .csv")
    first, last = (
        max(one.frames_F[0], motion.frames_F[0]),
        min(one.frames_F[-1], motion.frames_F[-1]),
    )
    if last < first:
        raise DataError(f"{rest.path}: has no rotations in the motion's frames; write .csv")
    numbers_F = np.arange(first, last + 1)
    target_FJ3 = np.full((len(numbers_F), *motion.poses_FPJD.shape[2:]), np.nan)
    inside_F = (motion.frames_F >= numbers_F[0]) & (motion.frames_F <= numbers_F[-1])
    target_FJ3[motion.frames_F[inside_F] - numbers_F[0]] = motion.poses_FPJD[inside_F, 0]
    pose_FJ3, trans_F3 = _between(one, numbers_F)
    body = Bodies(models).of(rest.gender, rest.family)
    pose_FJ3, trans_F3 = fitted(body, pose_FJ3, one.betas, trans_F3, target_FJ3)
    return Turned(numbers_F, pose_FJ3, trans_F3, one.betas)


def _between(one: Turned, numbers_F: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return pose and place in all frames of the numbers, those that are missing in between."""
    if np.array_equal(numbers_F, one.frames_F):
        return one.pose_FJ3, one.trans_F3
    from scipy.spatial.transform import Rotation, Slerp

    trans_F3 = np.stack(
        [np.interp(numbers_F, one.frames_F, column) for column in one.trans_F3.T], axis=1
    )
    pose_FJ3 = np.empty((len(numbers_F), *one.pose_FJ3.shape[1:]))
    for joint in range(pose_FJ3.shape[1]):
        known = Rotation.from_rotvec(one.pose_FJ3[:, joint])
        pose_FJ3[:, joint] = Slerp(one.frames_F, known)(numbers_F).as_rotvec()
    known_F = np.isin(one.frames_F, numbers_F)
    pose_FJ3[one.frames_F[known_F] - numbers_F[0]] = one.pose_FJ3[known_F]
    return pose_FJ3, trans_F3
