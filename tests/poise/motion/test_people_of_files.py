"""People told apart anew: the file says afterwards who is who, and nothing else changes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poise.motion.files import read
from poise.motion.motion import Motion

#: x of person A is below 100, of B above; in frame 1 they stand in the other order.
ORDERS = ((10.0, 200.0), (210.0, 11.0), (12.0, 220.0))


def coco(path: Path, key: str) -> Path:
    rows = [
        {"image_id": frame, "keypoints": [x, 5.0, 0.9] * 17, "score": 0.25}
        | ({key: [float(place)]} if key else {})
        for frame, pair in enumerate(ORDERS)
        for place, x in enumerate(pair)
    ]
    path.write_text(json.dumps(rows))
    return path


def openpose(path: Path, key: str) -> Path:
    path.mkdir()
    for frame, pair in enumerate(ORDERS):
        people = [{key: [-1], "pose_keypoints_2d": [x, 5.0, 0.9] * 25} for x in pair]
        (path / f"f_{frame}_keypoints.json").write_text(json.dumps({"people": people}))
    return path


def mmpose(path: Path, key: str) -> Path:
    frames = [
        {
            "frame_id": frame,
            "instances": [
                {"keypoints": [[x, 5.0]] * 17, "keypoint_scores": [0.9] * 17}
                | ({key: place} if key else {})
                for place, x in enumerate(pair)
            ],
        }
        for frame, pair in enumerate(ORDERS)
    ]
    path.write_text(json.dumps({"instance_info": frames}))
    return path


@pytest.mark.parametrize(
    ("made", "name", "key"),
    [
        (coco, "clip.json", ""),
        (coco, "clip.json", "idx"),
        (coco, "clip.json", "track_id"),
        (openpose, "clip", "person_id"),
        (mmpose, "clip.json", ""),
        (mmpose, "clip.json", "track_id"),
    ],
)
def test_a_swap_that_was_mended_stays_mended(
    made: Callable[[Path, str], Path], name: str, key: str, tmp_path: Path
) -> None:
    motion = read(made(tmp_path / name, key))
    assert motion.poses_FPJD[:, 0, 0, 0].tolist() == [10, 210, 12]
    mended = motion.with_people(np.array([[0, 1], [1, 0], [0, 1]]), ("0", "1"))
    again = read(mended.write(tmp_path / f"new_{name}"))
    assert again.identified
    assert again.people == ("0", "1")
    assert again.poses_FPJD[:, 0, 0, 0].tolist() == [10, 11, 12]
    assert again.poses_FPJD[:, 1, 0, 0].tolist() == [200, 210, 220]


def test_only_ids_change_where_people_are_mended(tmp_path: Path) -> None:
    path = coco(tmp_path / "clip.json", "idx")
    mended = read(path).with_people(np.array([[0, 1], [1, 0], [0, 1]]), ("0", "1"))
    new = mended.write(tmp_path / "new.json").read_text()
    ids = re.compile(r'"idx": \[[\d.]+\]')
    assert ids.sub("", new) == ids.sub("", path.read_text())


def test_somebody_left_out_leaves_the_file(tmp_path: Path) -> None:
    motion = read(coco(tmp_path / "clip.json", "idx"))
    rows = json.loads(motion.person("1").write(tmp_path / "one.json").read_text())
    assert [row["idx"] for row in rows] == [[1.0]] * 3
    cut = json.loads(motion.cut(1, 3).write(tmp_path / "cut.json").read_text())
    assert [row["image_id"] for row in cut] == [1, 1, 2, 2]


def test_somebody_filled_in_gets_an_entry(tmp_path: Path) -> None:
    path = coco(tmp_path / "clip.json", "idx")
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([row for at, row in enumerate(rows) if at != 3]))
    motion = read(path)
    poses = motion.poses_FPJD.copy()
    assert np.isnan(poses[1, 1]).all()
    poses[1, 1] = 77.0
    again = read(motion.with_poses(poses).write(tmp_path / "filled.json"))
    np.testing.assert_array_equal(again.poses_FPJD, poses)
    assert (again.identified, again.people) == (True, ("0", "1"))


def test_a_frame_filled_in_is_a_row_of_a_table(tmp_path: Path) -> None:
    lines = [f"{frame},p{person},{frame}.5,1.0,x" for frame in range(3) for person in (0, 1)]
    del lines[3]
    path = tmp_path / "clip.csv"
    path.write_text("frame,person,nose_x,nose_y,note\n" + "\n".join(lines) + "\n")
    motion = read(path)
    poses = motion.poses_FPJD.copy()
    poses[1, 1] = 9.25
    new = motion.with_poses(poses).write(tmp_path / "new.csv")
    assert len(new.read_text().splitlines()) == 7
    np.testing.assert_array_equal(read(new).poses_FPJD, poses)


@pytest.mark.parametrize("name", ["clip.h5", "clip.csv", "clip.c3d", "clip.npz"])
def test_one_of_several_people_can_be_written_alone(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    both = Motion(
        poses_FPJD=rng.uniform(0, 9, (6, 2, 3, 3)), joints=("a", "b", "c"), people=("Al", "Bo")
    ).at_rate(50.0)
    form = {".csv": "deeplabcut"}.get(Path(name).suffix)
    motion = read(both.write(tmp_path / name, form))
    alone = read(motion.person("Bo").write(tmp_path / f"new_{name}"))
    assert alone.format == motion.format
    np.testing.assert_allclose(alone.poses_FPJD[:, 0], both.poses_FPJD[:, 1], atol=1e-5)
    part = read(motion.cut(2, 5).write(tmp_path / f"part_{name}"))
    np.testing.assert_allclose(part.poses_FPJD, both.poses_FPJD[2:5], atol=1e-5)


def test_a_cut_of_a_trc_file_counts_its_frames(tmp_path: Path) -> None:
    whole = Motion(poses_FPJD=np.ones((6, 1, 2, 3)), joints=("a", "b")).at_rate(50.0)
    motion = read(whole.write(tmp_path / "clip.trc"))
    assert read(motion.cut(2, 3).write(tmp_path / "one.trc")).fps == 50.0
    lines = (tmp_path / "one.trc").read_text().splitlines()
    assert lines[2].split("\t")[2] == "1"
    assert len(lines) == 6


def test_a_c3d_file_is_written_where_faiss_is_loaded_first(tmp_path: Path) -> None:
    """Both are made by SWIG, and do not stand each other in one process."""
    code = (
        "import faiss, numpy as np; from poise.motion.motion import Motion;"
        "poses = np.arange(72.0).reshape(6, 2, 2, 3);"
        "motion = Motion(poses_FPJD=poses, joints=('a', 'b'), people=('Al', 'Bo'));"
        "motion.at_rate(50.0).write('clip.c3d')"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)
    found = read(tmp_path / "clip.c3d")
    assert found.people == ("Al", "Bo")
    np.testing.assert_allclose(found.poses_FPJD, np.arange(72.0).reshape(6, 2, 2, 3), atol=1e-5)
