"""Positions as BVH: what comes back is what went in, but for changes of bones' lengths."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fuzz import put
from benchmarks.fuzz_seeds import seeds

from poise.catalog.joint_sets import joint_sets
from poise.cli.main import main
from poise.motion.files import format_called, lost, read
from poise.motion.motion import Motion
from poise.motion.skeletons import bones_of, root_of
from poise.runtime.errors import DataError

SAMPLES = Path(os.environ.get("POISE_DATA", "none")) / "keypoint_files"


def swinging(skeleton: str, frames: int = 40, people: int = 1) -> Motion:
    """A motion whose bones keep their lengths and turn at their own pace."""
    known, rng = joint_sets()[skeleton], np.random.default_rng(3)
    places = np.full((frames, len(known.joints), 3), np.nan)
    roots = [name for name in ("pelvis", "right_hip") if name in known.joints]
    near: dict[int, list[int]] = {}
    for start, end in known.bones:
        near.setdefault(start, []).append(end)
        near.setdefault(end, []).append(start)
    todo = [known.joints.index(roots[0])]
    places[:, todo[0]] = np.linspace(0, [0.5, 0.9, 2.0], frames)
    for joint in todo:
        for end in near[joint]:
            if np.isnan(places[0, end, 0]):
                turn = np.sin(np.linspace(0, rng.uniform(1, 4), frames))[:, None]
                way = rng.normal(size=3) + turn * rng.normal(size=3)
                unit = way / np.linalg.norm(way, axis=1, keepdims=True)
                places[:, end] = places[:, joint] + unit * rng.uniform(0.1, 0.5)
                todo.append(end)
    return Motion(
        poses_FPJD=np.repeat(places[:, None], people, 1),
        joints=known.joints,
        skeleton=skeleton,
        people=tuple(map(str, range(people))),
        unit="m",
    ).at_rate(60.0)


def written(motion: Motion, folder: Path) -> Motion:
    """A motion's first person, through a file and back, joints in the same order."""
    again = read(motion.write(folder / "clip.bvh"))
    order = [again.joints.index(name) for name in motion.joints if name in again.joints]
    return replace(
        again,
        poses_FPJD=again.poses_FPJD[:, :, order],
        joints=tuple(again.joints[at] for at in order),
        rest=None,
    )


@pytest.mark.parametrize("skeleton", ["coco17", "halpe26", "smpl24", "h36m17", "body_25"])
def test_bones_of_constant_length_come_back(skeleton: str, tmp_path: Path) -> None:
    motion = swinging(skeleton)
    again = written(motion, tmp_path)
    there = [name for name in motion.joints if name in again.joints]
    assert again.fps == 60.0
    assert again.joints == tuple(there)
    assert len(there) >= len(motion.joints) - 1
    places = [motion.joints.index(name) for name in there]
    np.testing.assert_allclose(again.poses_FPJD, motion.poses_FPJD[:, :, places], atol=2e-4)


def test_bones_that_change_are_held_at_their_medians(tmp_path: Path) -> None:
    motion = swinging("coco17")
    poses = motion.poses_FPJD.copy()
    rng = np.random.default_rng(0)
    poses += rng.normal(scale=0.002, size=poses.shape)
    noisy = motion.with_poses(poses)
    again = written(noisy, tmp_path)
    off = np.linalg.norm(again.poses_FPJD - poses, axis=-1)
    assert off.max() < 0.04  # each joint by what the bones before it change
    bones = [
        (motion.joints.index(a), motion.joints.index(b)) for a, b in [("left_hip", "left_knee")]
    ]
    for start, end in bones:
        length = np.linalg.norm(poses[:, 0, end] - poses[:, 0, start], axis=-1)
        back = np.linalg.norm(again.poses_FPJD[:, 0, end] - again.poses_FPJD[:, 0, start], axis=-1)
        np.testing.assert_allclose(back, np.median(length), atol=1e-4)


def test_what_is_lost_is_said_and_gaps_stand_as_in_the_nearest_frame(tmp_path: Path) -> None:
    motion = swinging("coco17", people=2)
    poses = motion.poses_FPJD.copy()
    wrist = motion.joints.index("left_wrist")
    poses[10:14, 0, wrist] = np.nan
    gappy = motion.with_poses(poses)
    said = lost(gappy, format_called("bvh"))
    assert any(line.startswith("gaps: ") for line in said)
    assert any("all people but the first" in line for line in said)
    again = written(gappy, tmp_path)
    assert np.isfinite(again.poses_FPJD).all()
    np.testing.assert_allclose(again.poses_FPJD[20:, 0], poses[20:, 0], atol=2e-4)


def test_joints_without_bones_are_refused(tmp_path: Path) -> None:
    motion = Motion(poses_FPJD=np.random.default_rng(0).random((3, 1, 2, 3)), joints=("a", "b"))
    with pytest.raises(DataError, match="no bones are known between its joints"):
        motion.at_rate(25.0).write(tmp_path / "clip.bvh")
    with pytest.raises(DataError, match="no frame rate, and BVH needs one"):
        motion.write(tmp_path / "clip.bvh")
    assert not (tmp_path / "clip.bvh").exists()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs POISE_DATA")
@pytest.mark.parametrize("name", ["cmu_jumping_jacks.bvh", "rokoko_video_dance.bvh"])
def test_a_real_file_comes_back(name: str, tmp_path: Path) -> None:
    motion = read(SAMPLES / name)
    assert main(["convert", str(SAMPLES / name), str(tmp_path / "clip.bvh")]) == 0
    again = written(motion, tmp_path)
    places = [motion.joints.index(joint) for joint in again.joints]
    assert len(places) == len(motion.joints)
    off = np.abs(again.poses_FPJD - motion.poses_FPJD[:, :, places])
    assert off.max() < 0.05  # centimetres or inches, of a body of 60 and more


def test_the_bones_of_a_file_are_those_of_its_hierarchy(tmp_path: Path) -> None:
    motion = read(put(seeds()["bvh"][0], tmp_path))
    assert motion.joints == ("Hips", "Spine", "Spine_end")
    assert bones_of(motion) == [(0, 1), (1, 2)]
    assert root_of(motion) == 0
