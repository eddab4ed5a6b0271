"""A served model without Ray: with and without retrieval, and sequences that fail."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny_lake as tinylake
from tests.support.running_milvus import RunningMilvus
from tests.support.serving import clip, publish, replica, save_untrained

from poise.catalog.tracks import Track
from poise.checkpoints.inference import as_taken
from poise.pvd.retriever import Retriever
from poise.runtime.errors import CheckpointError
from poise.serving import model as model_module
from poise.serving import retrieval as retrieval_module
from poise.serving.intake.validation import as_frames
from poise.serving.model import RETRIEVAL_BUDGET_S, ServedModel
from poise.serving.work import RefinedSequence
from poise_models.base.clip import Clip


def _until(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_without_milvus_answers_are_marked(tmp_path: Path) -> None:
    model = ServedModel(replica(save_untrained(tmp_path)))
    assert model.retrieval == "unavailable"
    [answer] = model.refine([clip(20)])
    assert isinstance(answer, RefinedSequence)
    assert answer.retrieval == "unavailable"
    assert answer.poses_FC.shape == (20, 51)
    assert answer.quality_F is not None
    assert answer.quality_F.shape == (20,)


def test_a_filter_needs_no_retrieval_and_has_no_quality(tmp_path: Path) -> None:
    model = ServedModel(replica(save_untrained(tmp_path, "gaussian1d")))
    [answer] = model.refine([clip(20)])
    assert isinstance(answer, RefinedSequence)
    assert (model.retrieval, answer.retrieval, answer.quality_F) == ("none", "none", None)


@pytest.mark.parametrize(
    ("track", "unit"),
    [
        ("uiprmd/kinect/3D", "m"),
        ("h36m/hrnet/2D", "px / 500"),
        ("jhmdb/simplepose/2D", "image sizes"),
        ("pw3d/spin/smpl", "6D rotations"),
    ],
)
def test_poses_are_asked_for_in_the_unit_of_the_track(
    track: str, unit: str, tmp_path: Path
) -> None:
    folder = save_untrained(tmp_path, "gaussian1d", Track.parse(track))
    assert ServedModel(replica(folder)).unit == unit


def test_a_failing_sequence_fails_alone(tmp_path: Path) -> None:
    model = ServedModel(replica(save_untrained(tmp_path)))
    good, bad = clip(20), np.zeros((20, 50), np.float32)
    first, second, third = model.refine([good, bad, good])
    assert isinstance(second, Exception)
    [alone] = model.refine([good])
    assert isinstance(alone, RefinedSequence)
    for answer in (first, third):
        assert isinstance(answer, RefinedSequence)
        np.testing.assert_allclose(answer.poses_FC, alone.poses_FC, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 40])
def test_a_batch_gives_what_each_sequence_gets_alone(tmp_path: Path, frames: int) -> None:
    model = ServedModel(replica(save_untrained(tmp_path)))
    clips = [clip(frames, seed=1), clip(300, seed=2), clip(3, seed=3)]
    for together, one in zip(model.refine(clips), clips, strict=True):
        [alone] = model.refine([one])
        assert isinstance(together, RefinedSequence)
        assert isinstance(alone, RefinedSequence)
        assert together.poses_FC.shape == one.shape
        np.testing.assert_allclose(together.poses_FC, alone.poses_FC, atol=1e-5)


@pytest.mark.parametrize("refiner", ["poise", "general", "poise:general", "synspp", "gaussian1d"])
def test_what_nobody_saw_reaches_the_networks_that_take_it(tmp_path: Path, refiner: str) -> None:
    model = ServedModel(replica(save_untrained(tmp_path, refiner)))
    whole, gappy = clip(70, seed=1), clip(50, seed=2)
    gappy.reshape(50, 17, 3)[20:30, 13] = np.nan
    gappy[40:44] = np.nan
    given = as_frames(gappy.tolist(), model.info, model.unit)
    filled_FC, unseen_FJ = given.poses_FC, given.unseen_FJ
    taken_FC = as_taken(model.refiner, filled_FC, unseen_FJ)
    assert np.isnan(taken_FC).any() == model.refiner.takes_missing
    clips = [Clip(torch.from_numpy(one)) for one in (whole, taken_FC)]
    for found, alone in zip(model.refine([whole, taken_FC]), clips, strict=True):
        [offline] = model.refiner.refine([alone])
        assert isinstance(found, RefinedSequence)
        np.testing.assert_allclose(found.poses_FC, offline.poses_FC, atol=1e-5)
        assert (found.error_FJ is None) == (offline.error_FJ is None)
        if found.error_FJ is not None and offline.error_FJ is not None:
            np.testing.assert_allclose(found.error_FJ, offline.error_FJ, atol=1e-5)


def _timed(model: ServedModel) -> tuple[RefinedSequence, float]:
    start = time.monotonic()
    [answer] = model.refine([clip(600)])
    assert isinstance(answer, RefinedSequence)
    return answer, time.monotonic() - start


@pytest.mark.slow
@pytest.mark.chaos
def test_milvus_hangs_dies_and_comes_back_while_it_serves(
    milvus_lite: RunningMilvus, lite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, checkpoint = tmp_path / "lake", save_untrained(tmp_path / "model")
    tinylake.write_tiny_lake(lake)
    publish(lake, lite_uri)
    by_milvus = partial(Retriever, search_backend="milvus")
    monkeypatch.setattr(model_module, "Retriever", by_milvus)
    monkeypatch.setattr(retrieval_module, "RETRY_LONGEST_S", 1.0)
    model = ServedModel(replica(checkpoint, str(lake), lite_uri))
    bystander = Retriever(lake, tinylake.TRACK, lite_uri, search_backend="index")

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
        assert (model.search_backend, before.retrieval) == ("milvus", "used")
        _, exact_N = bystander.find(torch.from_numpy(clip(600)))
        assert before.distances_N is not None
        np.testing.assert_allclose(before.distances_N, exact_N[:, 0], rtol=1e-4, atol=1e-5)
        process = milvus_lite.process
        goes_and_comes(process.suspend, process.resume)
        goes_and_comes(milvus_lite.kill, milvus_lite.start)
    finally:
        model.close()


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        ServedModel(replica(folder))
