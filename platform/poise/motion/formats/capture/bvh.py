"""BVH: positions of the joints of a moving skeleton, and rotations fitted to positions."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from poise.motion.format import Format, Sample, Written
from poise.motion.formats.capture.bvh_writer import BETWEEN, bvh_text
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints

if TYPE_CHECKING:
    from poise.mocap.formats.bvh import Bvh

_FIELDS: Final = {
    "HIERARCHY": "the joints with their offsets; ends of chains are joints called NAME_end",
    "Frame Time": "seconds between frames",
    "MOTION": "positions and rotations, of which the joints' positions are computed. Written, they "
    "are fitted: positions come back but for changes of bones' lengths, twists of bones do not",
    "NAME_to_CHILD": "written where several bones leave a joint: turns one of them, has no length, "
    "and is no joint when it is read",
}
_BEGIN: Final = re.compile(r"\s*HIERARCHY\b", re.IGNORECASE)


def _fits(sample: Sample) -> bool:
    first = next((line for line in sample.head_lines[:20] if line.strip()[:1] not in ("", "#")), "")
    return bool(_BEGIN.match(first)) and sample.ending != ".asf"


@dataclass(frozen=True)
class _Rest:
    """The tree of the file.

    Attributes:
        parents: of each joint, -1 of the root.
    """

    parents: tuple[int, ...]


def _read(sample: Sample) -> Motion:
    from poise.mocap.formats.bvh import read_bvh  # SciPy's rotations take a second to import

    take = read_bvh(sample.path)
    kept, parents = _joints(take)
    names, skeleton = known_joints(checked_names(sample.path, [take.names[at] for at in kept]))
    positions = np.asarray(take.positions(), np.float64)
    return Motion(
        poses_FPJD=positions[:, None, kept],
        joints=names,
        fps=take.fps,
        skeleton=skeleton,
        bones=tuple((above, joint) for joint, above in enumerate(parents) if above >= 0),
        rest=_Rest(parents),
        source=sample.path,
        notes=tuple(take.notes),
    )


def _joints(take: "Bvh") -> tuple[list[int], tuple[int, ...]]:
    """Return the joints that are places of their own, and the place of each one's parent.

    An end at its joint is none, and neither is one in between, as `bvh_writer` makes them.
    """
    dropped: set[int] = set()
    for at, joint in enumerate(take.joints):
        above = take.joints[joint.parent].name if joint.parent >= 0 else ""
        between = joint.name.startswith(f"{above}{BETWEEN}") and joint.parent >= 0
        if not joint.offset_3.any() and (between or (not joint.channels and joint.parent >= 0)):
            dropped.add(at)
    kept = [at for at in range(len(take.joints)) if at not in dropped]
    place = {at: number for number, at in enumerate(kept)}
    parents = []
    for at in kept:
        owner = take.joints[at].parent
        while owner in dropped:
            owner = take.joints[owner].parent
        parents.append(place.get(owner, -1))
    return kept, tuple(parents)


def _write(motion: Motion) -> Written:
    return bvh_text(
        motion, motion.rest.parents if isinstance(motion.rest, _Rest) else None
    ).encode()


FORMATS: Final = (
    Format(
        name="bvh",
        about="BVH: skeletons of animation programs and motion capture",
        endings=(".bvh",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        write=_write,
        dims=(3,),
        holds=frozenset({"names", "rate"}),
        rigid=True,
    ),
)
