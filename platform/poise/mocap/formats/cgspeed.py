"""The three BVH conversions of the CMU database by cgspeed, and how they differ."""

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.dataset_file import METRES
from poise.mocap import joints
from poise.mocap.formats.asf import AsfSkeleton
from poise.mocap.formats.bvh import Bvh, Joint, distinct
from poise.runtime.errors import DataError

#: Native conversions keep the unit of CMU's skeletons, whose length unit is 0.45 (of an inch).
_CMU_METRES: Final = 0.0254 / 0.45


@dataclass(frozen=True)
class Dialect:
    """One conversion.

    Attributes:
        prefix: begin of its takes' names, which tells own bodies from retargeted ones.
        metres: length of a file unit.
        lead_in: frames before the recording where a take starts in a T-pose: that pose, and in the
            Daz conversion a spline from it into the motion.
        spine: joints whose offsets are the lower and the upper back of the ASF.
        peculiar: joints that tell it from other programs' skeletons of the same names.
        above_thorax: children of the thorax that lack its length; none where it is not missing.
    """

    prefix: str
    metres: float
    joints: joints.JointMap
    lead_in: int
    spine: tuple[str, ...] = ()
    above_thorax: tuple[str, ...] = ()
    peculiar: tuple[str, ...] = ()


_DIALECTS: Final = {
    "MotionBuilder": Dialect(
        prefix="native_bvh",
        metres=_CMU_METRES,
        joints=joints.MOTIONBUILDER,
        lead_in=1,
        spine=("Spine", "Spine1"),
        above_thorax=("Neck", "LeftShoulder", "RightShoulder"),
        peculiar=("LHipJoint", "RHipJoint"),
    ),
    "3dsMax": Dialect(
        prefix="native_bvh",
        metres=_CMU_METRES,
        joints=joints.MAX,
        lead_in=1,
        spine=("Chest", "Chest2"),
        above_thorax=("lowerneck", "LeftCollar", "RightCollar"),
    ),
    "Daz": Dialect(prefix="daz", metres=0.01, joints=joints.DAZ, lead_in=10),
}
#: Joints that only conversions with too low a neck have.
PECULIAR: Final = ("LHipJoint", "RHipJoint", "lowerneck")
#: The Daz skeleton ends in the head's base; the top of its neck-to-head bone is put here, metres.
_DAZ_HEAD_TOP: Final = 0.1
_PREFIX: Final = re.compile(
    r".*[:|]|mixamorig\d*_?|Character\d+_|(ValveBiped\.)?Bip\d+[ _-]+|[mf]_avg_|CC_Base_", re.I
)
_SAME_OFFSET: Final = 1e-3


def is_known(take: Bvh) -> bool:
    """Say whether one of the conversions made a take."""
    return _dialect(take) is not None


def dialect_of(take: Bvh) -> Dialect:
    """Return the conversion that made a take; raise `DataError` where it is none of them."""
    dialect = _dialect(take)
    if dialect is None:
        raise DataError(
            f"{take.file}: joints {', '.join(take.names[:12])}, ... are of no CMU conversion Poise "
            f"knows ({', '.join(_DIALECTS)}), and of no other program's; say with --skeleton-map "
            "MAP.toml which they are: poise mocap --show-skeleton prints one to fill in"
        )
    return dialect


def _dialect(take: Bvh) -> Dialect | None:
    names = set(plain_names(take).names)
    for dialect in _DIALECTS.values():
        wanted = {name for names in dialect.joints.values() for name in names} - {"headTop"}
        if wanted | set(dialect.above_thorax) | set(dialect.peculiar) <= names:
            return dialect
    return None


def plain_names(take: Bvh) -> Bvh:
    """Return a take without what programs put before names: ``Anna:``, ``Character1_``."""
    names = distinct([plain_name(name) for name in take.names])
    joints = (replace(joint, name=name) for joint, name in zip(take.joints, names, strict=True))
    return replace(take, joints=tuple(joints))


def plain_name(name: str) -> str:
    """Return a joint's name without what programs put before it."""
    return _PREFIX.sub("", name) or name


def joints_of(
    take: Bvh, skeleton: AsfSkeleton | None, estimate_thorax: bool = False, unit: str = ""
) -> NDArray[np.float64]:
    """Return the 17 joints in metres, (F, 17, 3), without the lead-in.

    Args:
        take: a take of one of the conversions.
        skeleton: the person's ASF; native conversions need its thorax.
        estimate_thorax: where there is no ASF, take the upper back's length and direction for
            the thorax (1 to 12 mm off in eight CMU skeletons).
        unit: one of `METRES` where the file has been scaled.

    Raises:
        DataError: not a known conversion, no ASF where one is needed, or one of somebody else.
    """
    dialect, take = dialect_of(take), plain_names(take)
    metres = METRES[unit] if unit else dialect.metres
    if starts_in_t_pose(take):
        take = take.since(dialect.lead_in)
    if dialect.above_thorax:
        thorax_3 = _thorax(take, dialect, skeleton, estimate_thorax)
        take = take.shifted(dict.fromkeys(dialect.above_thorax, thorax_3))
    else:
        top = Joint(
            "headTop", take.names.index("head"), np.array([0.0, _DAZ_HEAD_TOP / metres, 0.0]), ()
        )
        take = replace(take, joints=(*take.joints, top))
    return joints.pick(take.positions(), take.names, dialect.joints) * metres


def starts_in_t_pose(take: Bvh) -> bool:
    """Say whether the first frame is a T-pose from before the recording.

    Its root then has no rotation at all, and that of the next frame has one.
    """
    turns_F3 = take.channels(take.names[0])[:2, 3:]
    return len(turns_F3) > 1 and not turns_F3[0].any() and bool(turns_F3[1].any())


def _thorax(
    take: Bvh, dialect: Dialect, skeleton: AsfSkeleton | None, estimate: bool
) -> NDArray[np.float64]:
    offsets = {joint.name: joint.offset_3 for joint in take.joints}
    if any(offsets[name].any() for name in dialect.above_thorax):
        return np.zeros(3)  # somebody has put it back
    if skeleton is None and estimate:
        return offsets[dialect.spine[1]]
    if skeleton is None:
        raise DataError(
            f"{take.file}: this conversion lacks the thorax segment, which leaves neck, head and "
            "arms 110 mm low; put the person's .asf beside it or in --skeletons FOLDER (poise "
            "fetch cmu has them), or accept an estimate with --estimate-thorax"
        )
    for joint, bone in zip(dialect.spine, ("lowerback", "upperback"), strict=True):
        if np.abs(offsets[joint] - skeleton.vector(bone)).max() > _SAME_OFFSET:
            raise DataError(
                f"{take.file}: {joint} has offset {offsets[joint].tolist()}, but {bone} in "
                f"{skeleton.file} is {np.round(skeleton.vector(bone), 5).tolist()}: "
                "it is the skeleton of somebody else"
            )
    return skeleton.vector("thorax")
