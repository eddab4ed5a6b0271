"""The SmoothNet layout: what is read and converted."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.support.smoothnet_files import DRAW, KINECT, images, read, save

from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.npz_split import read_split
from poise.readers.raw_split import open_split, sources, split_exists
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import DataError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = list(sequences("test", Size(subjects=2, sequences_per_subject=3, frames=20)))
    written = write_smoothnet(tmp_path, KINECT, "test", made)
    assert sources(tmp_path, KINECT, "test") == written
    found = read(tmp_path, KINECT)
    for one, other in zip(found, made, strict=True):
        assert (one.name, one.subject, one.action) == (other.name, other.subject, other.action)
        np.testing.assert_array_equal(one.detected_FC, other.detected_FC)
        assert one.truth_FC is not None
        assert other.truth_FC is not None
        np.testing.assert_array_equal(one.truth_FC, other.truth_FC)


@pytest.mark.parametrize("below", ["", "poses", "poses/uiprmd_kinect_3D"])
def test_data_may_be_any_of_three_folders(tmp_path: Path, below: str) -> None:
    made = sequences("test", Size(subjects=1, sequences_per_subject=1, frames=9))
    write_smoothnet(tmp_path, KINECT, "test", made)
    assert split_exists(tmp_path / below, KINECT, "test")
    assert not split_exists(tmp_path / below, KINECT, "train")
    assert len(read(tmp_path / below, KINECT)) == 1


def test_truth_is_optional_and_float64_fits(tmp_path: Path) -> None:
    poses = DRAW.random((9, 51))
    save(tmp_path, KINECT, "detected", keypoints_3d=[poses], imgname=[images("S2/m01/rep01", 9)])
    [row] = read(tmp_path, KINECT)
    assert row.truth_FC is None
    assert row.fps == 30.0
    assert row.detected_FC.dtype == np.float32
    np.testing.assert_array_equal(row.detected_FC, poses.astype(np.float32))


@pytest.mark.parametrize("estimator", ["spin", "eft", "pare"])
def test_3dpw_comes_with_14_joints(tmp_path: Path, estimator: str) -> None:
    track = Track.parse(f"pw3d/{estimator}/3D")
    poses_FJ3 = np.broadcast_to(np.arange(17.0)[:, None], (4, 17, 3)) / 10
    save(tmp_path, track, "detected", joints_3d=[poses_FJ3.reshape(4, 51)])
    [row] = read(tmp_path, track)
    wanted = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    assert (row.detected_FC.reshape(4, 14, 3)[2, :, 1] * 10).round().tolist() == wanted


@pytest.mark.parametrize("key", ["pose", "psoe"])
def test_smpl_becomes_6d(tmp_path: Path, key: str) -> None:
    track = Track.parse("pw3d/spin/smpl")
    stored_FX = DRAW.normal(size=(5, 72))
    stored_FX[:, 3:6] = [0.0, 0.0, np.pi / 2]
    save(tmp_path, track, "detected", pose=[stored_FX])
    save(tmp_path, track, "groundtruth", "test", **{key: [stored_FX]})
    [row] = read(tmp_path, track)
    found = row.detected_FC.reshape(5, 24, 3, 2)
    np.testing.assert_allclose(row.detected_FC[0, 6:12], [0, -1, 1, 0, 0, 0], atol=1e-6)
    first, second = found[..., 0], found[..., 1]
    matrices = np.stack([first, second, np.cross(first, second)], axis=-1)
    back = Rotation.from_matrix(matrices.reshape(-1, 3, 3))
    apart = (Rotation.from_rotvec(stored_FX.reshape(-1, 3)).inv() * back).magnitude()
    assert apart.max() < 1e-5
    assert row.truth_FC is not None
    np.testing.assert_array_equal(row.truth_FC, row.detected_FC)


def test_2d_comes_in_the_published_normalisation(tmp_path: Path) -> None:
    h36m = Track.parse("h36m/cpn/2D")
    save(tmp_path, h36m, "detected", joints_2d=[np.tile([0.0, 1000.0], (3, 17))])
    [row] = read(tmp_path, h36m)
    np.testing.assert_allclose(row.detected_FC, np.tile([-1.0, 1.0], (3, 17)))
    jhmdb = Track.parse("jhmdb/simplepose/2D")
    pixels = np.tile([320.0, 60.0], (3, 15))
    save(tmp_path, jhmdb, "detected", joints_2d=[pixels, pixels, pixels])
    with pytest.raises(DataError, match="no key imgshape"):
        list(read_split(tmp_path, jhmdb, "test"))
    shapes = [np.array([240, 320, 3]), np.tile([120, 640], (3, 1)), np.array([0, 320])]
    save(tmp_path, jhmdb, "groundtruth", joints_2d=[pixels] * 3, imgshape=shapes)
    one, each, wrong = read_split(tmp_path, jhmdb, "test")
    assert isinstance(one, PoseSequence)
    assert isinstance(each, PoseSequence)
    assert isinstance(wrong, Rejected)
    np.testing.assert_allclose(one.detected_FC[1, :2], [0.5, -0.25])
    np.testing.assert_allclose(each.detected_FC[1, :2], [0.0, 0.0])
    assert wrong.key == "imgshape"


def test_a_denoise_track_needs_truth_only(tmp_path: Path) -> None:
    track = Track.parse("cmu/gaussian-10/3D")
    made = list(sequences("train", Size(subjects=2, sequences_per_subject=2, frames=200)))
    [path] = write_smoothnet(tmp_path, track, "train", made)
    assert path.name == "cmu_gt_3D_train.npz"
    rows = read(tmp_path, track, "train")
    errors = [row.detected_FC - row.truth_FC for row in rows if row.truth_FC is not None]
    assert np.std(errors) == pytest.approx(10 / 115, rel=0.02)
    assert not np.array_equal(errors[0], errors[1])
    # The noise belongs to the name: alone in the file, the last sequence gets the same.
    write_smoothnet(tmp_path, track, "train", made[-1:])
    [alone] = read(tmp_path, track, "train")
    np.testing.assert_array_equal(alone.detected_FC, rows[-1].detected_FC)


def test_without_a_folder_the_error_says_what_to_set() -> None:
    with pytest.raises(DataError, match="set POISE_DATA or pass --data"):
        open_split(None, KINECT, "test")
    assert not split_exists(None, KINECT, "test")


def test_only_complete_3d_splits_are_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only 3D tracks"):
        write_smoothnet(tmp_path, Track.parse("h36m/cpn/2D"), "test", [])
    with pytest.raises(DataError, match="0 of 0 sequences"):
        write_smoothnet(tmp_path, KINECT, "test", [])


@pytest.mark.parametrize(("detected", "true", "named"), [(10, 11, 10), (11, 10, 10), (10, 10, 11)])
def test_one_frame_too_many_is_cut_off_with_a_word(
    tmp_path: Path, detected: int, true: int, named: int
) -> None:
    ours, theirs = DRAW.random((detected, 51)), DRAW.random((true, 51))
    ours[4, 3:6] = theirs[5, 6:9] = np.nan
    save(tmp_path, KINECT, "detected", joints_3d=[ours], imgname=[images("S2/m01/rep01", named)])
    save(tmp_path, KINECT, "groundtruth", joints_3d=[theirs])
    [row] = read(tmp_path, KINECT)
    assert row.truth_FC is not None
    assert len(row.detected_FC) == len(row.truth_FC) == 10
    assert row.unseen_FJ is not None
    assert row.untrue_FJ is not None
    assert (row.unseen_FJ.shape, row.untrue_FJ.shape) == ((10, 17), (10, 17))
    expected = f"{detected} frames detected, {true} of truth: the last one was cut off"
    assert row.note == ("" if detected == true else expected)
