"""Requests from bytes: read in short steps, and no further than the first thing that is wrong."""

import json
import time
from typing import Any

import numpy as np
import pytest
from fastapi.exceptions import RequestValidationError
from tests.support.serving import clip, outcome, replica, save_untrained

from poise.serving.intake.reading import GivenRequest, fitted, read_body
from poise.serving.intake.validation import MOST_PROBLEMS, problems
from poise.serving.model import ServedModel
from poise.serving.schema import MAX_BODY_BYTES, MAX_FRAMES, RefineRequest

NESTED = clip(4).reshape(4, 17, 3).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return ServedModel(replica(save_untrained(tmp_path_factory.mktemp("m"), "gaussian1d")))


def read(model: ServedModel, body: str | bytes) -> GivenRequest:
    content = body.encode() if isinstance(body, str) else body
    given: GivenRequest = outcome(fitted(model, outcome(read_body(model, content))))
    return given


@pytest.fixture(scope="module")
def honest_s(model: ServedModel) -> float:
    """CPU seconds that the longest honest request takes."""
    body = json.dumps({"poses": np.tile(clip(100).round(5), (MAX_FRAMES // 100, 1)).tolist()})
    began = time.thread_time()
    assert len(read(model, body).frames.poses_FC) == MAX_FRAMES
    return time.thread_time() - began


def fields(model: ServedModel, body: str | bytes) -> list[str]:
    with pytest.raises(RequestValidationError) as caught:
        read(model, body)
    return [problem.field for problem in problems(caught.value.errors()).detail]


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_poses_arrive_as_they_were_sent(
    model: ServedModel, frames: int, nested: bool, encoding: str
) -> None:
    sent_FC = clip(frames)
    poses: Any = sent_FC.reshape(frames, 17, 3).tolist() if nested else sent_FC.tolist()
    body = json.dumps({"fps": 30, "poses": poses, "name": "Läufer"}, indent=1)
    given = read(model, body.encode(encoding))
    np.testing.assert_array_equal(given.frames.poses_FC, sent_FC)
    assert (given.nested, given.options.name, given.options.fps) == (nested, "Läufer", 30)


def test_what_is_unknown_until_late_is_found_out(model: ServedModel) -> None:
    lost: list[Any] = [None, [None] * 17, *NESTED, None]
    given = read(model, json.dumps({"poses": lost}))
    assert given.frames.unseen_FJ is not None
    assert given.frames.unseen_FJ.all(axis=1).tolist() == [True] * 2 + [False] * 4 + [True]
    assert fields(model, json.dumps({"poses": [[None] * 17, *[[0.1] * 17] * 99]})) == ["poses"]
    assert fields(model, json.dumps({"poses": [[None] * 17]})) == ["poses"]


def test_a_field_far_back_is_named_by_its_place(model: ServedModel) -> None:
    poses: Any = clip(200).reshape(200, 17, 3).tolist()
    poses[150][3][1] = "1"
    assert fields(model, json.dumps({"poses": poses})) == ["poses[150][3][1]"]
    poses[150] = poses[150][:3]
    with pytest.raises(RequestValidationError, match="frame 150 has 3 entries and frame 0 has 17"):
        read(model, json.dumps({"poses": poses}))


def test_a_confidence_follows_each_joint_in_flat_frames_too(model: ServedModel) -> None:
    sure = np.concatenate([NESTED, np.ones((4, 17, 1))], axis=-1)
    sure[1, 3, 3] = 0
    for poses in (sure, sure.reshape(4, -1)):
        given = read(model, json.dumps({"poses": poses.tolist()}))
        assert given.frames.unseen_FJ is not None
        assert np.argwhere(given.frames.unseen_FJ).tolist() == [[1, 3]]
        assert given.nested == (poses.ndim == 3)


@pytest.mark.parametrize(
    ("poses", "field", "says"),
    [
        ([NESTED], "poses[0][0][0]", "is a list: poses are one sequence"),
        ([[{"x": 1, "y": 2, "z": 3}]], "poses[0][0]", "is an object: poses are one sequence"),
        ([{"pelvis": [1, 2, 3]}], "poses[0]", "is an object: poses are one sequence"),
    ],
    ids=["batch", "named coordinates", "named joints"],
)
def test_other_nestings_are_told_the_right_one(
    model: ServedModel, poses: Any, field: str, says: str
) -> None:
    with pytest.raises(RequestValidationError) as caught:
        read(model, json.dumps({"poses": poses}))
    (problem,) = problems(caught.value.errors()).detail
    assert problem.field == field
    assert says in problem.msg


def test_every_wrong_option_is_named_at_once(model: ServedModel) -> None:
    assert fields(model, '{"name": 1, "fps": 0}') == ["poses", "name", "fps"]
    body = json.dumps({"poses": NESTED, "track": "x" * 300, "fps": -1})
    assert fields(model, body) == ["track", "fps"]


@pytest.mark.parametrize("value", ["1" * 400, "-" + "1" * 400, "1e400", "-Infinity"])
def test_numbers_beyond_any_pose_are_refused(model: ServedModel, value: str) -> None:
    body = json.dumps({"poses": NESTED}).replace(str(NESTED[3][5][2]), value)
    assert fields(model, body) == ["poses[3][5][2]"]


@pytest.mark.parametrize("places", [("model", "poses"), ("poses", "model")])
def test_poses_of_another_model_wait_for_its_name(
    model: ServedModel, places: tuple[str, str]
) -> None:
    body = {"model": "other", "poses": [[[0.1, 0.2]] * 5]}
    content = json.dumps({place: body[place] for place in places}).encode()
    assert outcome(read_body(model, content)).options.model == "other"
    with pytest.raises(RequestValidationError):
        outcome(read_body(model, content, chosen=True))


BIG = MAX_BODY_BYTES - 100
ATTACKS = {
    "unknown keys": "{" + ",".join(f'"k{n}":{n}' for n in range(1_000_000)) + "}",
    "a known key again and again": '{"fps":1,' + '"fps":1,' * (BIG // 8) + '"name":""}',
    "empty lists for frames": '{"poses":[' + "[]," * (BIG // 3) + "[]]}",
    "empty lists in a frame": '{"poses":[[' + "[]," * (BIG // 3) + "[]]]}",
    "lists in lists": '{"poses":' + "[" * BIG,
    "nobody": '{"poses":[' + "null," * (BIG // 5) + "null]}",
    "one frame of numbers": '{"poses":[[' + "0," * (BIG // 2) + "0]]}",
    "frames of other models": '{"poses":[' + ("[" + "0," * 999 + "0],") * (BIG // 2002) + "[0]]}",
    "a long name": '{"name":"' + "x" * BIG + '"}',
    "a long key": '{"' + "x" * BIG + '":1}',
    "a long number": '{"fps":' + "1" * BIG + "}",
    "spaces": " " * BIG,
    "text after the end": json.dumps({"poses": NESTED}) + "x" * BIG,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_body_made_to_cost_much_costs_little(
    model: ServedModel, honest_s: float, attack: str
) -> None:
    body, taken = ATTACKS[attack].encode(), list[float]()
    for _ in range(3):  # once garbage of other tests may be collected meanwhile
        began = time.thread_time()
        with pytest.raises(RequestValidationError) as caught:
            read(model, body)
        taken.append(time.thread_time() - began)
    assert min(taken) < honest_s / 2
    answer = problems(caught.value.errors()).model_dump_json()
    assert len(answer) < 1000 < len(body)


def test_an_answer_names_few_problems_and_cuts_their_names() -> None:
    errors = [{"loc": ("body", "k\n" * 10**6), "type": "t", "msg": "m"}] * 10**4
    told = problems(errors)
    assert len(told.detail) == MOST_PROBLEMS
    assert len(told.model_dump_json()) < 20_000


def test_the_schema_says_what_is_read(model: ServedModel) -> None:
    for body in ({"poses": NESTED}, {"poses": clip(3).tolist(), "fps": 30}):
        RefineRequest.model_validate(body)
        read(model, json.dumps(body))
