"""Refined bodies of the SMPL family as rotations again."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fuzz import put
from benchmarks.fuzz_seeds import seeds
from scipy.spatial.transform import Rotation
from tests.support.body_model import write_body

from poise.cli.main import main
from poise.mocap.formats.body_fit import fitted
from poise.mocap.formats.body_model import Bodies
from poise.motion.files import read
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES

WHAM = seeds()["smpl"][1]
FRAMES = 90
BUTTERWORTH = ["--refiner", "butterworth", "--cutoff", "5"]


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_body(tmp_path / "models").parent
    monkeypatch.setenv(VARIABLES["smpl"], str(folder))
    return folder


def moving(width: int, jitter: float, seed: int = 0) -> dict[str, Any]:
    """Return a take that swings once in two seconds, at 30 a second, and jitters."""
    rng = np.random.default_rng(seed)
    swing_F1 = np.sin(np.pi * np.arange(FRAMES) / 30)[:, None]
    poses = 0.4 * rng.normal(size=width) * swing_F1 + rng.normal(0, jitter, (FRAMES, width))
    return {
        "poses": poses,
        "trans": np.linspace((0, 0, 0), (1, 0.5, 0), FRAMES)
        + rng.normal(0, jitter / 10, (FRAMES, 3)),
        "betas": rng.normal(0, 1, 16),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(30.0),
        "dmpls": rng.normal(size=(FRAMES, 8)),
    }


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as found:
        return dict(found)


@pytest.mark.parametrize("width", [72, 156, 165])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_did_not_change_keeps_every_digit(width: int, dtype: type, tmp_path: Path) -> None:
    take = moving(width, 0.05)
    take = {
        **take,
        "poses": (5 * take["poses"]).astype(dtype),
        "trans": take["trans"].astype(dtype),
    }
    np.savez(tmp_path / "walk.npz", **take)
    motion = read(tmp_path / "walk.npz")
    poses = motion.poses_FPJD.copy()
    poses[7] += 0.25  # a step aside turns nothing
    again = arrays(motion.with_poses(poses).write(tmp_path / "new.npz"))
    assert set(again) == set(take)
    assert again["poses"].dtype == dtype
    for key in set(take) - {"trans"}:
        np.testing.assert_array_equal(again[key], take[key], err_msg=key)
    np.testing.assert_allclose(again["trans"][7], take["trans"][7] + 0.25, rtol=1e-6)
    rest = np.arange(FRAMES) != 7
    np.testing.assert_array_equal(again["trans"][rest], take["trans"][rest])


@pytest.mark.parametrize(
    ("width", "parts"), [(72, False), (156, False), (165, False), (66, False), (156, True)]
)
def test_a_refined_take_is_a_take_again(width: int, parts: bool, tmp_path: Path) -> None:
    calm, take = moving(width, 0.0), moving(width, 0.03)
    if parts:
        take["root_orient"], take["pose_body"] = take["poses"][:, :3], take.pop("poses")[:, 3:66]
    path, clean = tmp_path / "walk.npz", tmp_path / "walk.poise.npz"
    np.savez(path, **take)
    assert main(["refine", str(path), *BUTTERWORTH]) == 0
    before, after = read(path), read(clean)
    assert after.format == "amass"
    assert after.fps == 30.0
    np.savez(tmp_path / "calm.npz", **calm)
    truth = read(tmp_path / "calm.npz").poses_FPJD
    off, left = (np.linalg.norm(one.poses_FPJD - truth, axis=-1).mean() for one in (before, after))
    assert left < 0.6 * off
    new = arrays(clean)
    assert set(new) == set(take)
    for key in ("betas", "gender", "dmpls", "mocap_framerate"):
        np.testing.assert_array_equal(new[key], take[key])
    if not parts:
        body = 72 if width == 72 else 66
        assert np.abs(new["poses"][:, :body] - take["poses"][:, :body]).max() > 0.01
        np.testing.assert_array_equal(new["poses"][:, body:], take["poses"][:, body:])


def test_fitted_joints_are_where_they_should_be_as_far_as_bones_reach(model: Path) -> None:
    body = Bodies(model).of("neutral")
    betas, place = np.zeros(10), np.zeros((FRAMES, 3))
    pose, other = (moving(72, 0.1, seed)["poses"].reshape(-1, 24, 3) for seed in (0, 0))
    other = other + np.random.default_rng(1).normal(0, 0.1, other.shape)
    target = body.joints(other, betas, place + 0.3)
    found, moved = fitted(body, pose, betas, place, target)
    np.testing.assert_allclose(moved, 0.3)
    # Not all rotations of a body with its branches are told by its joints: but all places are.
    np.testing.assert_allclose(body.joints(found, betas, moved), target, atol=5e-3)
    target[3:6, 18] = np.nan
    found, _ = fitted(body, pose, betas, place, target)
    assert np.isfinite(found).all()


def test_rotations_beyond_half_a_turn_stay_there(model: Path) -> None:
    body, vectors = Bodies(model).of("neutral"), np.zeros((4, 24, 3))
    vectors[:, 16] = (0.0, 5.5, 0.0)
    other = vectors.copy()
    other[:, 16] = (0.1, 5.6, 0.1)
    place = np.zeros((4, 3))
    found, _ = fitted(body, vectors, np.zeros(10), place, body.joints(other, np.zeros(10), place))
    assert (np.linalg.norm(found[:, 16], axis=1) > 5).all()
    assert (
        Rotation.from_rotvec(found[:, 16]) * Rotation.from_rotvec(other[:, 16]).inv()
    ).magnitude().max() < 0.2


def test_results_of_a_network_become_a_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = put(WHAM, tmp_path), tmp_path / "clean.npz"
    assert main(["refine", str(path), "-o", str(out), *BUTTERWORTH[:2]]) == 2
    assert "give --fps" in capsys.readouterr().err
    assert main(["refine", str(path), "-o", str(out), *BUTTERWORTH[:2], "--fps", "25"]) == 0
    stored = pickle.loads(WHAM.files["clip.pkl"])[0]  # noqa: S301
    new = arrays(out)
    assert set(new) - {"up"} == {"poses", "trans", "betas", "gender", "mocap_framerate"}
    assert new["mocap_framerate"] == 25
    assert new["poses"].shape == (4, 72)  # of frames 2, 3, 5 and the one in between
    motion = read(out)
    assert motion.format == "amass"
    before = read(path).poses_FPJD
    assert motion.poses_FPJD.shape[0] == 4
    np.testing.assert_allclose(motion.poses_FPJD[[0, 1, 3]], before, atol=0.6)
    np.testing.assert_allclose(new["betas"], stored["betas"][0])


def test_axes_of_results_stay_and_are_told(tmp_path: Path) -> None:
    path = put(seeds()["smpl"][3], tmp_path)
    motion = read(path, fps=30)
    again = read(motion.write(tmp_path / "clean.npz"))
    assert (motion.up, again.up) == ("+y", "+y")
    np.testing.assert_allclose(again.poses_FPJD, motion.poses_FPJD, atol=1e-9)


def test_several_people_stay_an_array_of_joints(tmp_path: Path) -> None:
    motion = read(put(seeds()["smpl"][2], tmp_path), fps=30)
    assert len(motion.people) == 2
    assert read(motion.write(tmp_path / "all.npz")).format == "npz"
    np.savez(tmp_path / "walk.npz", **moving(72, 0.0))
    cut = read(tmp_path / "walk.npz").cut(0, 5)
    with pytest.raises(DataError, match="frames, the motion"):
        cut.write(tmp_path / "cut.npz")
