"""What is constant in a body stays as the file has it."""

import numpy as np
from numpy.typing import NDArray

from poise.refining.usual_places import put_back

JOINTS = ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "forehead")
BODY_JD = np.array([[-0.1, 0.9, 0], [0.1, 0.9, 0], [-0.2, 1.4, 0], [0.2, 1.4, 0], [0, 1.6, 0.1]])


def turning(points: int) -> NDArray[np.float64]:
    """A body that turns once round, with its forehead ahead."""
    angle = np.linspace(0, 2 * np.pi, points)
    turn = np.zeros((points, 3, 3))
    turn[:, 1, 1] = 1
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2], turn[:, 2, 0] = np.sin(angle), -np.sin(angle)
    turned: NDArray[np.float64] = np.einsum("jd,gde->gje", BODY_JD, turn)
    return turned


def test_a_marker_comes_back_to_its_place_on_a_body_that_turns() -> None:
    given = turning(80)
    moved = given.copy()
    moved[:, 4] = moved[:, 2:4].mean(1) + np.array([0, 0.3, 0])
    np.testing.assert_allclose(put_back(moved, given, JOINTS), given, atol=1e-9)


def test_what_comes_and_goes_is_not_put_back() -> None:
    clean = turning(80)
    given = clean.copy()
    given[10:20, 4] += 0.5
    given[30:40, 4] = np.nan
    np.testing.assert_allclose(put_back(clean, given, JOINTS), clean, atol=1e-9)


def test_a_joint_never_seen_stays_where_it_was_put() -> None:
    clean, given = turning(8), turning(8)
    given[:, 4] = np.nan
    np.testing.assert_array_equal(put_back(clean, given, JOINTS), clean)


def test_in_images_the_image_s_axes_count() -> None:
    clean = turning(8)[..., :2]
    given = clean + np.array([3.0, -1.0])
    np.testing.assert_allclose(put_back(clean, given, JOINTS), given)
