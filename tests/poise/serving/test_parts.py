"""The service without Ray: bodies, limits, retrieval that comes and goes, failing neighbours."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send
from tests.support import tiny_lake as tinylake
from tests.support.running_milvus import RunningMilvus
from tests.support.serving import clip, publish, save_untrained
from torch import Tensor

from poise.checkpoints.mlflow_client import mlflow_client
from poise.pvd.retriever import Retriever
from poise.runtime.errors import CheckpointError, ModelError
from poise.serving import model as model_module
from poise.serving import retrieval as retrieval_module
from poise.serving.limits import BodyLimit
from poise.serving.model import RETRIEVAL_BUDGET_S, Answer, ServedModel, Source
from poise.serving.model_lookup import look_up
from poise.serving.retrieval import Retrieval
from poise.serving.schema import MAX_FRAMES, RefineRequest, as_frames, problems
from poise_models.base.windows import unfold
from poise_retrieval.errors import StoreUnavailableError, VectorError

# Bodies


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


# Size limit


async def _consume(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def _answer(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes, int]:
    """Status, body, and how many chunks were taken off the wire."""
    sent: list[Message] = []
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        more = taken < len(chunks)
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    limited = BodyLimit(_consume, limit=10)
    asyncio.run(limited({"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"], sent[1]["body"], taken


def test_a_body_within_the_limit_arrives_whole() -> None:
    assert _answer([b"01234", b"56789"], []) == (200, b"0123456789", 2)


def test_an_announced_large_body_is_not_even_read() -> None:
    status, _, taken = _answer([b"x"], [(b"content-length", b"11")])
    assert (status, taken) == (413, 0)


def test_an_unannounced_large_body_is_read_to_the_limit_and_no_further() -> None:
    status, _, taken = _answer([b"012345", b"6789a", b"b"], [])
    assert (status, taken) == (413, 2)


# Retrieval


class Finder:
    road: Literal["index", "milvus"] = "index"

    def __init__(self, distance: float = 1.0) -> None:
        self.error: Exception | None = None
        self.distance = distance
        self.outdated = self.closed = False

    def stale(self) -> bool:
        return self.outdated

    def close(self) -> None:
        self.closed = True

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor]:
        if self.error is not None:
            raise self.error
        windows_NTC = unfold(detected_FC, 8)
        return windows_NTC[:, None], torch.full((len(windows_NTC), 1), self.distance)


def _until(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_retrieval_is_taken_back_after_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_module, "RETRY_FIRST_S", 0.05)
    finder, attempts = Finder(), 0

    def opened() -> Finder:
        nonlocal attempts
        attempts += 1
        if attempts in (1, 3):
            raise StoreUnavailableError("away")
        return finder

    retrieval = Retrieval(opened)
    detected_FC = torch.from_numpy(clip(9))
    assert retrieval.wait(5) == "unavailable"
    assert retrieval.find(detected_FC) is None
    assert _until(lambda: retrieval.state == "ready")
    assert retrieval.find(detected_FC) is not None
    finder.error = StoreUnavailableError("gone")
    assert retrieval.find(detected_FC) is None
    finder.error = None
    assert _until(lambda: retrieval.find(detected_FC) is not None)
    assert attempts == 4
    retrieval.close()


def test_one_unusable_sequence_does_not_cost_the_others_their_neighbours() -> None:
    finder = Finder()
    retrieval = Retrieval(lambda: finder)
    retrieval.wait(5)
    finder.error = VectorError("degenerate")
    assert retrieval.find(torch.from_numpy(clip(9))) is None
    assert retrieval.state == "ready"
    retrieval.close()


def test_another_pvd_is_taken_in_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_module, "WATCH_S", 0.02)
    old, new = Finder(1.0), Finder(2.0)
    coming, ready = iter((old, new)), threading.Event()
    ready.set()
    attempts = []

    def opened() -> Finder:
        attempts.append(1)
        ready.wait(5)
        if len(attempts) == 2:
            raise StoreUnavailableError("away just now")
        return next(coming)

    monkeypatch.setattr(retrieval_module, "RETRY_FIRST_S", 0.02)
    retrieval = Retrieval(opened)
    assert retrieval.wait(5) == "ready"
    assert retrieval.road == "index"
    detected_FC = torch.from_numpy(clip(9))

    def distance() -> float:
        found = retrieval.find(detected_FC)
        assert found is not None, "a gap in service"
        return float(found[1][0, 0])

    ready.clear()
    old.outdated = True
    assert _until(lambda: len(attempts) == 2)
    assert distance() == 1.0
    ready.set()
    assert _until(lambda: distance() == 2.0)
    assert _until(lambda: old.closed)
    assert len(attempts) == 3
    retrieval.close()


# The model


def test_without_milvus_answers_are_marked(tmp_path: Path) -> None:
    model = ServedModel(Source("m", None, save_untrained(tmp_path), "no-lake", None))
    assert model.retrieval == "unavailable"
    [answer] = model.refine([clip(20)])
    assert isinstance(answer, Answer)
    assert answer.retrieval == "unavailable"
    assert answer.poses_FC.shape == (20, 51)
    assert answer.quality_F is not None
    assert answer.quality_F.shape == (20,)


def test_a_filter_needs_no_retrieval_and_has_no_quality(tmp_path: Path) -> None:
    model = ServedModel(Source("m", None, save_untrained(tmp_path, "gaussian1d"), "no-lake", None))
    [answer] = model.refine([clip(20)])
    assert isinstance(answer, Answer)
    assert (model.retrieval, answer.retrieval, answer.quality_F) == ("none", "none", None)


def test_a_failing_sequence_fails_alone(tmp_path: Path) -> None:
    model = ServedModel(Source("m", None, save_untrained(tmp_path), "no-lake", None))
    good, bad = clip(20), np.zeros((20, 50), np.float32)
    first, second, third = model.refine([good, bad, good])
    assert isinstance(second, Exception)
    [alone] = model.refine([good])
    assert isinstance(alone, Answer)
    for answer in (first, third):
        assert isinstance(answer, Answer)
        np.testing.assert_allclose(answer.poses_FC, alone.poses_FC, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 40])
def test_a_batch_gives_what_each_sequence_gets_alone(tmp_path: Path, frames: int) -> None:
    model = ServedModel(Source("m", None, save_untrained(tmp_path), "no-lake", None))
    clips = [clip(frames, seed=1), clip(300, seed=2), clip(3, seed=3)]
    for together, one in zip(model.refine(clips), clips, strict=True):
        [alone] = model.refine([one])
        assert isinstance(together, Answer)
        assert isinstance(alone, Answer)
        assert together.poses_FC.shape == one.shape
        np.testing.assert_allclose(together.poses_FC, alone.poses_FC, atol=1e-5)


def _timed(model: ServedModel) -> tuple[Answer, float]:
    start = time.monotonic()
    [answer] = model.refine([clip(600)])
    assert isinstance(answer, Answer)
    return answer, time.monotonic() - start


@pytest.mark.slow
@pytest.mark.chaos
def test_milvus_hangs_dies_and_comes_back_while_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, checkpoint = tmp_path / "lake", save_untrained(tmp_path / "model")
    tinylake.write_tiny_lake(lake)
    milvus = RunningMilvus("lite", tmp_path / "milvus")
    publish(lake, milvus.uri)
    by_milvus = partial(Retriever, road="milvus")
    monkeypatch.setattr(model_module, "Retriever", by_milvus)
    monkeypatch.setattr(retrieval_module, "RETRY_LONGEST_S", 1.0)
    model = ServedModel(Source("m", None, checkpoint, str(lake), milvus.uri))
    bystander = Retriever(lake, tinylake.TRACK, milvus.uri, road="index")

    def goes_and_comes(away: Callable[[], None], back: Callable[[], None]) -> None:
        away()
        try:
            first, first_s = _timed(model)
            second, second_s = _timed(model)
            assert first.retrieval == second.retrieval == "unavailable"
            assert first_s < RETRIEVAL_BUDGET_S + second_s + 0.5
            assert second_s < RETRIEVAL_BUDGET_S / 2
            assert len(bystander.find(torch.from_numpy(clip(9)))[1]) == 2
        finally:
            back()
        assert _until(lambda: _timed(model)[0].retrieval == "used", 30)
        np.testing.assert_array_equal(_timed(model)[0].distances_N, before.distances_N)

    try:
        before, _ = _timed(model)
        assert (model.road, before.retrieval) == ("milvus", "used")
        _, exact_N = bystander.find(torch.from_numpy(clip(600)))
        assert before.distances_N is not None
        np.testing.assert_allclose(before.distances_N, exact_N[:, 0], rtol=1e-4, atol=1e-5)
        process = milvus.process
        goes_and_comes(process.suspend, process.resume)
        goes_and_comes(milvus.kill, milvus.start)
    finally:
        model.close()
        milvus.stop()


# Which model


def test_a_checkpoint_folder_needs_no_registry(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "mine")
    found = look_up(folder, "http://127.0.0.1:9")
    assert (found.name, found.version, found.checkpoint) == ("mine", None, folder)


def test_an_empty_registry_says_what_to_run(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(ModelError, match=r"jobs/sweep\.py"):
        look_up(None, uri)
    with pytest.raises(ModelError, match="no model poise-x"):
        look_up("poise-x@champion", uri)


def _register(uri: str, artifacts: Path, name: str) -> None:
    """Register an untrained checkpoint as version 1 of a model, and make it the champion."""
    client = mlflow_client(uri)
    experiment = client.create_experiment(name, artifact_location=str(artifacts / name))
    run = client.create_run(experiment)
    save_untrained(Path(run.info.artifact_uri) / "model" / "data" / "checkpoint")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")


def test_the_only_champion_is_found_and_pinned_to_its_version(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    _register(uri, tmp_path, "poise-a")
    for asked in (None, "poise-a", "poise-a@champion", "poise-a/1"):
        found = look_up(asked, uri)
        assert (found.name, found.version) == ("poise-a", "1")
        assert ServedModel(Source("m", "1", found.checkpoint, "no-lake", None)).card.epochs == 0
    _register(uri, tmp_path, "poise-b")
    with pytest.raises(ModelError, match="poise-a, poise-b"):
        look_up(None, uri)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        ServedModel(Source("m", None, folder, "no-lake", None))
