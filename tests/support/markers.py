"""C3D takes that the tests write themselves."""

import warnings
from pathlib import Path

import c3d
import numpy as np
from numpy.typing import NDArray

from poise.mocap.clip import JOINTS

LABELS = [f"M{joint}" for joint in JOINTS]


def write_c3d(
    path: Path,
    points_FM3: NDArray[np.float64],
    labels: list[str],
    unit: str = "mm",
) -> Path:
    writer = c3d.Writer(point_rate=120.0, point_units=unit)
    writer.set_point_labels(labels)
    for points in points_FM3:
        unseen = np.isnan(points).any(-1)
        stored = np.zeros((len(points), 5), np.float32)
        stored[:, :3] = np.where(unseen[:, None], 0.0, points)
        stored[unseen, 3] = -1
        writer.add_frames([(stored, np.zeros((0, 0)))])
    with path.open("wb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no force plates
        writer.write(stream)
    return path


def markers() -> NDArray[np.float64]:
    rng = np.random.default_rng(2)
    start_M3 = rng.uniform(100, 1500, (len(JOINTS), 3))
    start_M3[JOINTS.index("right_knee")] = start_M3[JOINTS.index("right_hip")] - [0, 400, 0]
    return start_M3 + np.arange(30)[:, None, None] * [1.0, 2.0, 3.0]
