"""Files of the SmoothNet layout, written by hand."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence

KINECT = Track.parse("uiprmd/kinect/3D")
DRAW = np.random.default_rng(7)


def objects(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def save(data: Path, track: Track, kind: str, split: str = "test", **columns: list[Any]) -> Path:
    """Write one file of the layout by hand; ``kind`` is detected or groundtruth."""
    middle = track.estimator if kind == "detected" else "gt"
    path = (
        data
        / "poses"
        / (track.info.folder or "")
        / kind
        / f"{track.dataset}_{middle}_{track.representation}_{split}.npz"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {key: objects(column) for key, column in columns.items()}
    np.savez(path, **arrays)
    return path


def images(name: str, frames: int) -> list[str]:
    return [f"{name}/{frame:06d}" for frame in range(frames)]


def read(data: Path, track: Track, split: str = "test") -> list[PoseSequence]:
    rows = list(read_split(data, track, split))
    assert all(isinstance(row, PoseSequence) for row in rows)
    return [row for row in rows if isinstance(row, PoseSequence)]
