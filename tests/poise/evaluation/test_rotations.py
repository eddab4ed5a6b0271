"""SMPL poses without a body: errors of rotations."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tests.support.body_model import six, vectors

from poise.catalog.tracks import Track
from poise.evaluation.metrics import pose_errors
from poise.evaluation.rotations import acceleration_errors, angle_errors, matrices

AIST = Track.parse("aist/spin/smpl")


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-9, 1e-4, 0.1, 1.0, 3.0]))
def test_angles_are_those_of_scipy(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    a, b = (Rotation.from_rotvec(random.normal(scale=scale, size=(20, 3))) for _ in range(2))
    one, other = (torch.from_numpy(r.as_matrix())[:, None] for r in (a, b))
    mine = angle_errors(one, other)
    wanted = np.degrees((b.inv() * a).magnitude())
    np.testing.assert_allclose(mine[:, 0], wanted, atol=1e-6)


def test_accelerations_are_those_of_scipy() -> None:
    a, b = (Rotation.from_rotvec(vectors(30, seed)[:, 4]) for seed in (1, 2))

    def acceleration(r: Rotation) -> Any:
        return np.diff(np.degrees((r[:-1].inv() * r[1:]).as_rotvec()), axis=0)

    one, other = (torch.from_numpy(r.as_matrix())[:, None] for r in (a, b))
    mine = acceleration_errors(one, other)
    wanted = np.linalg.norm(acceleration(a) - acceleration(b), axis=-1)
    np.testing.assert_allclose(mine[:, 0], wanted, atol=1e-9)


def test_six_numbers_become_the_rotation_they_came_from() -> None:
    vectors_FJ3 = vectors(5)
    found = matrices(six(vectors_FJ3).double())
    wanted = Rotation.from_rotvec(vectors_FJ3.reshape(-1, 3)).as_matrix()
    np.testing.assert_allclose(found.reshape(-1, 3, 3), wanted, atol=1e-6)


def test_without_a_body_errors_are_angles() -> None:
    truth = vectors(10)
    turned = truth.copy()
    twist = Rotation.from_rotvec(turned[:, 7]) * Rotation.from_rotvec([0, np.radians(24), 0])
    turned[:, 7] = twist.as_rotvec()
    found = pose_errors(six(turned), six(truth), AIST.info)
    assert found.mpjpe == pytest.approx(1.0, abs=1e-4)
    assert found.pa_mpjpe == pytest.approx(1.0, abs=1e-4)
    assert found.accel > 0
    assert found.frames == 10


def test_the_turn_of_the_whole_body_is_forgiven() -> None:
    truth = vectors(10)
    turned = truth.copy()
    turned[:, 0] = (
        Rotation.from_rotvec([0, 0.5, 0]) * Rotation.from_rotvec(truth[:, 0])
    ).as_rotvec()
    found = pose_errors(six(turned), six(truth), AIST.info)
    assert found.mpjpe == pytest.approx(np.degrees(0.5) / 24, abs=1e-4)
    assert found.pa_mpjpe == pytest.approx(0, abs=1e-4)
    assert found.accel == pytest.approx(0, abs=1e-3)


def test_rotations_without_truth_are_not_scored() -> None:
    truth, turned = vectors(10), vectors(10)
    turned[3:6, 7] += 1.0
    untrue = torch.zeros(10, 24, dtype=torch.bool)
    untrue[3:6, 7] = True
    found = pose_errors(six(turned), six(truth), AIST.info, None, untrue)
    assert (found.mpjpe, found.accel_interior) == (0, 0)
    assert found.frames == 10


@pytest.mark.parametrize("frames", [1, 2])
def test_short_sequences_have_no_acceleration(frames: int) -> None:
    found = pose_errors(six(vectors(frames)), six(vectors(frames, 1)), AIST.info)
    assert found.accel == found.accel_interior == 0
    assert found.mpjpe > 0
