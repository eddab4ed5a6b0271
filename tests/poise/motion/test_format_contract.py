"""What every keypoint format keeps: written and read again, a motion is the same."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fuzz import put
from benchmarks.fuzz_seeds import seeds, smpl_body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poise.catalog.joint_sets import joint_sets
from poise.motion.files import formats, lost, read
from poise.motion.format import Format
from poise.motion.motion import Motion
from poise.runtime.settings import VARIABLES

SAMPLES = Path(os.environ.get("POISE_DATA", "none")) / "keypoint_files"
REPOSITORY = Path(__file__).parents[3]
#: Those that hold bones of constant length alone have tests of their own.
WRITTEN = [one for one in formats() if one.write and not (one.only_over or one.rigid)]
#: Half of the last digit that a new file of the format has.
PRECISION = {"c3d": 1e-4, "trc": 6e-5}
DEFAULT_PRECISION = 6e-7
SURE_PRECISION = {"c3d": 1e-2}


def made(form: Format, seed: int, frames: int, people: int, gap: float, sure: bool) -> Motion:
    """Make a motion that a format can hold, some joints unseen, nobody wholly so."""
    rng = np.random.default_rng(seed)
    dims = form.dims[seed % len(form.dims)]
    people = people if "people" in form.holds else 1
    joints = joint_sets()["coco17"].joints if "names" not in form.holds else ("tail", "Nase", "l")
    poses = rng.uniform(-200, 900, (frames, people, len(joints), dims))
    hidden = rng.random(poses.shape[:3]) < gap
    hidden[..., 0] = False
    poses[hidden] = np.nan
    confidence = None
    if sure and "confidence" in form.holds:
        confidence = np.where(hidden, np.nan, rng.uniform(0.05, 1.0, hidden.shape))
    numbers = np.cumsum(rng.integers(1, 3, frames)) if "times" in form.holds else np.arange(frames)
    motion = Motion(
        poses_FPJD=poses,
        joints=joints,
        people=tuple(map(str, range(people))),
        confidence_FPJ=confidence,
        frames_F=numbers,
        skeleton="coco17" if len(joints) == 17 else None,
        unit="mm" if dims == 3 else "px",
    )
    return motion.at_rate(50.0) if "rate" in form.holds else motion


@pytest.mark.parametrize("form", WRITTEN, ids=lambda one: one.name)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**16),
    frames=st.integers(2, 9),
    people=st.integers(1, 3),
    gap=st.sampled_from([0.0, 0.2, 0.8]),
    sure=st.booleans(),
)
def test_a_new_file_says_what_the_motion_says(
    form: Format,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    frames: int,
    people: int,
    gap: float,
    sure: bool,
) -> None:
    motion = made(form, seed, frames, people, gap, sure)
    ending = "" if form.endings[0] == "/" else form.endings[0]
    path = tmp_path_factory.mktemp("new") / f"clip{ending}"
    motion.write(path, form.name)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    again = read(path)
    assert again.format == form.name
    assert len(again) == frames
    atol = PRECISION.get(form.name, DEFAULT_PRECISION)
    if "names" in form.holds:
        assert again.joints == motion.joints
    if "identity" in form.holds:
        assert again.people == motion.people
    if form.name != "npy" or motion.poses_FPJD.shape[1] > 1:
        np.testing.assert_allclose(again.poses_FPJD, motion.poses_FPJD, rtol=1e-6, atol=atol)
    if "rate" in form.holds:
        assert again.fps == pytest.approx(50.0) or frames < 3
    if "times" in form.holds:
        steps, expected = np.diff(again.times_F), np.diff(motion.times_F)
        np.testing.assert_allclose(steps, expected, atol=2e-6)
    if motion.confidence_FPJ is not None:
        assert again.confidence_FPJ is not None
        seen = motion.seen_FPJ
        np.testing.assert_allclose(
            again.confidence_FPJ[seen],
            motion.confidence_FPJ[seen],
            atol=SURE_PRECISION.get(form.name, DEFAULT_PRECISION),
        )
    if "unit" in form.holds:
        assert again.unit == motion.unit
    said = [line for line in lost(again, form) if "unit" not in line]
    assert said == (["names of joints"] if form.name == "npy" else [])


def samples() -> list[Path]:
    if not SAMPLES.is_dir():
        return []
    return [path for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"]


#: Files that are not written back as they were, or whose bytes a library lays out anew.
ANOTHER_WAY = ("bvh",)
LAID_OUT_ANEW = ("npz", "smoothnet", "parquet", "arrow", "c3d", "amass")


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
def test_a_real_file_is_written_back_as_it_was_but_for_what_changed(
    path: Path, tmp_path: Path
) -> None:
    motion = read(path)
    form = next(one for one in formats() if one.name == motion.format)
    assert motion.seen_FPJ.any()
    if form.write is None or form.rigid:
        assert form.name in ANOTHER_WAY
        return
    same = motion.write(tmp_path / path.name)
    if form.name not in LAID_OUT_ANEW:
        assert same.read_bytes() == path.read_bytes()
    poses = motion.poses_FPJD.copy()
    poses[1, 0] += 1.25
    poses[-1, -1, -1] = np.nan
    again = read(motion.with_poses(poses).write(tmp_path / path.name))
    np.testing.assert_allclose(again.poses_FPJD, poses, rtol=1e-5, atol=2e-3)
    assert again.joints == motion.joints
    assert again.people == motion.people
    np.testing.assert_allclose(again.times_F, motion.times_F)


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
def test_a_real_file_becomes_a_table_and_an_array(path: Path, tmp_path: Path) -> None:
    motion = read(path)
    if motion.dims == 1:  # angles
        return
    for name in ("clip.csv", "clip.npz"):
        again = read(replace(motion, rest=None, entries_FP=None).write(tmp_path / name))
        np.testing.assert_allclose(
            again.poses_FPJD, motion.poses_FPJD, rtol=1e-6, atol=1e-6, err_msg=name
        )
        assert again.joints == motion.joints
        np.testing.assert_allclose(
            again.times_F - again.times_F[0], motion.times_F - motion.times_F[0], atol=1e-6
        )


SEEDS = [
    pytest.param(one.name, place, id=f"{one.name}-{place}")
    for one in formats()
    if one.write and not one.rigid
    for place in range(len(seeds()[one.name]))
]


@pytest.mark.parametrize(("name", "place"), SEEDS)
def test_a_small_file_is_written_back_as_it_was_but_for_what_changed(
    name: str, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv(VARIABLES["smpl"], str(put(smpl_body(), tmp_path / "models")))
    seed = seeds()[name][place]
    path = put(seed, tmp_path)
    motion = read(path)
    assert motion.format == name
    assert motion.seen_FPJ.any()
    same = motion.write(tmp_path / "same" / seed.name, name)
    if name not in LAID_OUT_ANEW:
        assert contents(same) == dict(seed.files)
    poses = motion.poses_FPJD.copy()
    poses[-1] += 0.25
    again = read(motion.with_poses(poses).write(tmp_path / "new" / seed.name, name))
    np.testing.assert_allclose(again.poses_FPJD, poses, rtol=1e-5, atol=2e-3)
    assert again.people == motion.people
    assert again.joints == motion.joints


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {one.name: one.read_bytes() for one in files}


@pytest.mark.parametrize(
    ("name", "frames", "people", "joints", "fps"),
    [
        ("kinect-azure", 5, ("1", "2"), "azure32", pytest.approx(30.0, abs=0.01)),
        ("zed", 5, ("3",), "zed38", pytest.approx(30.3, abs=0.1)),
        ("mvnx", 5, ("Anna",), None, 60.0),
        ("pose", 5, ("0", "1"), "mediapipe33", 25.0),
        ("kinovea", 5, ("0",), None, pytest.approx(25.0)),
        ("ultralytics", 4, ("1", "2"), "coco17", None),
        ("yolo", 3, ("1", "7"), "coco17", None),
        ("mmpose", 5, ("0",), "coco17", None),
    ],
)
def test_a_small_file_says_what_was_put_in(
    name: str, frames: int, people: tuple[str, ...], joints: str | None, fps: object, tmp_path: Path
) -> None:
    motion = read(put(seeds()[name][0], tmp_path))
    assert len(motion) == frames
    assert motion.people == people
    assert motion.skeleton == joints
    assert motion.fps == fps
    if name == "mvnx":
        assert motion.joints == ("pelvis", "L5", "right_shoulder", "left_foot")
        np.testing.assert_array_equal(motion.poses_FPJD[0, 0, 0], [0.25, -1.5, 0.9])
    if name == "pose":
        assert not motion.seen_FPJ[1, 0, 3]
        assert motion.seen_FPJ.sum() == motion.seen_FPJ.size - 1


@pytest.mark.parametrize("odd", ['""', '"\\" [ "', "[]", "null", "5"])
def test_what_is_no_frame_among_frames_stays_as_it_is(odd: str, tmp_path: Path) -> None:
    frames = json.loads(seeds()["ultralytics"][1].files["clip.json"])
    texts = [json.dumps(one) for one in frames]
    whole = "[" + ", ".join([texts[0], odd, *texts[1:]]) + "]"
    (tmp_path / "clip.json").write_text(whole)
    motion = read(tmp_path / "clip.json")
    same = motion.write(tmp_path / "same.json")
    assert same.read_text() == whole
    moved = motion.with_poses(motion.poses_FPJD + 1).write(tmp_path / "moved.json")
    assert json.loads(moved.read_text())[1] == json.loads(odd)
