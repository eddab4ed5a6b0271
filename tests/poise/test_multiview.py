"""Windows of several cameras at once, and one camera held out."""

import logging
from collections.abc import Sequence
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import LakeError
from poise.loading import TrackSplit
from poise.multiview import MultiView, MultiViewWindows
from poise.tracks import Track

TRACK = Track.parse("h36m/fcn/3D")
Shot = tuple[str | None, str | None, int]  # take, camera, frames


def split_of(shots: Sequence[Shot], truth: bool = True) -> TrackSplit:
    """Poses that tell where they are from: sequence number, frame number."""
    rows = [
        torch.tensor([[number, frame] for frame in range(frames)], dtype=torch.float32)
        for number, (_, _, frames) in enumerate(shots)
    ]
    poses_FC = torch.cat(rows)
    lengths_S = torch.tensor([frames for _, _, frames in shots])
    return TrackSplit(
        track=TRACK,
        names=[f"{take}/camera{camera}" for take, camera, _ in shots],
        subjects=["S9" for _ in shots],
        cameras=[camera for _, camera, _ in shots],
        takes=[take for take, _, _ in shots],
        sequence_ids_S=torch.arange(len(shots)),
        offsets_S=torch.cat([torch.zeros(1, dtype=torch.long), lengths_S.cumsum(0)]),
        detected_FC=poses_FC,
        truth_FC=poses_FC + 0.5 if truth else None,
        neighbour_ids_NK=None,
        neighbour_distances_NK=None,
    )


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
    batch = windows.batch(torch.tensor([2, 3]))
    assert batch.detected_BNTC.shape == (2, 2, 8, 2)
    assert batch.detected_BNTC[0, :, 0].tolist() == [[1, 2], [0, 2]]
    assert batch.detected_BNTC[1, :, -1].tolist() == [[2, 7], [4, 7]]
    assert batch.truth_BNTC is not None
    assert torch.equal(batch.truth_BNTC, batch.detected_BNTC + 0.5)


def test_one_camera_is_held_out_of_the_same_moments() -> None:
    views = MultiView.of(split_of([*TWO, ("walk", "c", 10), ("sit", "c", 9)]))
    others, held = views.hold_out("b")
    assert (others.cameras, held.cameras) == (("a", "c"), ("b",))
    index_B = torch.arange(5)
    whole = MultiViewWindows(views, 8).batch(index_B).detected_BNTC
    assert torch.equal(MultiViewWindows(others, 8).batch(index_B).detected_BNTC, whole[:, [0, 2]])
    assert torch.equal(MultiViewWindows(held, 8).batch(index_B).detected_BNTC, whole[:, [1]])
    with pytest.raises(LakeError, match="cannot hold out camera d of a, b, c"):
        views.hold_out("d")


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


def test_truth_may_be_missing() -> None:
    windows = MultiViewWindows(MultiView.of(split_of(TWO, truth=False)), 8)
    assert windows.batch(torch.tensor([0])).truth_BNTC is None


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
    seen_INTC = windows.batch(torch.arange(expected)).detected_BNTC
    number_INT, frame_INT = seen_INTC.unbind(-1)
    assert (number_INT == number_INT[..., :1]).all()
    assert (frame_INT == frame_INT[:, :1]).all()
    assert (frame_INT.diff(dim=2) == 1).all()
    for numbers in number_INT[..., 0].int().tolist():
        assert [shots[number][1] for number in numbers] == ["a", "b", "c"]
        assert len({shots[number][0] for number in numbers}) == 1
