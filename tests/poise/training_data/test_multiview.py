"""Windows of several cameras at once."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import evaluate
from poise.experiments.fit import EpochReport, FitRequest, fit
from poise.lake.schemas import sequence_table
from poise.lake.split_index import SplitIndex
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import LakeError
from poise.training_data.examples import examples
from poise.training_data.multiview import MultiView, MultiViewWindows
from poise.training_data.split import TrackSplit
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.trainer import Trainer
from poise_models.filters.input import Input, InputConfig
from poise_models.networks.synsp import SynSP, SynSPConfig

TRACK = Track.parse("h36m/fcn/3D")
Shot = tuple[str | None, str | None, int]  # take, camera, frames


def split_of(shots: Sequence[Shot], truth: bool = True) -> TrackSplit:
    """Poses that tell where they are from: sequence number, frame number."""
    rows = [
        torch.tensor([[number, frame] for frame in range(frames)], dtype=torch.float32)
        for number, (_, _, frames) in enumerate(shots)
    ]
    poses_FC = torch.cat(rows)
    index = SplitIndex(
        track=TRACK,
        split="train",
        width=2,
        truth=truth,
        ids_S=np.arange(len(shots)),
        frames_S=np.array([frames for _, _, frames in shots]),
        names=[f"{take}/camera{camera}" for take, camera, _ in shots],
        subjects=["S9" for _ in shots],
        cameras=[camera for _, camera, _ in shots],
        actions=[None for _ in shots],
        takes=[take for take, _, _ in shots],
    )
    return TrackSplit.of(index, poses_FC, poses_FC + 0.5 if truth else None)


TWO: list[Shot] = [
    ("walk", "b", 10),
    ("walk", "a", 10),
    ("sit", "a", 9),
    (None, None, 20),
    ("sit", "b", 9),
]


def test_a_window_shows_one_moment_from_every_camera() -> None:
    views = MultiView.of(split_of(TWO))
    assert (views.cameras, views.takes) == (("a", "b"), ("walk", "sit"))
    windows = MultiViewWindows(views, 8)
    assert len(windows) == 3 + 2
    batch = windows.batch(torch.tensor([2, 3]), torch.Generator())
    assert batch.detected_BTC.shape == (2, 2, 8, 2)
    assert batch.detected_BTC[0, :, 0].tolist() == [[1, 2], [0, 2]]
    assert batch.detected_BTC[1, :, -1].tolist() == [[2, 7], [4, 7]]
    assert torch.equal(batch.truth_BTC, batch.detected_BTC + 0.5)


def test_views_end_with_the_shortest(caplog: pytest.LogCaptureFixture) -> None:
    shots: list[Shot] = [("walk", "a", 10), ("walk", "b", 8), ("sit", "a", 9), ("sit", "b", 9)]
    with caplog.at_level(logging.WARNING):
        views = MultiView.of(split_of(shots))
    assert views.lengths_M.tolist() == [8, 9]
    assert "cut 2 frames off the ends of 1 takes" in caplog.text
    assert len(MultiViewWindows(views, 8)) == 1 + 2


def test_takes_a_camera_missed_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    shots: list[Shot] = [*TWO, ("eat", "a", 9)]
    with caplog.at_level(logging.WARNING):
        assert MultiView.of(split_of(shots)).takes == ("walk", "sit")
    assert "left out 1 of 3 takes" in caplog.text
    assert MultiView.of(split_of(TWO), ["b", "a"]).cameras == ("b", "a")


@pytest.mark.parametrize(
    ("shots", "cameras", "message"),
    [
        ([("walk", "a", 9)], None, "two different cameras or more, got a"),
        ([(None, None, 9)], None, "got none; its image names tell none"),
        (TWO, ["a", "a"], "two different cameras"),
        (TWO, ["a", "z"], "no take was seen by all of a, z; there are a, b"),
        ([*TWO, ("sit", "b", 9)], None, "sit/camerab and sit/camerab are both of take sit"),
    ],
)
def test_what_cannot_be_grouped(shots: list[Shot], cameras: list[str] | None, message: str) -> None:
    with pytest.raises(LakeError, match=message):
        MultiView.of(split_of(shots), cameras)


def test_takes_shorter_than_a_window_have_none() -> None:
    views = MultiView.of(split_of(TWO))
    with pytest.raises(LakeError, match="no take has 11 frames"):
        MultiViewWindows(views, 11)


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=3), min_size=1, max_size=5),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_every_window_is_synchronous_and_inside_its_sequences(
    frames: list[list[int]], length: int, order: Random
) -> None:
    shots: list[Shot] = [
        (f"take{take}", camera, count)
        for take, counts in enumerate(frames)
        for camera, count in zip("abc", counts, strict=True)
    ]
    order.shuffle(shots)
    expected = sum(max(min(counts) - length + 1, 0) for counts in frames)
    views = MultiView.of(split_of(shots))
    if not expected:
        with pytest.raises(LakeError):
            MultiViewWindows(views, length)
        return
    windows = MultiViewWindows(views, length)
    assert len(windows) == expected
    seen_INTC = windows.batch(torch.arange(expected), torch.Generator()).detected_BTC
    number_INT, frame_INT = seen_INTC.unbind(-1)
    assert (number_INT == number_INT[..., :1]).all()
    assert (frame_INT == frame_INT[:, :1]).all()
    assert (frame_INT.diff(dim=2) == 1).all()
    for numbers in number_INT[..., 0].int().tolist():
        assert [shots[number][1] for number in numbers] == ["a", "b", "c"]
        assert len({shots[number][0] for number in numbers}) == 1


def split_of_sequences(rows: Sequence[PoseSequence]) -> TrackSplit:
    detected, truth = (
        [torch.from_numpy(poses) for poses in column if poses is not None]
        for column in ([row.detected_FC for row in rows], [row.truth_FC for row in rows])
    )
    table = sequence_table(range(len(rows)), rows)
    index = SplitIndex.of_rows(TRACK, "train", [table], width=51, truth=True)
    return TrackSplit.of(index, torch.cat(detected), torch.cat(truth))


def filmed(subjects: int) -> MultiView:
    """Takes of made-up people whom four turned cameras see, each with noise of its own."""
    chance = np.random.default_rng(0)
    turns = [0.3, 1.4, 2.9, 4.2]
    rows = []
    for one in sequences("train", Size(subjects, 3, 40)):
        assert one.truth_FC is not None
        for camera, angle in enumerate(turns):
            cos, sin = np.cos(angle), np.sin(angle)
            turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
            truth_FJ3 = one.truth_FC.reshape(-1, 17, 3) @ turn.T
            noise = 0.05 * chance.standard_normal(truth_FJ3.shape)
            rows.append(
                PoseSequence(
                    name=f"{one.name}/{camera}",
                    subject=one.subject,
                    camera=str(camera),
                    action=one.action,
                    fps=one.fps,
                    detected_FC=(truth_FJ3 + noise).reshape(-1, 51).astype(np.float32),
                    truth_FC=truth_FJ3.reshape(-1, 51).astype(np.float32),
                    take=one.name,
                )
            )
    return MultiView.of(split_of_sequences(rows))


def network(views: int) -> SynSP:
    torch.manual_seed(0)
    small = SynSPConfig(
        width=32, feed_forward=32, heads=1, layers=2, dropout=0.0, skip="low", views=views
    )
    return SynSP(PoseSpec(17, 3), small)


def mean_error(poses: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    apart = [
        (one - truth).unflatten(-1, (17, 3)).norm(dim=-1).flatten()
        for one, truth in zip(poses, truths, strict=True)
    ]
    return float(torch.cat(apart).mean())


def test_training_on_four_views_makes_every_view_better() -> None:
    train, test = filmed(2), filmed(1)
    net = network(4)
    budget = Budget(epochs=3, batch=32, learning_rate=2e-3, schedule="cosine")
    trainer = Trainer(net, train.windows(8), budget, seed=0)
    losses = []
    while not trainer.done:
        losses.append(trainer.epoch())
    assert losses[-1] < losses[0]
    clips, truths = test.clips(), test.truths()
    poses = [refined.poses_FC for refined in net.refine(clips)]
    assert [one.shape for one in poses] == [(40, 51)] * 12
    detected = [clip.detected_FC for clip in clips]
    assert mean_error(poses, truths) < 0.8 * mean_error(detected, truths)
    for first in range(0, 12, 4):
        alone = net.refine(clips[first : first + 4])
        for a, b in zip(poses[first:], alone, strict=False):
            torch.testing.assert_close(a, b.poses_FC, atol=1e-5, rtol=0)


def test_a_fit_takes_all_views_of_a_moment_and_scores_each_of_them() -> None:
    train, test = filmed(2).split, filmed(1).split
    net = network(2)
    budget = Budget(epochs=2, batch=32, learning_rate=2e-3)
    steps = fit(net, FitRequest(train, test, None, budget))
    reports = [step for step in steps if isinstance(step, EpochReport)]
    seen = examples(net, test, None)
    assert len(seen.names) == len(set(seen.names)) == len(seen.clips) == 6  # of 4 cameras, 2
    (last,) = reports[1:]
    assert last.validation is not None
    assert last.validation.frames == sum(len(clip.detected_FC) for clip in seen.clips)
    before = evaluate(Input(net.spec, InputConfig()), seen, TRACK, 0)
    assert last.validation.mpjpe < before.row.mpjpe


def test_filled_truth_is_not_scored() -> None:
    test = filmed(1).split
    filled = replace(test, untrue={test.index.names[0]: [(13, 2, 3)]})
    net = network(2)
    assert examples(net, test, None).untrue == {}
    seen = examples(net, filled, None)
    [(name, untrue_FJ)] = seen.untrue.items()
    truth = seen.truths[list(seen.names).index(name)]
    assert torch.equal(truth, test.truths()[0])
    assert untrue_FJ.nonzero().tolist() == [[2, 13], [3, 13], [4, 13]]
    assert len(untrue_FJ) == len(truth)


def test_a_track_with_too_few_cameras_is_refused() -> None:
    two = split_of(TWO[:2])
    with pytest.raises(LakeError, match="wants 4 views of a take, and the track has 2: a, b"):
        examples(network(4), two, None)


def test_clips_are_cut_to_the_shortest_view() -> None:
    views = MultiView.of(split_of([("walk", "a", 10), ("walk", "b", 8), *TWO[2:]]))
    assert [len(clip.detected_FC) for clip in views.clips()] == [8, 8, 9, 9]
    assert torch.equal(views.truths()[1], views.clips()[1].detected_FC + 0.5)
    with pytest.raises(LakeError, match="ground truth"):
        MultiView.of(split_of(TWO, truth=False)).windows(8)


@pytest.mark.parametrize("cameras", [2, 4])
def test_real_cameras(cameras: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Path(__file__).resolve().parents[3] / "sample"
    monkeypatch.setenv("POISE_DATASETS", str(sample / "pose2sim.toml"))
    track = Track.parse("pose2sim/mediapipe/3D")
    rows = [one for one in open_split(sample, track, "test") if isinstance(one, PoseSequence)]
    names = [f"cam0{number}" for number in range(1, cameras + 1)]
    views = MultiView.of(split_of_sequences(rows), names)
    net = network(cameras)
    before = mean_error([clip.detected_FC for clip in views.clips()], views.truths())
    trainer = Trainer(net, views.windows(8), Budget(epochs=5, batch=16, learning_rate=2e-3), seed=0)
    while not trainer.done:
        trainer.epoch()
    refined = net.refine(views.clips())
    assert all(one.poses_FC.shape == (100, 51) for one in refined)
    assert all(one.poses_FC.isfinite().all() for one in refined)
    # Of the very frames it was trained on: it has learnt something.
    assert mean_error([one.poses_FC for one in refined], views.truths()) < before
