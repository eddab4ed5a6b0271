"""Numbers where nobody saw a joint."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from poise.catalog.tracks import Track
from poise.readers.filling import too_little, whole
from poise.readers.synthetic.sequences import Size, sequences
from poise_retrieval.geometry.skeletons import TEMPLATE_2D, TEMPLATE_3D

KINECT = Track.parse("uiprmd/kinect/3D")


@pytest.mark.parametrize("joint", range(17))
def test_a_joint_that_no_frame_shows_is_near_where_it_was(joint: int) -> None:
    [one] = sequences("test", Size(1, 1, 40))
    body_FJ3 = one.detected_FC.reshape(40, 17, 3).copy()
    truth_F3 = body_FJ3[:, joint].copy()
    body_FJ3[:, joint] = np.nan
    filled_FC, unseen_FJ = whole(body_FJ3.reshape(40, 51), KINECT.info)
    found_F3 = filled_FC.reshape(40, 17, 3)[:, joint]
    # A wrist may be anywhere an arm reaches, the middle of the body hardly.
    allowed = 0.5 if "wrist" in KINECT.info.joint_names[joint] else 0.35
    assert np.linalg.norm(found_F3 - truth_F3, axis=1).mean() < allowed
    assert unseen_FJ is not None
    assert unseen_FJ.sum() == 40


@pytest.mark.parametrize(
    ("track", "template"),
    [
        ("uiprmd/kinect/3D", TEMPLATE_3D),
        ("h36m/cpn/2D", TEMPLATE_2D),
        ("jhmdb/simplepose/2D", TEMPLATE_2D),
        ("pw3d/spin/3D", TEMPLATE_3D),
        ("mpiinf3dhp/spin/3D", TEMPLATE_3D),
    ],
)
@pytest.mark.parametrize("left", [3, 6, 10])
def test_a_body_in_the_template_s_pose_is_made_whole(
    track: str, template: np.ndarray, left: int
) -> None:
    info = Track.parse(track).info
    assert info.skeleton is not None
    body_JD = np.full((info.joints, info.dims), np.nan, np.float32)
    places = list(info.skeleton.pvd_joints)
    body_JD[places] = 2 * template + 1
    shown = body_JD.copy()
    shown[places[left:]] = np.nan
    filled, _ = whole(np.tile(shown.reshape(-1), (5, 1)), info)
    found_JD = filled.reshape(5, info.joints, info.dims)[0]
    assert np.isfinite(found_JD).all()
    np.testing.assert_allclose(found_JD[places], body_JD[places], atol=1e-4)


def test_rotations_turn_evenly_and_hold_at_the_ends() -> None:
    info = Track.parse("pw3d/spin/smpl").info
    turns = Rotation.from_rotvec([[0, 0, 0.3 * frame] for frame in range(9)]).as_matrix()
    six_F6 = turns[:, :, :2].reshape(9, 6).astype(np.float32)
    poses_FC = np.tile(six_F6, 24)
    lost = poses_FC.copy()
    lost[2:6, :6] = lost[7:, :6] = np.nan
    filled, unseen_FJ = whole(lost, info)
    np.testing.assert_allclose(filled[:7], poses_FC[:7], atol=1e-6)
    np.testing.assert_allclose(filled[7:, :6], six_F6[[6, 6]], atol=1e-6)
    assert unseen_FJ is not None
    assert unseen_FJ.sum() == 6


def test_a_person_of_two_joints_is_too_little() -> None:
    unseen = np.ones((7, 17), bool)
    unseen[3, :2] = False
    assert too_little(unseen, KINECT.info).startswith("2 of 17 joints seen in any of the 7 frames")
    unseen[5, 2] = False
    assert not too_little(unseen, KINECT.info)
