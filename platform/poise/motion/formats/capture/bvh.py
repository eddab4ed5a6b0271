"""BVH: positions of the joints of a moving skeleton; read only."""

import re
from typing import Final

import numpy as np

from poise.motion.format import Format, Sample
from poise.motion.motion import Motion
from poise.motion.names import checked_names, known_joints

_FIELDS: Final = {
    "HIERARCHY": "the joints with their offsets; ends of chains are joints called NAME_end",
    "Frame Time": "seconds between frames",
    "MOTION": "positions and rotations, of which the joints' positions are computed",
}
_BEGIN: Final = re.compile(r"\s*HIERARCHY\b", re.IGNORECASE)


def _fits(sample: Sample) -> bool:
    first = next((line for line in sample.head_lines[:20] if line.strip()[:1] not in ("", "#")), "")
    return bool(_BEGIN.match(first)) and sample.ending != ".asf"


def _read(sample: Sample) -> Motion:
    from poise.mocap.formats.bvh import read_bvh  # SciPy's rotations take a second to import

    take = read_bvh(sample.path)
    names, skeleton = known_joints(checked_names(sample.path, take.names))
    positions = np.asarray(take.positions(), np.float64)
    return Motion(
        poses_FPJD=positions[:, None],
        joints=names,
        fps=take.fps,
        skeleton=skeleton,
        source=sample.path,
        notes=tuple(take.notes),
    )


FORMATS: Final = (
    Format(
        name="bvh",
        about="BVH: skeletons of animation programs and motion capture",
        endings=(".bvh",),
        fields=_FIELDS,
        fits=_fits,
        read=_read,
        dims=(3,),
        holds=frozenset({"names", "rate"}),
    ),
)
