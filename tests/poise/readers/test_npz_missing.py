"""What an npz file marks as not seen: found, filled, marked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.smoothnet_files import DRAW, KINECT, read, save

from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.synthetic.sequences import Size, sequences
from poise.readers.units import to_poise


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
    *relative, wrist = read(tmp_path, KINECT)
    assert all(one.unseen_FJ is None for one in relative)
    assert wrist.unseen_FJ is not None
    assert np.flatnonzero(wrist.unseen_FJ.any(axis=0)).tolist() == [13]


def test_pixels_at_0_0_were_not_seen(tmp_path: Path) -> None:
    track = Track.parse("h36m/cpn/2D")
    pixels = DRAW.random((9, 17, 2)) * 500 + 200
    pixels[4, 3] = 0
    save(tmp_path, track, "detected", joints_2d=[pixels])
    [row] = read(tmp_path, track)
    assert row.unseen_FJ is not None
    assert np.argwhere(row.unseen_FJ).tolist() == [[4, 3]]
    assert np.abs(row.detected_FC).max() < 1


def test_a_joint_that_no_frame_shows_is_put_on_the_body_and_not_scored(tmp_path: Path) -> None:
    made = list(sequences("test", Size(subjects=1, sequences_per_subject=3, frames=20)))
    whole = [one.detected_FC.copy() for one in made]
    truths = [one.truth_FC for one in made if one.truth_FC is not None]
    made[0].detected_FC[:, 39:42] = np.nan
    truths[1][:, 39:42] = 0
    made[2].detected_FC[3:5, 39:42] = np.nan
    write_smoothnet(tmp_path, KINECT, "test", made)
    ours, theirs, gap = read(tmp_path, KINECT)
    apart = np.linalg.norm(ours.detected_FC[:, 39:42] - whole[0][:, 39:42], axis=1)
    assert apart.mean() < 0.4
    np.testing.assert_array_equal(
        np.delete(ours.detected_FC, range(39, 42), 1)[:, 0], whole[0][:, 0]
    )
    for one in (ours, theirs):
        assert one.untrue_FJ is not None
        assert np.flatnonzero(one.untrue_FJ.all(axis=0)).tolist() == [13]
    assert (ours.unseen_FJ is None, theirs.unseen_FJ is None) == (False, True)
    assert gap.unseen_FJ is not None
    assert gap.untrue_FJ is None


def test_rotations_that_are_no_numbers_are_filled_and_marked(tmp_path: Path) -> None:
    track = Track.parse("pw3d/spin/smpl")
    turning = np.zeros((9, 72))
    turning[:, 3] = np.linspace(0, 1.6, 9)
    lost = turning.copy()
    lost[3:6, 3:6], lost[:, 70] = np.nan, np.inf
    save(tmp_path, track, "detected", pose=[lost, np.full((9, 72), np.nan)])
    save(tmp_path, track, "groundtruth", pose=[lost, turning])
    row, nothing = read_split(tmp_path, track, "test")
    assert isinstance(row, PoseSequence)
    assert row.unseen_FJ is not None
    assert row.untrue_FJ is not None
    assert row.unseen_FJ.sum(axis=0)[[1, 23]].tolist() == [3, 9]
    np.testing.assert_array_equal(row.untrue_FJ, row.unseen_FJ)
    wanted = to_poise(turning, track, None)
    np.testing.assert_allclose(row.detected_FC, wanted, atol=1e-6)
    assert isinstance(nothing, Rejected)
    assert "no rotation seen in any of the 9 frames" in nothing.reason


def test_what_a_masked_array_masks_was_not_seen(tmp_path: Path) -> None:
    truth = DRAW.random((10, 17, 3))
    mask = np.zeros(truth.shape, bool)
    mask[4:7, 13] = True
    inside: Any = truth.tolist()
    inside[4][13] = inside[5][13] = inside[6][13] = [np.ma.masked] * 3
    stored = [np.ma.masked_array(truth, mask), np.ma.masked_array(truth, mask, order="F"), inside]
    save(tmp_path, KINECT, "detected", joints_3d=stored)
    for row in read(tmp_path, KINECT):
        assert row.unseen_FJ is not None
        assert np.argwhere(row.unseen_FJ).tolist() == [[4, 13], [5, 13], [6, 13]]


@pytest.mark.parametrize("most", [1, 1.04, 2, 100, 255])
def test_confidences_of_any_scale_are_confidences(tmp_path: Path, most: float) -> None:
    sure = np.full((10, 17, 1), most)
    sure[3, 2] = 0
    poses = np.concatenate([DRAW.random((10, 17, 3)), sure], axis=-1)
    other = np.concatenate([DRAW.random((10, 17, 3)), sure * 1000 - 7], axis=-1)
    save(tmp_path, KINECT, "detected", joints_3d=[poses, other])
    row, wrong = read_split(tmp_path, KINECT, "test")
    assert isinstance(row, PoseSequence)
    assert row.unseen_FJ is not None
    assert np.argwhere(row.unseen_FJ).tolist() == [[3, 2]]
    assert isinstance(wrong, Rejected)
    assert "68 values a frame, expected 51; a confidence may follow each joint" in wrong.reason
