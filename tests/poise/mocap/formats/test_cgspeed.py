"""CMU's BVH conversions: what each lacks or adds, and the same takes as converted by others."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.takes import real_takes, write_amc, write_asf

from poise.mocap.clip import JOINTS, MotionClip, checked_clip
from poise.mocap.formats import cgspeed
from poise.mocap.formats.asf import read_asf
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.recordings import (
    CaptureDetails,
    find_recordings,
    read_recording,
)
from poise.mocap.skeleton_files import SkeletonFiles
from poise.readers.untrusted.object_npz import ObjectColumn
from poise.runtime.errors import DataError

#: Takes of mocap_raw by the name they have in the CMU poses that come beside it.
SAME = {
    "native-07_01": "native-cmu_07_01",
    "native-11_01": "native-cmu_11_01",
    "native-16_15": "native-cmu_16_15",
    "native-35_01": "native-cmu_35_01",
    "native-39_12": "native-cmu_39_12",
    "native_bvh-12_01": "native_bvh-cmu_12_01",
    "native_bvh-14_08": "native_bvh-cmu_14_08",
    "daz-02_01": "daz-daz_02_01",
    "daz-07_01": "daz-daz_07_01",
    "daz-09_01": "daz-daz_09_01",
    "daz-13_39": "daz-daz_13_39",
}


@pytest.fixture(scope="module")
def clips() -> dict[str, MotionClip]:
    folder = real_takes()
    skeletons = SkeletonFiles.below(folder)
    details = CaptureDetails(skeletons, estimate_thorax=True)
    found = find_recordings(folder, skeletons=skeletons)
    takes = [read_recording(recording, details) for recording in found]
    return {clip.name: clip for clip in takes}


@pytest.fixture(scope="module")
def published() -> dict[str, NDArray[np.float64]]:
    found = {}
    for split in ("train", "test"):
        folder = Path(os.environ.get("POISE_DATA", "")) / "poses/cmu_noise_3D/groundtruth"
        file = folder / f"cmu_gt_3D_{split}.npz"
        if not file.is_file():
            pytest.skip("POISE_DATA has no cmu_noise_3D")
        columns = (ObjectColumn(file, key) for key in ("imgname", "joints_3d"))
        for images, poses in zip(*columns, strict=True):
            take = str(images[0]).split("/")[1]
            found[take] = np.asarray(poses, np.float64).reshape(len(poses), 17, 3)
    return found


@pytest.mark.parametrize("name", SAME)
def test_same_take_as_converted_by_others(
    name: str, clips: dict[str, MotionClip], published: dict[str, NDArray[np.float64]]
) -> None:
    ours = clips[name].resampled(60)
    theirs = published[SAME[name]]
    assert ours.joints_FJ3.shape == theirs.shape
    # Theirs are rounded to a tenth of a millimetre.
    np.testing.assert_allclose(ours.joints_FJ3, theirs, atol=6e-5)


def test_every_body_is_an_adult_upright_and_right_handed(clips: dict[str, MotionClip]) -> None:
    assert len(clips) == 13
    for clip in clips.values():
        assert 0.33 < clip.bone("left_hip", "left_knee") < 0.5
        assert 0.33 < clip.bone("left_knee", "left_ankle") < 0.5
        joint = {name: clip.joints_FJ3[:, place] for place, name in enumerate(JOINTS)}
        tall = np.median(joint["head"][:, 1] - joint["left_ankle"][:, 1])
        assert 1.2 < tall < 1.75
        across = joint["left_hip"] - joint["right_hip"]
        ahead = np.cross(across, joint["spine"] - joint["pelvis"])
        feet = joint["right_knee"] - (joint["right_hip"] + joint["right_ankle"]) / 2
        assert np.median((ahead * feet).sum(-1)) > 0  # knees bend forwards


def test_thorax_is_put_back(clips: dict[str, MotionClip]) -> None:
    folder = real_takes()
    for name, subject in (("native_bvh-12_01", "12"), ("native_bvh-14_08", "14")):
        skeleton = read_asf(folder / f"{subject}.asf")
        bones = [np.linalg.norm(skeleton.vector(bone)) for bone in ("upperback", "thorax")]
        spine_to_thorax = clips[name].bone("spine", "thorax") / skeleton.metres
        # Two bones that are nearly in line; without the thorax it would be the first alone.
        assert sum(bones) * 0.97 < spine_to_thorax <= sum(bones)


def test_estimated_thorax_is_within_what_the_option_says() -> None:
    folder = real_takes()
    for asf in folder.glob("*.asf"):
        skeleton = read_asf(asf)
        miss = skeleton.vector("thorax") - skeleton.vector("upperback")
        assert 0.001 < np.linalg.norm(miss) * skeleton.metres < 0.0125


def test_native_take_without_skeleton_is_refused_with_a_way_out() -> None:
    take = read_bvh(real_takes() / "max_131_01.bvh")
    with pytest.raises(DataError, match=r"lacks the thorax.*\.asf.*--estimate-thorax"):
        cgspeed.joints_of(take, None)


def test_skeleton_of_somebody_else_is_refused() -> None:
    folder = real_takes()
    take = read_bvh(folder / "mb_12_01.bvh")
    with pytest.raises(DataError, match="somebody else"):
        cgspeed.joints_of(take, read_asf(folder / "14.asf"))


@pytest.mark.parametrize(
    ("take", "dropped"), [("mb_12_01", 1), ("mb_14_08", 1), ("max_131_01", 0), ("daz_09_01", 10)]
)
def test_t_pose_is_dropped_where_there_is_one(take: str, dropped: int) -> None:
    found = read_bvh(real_takes() / f"{take}.bvh")
    joints_FJ3 = cgspeed.joints_of(found, None, estimate_thorax=True)
    assert len(found.values_FC) - len(joints_FJ3) == dropped
    # A lead-in that stays would show as a jump: here everything moves like the rest of the take.
    steps_F = np.linalg.norm(np.diff(joints_FJ3, axis=0), axis=-1).max(-1)
    assert steps_F[:3].max() < 3 * steps_F.max() / 2
    assert steps_F[0] < 0.1


def test_thorax_that_somebody_put_back_stays(tmp_path: Path) -> None:
    folder = real_takes()
    skeleton = read_asf(folder / "12.asf")
    take = read_bvh(folder / "mb_12_01.bvh")
    mended = take.shifted(
        dict.fromkeys(("Neck", "LeftShoulder", "RightShoulder"), skeleton.vector("thorax"))
    )
    np.testing.assert_array_equal(
        cgspeed.joints_of(mended, None), cgspeed.joints_of(take, skeleton)
    )


def test_unknown_skeleton_is_refused() -> None:
    take = read_bvh(real_takes() / "mb_12_01.bvh")
    renamed = tuple(replace(joint, name=f"my{joint.name}") for joint in take.joints)
    with pytest.raises(DataError, match=r"myHips.*MotionBuilder, 3dsMax, Daz"):
        cgspeed.dialect_of(replace(take, joints=renamed))


def test_amc_without_skeleton_is_refused(tmp_path: Path) -> None:
    write_amc(tmp_path / "01_01.amc")
    (recording,) = find_recordings(tmp_path)
    with pytest.raises(DataError, match=r"no skeleton of .*--skeletons"):
        read_recording(recording, CaptureDetails(SkeletonFiles.below(tmp_path)))


def test_wrong_unit_is_noticed(tmp_path: Path) -> None:
    write_asf(tmp_path / "01.asf", length=0.045)
    write_amc(tmp_path / "01_01.amc")
    (recording,) = find_recordings(tmp_path)
    with pytest.raises(DataError, match=r"thigh would be 4\.\d+ m"):
        read_recording(recording, CaptureDetails(SkeletonFiles.below(tmp_path)))


def test_rates_are_cut_by_whole_strides() -> None:
    joints = np.zeros((10, 17, 3))
    joints[:, JOINTS.index("right_knee"), 1] = -0.4
    joints[:, 0, 0] = np.arange(10)
    clip = checked_clip(Path("take"), "walk", "S01", 120.0, joints)
    assert clip.resampled(40).joints_FJ3[:, 0, 0].tolist() == [0, 3, 6, 9]
    assert clip.resampled(120).frames == 10
    with pytest.raises(DataError, match=r"120 frames.*rates: 120, 60, 40, 30, 24, 20"):
        clip.resampled(50)
    with pytest.raises(DataError, match="not a multiple of 240"):
        clip.resampled(240)
