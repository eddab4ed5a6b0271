"""The SmoothNet layout: what is read, converted, refused."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from poise.catalog.tracks import Track
from poise.readers import npz_split
from poise.readers.layouts import write_smoothnet
from poise.readers.npz_columns import StoredSequence
from poise.readers.npz_split import read_split
from poise.readers.raw_split import open_split, sources, split_exists
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import DataError

#: Steps that every sequence passes once.
STEPS: list[tuple[Any, str]] = [
    (npz_split, "parse_imgname"),
    (npz_split, "to_poise"),
    (StoredSequence, "frames"),
    (npz_split, "PoseSequence"),
]
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


def test_faults_reject_their_sequence_only(tmp_path: Path) -> None:
    good = DRAW.random((10, 51), dtype=np.float32)
    nan, infinite, huge = good.copy(), good.copy(), good.astype(np.float64)
    nan[:, 3], infinite[:, 0], huge[:, 1] = np.nan, np.inf, 1e300
    faults: list[tuple[str, Any, Any, list[str], str, str]] = [
        ("short", good[:9], good, images("S2/short", 9), "joints_3d", "10 frames, but 9"),
        ("nan", nan, good, images("S2/nan", 10), "joints_3d", "right_hip not seen in any of"),
        ("inf", infinite, good, images("S2/inf", 10), "joints_3d", "pelvis not seen in any of"),
        ("huge", huge, good, images("S2/huge", 10), "joints_3d", "pelvis not seen in any of"),
        ("truth", good, nan, images("S2/truth", 10), "joints_3d", "right_hip not seen in any"),
        ("wide", good[:, :48], good, images("S2/wide", 10), "joints_3d", "48 values a frame, exp"),
        ("empty", good[:0], good, images("S2/empty", 1), "joints_3d", "shape (0, 51)"),
        ("flat", good[0], good, images("S2/flat", 51), "joints_3d", "shape (51,)"),
        ("text", np.full((10, 51), "x"), good, images("S2/text", 10), "joints_3d", "not numbers"),
        ("list", ["a"], good, images("S2/list", 10), "joints_3d", "a list of values that"),
        ("names", good, good, images("S2/names", 8), "imgname", "8 image names for 10 frames"),
    ]
    # A good sequence before, between and after: they all have to come through.
    detected, truth, names = [good], [good], [images("S2/first", 10)]
    for name, ours, theirs, image, _, _ in faults:
        detected += [ours, good]
        truth += [theirs, good]
        names += [image, images(f"S2/after-{name}", 10)]
    file = save(tmp_path, KINECT, "detected", joints_3d=detected, imgname=names)
    other = save(tmp_path, KINECT, "groundtruth", joints_3d=truth)
    rows = list(read_split(tmp_path, KINECT, "test"))
    assert len(rows) == len(detected)
    kept = [row.name for row in rows if isinstance(row, PoseSequence)]
    assert kept == ["S2/first", *(f"S2/after-{fault[0]}" for fault in faults)]
    rejected = [row for row in rows if isinstance(row, Rejected)]
    for row, (name, _, _, _, key, reason) in zip(rejected, faults, strict=True):
        assert (row.sequence, row.key) == (f"S2/{name}", key)
        assert reason in row.reason
        assert row.file == str(other if name in ("short", "truth") else file)


def test_sequences_of_different_names_are_not_paired(tmp_path: Path) -> None:
    poses = [DRAW.random((5, 51), dtype=np.float32) for _ in range(2)]
    ours, theirs = ["S2/a/1", "S2/b/1"], ["S2/a/1", "S2/c/1"]
    save(tmp_path, KINECT, "detected", joints_3d=poses, imgname=[images(n, 5) for n in ours])
    save(tmp_path, KINECT, "groundtruth", joints_3d=poses, imgname=[images(n, 5) for n in theirs])
    _, wrong = read_split(tmp_path, KINECT, "test")
    assert isinstance(wrong, Rejected)
    assert wrong.reason == "is of S2/c/1, but the detections are of S2/b/1"


def test_whole_file_faults_are_data_errors(tmp_path: Path) -> None:
    def fails(match: str) -> None:
        with pytest.raises(DataError, match=match):
            list(read_split(tmp_path, KINECT, "test"))

    fails(r"(?s)looked for.*uiprmd_kinect_3D_test\.npz.*holds nothing")
    poses = DRAW.random((5, 51))
    save(tmp_path, KINECT, "detected", joints_2d=[poses])
    fails(r"uiprmd_kinect_3D_test\.npz: no key joints_3d or keypoints_3d; it holds joints_2d")
    save(tmp_path, KINECT, "detected", joints_3d=[poses], imgname=[["a/1"], ["b/1"]])
    fails("2 entries of imgname, but 1 of joints_3d")
    save(tmp_path, KINECT, "detected", joints_3d=[poses])
    save(tmp_path, KINECT, "groundtruth", joints_3d=[poses, poses])
    fails(r"has 1 sequences and .*uiprmd_gt_3D_test\.npz has 2")


def test_two_people_in_one_video_share_a_subject(tmp_path: Path) -> None:
    track = Track.parse("pw3d/tcmr/3D")
    poses = [DRAW.random((5, 42)) for _ in range(3)]
    names = [images("downtown_walking_00", 5), images("downtown_walking_00", 5), [""] * 5]
    save(tmp_path, track, "detected", joints_3d=poses, imgname=names)
    one, two, three = read(tmp_path, track)
    assert [one.name, two.name] == ["downtown_walking_00", "downtown_walking_00#2"]
    assert one.subject == two.subject == "downtown_walking_00"
    assert three.name == three.subject == "test-00002"


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


@pytest.mark.parametrize(
    "name",
    [
        lambda text: text.encode(),
        lambda text: str(text.encode()),
        lambda text: [text],
        lambda text: np.bytes_(text),
        lambda text: np.array(text),
        lambda text: np.array([text.encode()]),
        lambda text: text + "\0\0",
    ],
)
def test_image_names_are_text_however_they_were_stored(tmp_path: Path, name: Any) -> None:
    poses = [DRAW.random((3, 51)), DRAW.random((3, 51))]
    paths = ["S2/m01/rep01/000000", "S3/m01/rep02/000000"]
    names = [[name(path)] * 3 for path in paths]
    save(tmp_path, KINECT, "detected", joints_3d=poses, imgname=names)
    rows = read(tmp_path, KINECT)
    assert [(row.subject, row.name) for row in rows] == [
        ("S2", "S2/m01/rep01"),
        ("S3", "S3/m01/rep02"),
    ]


def test_bytes_of_other_scripts_and_one_name_for_all_frames(tmp_path: Path) -> None:
    poses = [DRAW.random((3, 51)) for _ in range(5)]
    names: list[Any] = ["S2/größe/rep01/0".encode(), "S2/größe/rep02/0".encode("latin-1")]
    names += ["S2/a/r/0", np.array("S2/b/r/0"), None]
    save(tmp_path, KINECT, "detected", joints_3d=poses, imgname=names)
    rows = [row.name for row in read(tmp_path, KINECT)]
    assert rows == ["S2/größe/rep01", "S2/größe/rep02", "S2/a/r", "S2/b/r", "test-00004"]


def test_a_name_that_holds_itself_is_no_name(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    save(tmp_path, KINECT, "detected", joints_3d=[DRAW.random((3, 51))], imgname=[[endless] * 3])
    [row] = read(tmp_path, KINECT)
    assert row.name == "test-00000"


def test_names_that_are_none_are_one_plain_line(tmp_path: Path) -> None:
    names = [[Path("S2/m01/rep01/0")] * 3, {"a": 1}, ["", None, "S2/m01/rep02/2"]]
    save(tmp_path, KINECT, "detected", joints_3d=[DRAW.random((3, 51))] * 3, imgname=names)
    path, table, late = read_split(tmp_path, KINECT, "test")
    assert isinstance(late, PoseSequence)
    assert late.name == "S2/m01/rep02"
    for row in (path, table):
        assert isinstance(row, Rejected)
        assert row.key == "imgname"
        assert "names are strings" in row.reason


def test_two_people_in_one_entry_are_refused(tmp_path: Path) -> None:
    glued = images("S2/m01/rep01", 3) + images("S3/m01/rep01", 3)
    same = images("S2/m01/rep01", 3) + images("S2/m01/rep02", 3)
    poses = [DRAW.random((6, 51))] * 2
    save(tmp_path, KINECT, "detected", joints_3d=poses, imgname=[glued, same])
    wrong, right = read_split(tmp_path, KINECT, "test")
    assert isinstance(right, PoseSequence)
    assert isinstance(wrong, Rejected)
    assert "frame 3 S3/m01/rep01/000000: two takes in one sequence" in wrong.reason


@pytest.mark.parametrize("shape", [(60, 51), (60, 17, 3)])
def test_one_sequence_that_was_not_wrapped_is_one_line(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = save(tmp_path, KINECT, "detected", joints_3d=[])
    np.savez(file, joints_3d=DRAW.random(shape), imgname=images("S2/m01/rep01", 60))
    with pytest.raises(DataError, match=r"looks like one sequence: add an axis in front"):
        list(read_split(tmp_path, KINECT, "test"))


def test_what_is_no_list_of_entries_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, KINECT, "detected", joints_3d=[])
    contents: list[tuple[Any, str]] = [
        ({"a": DRAW.random((5, 51))}, "is a dict, not entries"),
        (None, "a single value"),
        (1.5, "a single value"),
    ]
    for content, says in contents:
        np.savez(file, joints_3d=content)
        with pytest.raises(DataError, match=says):
            list(read_split(tmp_path, KINECT, "test"))


def test_one_bad_entry_of_any_kind_leaves_out_that_entry(tmp_path: Path) -> None:
    good = DRAW.random((5, 51), dtype=np.float32)
    odd: list[Any] = [None, {"a": good}, "text", 3, {1}, np.ma.masked_array(good, good > 0.5)]
    right: list[Any] = [
        (tuple(map(tuple, good.tolist()))),
        good.tolist(),
        good.reshape(1, 5, 17, 3),
        good.reshape(5, 1, 17, 3),
    ]
    save(tmp_path, KINECT, "detected", joints_3d=[good, *odd, *right])
    rows = list(read_split(tmp_path, KINECT, "test"))
    assert [isinstance(row, Rejected) for row in rows] == [False, *[True] * len(odd), *[False] * 4]
    for row in rows:
        if isinstance(row, PoseSequence):
            np.testing.assert_array_equal(row.detected_FC, good)


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


@pytest.mark.parametrize(
    ("factor", "says"), [(1000, "0.001"), (100, "0.01"), (39.37, "0.0254"), (0.001, "by 1000")]
)
@pytest.mark.parametrize("column", ["detected", "groundtruth"])
def test_one_sequence_in_another_unit_is_left_out_with_its_factor(
    tmp_path: Path, factor: float, says: str, column: str
) -> None:
    poses = [DRAW.random((9, 51)) for _ in range(3)]
    for kind in ("detected", "groundtruth"):
        other = [factor if place == 1 and kind == column else 1 for place in range(3)]
        scaled = [one * scale for one, scale in zip(poses, other, strict=True)]
        save(tmp_path, KINECT, kind, joints_3d=scaled)
    one, wrong, two = read_split(tmp_path, KINECT, "test")
    assert isinstance(one, PoseSequence)
    assert isinstance(two, PoseSequence)
    assert isinstance(wrong, Rejected)
    assert column in wrong.file
    assert f"multiply by {says.removeprefix('by ')}" in wrong.reason


@settings(max_examples=40, deadline=None)
@given(step=st.sampled_from(STEPS), bad=st.sets(st.integers(0, 5)))
def test_a_fault_anywhere_in_reading_leaves_out_that_sequence_alone(
    tmp_path_factory: pytest.TempPathFactory, step: tuple[Any, str], bad: set[int]
) -> None:
    data = tmp_path_factory.mktemp("fault")
    poses = [DRAW.random((4, 51)) for _ in range(6)]
    names = [images(f"S2/m01/rep{place}", 4) for place in range(6)]
    save(data, KINECT, "detected", joints_3d=poses, imgname=names)
    module, name = step
    genuine, calls = getattr(module, name), itertools.count()

    def faulty(*given: Any, **more: Any) -> Any:
        if next(calls) in bad:
            raise RuntimeError("injected")
        return genuine(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, faulty)
        rows = list(read_split(data, KINECT, "test"))
    assert [isinstance(row, Rejected) for row in rows] == [place in bad for place in range(6)]
