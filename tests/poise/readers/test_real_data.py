"""The real tracks of POISE_DATA, where there are any."""

import os
from pathlib import Path

import numpy as np
import pytest

from poise.catalog.tracks import Track
from poise.readers.raw_split import open_split, split_exists
from poise.readers.sequence import PoseSequence


def read(track: str, split: str) -> list[PoseSequence]:
    data, parsed = os.environ.get("POISE_DATA"), Track.parse(track)
    if data is None or not split_exists(Path(data), parsed, split):
        pytest.skip(f"no {parsed} under POISE_DATA ({data or 'not set'})")
    rows = list(open_split(Path(data), parsed, split))
    assert all(isinstance(row, PoseSequence) for row in rows)
    return [row for row in rows if isinstance(row, PoseSequence)]


@pytest.mark.parametrize(
    ("track", "split", "count", "frames", "subjects"),
    [
        ("uiprmd/kinect/3D", "train", 1001, 70_508, {"S1", "S3", "S5", "S6", "S8", "S10"}),
        ("uiprmd/kinect/3D", "test", 360, 26_425, {"S2", "S7"}),
        ("cmu/gaussian-10/3D", "train", 231, 125_690, None),
        ("cmu/uniform-100/3D", "test", 65, 39_815, None),
    ],
)
def test_counts(track: str, split: str, count: int, frames: int, subjects: set[str] | None) -> None:
    rows = read(track, split)
    assert len({row.name for row in rows}) == len(rows) == count
    assert sum(len(row.detected_FC) for row in rows) == frames
    if subjects is not None:
        assert {row.subject for row in rows} == subjects
    else:
        bodies = {str(row.action).split("-")[0] for row in rows}
        assert bodies == {"daz", "native", "native_bvh"}


def test_raw_error_of_the_kinect() -> None:
    errors, jolts = [], []
    for row in read("uiprmd/kinect/3D", "test"):
        assert row.truth_FC is not None
        off_FJ3 = (row.detected_FC.astype(np.float64) - row.truth_FC).reshape(-1, 17, 3)
        off_FJ3 -= off_FJ3[:, :1]
        errors.append(np.linalg.norm(off_FJ3, axis=2).mean(1))
        jolt = np.linalg.norm(np.diff(off_FJ3, 2, axis=0), axis=2).mean(1)
        jolts.append(np.concatenate([[0.0], jolt, [0.0]]))
    assert 1000 * np.concatenate(errors).mean() == pytest.approx(75.58, abs=0.005)
    assert 1000 * np.concatenate(jolts).mean() == pytest.approx(8.85, abs=0.005)
