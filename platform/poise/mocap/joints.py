"""Which points of a recording give the 17 joints of Human3.6M."""

from collections.abc import Mapping, Sequence
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


def pick(
    points_FP3: NDArray[np.float64], names: Sequence[str], joints: JointMap
) -> NDArray[np.float64]:
    """Return the 17 joints, (F, 17, 3), from named points.

    Raises:
        DataError: a point is not among the names.
    """
    missing = sorted({name for points in joints.values() for name in points} - set(names))
    if missing:
        raise DataError(f"no point {', '.join(missing)}; there are {', '.join(names)}")
    place = {name: number for number, name in enumerate(names)}
    columns = [points_FP3[:, [place[name] for name in joints[joint]]].mean(1) for joint in JOINTS]
    return np.stack(columns, axis=1)
