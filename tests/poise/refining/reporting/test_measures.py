"""What is measured of a motion."""

import numpy as np
import pytest

from poise.refining.reporting.measures import measured


def test_joints_in_one_place_are_no_bone() -> None:
    rng = np.random.default_rng(0)
    poses_FJD = np.zeros((50, 3, 3))
    poses_FJD[:, 2, 1] = 0.4
    poses_FJD[:, 1] = rng.normal(0, 1e-3, (50, 3))  # a hip that lies on the pelvis
    there_FJ = np.ones((50, 3), bool)
    assert measured(poses_FJD, there_FJ, [(0, 1), (0, 2)], 30).bone_spread == pytest.approx(0)
