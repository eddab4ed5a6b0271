"""What a request must satisfy, and which field an error names."""

from typing import Any

import numpy as np
import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from tests.support.serving import clip

from poise.serving.schema import MAX_FRAMES, RefineRequest
from poise.serving.validation import as_frames, problems


def test_nested_and_flat_poses_are_the_same_frames() -> None:
    flat_FC = clip(4)
    flat = RefineRequest.model_validate({"poses": flat_FC.tolist()})
    nested = RefineRequest.model_validate({"poses": flat_FC.reshape(4, 17, 3).tolist()})
    np.testing.assert_array_equal(as_frames(flat.poses, 17, 3, "m"), flat_FC)
    np.testing.assert_array_equal(as_frames(nested.poses, 17, 3, "m"), flat_FC)


def test_the_first_wrong_number_is_named_and_only_that() -> None:
    body: Any = {"poses": clip(3).reshape(3, 17, 3).tolist()}
    body["poses"][1][5][2] = float("nan")
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
        as_frames(poses, 17, 3, "m")
    assert as_frames(poses, 17, 3, "px").shape == (3, 51)
