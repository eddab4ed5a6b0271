"""Sequences side by side: who shares a step, and what comes out of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.serving import clip, replica, save_untrained
from torch import Tensor

from poise.serving import work as work_module
from poise.serving.model import ServedModel
from poise.serving.work import RefinedSequence, SharedSteps, Work, _shares
from poise_models.base.window_refiner import WindowRefiner


@pytest.fixture
def model(tmp_path: Path) -> ServedModel:
    return ServedModel(replica(save_untrained(tmp_path)))


def steps_of(model: ServedModel, works: list[Work]) -> list[int]:
    """Refine sequences; after how many steps each was done."""
    ended, step = [0] * len(works), 0
    while not all(ended):
        step += 1
        model.advance([work for work in works if work.outcome is None])
        ended = [
            end or (step if work.outcome is not None else 0)
            for end, work in zip(ended, works, strict=True)
        ]
    return ended


def test_a_short_sequence_waits_for_no_long_one(model: ServedModel) -> None:
    works = [Work(clip(1500, seed)) for seed in range(8)]
    model.advance(works)
    short = Work(clip(10, 9))
    ended = steps_of(model, [*works, short])
    assert ended[-1] == 1
    assert min(ended[:-1]) > 50
    [alone] = model.refine([clip(10, 9)])
    assert isinstance(short.outcome, RefinedSequence)
    assert isinstance(alone, RefinedSequence)
    np.testing.assert_allclose(short.outcome.poses_FC, alone.poses_FC, atol=1e-6)


def test_many_sequences_take_turns_and_each_goes_on(model: ServedModel) -> None:
    works = [Work(clip(100, seed)) for seed in range(40)]
    while not all(work.turn for work in works):
        model.advance(works)
    short: list[Work] = []
    while not all(work.outcome for work in works):
        short.append(Work(clip(10, len(short))))  # that never ends
        model.advance([work for work in [*works, *short] if work.outcome is None])
        assert short[-1].outcome is not None
        assert len(short) < 500
    for work, seed in ((works[0], 0), (works[39], 39)):
        [alone] = model.refine([clip(100, seed)])
        assert isinstance(work.outcome, RefinedSequence)
        assert isinstance(alone, RefinedSequence)
        np.testing.assert_allclose(work.outcome.poses_FC, alone.poses_FC, atol=1e-6)


def test_the_shortest_of_filters_sequences_comes_first(tmp_path: Path) -> None:
    model = ServedModel(replica(save_untrained(tmp_path, "gaussian1d")))
    assert steps_of(model, [Work(clip(500)), Work(clip(300)), Work(clip(10))]) == [3, 2, 1]


@pytest.mark.parametrize(
    ("left", "room", "shares"),
    [
        ([500, 500], 128, [64, 64]),
        ([500, 3], 128, [125, 3]),
        ([500, 3, 40], 128, [85, 3, 40]),
        ([5, 5], 128, [5, 5]),
        ([9, 9, 9], 2, [1, 1, 1]),
    ],
)
def test_a_step_is_shared_equally_and_filled(left: list[int], room: int, shares: list[int]) -> None:
    assert _shares(left, room) == shares


class Failing:
    """Finds each window as its own neighbour, so many times; then says that it cannot."""

    def __init__(self, times: int) -> None:
        self.times = times

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor] | None:
        self.times -= 1
        if self.times < 0:
            return None
        return detected_NTC[:, None], torch.full((len(detected_NTC), 1), 2.0)


def test_a_sequence_has_neighbours_for_all_of_its_windows_or_for_none(model: ServedModel) -> None:
    [expected] = model.refine([clip(400)])
    assert isinstance(expected, RefinedSequence)
    steps = SharedSteps(model.refiner)
    cut, whole = Work(clip(400)), Work(clip(400))
    for work, finder in ((cut, Failing(2)), (whole, Failing(99))):
        while work.refined is None:
            steps.take([work], finder)
    assert cut.distances_N is None
    assert cut.refined is not None
    np.testing.assert_allclose(cut.refined.poses_FC.numpy(), expected.poses_FC, atol=1e-6)
    assert whole.distances_N is not None
    assert len(whole.distances_N) == 393


def test_every_step_is_counted_with_its_room(model: ServedModel) -> None:
    counted: list[tuple[int, int]] = []
    steps = SharedSteps(model.refiner, lambda windows, room: counted.append((windows, room)))
    works = [Work(clip(400)), Work(clip(10))]
    while going_on := [work for work in works if work.refined is None]:
        steps.take(going_on, None)
    assert sum(windows for windows, _ in counted) == 393 + 3
    assert all(windows == room for windows, room in counted[:-1])
    assert counted[-1][0] <= counted[-1][1]


def test_steps_that_take_long_become_smaller_and_grow_again(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(model.refiner, WindowRefiner)
    taken: list[int] = []
    predict = model.refiner.predict

    def counted(*columns: Tensor) -> object:
        taken.append(len(columns[0]))
        return predict(*columns)

    monkeypatch.setattr(model.refiner, "predict", counted)
    steps, work = SharedSteps(model.refiner), Work(clip(5000))
    for longest, shortest in ((0.0, 0.0), (99.0, 99.0)):
        monkeypatch.setattr(work_module, "STEP_LONGEST_S", longest)
        monkeypatch.setattr(work_module, "STEP_SHORTEST_S", shortest)
        for _ in range(4):
            steps.take([work], None)
    whole = model.refiner.chunk_size
    assert taken[0] == whole
    assert taken[3] == taken[4] == 32
    assert taken[-1] == whole
