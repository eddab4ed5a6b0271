"""AMASS takes: rotations, and joints where there is a body model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.bodies import FRAMES, write_amass, write_body

from poise.mocap.clip import JOINTS
from poise.mocap.formats import amass
from poise.mocap.formats.body_model import Bodies, Body
from poise.runtime.errors import DataError


@pytest.mark.parametrize(("width", "kept"), [(72, 24), (156, 22), (165, 22)])
def test_amass_keeps_the_body_and_drops_fingers(tmp_path: Path, width: int, kept: int) -> None:
    file = write_amass(tmp_path / "take_poses.npz", width)
    take = amass.read_amass(file)
    stored = np.load(file)["poses"]
    np.testing.assert_array_equal(
        take.pose_FJ3[:, :kept].reshape(FRAMES, -1), stored[:, : kept * 3]
    )
    assert not take.pose_FJ3[:, kept:].any()
    assert (take.fps, take.gender, take.betas.shape) == (120.0, "female", (16,))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"poses": None}, "no poses; it holds betas"),
        ({"mocap_framerate": None}, "no mocap_framerate"),
        ({"poses": np.zeros((FRAMES, 63))}, r"shape \(12, 63\)"),
        ({"poses": np.zeros(FRAMES)}, r"poses \(12,\): expected \(frames, values\)"),
        (
            {"poses": None, "root_orient": np.zeros((FRAMES, 3)), "pose_body": np.zeros((9, 63))},
            r"root_orient \(12, 3\) and pose_body \(9, 63\): expected",
        ),
        ({"betas": np.array(["tall"])}, "plain arrays"),
        ({"trans": np.zeros((3, 3))}, "trans has shape"),
        ({"gender": np.array(["male", "male"])}, r"gender has shape \(2,\)"),
        ({"mocap_framerate": np.zeros(2)}, "expected one value"),
        ({"betas": np.full(16, np.nan)}, "betas are not finite"),
        ({"poses": np.array([None, 1], dtype=object)}, "plain arrays"),
        ({"gender": np.array({"a": 1}, dtype=object)}, "plain arrays"),
    ],
)
def test_unfit_amass_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        amass.read_amass(write_amass(tmp_path / "take.npz", **changes))


class _Thing:
    """Not to be made by reading a file."""


@pytest.mark.parametrize(
    ("changes", "gender", "notes"),
    [
        ({"labels_obs": np.array([["a"], None, {}], dtype=object)}, "female", 0),
        ({"marker_meta": np.array({"thing": _Thing()}, dtype=object)}, "female", 0),
        ({"gender": np.array("male", dtype=object)}, "male", 0),
        ({"gender": np.array(["male"], dtype=object)}, "male", 0),
        ({"gender": np.array([["MALE"]])}, "male", 0),
        ({"gender": np.array(b"female")}, "female", 0),
        ({"gender": np.array("b'male'")}, "male", 0),
        ({"gender": np.array("f")}, "female", 0),
        ({"gender": np.array("unknown")}, "neutral", 1),
        ({"gender": np.array(None)}, "neutral", 1),
        ({"gender": None}, "neutral", 0),
    ],
)
def test_only_what_a_take_needs_is_opened_in_any_form(
    tmp_path: Path, changes: dict[str, Any], gender: str, notes: int
) -> None:
    take = amass.read_amass(write_amass(tmp_path / "take.npz", **changes))
    assert (take.gender, len(take.notes), take.fps) == (gender, notes, 120)


@pytest.mark.parametrize(
    ("rate", "fps"),
    [
        (np.array([60.0]), 60),
        (np.array("60"), 60),
        (np.array(b"60.0"), 60),
        (np.array(60), 60),
        (np.array(59.94, dtype=object), 59.94),
        (np.array(0.0), 0),
    ],
)
def test_rates_in_any_form(tmp_path: Path, rate: Any, fps: float) -> None:
    for key in ("mocap_framerate", "mocap_frame_rate", "fps"):
        changes = {"mocap_framerate": None} | {key: rate}
        assert amass.read_amass(write_amass(tmp_path / "take.npz", **changes)).fps == fps


def test_poses_in_parts_and_as_vectors_are_the_same(tmp_path: Path) -> None:
    poses = np.random.default_rng(2).normal(0, 0.3, (FRAMES, 156))
    whole = amass.read_amass(write_amass(tmp_path / "take.npz", poses=poses)).pose_FJ3
    for changes in (
        {"poses": poses.reshape(FRAMES, 52, 3)},
        {"poses": poses[:, :66]},
        {"poses": None, "root_orient": poses[:, :3], "pose_body": poses[:, 3:66]},
    ):
        take = amass.read_amass(write_amass(tmp_path / "take.npz", **changes))
        np.testing.assert_array_equal(take.pose_FJ3, whole)


def test_a_shape_for_every_frame_is_one_shape(tmp_path: Path) -> None:
    betas = np.tile(np.arange(16.0), (FRAMES, 1))
    take = amass.read_amass(write_amass(tmp_path / "take.npz", betas=betas))
    assert (take.betas.tolist(), take.notes) == (list(range(16)), ())
    betas[3] += 1
    take = amass.read_amass(write_amass(tmp_path / "take.npz", betas=betas))
    assert take.betas.tolist() == list(range(16))
    assert "betas change from frame to frame" in take.notes[0]


def test_what_is_no_npz_is_refused_in_words(tmp_path: Path) -> None:
    for content in (b"", b"no archive", b"\x80\x04N."):
        (tmp_path / "take.npz").write_bytes(content)
        with pytest.raises(DataError, match="not a readable npz"):
            amass.read_amass(tmp_path / "take.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "take.npz")
    with pytest.raises(DataError, match="not a readable npz"):
        amass.read_amass(tmp_path / "take.npz")


def test_truncated_amass_is_refused(tmp_path: Path) -> None:
    file = write_amass(tmp_path / "take.npz")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a readable npz"):
        amass.read_amass(file)


def test_a_mistake_in_reading_is_not_called_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: Any) -> None:
        raise ValueError("a mistake of Poise's own")

    monkeypatch.setattr(amass, "_rows", mistaken)
    with pytest.raises(ValueError, match="of Poise's own"):
        amass.read_amass(write_amass(tmp_path / "take.npz"))


def test_amass_joints_stand_up(tmp_path: Path) -> None:
    body = Body.load(write_body(tmp_path / "SMPL_FEMALE.npz"))
    poses = np.zeros((FRAMES, 156))
    poses[:, 0] = np.pi / 2  # AMASS stands up by a turn of the root: y of the model is z
    trans = np.zeros((FRAMES, 3))
    trans[:, :2] = (5.0, 7.0)
    file = write_amass(tmp_path / "take.npz", poses=poses, trans=trans, betas=np.zeros(16))
    joints = amass.joints_of(amass.read_amass(file), body)[0]
    assert joints.shape == (17, 3)
    expected = {
        "pelvis": 1.5,
        "right_knee": 5,
        "left_ankle": 7,
        "spine": 3,
        "head": 15,
        "left_wrist": 20,
    }
    for name, height in expected.items():
        np.testing.assert_allclose(joints[JOINTS.index(name)], [5, height, -7], atol=1e-12)


@pytest.mark.parametrize("joints", [24, 52, 55])
def test_body_is_that_of_the_package_smplx(tmp_path: Path, joints: int) -> None:
    lbs = pytest.importorskip("smplx.lbs", reason="compared with smplx where it is installed")
    rng = np.random.default_rng(4)
    template = rng.normal(0, 0.5, (joints, 3))
    body = Body.load(write_body(tmp_path / "body.npz", joints, v_template=template))
    content = np.load(tmp_path / "body.npz")
    pose_FJ3, betas = rng.normal(0, 1, (5, 24, 3)), rng.normal(0, 1, 16)
    trans_F3 = rng.normal(0, 1, (5, 3))
    whole_FJ3 = np.zeros((5, joints, 3))
    whole_FJ3[:, : body.rest_J3.shape[0]] = pose_FJ3[:, : body.rest_J3.shape[0]]
    parents = torch.from_numpy(content["kintree_table"][0])
    _, theirs = lbs.lbs(
        torch.from_numpy(betas[None, :10]).expand(5, -1),
        torch.from_numpy(whole_FJ3.reshape(5, -1)),
        torch.from_numpy(template),
        torch.from_numpy(content["shapedirs"]),
        torch.zeros((9 * (joints - 1), joints * 3), dtype=torch.float64),
        torch.from_numpy(content["J_regressor"]),
        parents,
        torch.eye(joints, dtype=torch.float64),
    )
    ours = body.joints(pose_FJ3, betas, trans_F3)
    assert ours.shape == (5, 24, 3)
    count = 24 if joints == 24 else 22
    np.testing.assert_allclose(
        ours[:, :count], theirs.numpy()[:, :count] + trans_F3[:, None], atol=1e-6
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"J_regressor": np.eye(24)[:20]},
        {"kintree_table": np.zeros((2, 5))},
        {"shapedirs": np.zeros((3, 3))},
        {"kintree_table": np.array([range(24), range(24)])},
    ],
)
def test_what_is_no_body_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"body\.npz"):
        Body.load(write_body(tmp_path / "body.npz", **changes))


def test_bodies_are_found_by_gender(tmp_path: Path) -> None:
    write_body(tmp_path / "male/model.npz")
    write_body(tmp_path / "SMPL_FEMALE.npz", v_template=np.ones((24, 3)))
    bodies = Bodies(tmp_path)
    assert bodies.of("male").rest_J3[3, 1] == 3
    assert bodies.of("female").rest_J3[3, 1] == 1
    with pytest.raises(DataError, match=r"gender 'neutral'; looked for SMPL_NEUTRAL, "):
        bodies.of("neutral")
    assert Bodies(tmp_path / "male/model.npz").of("neutral").rest_J3[3, 1] == 3
    with pytest.raises(DataError, match="no body model there"):
        Bodies(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("smpl/models/basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
        ("SMPL_python_v.1.0.0/smpl/models/processed_basicModel_m_lbs_10_207_0_v1.0.0.pkl", "male"),
        ("lbs_tj10smooth6_0fixed_normalized/male/model.pkl", "male"),
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("smpl/smpl_male.npz", "male"),
        ("models/smplh/SMPLH_male.pkl", "male"),
        ("smplh/female/model.npz", "female"),
        ("smplx/SMPLX_NEUTRAL.npz", "neutral"),
        ("SMPLX_NEUTRAL_2020.npz", "neutral"),
        ("smplx/SMPLX_FEMALE.PKL", "female"),
    ],
)
def test_bodies_are_found_as_they_are_downloaded(tmp_path: Path, name: str, gender: str) -> None:
    write_body(tmp_path / "dmpls" / gender / "model.npz", v_template=np.ones((24, 3)))
    write_body(tmp_path / name.replace(".PKL", ".pkl")).rename(tmp_path / name)
    assert Bodies(tmp_path).of(gender).rest_J3[3, 1] == 3
    for other in {"male", "female", "neutral"} - {gender}:
        with pytest.raises(DataError, match=f"no body model of gender '{other}'"):
            Bodies(tmp_path).of(other)


@pytest.mark.parametrize(("width", "height"), [(72, 1), (156, 2), (165, 3), (66, 1)])
def test_body_is_that_of_the_takes_family(tmp_path: Path, width: int, height: int) -> None:
    names = ("SMPL_FEMALE.npz", "smplh/female/model.npz", "smplx/SMPLX_FEMALE.npz")
    for n, name in enumerate(names, start=1):
        write_body(tmp_path / name, v_template=np.full((24, 3), float(n)))
    take = amass.read_amass(write_amass(tmp_path / "take.npz", width))
    assert Bodies(tmp_path).of(take.gender, take.family).rest_J3[0, 0] == height
    (tmp_path / names[height - 1]).unlink()
    assert Bodies(tmp_path).of(take.gender, take.family).rest_J3[0, 0] == (2 if height == 1 else 1)


def test_a_take_without_a_shape_is_of_the_mean_one(tmp_path: Path) -> None:
    body = Body.load(write_body(tmp_path / "SMPL_FEMALE.npz"))
    take = amass.read_amass(write_amass(tmp_path / "take.npz", betas=None))
    mean = amass.read_amass(write_amass(tmp_path / "mean.npz", betas=np.zeros(10)))
    np.testing.assert_array_equal(amass.joints_of(take, body), amass.joints_of(mean, body))
    assert take.notes == (f"{tmp_path / 'take.npz'}: no betas; taken for the mean shape",)
