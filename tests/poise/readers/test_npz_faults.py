"""What is wrong with npz files: one line, and one sequence left out where it is one."""

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.smoothnet_files import DRAW, KINECT, images, save

from poise.readers import npz_sequence, npz_shares
from poise.readers.npz_columns import StoredSequence
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence, Rejected
from poise.runtime.errors import DataError

#: Steps that every sequence passes once.
STEPS: list[tuple[Any, str]] = [
    (npz_sequence, "parse_imgname"),
    (npz_sequence, "to_poise"),
    (StoredSequence, "frames"),
    (npz_sequence, "PoseSequence"),
]


def test_faults_reject_their_sequence_only(tmp_path: Path) -> None:
    good = DRAW.random((10, 51), dtype=np.float32)
    nan, infinite, huge = good.copy(), good.copy(), good.astype(np.float64)
    nan[:, 6:], infinite[:, 3:], huge[:, :] = np.nan, np.inf, 1e300
    faults: list[tuple[str, Any, Any, list[str], str, str]] = [
        ("short", good[:8], good, images("S2/short", 8), "joints_3d", "10 frames, but 8"),
        ("nan", nan, good, images("S2/nan", 10), "joints_3d", "2 of 17 joints seen in any of"),
        ("inf", infinite, good, images("S2/inf", 10), "joints_3d", "1 of 17 joints seen in any"),
        ("huge", huge, good, images("S2/huge", 10), "joints_3d", "no joint seen in any of the 10"),
        ("truth", good, nan, images("S2/truth", 10), "joints_3d", "2 of 17 joints seen in any"),
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


@pytest.mark.parametrize("shape", [(60, 51), (60, 17, 3)])
def test_one_sequence_that_was_not_wrapped_is_one_line(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = save(tmp_path, KINECT, "detected", joints_3d=[])
    np.savez(file, joints_3d=DRAW.random(shape), imgname=images("S2/m01/rep01", 60))
    with pytest.raises(DataError, match=r"looks like one sequence: add an axis in front"):
        list(read_split(tmp_path, KINECT, "test"))


@pytest.mark.parametrize("shape", [(51,), (17, 3), (17, 4)])
@pytest.mark.parametrize("kind", [np.ndarray.tolist, np.asarray], ids=["lists", "arrays"])
def test_frames_saved_as_entries_are_one_line(
    tmp_path: Path, shape: tuple[int, ...], kind: Any
) -> None:
    frames = [kind(frame) for frame in DRAW.random((60, *shape))]
    save(tmp_path, KINECT, "detected", joints_3d=frames)
    with pytest.raises(DataError, match=r"the 60 entries of joints_3d are of shape .* one frame"):
        list(read_split(tmp_path, KINECT, "test"))
    good = DRAW.random((5, 51))
    save(tmp_path, KINECT, "detected", joints_3d=[frames[0], good, frames[1]])
    kept = [isinstance(row, PoseSequence) for row in read_split(tmp_path, KINECT, "test")]
    assert kept == [False, True, False]


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
    odd: list[Any] = [None, {"a": good}, "text", 3, {1}]
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


@pytest.mark.parametrize("change", ["again", "shorter", "gone"])
def test_a_file_that_changes_after_it_was_listed_is_not_read(tmp_path: Path, change: str) -> None:
    poses = DRAW.random((2, 40, 51))
    save(tmp_path, KINECT, "detected", joints_3d=list(poses))
    file = next(tmp_path.rglob("*.npz"))
    listed = npz_shares.list_file(file, KINECT, str(tmp_path / "spool" / "unpacked"))
    share = npz_shares.named_entries(KINECT, "test", [(listed, None)])
    assert len(list(npz_shares.read_share(KINECT, "test", share))) == 2
    content = file.read_bytes()
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(content if change == "again" else content[:5000])
        os.utime(file, ns=(0, 0))
    with pytest.raises(DataError, match=f"{file.name}: .*; run the ingest again, and leave"):
        list(npz_shares.read_share(KINECT, "test", share))
