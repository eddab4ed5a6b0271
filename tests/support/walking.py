"""A person who walks in place, as motions of several kinds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets
from poise.motion.motion import Motion

COCO = joint_sets()["coco17"].joints
#: Of each COCO joint, standing, in pixels; right and left are 40 apart.
_STANDING = {
    "nose": (0, -170), "eye": (3, -173), "ear": (6, -171), "shoulder": (20, -140),
    "elbow": (25, -110), "wrist": (27, -85), "hip": (15, -90), "knee": (16, -45), "ankle": (17, 0),
}  # fmt: skip
_SWING = {"wrist": 20.0, "elbow": 10.0, "knee": 15.0, "ankle": 25.0}


def walking(frames: int = 120, fps: float = 30.0) -> NDArray[np.float64]:
    """Return poses (F, 17, 2) in pixels: arms and legs swing once a second."""
    times_F = np.arange(frames) / fps
    poses = np.zeros((frames, len(COCO), 2))
    for joint, name in enumerate(COCO):
        side = -1.0 if name.startswith("left") else 1.0
        word = name.split("_")[-1]
        x, y = _STANDING[word]
        poses[:, joint] = 300 + (0 if word == "nose" else side * x), 400 + y
        phase = 0.0 if side > 0 else np.pi
        poses[:, joint, 0] += _SWING.get(word, 0.0) * np.sin(2 * np.pi * times_F + phase)
    return poses


def motion_of(*people: NDArray[np.float64], **more: Any) -> Motion:
    """Return people's poses (F, 17, 2) as a motion at 30 fps."""
    given: dict[str, Any] = {
        "fps": 30.0,
        "joints": COCO,
        "skeleton": "coco17",
        "unit": "px",
        "up": "-y",
    }
    poses = np.stack(people, 1)
    return Motion(poses_FPJD=poses, people=tuple(map(str, range(len(people)))), **(given | more))
