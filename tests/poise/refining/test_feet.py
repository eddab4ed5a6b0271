"""Feet that stand are held: how far they slid, what moves with them, and what is left alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.cli.main import main
from poise.motion.motion import Motion
from poise.refining.feet.legs import legs_of
from poise.refining.feet.stands import slide, stands
from poise.refining.options import Options
from poise.refining.refine import Refining, refine
from poise.runtime.errors import SettingsError

JOINTS = ("left_hip", "left_knee", "left_ankle", "left_heel", "left_big_toe",
          "right_hip", "right_knee", "right_ankle")  # fmt: skip
LEFT_FOOT = slice(2, 5)
FPS = 50.0
FEET = Options(refiner="butterworth", cutoff=12.0, feet=True)


def striding(steps: int = 2) -> NDArray[np.float64]:
    """Return a left leg that stands for a second and swings for half of one, (F, J, 3), y up.

    While it stands it slides by 50 mm/s. The right leg is far above the floor, beside it.
    """
    stand, swing = 50, 25
    speed = np.tile(np.r_[np.full(stand, 0.05), np.full(swing, 2.0)], steps) / FPS
    x_F = np.cumsum(speed)
    lift = np.r_[np.zeros(stand), 0.2 * np.sin(np.linspace(0, np.pi, swing + 2)[1:-1])]
    y_F = np.tile(lift, steps)
    poses = np.zeros((len(x_F), len(JOINTS), 3))
    hip_x = np.linspace(x_F[0], x_F[-1], len(x_F))
    poses[:, 0] = np.stack([hip_x, np.full_like(x_F, 0.85), np.zeros_like(x_F)], -1)
    for joint, (x, y) in {2: (0.0, 0.08), 3: (-0.05, 0.02), 4: (0.15, 0.02)}.items():
        poses[:, joint] = np.stack([x_F + x, y_F + y, np.zeros_like(x_F)], -1)
    middle = (poses[:, 0] + poses[:, 2]) / 2
    poses[:, 1] = middle + np.array([0.25, 0.0, 0.0])
    poses[:, 5:8] = poses[:, 0:3] + np.array([0.0, 0.5, 0.2])
    return poses


def motion(poses: NDArray[np.float64], **more: Any) -> Motion:
    given: dict[str, Any] = {"joints": JOINTS, "fps": FPS, "unit": "m", "up": "+y"}
    return Motion(poses_FPJD=poses[:, None], **(given | more))


def bones(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    pairs = ((0, 1), (1, 2), (2, 3), (2, 4), (3, 4), (5, 6), (6, 7))
    return np.stack([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) for a, b in pairs], 1)


def both(poses: NDArray[np.float64]) -> tuple[Refining, Refining]:
    """Return what refining makes of it without holding feet, and with."""
    return refine(motion(poses), replace(FEET, feet=False)), refine(motion(poses), FEET)


def poses_of(refining: Refining) -> NDArray[np.float64]:
    return refining.after.poses_FPJD[:, 0].astype(np.float64)


def test_a_foot_that_stands_is_held_and_no_bone_changes() -> None:
    before, after = map(poses_of, both(striding()))
    still = after[10:40, LEFT_FOOT]
    assert np.ptp(still[..., 0], axis=0).max() < 1e-9
    # Where it was in the middle of the second in which it slid by 50 mm.
    np.testing.assert_allclose(still[0, :, 0], before[10:40, LEFT_FOOT, 0].mean(0), atol=0.006)
    np.testing.assert_allclose(bones(after), bones(before), atol=1e-9)
    np.testing.assert_allclose(after[:, LEFT_FOOT, 1:], before[:, LEFT_FOOT, 1:], atol=1e-9)
    np.testing.assert_array_equal(after[:, [0, 5, 6, 7]], before[:, [0, 5, 6, 7]])  # hips, right
    assert np.abs(after - before).max() < 0.04
    assert np.linalg.norm(np.diff(after - before, axis=0), axis=-1).max() < 0.012  # no jerk


def test_the_report_says_how_far_feet_slid() -> None:
    _, refining = both(striding())
    feet = refining.people["0"].feet
    assert feet is not None
    assert feet.stands == 2
    assert feet.seconds == pytest.approx(2.0, abs=0.3)
    assert feet.slide[0] == pytest.approx(0.05, abs=0.005)
    assert feet.slide[1] == pytest.approx(0.0, abs=1e-9)


def test_who_walks_slowly_is_not_nailed_down() -> None:
    """A foot that is pushed along the floor for longer than feet slide has not stood."""
    poses = striding(1)[:50]
    poses = np.concatenate([poses, np.repeat(poses[-1:], 250, 0)])
    poses[..., 0] += 0.1 * np.arange(300)[:, None] / FPS  # 0.6 m in all
    before, after = map(poses_of, both(poses))
    assert np.abs(after - before)[:, LEFT_FOOT].max() < 0.1
    way = after[-1, 2, 0] - after[0, 2, 0]
    assert way == pytest.approx(before[-1, 2, 0] - before[0, 2, 0], abs=0.12)


def test_gaps_stay_and_part_what_stands() -> None:
    poses = striding()
    poses[20:60, 2] = np.nan  # longer than is filled
    before, after = map(poses_of, both(poses))
    np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
    np.testing.assert_array_equal(after[20:60, 3:5], before[20:60, 3:5])
    legs = legs_of(motion(poses))
    found = stands(after, legs, "+y", np.arange(len(poses)) / FPS)
    assert not any(one.frames.start < 60 and one.frames.stop > 20 for one in found)
    assert slide(after, found, "+y", np.arange(len(poses)) / FPS) < 1e-9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dims": 2}, "moves with the camera"),
        ({"joints": tuple("abcdefgh")}, "hips, knees and ankles"),
        ({"up": None}, "which way is up: --up"),
        ({"at": "hips"}, "relative to the hips"),
    ],
)
def test_what_cannot_be_held_is_refused_with_a_reason(change: dict[str, Any], said: str) -> None:
    poses = striding()
    if change.pop("at", None):
        poses = poses - poses[:, [0, 5]].mean(1, keepdims=True)
    if change.pop("dims", 3) == 2:
        change = {"unit": "px", "up": "-y"}
        poses = poses[..., :2]
    with pytest.raises(SettingsError, match=said):
        refine(motion(poses, **change), FEET)


def test_from_the_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "clip.trc"
    motion(striding()).write(file)
    assert main(["refine", str(file), "--refiner", "butterworth", "--feet", "--up", "+y"]) == 0
    said = capsys.readouterr().out
    assert "feet           held 2 times, " in said
    assert " -> 0 mm/s" in said
