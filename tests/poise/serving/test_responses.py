"""From the bytes of a request to the bytes of its answer, without HTTP."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.serving import clip, outcome, replica, save_untrained

from poise.serving.intake.reading import fitted, read_body
from poise.serving.model import ServedModel
from poise.serving.responses import Spent, refine_answer
from poise.serving.schema import RefineResponse
from poise.serving.work import RefinedSequence
from poise_models.base.clip import Clip


def answered(model: ServedModel, poses: list[Any]) -> dict[str, Any]:
    body = json.dumps({"poses": poses, "moved": True}).encode()
    given = outcome(fitted(model, outcome(read_body(model, body))))
    [refined] = model.refine([given.detected_FC])
    assert isinstance(refined, RefinedSequence)
    spent = Spent(parse=0.1, queue=0.2, network=0.3, retrieval=0.0)
    text = outcome(refine_answer(model, given, refined, spent))
    answer: dict[str, Any] = json.loads(text)
    RefineResponse.model_validate(answer)
    assert answer["seconds"] == pytest.approx(0.6)
    assert answer["timing"]["format"] > 0
    return answer


@pytest.mark.parametrize("frames", [20, 300])
def test_gaps_go_in_as_gaps_and_expected_errors_come_out(tmp_path: Path, frames: int) -> None:
    model = ServedModel(replica(save_untrained(tmp_path, "poise:general")))
    poses_FC = clip(frames)
    poses_FC.reshape(frames, 17, 3)[5:15, 13] = np.nan
    nested = [
        [None if np.isnan(joint).any() else joint.tolist() for joint in frame]
        for frame in poses_FC.reshape(frames, 17, 3)
    ]
    answer = answered(model, nested)
    [offline] = model.refiner.refine([Clip(torch.from_numpy(poses_FC))])
    assert offline.error_FJ is not None
    found = np.asarray(answer["poses"]).reshape(frames, 51)
    np.testing.assert_allclose(found, offline.poses_FC.numpy(), atol=1e-5)
    np.testing.assert_allclose(answer["error"], offline.error_FJ.numpy(), atol=1e-5)
    assert (answer["frames"], answer["quality"]) == (frames, None)
    assert answer["filled"][0]["frames"] == list(range(5, 15))
    moved_FJ = np.linalg.norm(
        found.reshape(frames, 17, 3) - poses_FC.reshape(frames, 17, 3), axis=2
    )
    said_FJ = np.array(answer["moved"], float)
    np.testing.assert_allclose(said_FJ, moved_FJ, atol=1e-5)
    most = answer["correction"]
    assert most["max"] == said_FJ[most["frame"], most["joint"]] == np.nanmax(said_FJ)
    [warning] = answer["warnings"]
    assert warning.startswith("not seen, and refined as such: left_wrist in 10 of")


def test_a_refiner_that_does_not_say_answers_null(tmp_path: Path) -> None:
    model = ServedModel(replica(save_untrained(tmp_path, "gaussian1d")))
    answer = answered(model, clip(20).tolist())
    assert np.asarray(answer["poses"]).shape == (20, 51)
    assert (answer["error"], answer["quality"]) == (None, None)
