"""Which points of a recording give the 17 joints of Human3.6M."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.mocap.clip import JOINTS
from poise.runtime.errors import DataError

#: For each of the 17 joints the points whose mean it is.
JointMap = Mapping[str, tuple[str, ...]]


def _paired(left: str, right: str, **middle: tuple[str, ...]) -> JointMap:
    """Give both sides' joints, in the order hip, knee, ankle, shoulder, elbow, wrist."""
    parts = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    sides = {f"left_{part}": (name,) for part, name in zip(parts, left.split(), strict=True)}
    sides |= {f"right_{part}": (name,) for part, name in zip(parts, right.split(), strict=True)}
    # The pelvis lies between the hip joints; roots of mocap skeletons lie above and behind.
    return {"pelvis": sides["left_hip"] + sides["right_hip"], **sides, **middle}


#: Ends of the bones of a CMU skeleton.
ACCLAIM: Final = _paired(
    "lhipjoint lfemur ltibia lclavicle lhumerus lradius",
    "rhipjoint rfemur rtibia rclavicle rhumerus rradius",
    spine=("lowerback",),
    thorax=("thorax",),
    neck=("upperneck",),
    head=("head",),
)
MOTIONBUILDER: Final = _paired(
    "LeftUpLeg LeftLeg LeftFoot LeftArm LeftForeArm LeftHand",
    "RightUpLeg RightLeg RightFoot RightArm RightForeArm RightHand",
    spine=("Spine",),
    thorax=("Neck",),
    neck=("Head",),
    head=("Head_end",),
)
MAX: Final = _paired(
    "LeftHip LeftKnee LeftAnkle LeftShoulder LeftElbow LeftWrist",
    "RightHip RightKnee RightAnkle RightShoulder RightElbow RightWrist",
    spine=("Chest",),
    thorax=("lowerneck",),
    neck=("Head",),
    head=("Head_end",),
)
DAZ: Final = _paired(
    "lThigh lShin lFoot lShldr lForeArm lHand",
    "rThigh rShin rFoot rShldr rForeArm rHand",
    spine=("abdomen",),
    thorax=("lCollar", "rCollar"),
    neck=("head",),
    head=("headTop",),
)
SMPL: Final = _paired(
    "left_hip left_knee left_ankle left_shoulder left_elbow left_wrist",
    "right_hip right_knee right_ankle right_shoulder right_elbow right_wrist",
    spine=("spine1",),
    thorax=("left_collar", "right_collar"),
    neck=("neck",),
    head=("head",),
)


#: Without these there is neither a pelvis nor a length that tells the unit.
NEEDED: Final = ("pelvis", "right_hip", "right_knee", "left_hip", "left_knee")
_FEWEST: Final = 13


def enough(joints: Collection[str]) -> bool:
    """Say whether these of the 17 joints are enough of a person: hips, knees, and 13 in all."""
    return len(joints) >= _FEWEST and set(NEEDED) <= set(joints)


def pick(
    points_FP3: NDArray[np.float64], names: Sequence[str], joints: JointMap
) -> NDArray[np.float64]:
    """Return the 17 joints, (F, 17, 3), from named points; NaN where a joint's are not there.

    Raises:
        DataError: those that are there are not `enough`.
    """
    known = set(names)
    there = {joint: points for joint, points in joints.items() if points and set(points) <= known}
    if not enough(there):
        missing = sorted({name for points in joints.values() for name in points} - known)
        raise DataError(
            f"no point {', '.join(missing) or 'is named for enough joints'}; there are "
            f"{', '.join(names)}; hips, knees and {_FEWEST} of the {len(JOINTS)} joints in all "
            "are needed"
        )
    place = {name: number for number, name in reversed([*enumerate(names)])}
    found_FJ3 = np.full((len(points_FP3), len(JOINTS), 3), np.nan)
    for joint, points in there.items():
        found_FJ3[:, JOINTS.index(joint)] = points_FP3[:, [place[name] for name in points]].mean(1)
    return found_FJ3
