"""How far one motion is from another: joints by name, frames by time, people by place."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.walking import COCO, motion_of, walking

from poise.catalog.dataset_file import Published
from poise.catalog.tracks import TrackInfo
from poise.cli.main import main
from poise.evaluation.metrics import pose_errors
from poise.evaluation.motion import motion_errors
from poise.motion.motion import Motion
from poise.refining.reporting.compare import compare
from poise.refining.reporting.errors import figures_of, pair_of
from poise.runtime.errors import DataError


def test_errors_in_images_are_distances_in_pixels() -> None:
    off = walking()
    off[:, COCO.index("nose")] += (3, 4)
    (found,) = compare(motion_of(off), motion_of(walking()))
    assert found.unit == "px"
    assert found.figures["mpjpe"] == pytest.approx(5 / 17)
    assert found.joints["nose"] == pytest.approx(5)
    assert found.joints["left_hip"] == pytest.approx(0)
    assert found.figures["accel"] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.error_F, 5 / 17)


def test_in_space_they_are_in_mm_whatever_the_units_and_relative_to_the_hips() -> None:
    space = np.concatenate([walking(), walking()[..., :1] / 10], -1)
    mine = motion_of(space / 100 + 7, unit="m", up="-y")
    (found,) = compare(mine, motion_of(space * 10, unit="mm", up="-y"))
    assert found.unit == "mm"
    assert found.figures["mpjpe"] == pytest.approx(0, abs=1e-6)
    assert found.figures["range_kept"] == pytest.approx(100)


def test_frames_people_and_joints_are_matched() -> None:
    truth = motion_of(walking(), walking() + 400)
    keep = np.array([5, 8, 9, 10, 11, 12, 40])
    order = [*range(16, -1, -1)]
    poses = np.stack([walking() + 401, walking() + 1], 1)[keep][:, :, order]
    mine = Motion(poses_FPJD=poses, joints=tuple(COCO[at] for at in order), people=("b", "a"),
                  fps=30.0, frames_F=keep, times_F=keep / 30, unit="px")  # fmt: skip
    found = {one.person: one for one in compare(mine, truth)}
    assert set(found) == {("b", "1"), ("a", "0")}
    assert all(one.frames == 7 for one in found.values())
    assert found["b", "1"].figures["mpjpe"] == pytest.approx(np.sqrt(2))


def test_what_is_not_seen_in_both_does_not_count() -> None:
    off = walking() + 1
    off[10:20, 3] = np.nan
    off[50] = np.nan
    (found,) = compare(motion_of(off), motion_of(walking()))
    assert found.figures["mpjpe"] == pytest.approx(np.sqrt(2))
    assert np.isnan(found.error_F[50])


@pytest.mark.parametrize(("dims", "roots"), [(2, ()), (3, ()), (3, (11, 12))])
@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_figures_are_those_of_evaluation(dims: int, roots: tuple[int, ...], gap: float) -> None:
    rng = np.random.default_rng(dims)
    truth = np.concatenate([walking(), walking()[..., :1] / 3], -1)[..., :dims]
    ours = 1.1 * truth + rng.normal(0, 9, truth.shape)
    known = rng.random(truth.shape[:2]) >= gap
    found = figures_of(pair_of(ours, truth, known, roots))
    info = TrackInfo(
        joints=17, dims=dims, joint_names=COCO, roots=roots, skeleton=None, fps=30.0,
        to_metric=1.0, unit="", folder=None, noise=None, stored_joints=17, picked=None,
        metres=1.0, pixels=None, published=Published(), flip=None, up=None,
    )  # fmt: skip
    refined, true, untrue = map(torch.from_numpy, (ours, truth, ~known))
    errors = pose_errors(refined.flatten(1), true.flatten(1), info, untrue_FJ=untrue)
    more = motion_errors(refined.flatten(1), true.flatten(1), info, untrue_FJ=untrue)
    assert more is not None
    expected = {"mpjpe": errors.mpjpe, "pa_mpjpe": errors.pa_mpjpe, "accel": errors.accel_interior}
    expected |= {key: value for key, value in more.to_json(COCO).items() if key in found}
    assert set(found) == set(expected)
    assert found == pytest.approx(expected)


def test_hips_that_are_never_seen_leave_no_error_of_nothing() -> None:
    space = np.concatenate([walking(), walking()[..., :1] / 10], -1)
    mine = space + np.array([3.0, 4.0, 0.0])
    mine[:, COCO.index("left_hip")] = np.nan
    (found,) = compare(motion_of(mine, unit="mm"), motion_of(space, unit="mm"))
    assert found.figures["mpjpe"] == pytest.approx(5.0)
    assert found.figures["accel"] == pytest.approx(0.0, abs=1e-9)


def test_a_gap_is_no_step() -> None:
    away = walking()
    away[60:] += 500
    off = away.copy()
    off[60:] += 7
    off[55:60] = np.nan
    (found,) = compare(motion_of(off), motion_of(away))
    assert found.frames == 115
    assert found.figures["velocity"] == pytest.approx(0, abs=1e-9)


def test_what_has_nothing_in_common_is_refused() -> None:
    flat = motion_of(walking())
    with pytest.raises(DataError, match="no frame of the same time"):
        compare(flat, motion_of(walking(), times_F=np.arange(120) / 30 + 100))
    with pytest.raises(DataError, match="3D: nothing to compare"):
        compare(flat, motion_of(walking()[..., [0, 1, 1]]))
    with pytest.raises(DataError, match="no joint of the same name"):
        compare(flat, motion_of(walking(), joints=tuple(f"p{k}" for k in range(17))))


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    motion_of(walking() + 1).write(tmp_path / "a.json")
    motion_of(walking()).write(tmp_path / "b.json")
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    plot = tmp_path / "c.png"
    assert main(["compare", *files, "--plot", str(plot)]) == 0
    said = capsys.readouterr().out
    assert "MPJPE" in said
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert main(["compare", *files, "--plot", str(plot)]) == 2
    assert f"{plot}: is already there" in capsys.readouterr().err
    assert main(["compare", *files, "--plot", str(plot), "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["compare", *files, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["mpjpe"] == pytest.approx(np.sqrt(2), abs=1e-3)
