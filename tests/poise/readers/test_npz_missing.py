"""What an npz file marks as not seen: found, filled, marked."""

from pathlib import Path
from typing import Any

import numpy as np
from tests.support.smoothnet_files import DRAW, KINECT, read, save

from poise.catalog.tracks import Track
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence, Rejected


def test_what_was_not_seen_is_filled_and_marked(tmp_path: Path) -> None:
    truth = DRAW.random((10, 17, 3)) + np.arange(10)[:, None, None] * 0.1
    lost: list[Any] = [np.nan, 0.0, -1.0, 9999.0, np.inf, 3e38, [np.nan, 0.5, 0.5]]
    detected = []
    for value in lost:
        one = truth.copy()
        one[4:7, 13] = value
        detected.append(one)
    lists: Any = truth.tolist()
    lists[4][13] = lists[5][13] = lists[6][13] = [None] * 3
    sure = np.concatenate([truth, np.ones((10, 17, 1))], axis=-1)
    sure[4:7, 13, 3] = 0
    save(tmp_path, KINECT, "detected", joints_3d=[*detected, lists, sure])
    rows = read(tmp_path, KINECT)
    assert len(rows) == len(lost) + 2
    for row in rows:
        assert row.unseen_FJ is not None
        assert np.argwhere(row.unseen_FJ).tolist() == [[4, 13], [5, 13], [6, 13]]
        poses = row.detected_FC.reshape(10, 17, 3)
        np.testing.assert_allclose(poses[5, 13], (truth[3, 13] + truth[7, 13]) / 2, rtol=1e-5)
        np.testing.assert_allclose(np.delete(poses, 13, 1), np.delete(truth, 13, 1), rtol=1e-5)


def test_a_column_of_confidences_marks_what_was_not_seen(tmp_path: Path) -> None:
    truth = DRAW.random((10, 51))
    sure = np.ones((10, 17))
    sure[3, 2] = 0
    confidences = [sure, sure[:9], np.ones(10), None]
    save(tmp_path, KINECT, "detected", joints_3d=[truth] * 4, confidence=confidences)
    one, wrong, *without = read_split(tmp_path, KINECT, "test")
    assert all(isinstance(row, PoseSequence) and row.unseen_FJ is None for row in without)
    assert isinstance(one, PoseSequence)
    assert one.unseen_FJ is not None
    assert np.argwhere(one.unseen_FJ).tolist() == [[3, 2]]
    assert isinstance(wrong, Rejected)
    assert wrong.key == "confidence"


def test_the_root_of_root_relative_poses_was_seen(tmp_path: Path) -> None:
    poses = DRAW.random((10, 17, 3))
    at_pelvis, at_thorax, at_wrist = (poses - poses[:, [joint]] for joint in (0, 8, 13))
    save(tmp_path, KINECT, "detected", joints_3d=[at_pelvis, at_thorax, at_wrist])
    *relative, wrist = read_split(tmp_path, KINECT, "test")
    assert all(isinstance(one, PoseSequence) and one.unseen_FJ is None for one in relative)
    assert isinstance(wrist, Rejected)
    assert "left_wrist not seen in any of the 10 frames" in wrist.reason


def test_pixels_at_0_0_were_not_seen(tmp_path: Path) -> None:
    track = Track.parse("h36m/cpn/2D")
    pixels = DRAW.random((9, 17, 2)) * 500 + 200
    pixels[4, 3] = 0
    save(tmp_path, track, "detected", joints_2d=[pixels])
    [row] = read(tmp_path, track)
    assert row.unseen_FJ is not None
    assert np.argwhere(row.unseen_FJ).tolist() == [[4, 3]]
    assert np.abs(row.detected_FC).max() < 1
