"""The image names of an npz file: subjects, sequences, pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.smoothnet_files import DRAW, KINECT, images, read, save

from poise.catalog.tracks import Track
from poise.readers.npz_split import read_split
from poise.readers.sequence import PoseSequence, Rejected


def test_two_people_in_one_video_share_a_subject(tmp_path: Path) -> None:
    track = Track.parse("pw3d/tcmr/3D")
    poses = [DRAW.random((5, 42)) for _ in range(3)]
    names = [images("downtown_walking_00", 5), images("downtown_walking_00", 5), [""] * 5]
    save(tmp_path, track, "detected", joints_3d=poses, imgname=names)
    one, two, three = read(tmp_path, track)
    assert [one.name, two.name] == ["downtown_walking_00", "downtown_walking_00#2"]
    assert one.subject == two.subject == "downtown_walking_00"
    assert three.name == three.subject == "test-00002"


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


@pytest.mark.parametrize("name", [None, 7, "", [None] * 3, [0, 1, 2]])
def test_names_that_name_nothing_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: Any
) -> None:
    names = [name, images("S2/m01/rep01", 3)]
    save(tmp_path, KINECT, "detected", joints_3d=[DRAW.random((3, 51))] * 2, imgname=names)
    kept = [row for row in read_split(tmp_path, KINECT, "test") if isinstance(row, PoseSequence)]
    assert kept[-1].subject == "S2"
    if len(kept) == 2:
        assert "imgname names no image in 1 of 2 sequences: each counts as a per" in caplog.text
    else:
        assert name == 7  # refused by itself


def test_a_name_that_holds_itself_leaves_its_sequence_out(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    save(tmp_path, KINECT, "detected", joints_3d=[DRAW.random((3, 51))], imgname=[[endless] * 3])
    [row] = read_split(tmp_path, KINECT, "test")
    assert isinstance(row, Rejected)
    assert "imgname: refused lists nested more than 32 deep (budget: nesting)" in str(row)


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


def test_sequences_of_different_names_are_not_paired(tmp_path: Path) -> None:
    poses = [DRAW.random((5, 51), dtype=np.float32) for _ in range(2)]
    ours, theirs = ["S2/a/1", "S2/b/1"], ["S2/a/1", "S2/c/1"]
    save(tmp_path, KINECT, "detected", joints_3d=poses, imgname=[images(n, 5) for n in ours])
    save(tmp_path, KINECT, "groundtruth", joints_3d=poses, imgname=[images(n, 5) for n in theirs])
    _, wrong = read_split(tmp_path, KINECT, "test")
    assert isinstance(wrong, Rejected)
    assert wrong.reason == "is of S2/c/1, but the detections are of S2/b/1"
