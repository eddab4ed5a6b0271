"""C3D takes that the tests write, through a library of its own."""

import functools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

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
    """Write a take. Elsewhere: ezc3d takes its types for those of faiss where both are loaded."""
    return _writer().submit(_write, path, points_FM3, labels, unit).result(60)


@functools.cache
def _writer() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def _write(path: Path, points_FM3: NDArray[np.float64], labels: list[str], unit: str) -> Path:
    import ezc3d

    take = ezc3d.c3d()
    take["parameters"]["POINT"]["RATE"]["value"] = [120.0]
    take["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    take["parameters"]["POINT"]["LABELS"]["value"] = tuple(labels)
    points_3MF = points_FM3.T
    take["data"]["points"] = np.concatenate([points_3MF, np.ones_like(points_3MF[:1])])
    unseen_MF = np.isnan(points_3MF).any(0)
    take["data"]["meta_points"]["residuals"] = np.where(unseen_MF, -1.0, 0.0)[None]
    take["data"]["meta_points"]["camera_masks"] = np.zeros((7, *unseen_MF.shape), bool)
    take.write(str(path))
    return path


def markers() -> NDArray[np.float64]:
    rng = np.random.default_rng(2)
    start_M3 = rng.uniform(100, 1500, (len(JOINTS), 3))
    start_M3[JOINTS.index("right_knee")] = start_M3[JOINTS.index("right_hip")] - [0, 400, 0]
    return start_M3 + np.arange(30)[:, None, None] * [1.0, 2.0, 3.0]
