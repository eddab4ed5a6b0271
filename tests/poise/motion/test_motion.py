"""The class that every keypoint format is read into."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poise.cli.main import main
from poise.motion.files import read
from poise.motion.motion import Motion
from poise.motion.skeletons import bones_of
from poise.runtime.errors import DataError

POSES = np.arange(4 * 2 * 3 * 2, dtype=float).reshape(4, 2, 3, 2)
JOINTS, PEOPLE = ("a", "b", "c"), ("0", "1")


def _motion(**given: Any) -> Motion:
    return Motion(**{"poses_FPJD": POSES, "joints": JOINTS, "people": PEOPLE, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"poses_FPJD": POSES[0]}, "shape"),
        ({"poses_FPJD": POSES.astype(int)}, "float32 or float64"),
        ({"poses_FPJD": POSES[:0]}, "no frames"),
        ({"poses_FPJD": np.where(POSES == 13, np.inf, POSES)}, "frame 1: infinite"),
        ({"joints": ("a", "b")}, "3 different joint names"),
        ({"joints": ("a", "b", "b")}, "2 differ"),
        ({"people": ("0", "0")}, "person"),
        ({"confidence_FPJ": np.ones((4, 2, 2))}, "confidence"),
        ({"fps": 0.0}, "--fps"),
        ({"fps": np.nan}, "--fps"),
        ({"fps": 1e200}, "--fps"),
        ({"times_F": np.arange(3.0)}, "3 times"),
        ({"times_F": np.array([0, 1, 0.5, 2])}, "frame 2: its time lies before"),
        ({"times_F": np.array([0, np.nan, 1, 2])}, "frame 1: its time"),
        ({"unit": "inch"}, "inch"),
        ({"up": "y"}, "up 'y'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said) as told:
        _motion(**given)
    assert "\n" not in str(told.value)


def test_times_follow_from_numbers_and_rate() -> None:
    unknown, known = _motion(frames_F=np.array([3, 4, 8, 9])), _motion(fps=50.0)
    assert not unknown.rate_known
    assert unknown.times_F.tolist() == [3, 4, 8, 9]
    assert known.times_F.tolist() == [0, 0.02, 0.04, 0.06]
    assert unknown.at_rate(10.0).times_F.tolist() == [0, 0.1, 0.5, 0.6]


def test_people_told_apart_anew_take_everything_along() -> None:
    entries = np.arange(8).reshape(4, 2)
    motion = _motion(confidence_FPJ=POSES[..., 0], entries_FP=entries, identified=False)
    crossed = motion.with_people(np.array([[0, 1], [1, 0], [0, -1], [1, 0]]), ("x", "y"))
    assert crossed.people == ("x", "y")
    assert crossed.identified
    assert crossed.entries_FP is not None
    assert crossed.entries_FP.tolist() == [[0, 1], [3, 2], [4, -1], [7, 6]]
    np.testing.assert_array_equal(crossed.poses_FPJD[1], POSES[1, ::-1])
    assert np.isnan(crossed.poses_FPJD[2, 1]).all()
    assert crossed.confidence_FPJ is not None
    assert np.isnan(crossed.confidence_FPJ[2, 1]).all()
    assert not crossed.seen_FPJ[2, 1].any()
    np.testing.assert_array_equal(motion.person("1").poses_FPJD[:, 0], POSES[:, 1])
    with pytest.raises(DataError, match="nobody is called 'z'; there are 0, 1"):
        motion.person("z")


def test_nobody_may_be_in_a_file() -> None:
    nobody = _motion(poses_FPJD=POSES[:, :0], people=())
    assert nobody.with_people(np.full((4, 1), -1), ("0",)).seen_FPJ.sum() == 0
    assert len(nobody.to_pandas()) == 0


def test_a_cut_keeps_numbers_and_times() -> None:
    part = _motion(fps=2.0, confidence_FPJ=POSES[..., 0]).cut(1, 3)
    assert (len(part), part.frames_F.tolist(), part.times_F.tolist()) == (2, [1, 2], [0.5, 1.0])


def test_a_table_has_a_row_for_each_frame_person_and_joint() -> None:
    table = _motion(fps=2.0, confidence_FPJ=POSES[..., 0]).to_pandas()
    assert [*table] == ["frame", "time", "person", "joint", "x", "y", "confidence"]
    row = table[(table.frame == 2) & (table.person == "1") & (table.joint == "b")]
    assert row[["time", "x", "y", "confidence"]].to_numpy().tolist() == [[1.0, 32, 33, 32]]
    labelled = table.drop(columns="time").set_index(["frame", "person", "joint"])
    assert labelled.index.is_unique


def test_other_poses_have_the_same_shape() -> None:
    with pytest.raises(DataError, match="in place of"):
        _motion().with_poses(POSES[:2])


def test_the_package_is_light() -> None:
    code = (
        "import sys, poise; poise.read; poise.Motion; "
        "print([m for m in ('ray', 'torch', 'mlflow', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("beside", "given", "image", "said"),
    [
        ({}, [], None, "whose shape nobody tells: taken for square"),
        ({"width": 1920, "height": 1080}, [], (1920, 1080), "an image of 1920 x 1080 pixels"),
        ({"metadata": {"videoWidth": 720, "videoHeight": 1280}}, [], (720, 1280), "720 x 1280"),
        ({"resolution": [640, 480]}, [], (640, 480), "640 x 480"),
        ({"width": 0.5, "height": "x"}, [], None, "nobody tells"),
        (
            {"width": 1920, "height": 1080},
            ["--size", "16:9"],
            (1920, 1080),
            "1.778 times as wide as high",
        ),
        ({}, ["--size", "1920×1080"], None, "1920 x 1080"),
    ],
)
def test_shares_of_an_image_need_its_shape(
    beside: dict[str, Any],
    given: list[str],
    image: tuple[float, float] | None,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    landmarks = [{"x": 0.25 + place / 100, "y": 0.5 + place / 60} for place in range(33)]
    frames = [{"frame": n, "landmarks": landmarks} for n in range(4)]
    path = tmp_path / "clip.json"
    path.write_text(json.dumps(beside | {"frames": frames}))
    motion = read(path)
    assert (motion.unit, motion.image) == ("normalised", image)
    assert main(["info", str(path), *given]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("size", ["wide", "1920", "0x4", "16:", "1920x1080x3", "16/9"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "clip.json", "--size", size]) == 2
    assert "say 1920x1080, or 16:9" in capsys.readouterr().err


def test_joints_of_ones_own_are_named_by_a_toml_file(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", POSES)
    own = tmp_path / "dog.toml"
    own.write_text('joints = "nose neck tail"\nbones = ["nose neck tail"]\n')
    motion = read(tmp_path / "clip.npy", skeleton=own)
    assert motion.joints == ("nose", "neck", "tail")
    assert bones_of(motion) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("joints = ", "is no TOML"),
        ("bones = []", "write joints = "),
        ("joints = 3", "write joints = "),
        ('joints = "a b c"\nbones = ["a z"]', "not among its own"),
        ('joints = "a b b"', "different names"),
        ('joints = "a b"', "3 joints, .* has 2"),
    ],
)
def test_a_skeleton_that_is_none_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", POSES)
    own = tmp_path / "dog.toml"
    if text is not None:
        own.write_text(text)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "clip.npy", skeleton=own)
