"""What a request must satisfy, and which field an error names."""

from typing import Any

import numpy as np
import pytest
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import ValidationError
from tests.support.serving import clip

from poise.catalog.tracks import Track
from poise.serving.intake.validation import as_frames, problems
from poise.serving.schema import MAX_FRAMES, RefineRequest

INFO = Track.parse("uiprmd/kinect/3D").info


def test_nested_and_flat_poses_are_the_same_frames() -> None:
    flat_FC = clip(4)
    flat = RefineRequest.model_validate({"poses": flat_FC.tolist()})
    nested = RefineRequest.model_validate({"poses": flat_FC.reshape(4, 17, 3).tolist()})
    np.testing.assert_array_equal(as_frames(flat.poses, INFO, "m").poses_FC, flat_FC)
    np.testing.assert_array_equal(as_frames(nested.poses, INFO, "m").poses_FC, flat_FC)


def test_the_first_wrong_number_is_named_and_only_that() -> None:
    body: Any = {"poses": clip(3).reshape(3, 17, 3).tolist()}
    body["poses"][1][5][2] = "1.0"
    body["poses"][2][0][0] = "x"
    with pytest.raises(ValidationError) as caught:
        RefineRequest.model_validate(body)
    found = problems(caught.value.errors()).detail
    assert [problem.field for problem in found] == ["poses[1][5][2]"]


def test_a_body_of_wrong_numbers_costs_no_more_than_one() -> None:
    with pytest.raises(ValidationError) as caught:
        RefineRequest.model_validate({"poses": [["x"] * 51] * MAX_FRAMES})
    assert caught.value.error_count() == 1


def test_millimetres_are_refused_as_metres_but_not_as_pixels() -> None:
    poses = (1000 * clip(3)).tolist()
    with pytest.raises(RequestValidationError, match="metres"):
        as_frames(poses, INFO, "m")
    assert as_frames(poses, INFO, "px").poses_FC.shape == (3, 51)


WRIST = 13


def lost(value: Any, frames: range = range(4, 8)) -> list[Any]:
    """A moving person whose left wrist is ``value`` in some frames."""
    given: list[Any] = moving().tolist()
    for frame in frames:
        given[frame][WRIST] = value
    return given


def moving() -> NDArray[np.float64]:
    body_JD = clip(1).reshape(17, 3)
    return np.asarray(body_JD + np.arange(20)[:, None, None] * 0.01 + [1.0, 2.0, 3.0], np.float64)


@pytest.mark.parametrize(
    "value",
    [None, [None] * 3, [0.1, None, 0.2], [float("nan")] * 3, [0, 0, 0], [-1, -1, -1], [9999.0] * 3],
)
def test_what_was_not_seen_is_filled_and_said(value: Any) -> None:
    body = RefineRequest.model_validate({"poses": lost(value)})
    given = as_frames(body.poses, INFO, "m")
    # The person moves evenly, so what lies between is known.
    np.testing.assert_allclose(given.poses_FC.reshape(20, 17, 3), moving(), atol=1e-5)
    assert given.unseen_FJ is not None
    assert np.argwhere(given.unseen_FJ).tolist() == [[frame, WRIST] for frame in range(4, 8)]


def test_frames_of_nobody_and_confidence_0_are_filled() -> None:
    blank: list[Any] = moving().tolist()
    blank[5] = None
    sure = np.concatenate([moving(), np.ones((20, 17, 1))], axis=-1)
    sure[4:8, WRIST] = [7, 7, 8, 0]
    flat: list[Any] = moving().reshape(20, 51).tolist()
    flat[5], flat[6] = None, [None] * 51
    for poses in (blank, sure.tolist(), flat):
        given = as_frames(RefineRequest.model_validate({"poses": poses}).poses, INFO, "m")
        np.testing.assert_allclose(given.poses_FC.reshape(20, 17, 3), moving(), atol=1e-5)
        assert given.unseen_FJ is not None


def test_a_root_at_zero_was_seen() -> None:
    relative = (moving() - moving()[:, :1]).tolist()
    assert as_frames(relative, INFO, "m").unseen_FJ is None


def test_a_joint_that_no_frame_shows_is_put_on_the_body() -> None:
    given = as_frames(lost([0, 0, 0], range(20)), INFO, "m")
    assert given.unseen_FJ is not None
    assert np.flatnonzero(given.unseen_FJ.all(axis=0)).tolist() == [WRIST]
    kept = np.delete(given.poses_FC.reshape(20, 17, 3), WRIST, 1)
    np.testing.assert_allclose(kept, np.delete(moving(), WRIST, 1), atol=1e-5)
    reach = np.linalg.norm(given.poses_FC.reshape(20, 17, 3)[:, WRIST] - kept.mean(1), axis=1)
    assert reach.max() < 1.5


def test_a_person_of_whom_nothing_is_seen_is_refused() -> None:
    with pytest.raises(RequestValidationError, match="no joint seen in any of the 20 frames"):
        as_frames([[[0.0, 0, 0]] * 17] * 20, INFO, "m")
    with pytest.raises(ValidationError, match="every frame is null"):
        RefineRequest.model_validate({"poses": [None, None]})


def test_rotations_are_filled_too() -> None:
    info = Track.parse("pw3d/spin/smpl").info
    rest = [1.0, 0, 0, 1, 0, 0]
    poses: list[Any] = [[rest] * 24 for _ in range(6)]
    poses[2] = None
    poses[4] = [[0.0] * 6, *[rest] * 23]
    given = as_frames(RefineRequest.model_validate({"poses": poses}).poses, info, "6D rotations")
    np.testing.assert_allclose(given.poses_FC, np.tile(rest, (6, 24)), atol=1e-7)
    assert given.unseen_FJ is not None
    assert given.unseen_FJ.sum(axis=1).tolist() == [0, 0, 24, 0, 1, 0]


def test_confidences_of_100_are_taken_and_other_numbers_refused() -> None:
    sure = np.concatenate([moving(), np.full((20, 17, 1), 100.0)], axis=-1)
    sure[4:8, WRIST] = [7, 7, 8, 0]
    given = as_frames(sure.tolist(), INFO, "m")
    np.testing.assert_allclose(given.poses_FC.reshape(20, 17, 3), moving(), atol=1e-5)
    with pytest.raises(RequestValidationError, match="from 0 to 1, 100 or 255, not -3 to 100"):
        as_frames(np.where(sure == 0, -3, sure).tolist(), INFO, "m")


@pytest.mark.parametrize(
    ("factor", "says"), [(1000, "0.001"), (100, "0.01"), (39.37, "0.0254"), (0.001, "by 1000")]
)
def test_a_wrong_unit_is_told_its_factor(factor: float, says: str) -> None:
    with pytest.raises(RequestValidationError, match=f"multiply.*{says}"):
        as_frames((factor * moving()).tolist(), INFO, "m")
