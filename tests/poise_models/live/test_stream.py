"""Frames one by one, and whole clips refined as if they came so: the same, at any lag."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.small_refiners import NETWORKS, build, found, network, sequence
from torch import Tensor

from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.errors import ConfigError, ShapeError
from poise_models.filters.butterworth import Butterworth
from poise_models.live.refine import refine_live
from poise_models.live.stream import open_stream, push_together

SPEC = PoseSpec(5, 3)
WINDOWED = [*NETWORKS, "linear", "synsp of random people", "synsp of similar people"]
CAUSAL = ["input", "offset", "oneeuro", "butterworth"]
OFFLINE = ["gaussian1d", "savgol", "offset-gaussian"]
SMALL = {"linear": {"window": 9, "coefficients": 4}}
#: Of the refiners that the random tests go through: every way of averaging, gaps and neighbours.
DRAWN = ["poise", "synspp", "smoothnet", "linear", *CAUSAL]


def small(name: str) -> Refiner:
    return build(name, SPEC, **SMALL.get(name, {}))


REFINERS = {name: small(name) for name in [*WINDOWED, *CAUSAL]}


def window(name: str) -> int:
    return int(getattr(REFINERS[name], "window", 12))


def streamed(name: str, clip: Clip, lag: int) -> Refined:
    """The clip, frame by frame; neighbours are those of the clip, by the window's first number."""
    refiner = REFINERS[name]

    def find(windows_STC: Tensor) -> tuple[Tensor, Tensor]:
        assert clip.neighbours_NKTC is not None
        assert clip.distances_NK is not None
        firsts_S = (clip.detected_FC[:, 0] == windows_STC[:, :1, 0]).long().argmax(1)
        return clip.neighbours_NKTC[firsts_S], clip.distances_NK[firsts_S]

    stream = open_stream(refiner, lag, find if clip.neighbours_NKTC is not None else None)
    times_F = torch.arange(len(clip.detected_FC)) if clip.times_F is None else clip.times_F
    steps = times_F.diff(prepend=times_F[:1] - 1).tolist()
    pairs = zip(clip.detected_FC, steps, strict=True)
    answers = [stream.push(frame_C, step) for frame_C, step in pairs]
    assert answers[:lag] == [None] * min(lag, len(answers))
    due = [answer for answer in answers[lag:] if answer is not None]
    assert len(due) == max(len(answers) - lag, 0)
    rest = stream.finish()

    def together(first: list[Tensor], last: Tensor | None) -> Tensor | None:
        return last if not first or last is None else torch.cat([torch.stack(first), last])

    poses_FC = together([one.pose_C for one in due], rest.poses_FC)
    assert poses_FC is not None
    errors = [one.error_J for one in due if one.error_J is not None]
    qualities = [torch.tensor(one.quality) for one in due if one.quality is not None]
    return Refined(poses_FC, together(qualities, rest.quality_F), together(errors, rest.error_FJ))


def same(one: Refined, other: Refined) -> None:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    for here, there in columns:
        torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", WINDOWED)
def test_at_full_lag_a_stream_is_what_offline_is(name: str) -> None:
    refiner, length = REFINERS[name], window(name)
    if name in NETWORKS:
        network_of = network(name, SPEC)
        network_of.stride = 1
        refiner = network_of
    constant_C = torch.linspace(-1, 1, SPEC.channels)
    refiner.constant_C, REFINERS[name].constant_C = constant_C, constant_C
    for frames in sorted({1, length - 1, length, length + 1, 3 * length} - {0}):
        clip = found(refiner, sequence(frames, SPEC, frames))
        (offline,) = refiner.refine([clip])
        (live,) = refine_live(refiner, [clip], length - 1)
        same(live, offline)
        same(streamed(name, clip, length - 1), offline)
    REFINERS[name].constant_C = torch.zeros_like(constant_C)


@pytest.mark.parametrize("name", DRAWN)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_frame_by_frame_is_what_the_whole_clip_is(name: str, data: st.DataObject) -> None:
    lag = data.draw(st.integers(0, window(name) - 1), "lag")
    frames = data.draw(st.integers(1, 3 * window(name)), "frames")
    poses_FC = sequence(frames, SPEC, frames)
    if name not in ("synspp", "smoothnet"):
        hidden = data.draw(st.sets(st.tuples(st.integers(0, frames - 1), st.integers(0, 4))), "NaN")
        for frame, joint in hidden:
            poses_FC[frame, 3 * joint : 3 * joint + 3] = math.nan
    clip = found(REFINERS[name], poses_FC, frames)
    (whole,) = refine_live(REFINERS[name], [clip], lag)
    assert whole.poses_FC.shape == poses_FC.shape
    same(streamed(name, clip, lag), whole)
    if name == "poise":
        assert whole.poses_FC.isfinite().all()


@pytest.mark.parametrize("name", [*WINDOWED, *CAUSAL])
@pytest.mark.parametrize("lag", [0, 3])
def test_a_frame_knows_nothing_of_what_comes_after_its_lag(name: str, lag: int) -> None:
    lag = min(lag, window(name) - 1)
    clip = found(REFINERS[name], sequence(60, SPEC))
    cut = Clip(
        torch.cat([clip.detected_FC[:40], sequence(20, SPEC, 9)]),
        neighbours_NKTC=clip.neighbours_NKTC,
        distances_NK=clip.distances_NK,
    )
    (one,), (other,) = (refine_live(REFINERS[name], [c], lag) for c in (clip, cut))
    torch.testing.assert_close(one.poses_FC[: 40 - lag], other.poses_FC[: 40 - lag])
    if name not in ("input", "offset"):
        assert not torch.allclose(one.poses_FC[40 - lag :], other.poses_FC[40 - lag :])


@pytest.mark.parametrize("name", DRAWN)
def test_many_streams_together_are_each_of_them_alone(name: str) -> None:
    """They begin, end and wait at different times, and share the calls of the network."""
    refiner, length = REFINERS[name], window(name)
    lags, begins = [0, 1, length // 2, length - 1], [0, 5, 3, 11]
    clips = [sequence(30 + 3 * n, SPEC, n) for n in range(4)]
    streams = [open_stream(refiner, lag) for lag in lags]
    answers: list[list[Tensor]] = [[] for _ in streams]
    for now in range(60):
        here = [n for n in range(4) if 0 <= now - begins[n] < len(clips[n])]
        frames = [clips[n][now - begins[n]] for n in here]
        for n, answer in zip(here, push_together([streams[n] for n in here], frames), strict=True):
            if answer is not None:
                answers[n].append(answer.pose_C)
    for n, stream in enumerate(streams):
        (alone,) = refine_live(refiner, [Clip(clips[n])], lags[n])
        together_FC = torch.cat([torch.stack(answers[n]), stream.finish().poses_FC])
        torch.testing.assert_close(together_FC, alone.poses_FC, atol=1e-5, rtol=1e-5)
        # It begins anew.
        assert len(stream.finish().poses_FC) == 0


@pytest.mark.parametrize("name", ["poise", "linear", "oneeuro", "butterworth"])
def test_what_was_never_seen_does_not_spread(name: str) -> None:
    poses_FC = sequence(30, SPEC).cumsum(0)
    gap_FC = poses_FC.clone()
    gap_FC[:10, 3:6] = math.nan
    (live,) = refine_live(REFINERS[name], [Clip(gap_FC)], 2)
    assert live.poses_FC[-5:].isfinite().all()
    if name != "linear":  # of which a window is one piece
        others = [c for c in range(15) if c not in (3, 4, 5)]
        assert live.poses_FC[:, others].isfinite().all()


@pytest.mark.parametrize("name", OFFLINE)
def test_what_looks_at_the_whole_sequence_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} looks at the whole sequence"):
        open_stream(small(name), 4)
    with pytest.raises(ConfigError, match=f"{name} looks at the whole sequence"):
        refine_live(small(name), [Clip(sequence(9, SPEC))], 4)


@pytest.mark.parametrize("lag", [-1, 16])
def test_a_lag_beyond_the_window_is_refused(lag: int) -> None:
    for attempt in (open_stream, lambda r, lag: refine_live(r, [], lag)):
        with pytest.raises(ConfigError, match=r"poise: lag must lie in 0 \.\. 15"):
            attempt(REFINERS["poise"], lag)


def test_views_of_a_moment_are_no_stream() -> None:
    with pytest.raises(ConfigError, match="2 views"):
        open_stream(build("synsp", SPEC, views=2), 1)


def test_frames_that_do_not_fit_leave_the_stream_as_it_was() -> None:
    stream = open_stream(REFINERS["poise"], 0)
    for frame_C, step in ((torch.zeros(4), 1.0), (torch.zeros(15), 0.0), (torch.zeros(15), -1.0)):
        with pytest.raises(ShapeError):
            stream.push(frame_C, step)
    first = stream.push(torch.ones(15))
    again = open_stream(REFINERS["poise"], 0).push(torch.ones(15))
    assert first is not None
    assert again is not None
    assert torch.equal(first.pose_C, again.pose_C)
    with pytest.raises(ConfigError, match="of one refiner"):
        push_together([stream, open_stream(REFINERS["synspp"], 0)], [torch.ones(15)] * 2)


@pytest.mark.parametrize("name", ["poise", "synspp", "oneeuro"])
def test_frames_of_a_stream_that_come_together_are_taken_in_order(name: str) -> None:
    frames_FC = torch.randn(40, 15)
    one, two = open_stream(REFINERS[name], 3), open_stream(REFINERS[name], 3)
    alone = [one.push(frame_C) for frame_C in frames_FC]
    together = []
    for part in frames_FC.split(7):
        together += push_together([two] * len(part), list(part))
    for this, that in zip(together, alone, strict=True):
        assert (this is None) == (that is None)
        if this is not None and that is not None:
            torch.testing.assert_close(this.pose_C, that.pose_C, atol=1e-5, rtol=1e-5)


class TestButterworth:
    @pytest.mark.parametrize("lag", [1, 2, 3, 5, 9, 20])
    def test_slow_motion_comes_out_when_and_where_it_was(self, lag: int) -> None:
        times_F = torch.arange(300.0)
        line_FC = (0.1 * times_F[:, None]).expand(-1, SPEC.channels)
        low = build("butterworth", SPEC, cutoff=0.01)
        (live,) = refine_live(low, [Clip(line_FC)], lag)
        torch.testing.assert_close(live.poses_FC[150:-lag], line_FC[150:-lag], atol=1e-3, rtol=0)

    def test_more_lag_than_the_cutoff_wants_changes_nothing(self) -> None:
        refiner = REFINERS["butterworth"]
        assert isinstance(refiner, Butterworth)
        clip = Clip(sequence(50, SPEC))
        (three,), (eight,) = (refine_live(refiner, [clip], lag) for lag in (3, 8))
        assert torch.equal(three.poses_FC, eight.poses_FC)

    def test_dropped_frames_are_put_on_straight_lines(self) -> None:
        whole_FC = torch.linspace(0, 1, 61)[:, None] * sequence(1, SPEC)
        kept = torch.tensor([0, 1, 2, 3, 7, 8, 10, 20, 21, 22, 40, 41, 59, 60])
        refiner = REFINERS["butterworth"]
        (all_there,) = refine_live(refiner, [Clip(whole_FC)], 5)
        (dropped,) = refine_live(refiner, [Clip(whole_FC[kept], times_F=kept.double())], 5)
        torch.testing.assert_close(dropped.poses_FC, all_there.poses_FC[kept], atol=1e-5, rtol=0)


@given(steps=st.lists(st.floats(0.1, 40), min_size=1, max_size=40), lag=st.integers(0, 8))
@example(steps=[0.1, 14.5, 0.7, 8.5, 1.1, 3.5, 2.0, 6.5], lag=1)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", ["oneeuro", "butterworth"])
def test_uneven_times_go_in_by_steps(name: str, steps: list[float], lag: int) -> None:
    times_F = torch.tensor(steps, dtype=torch.float64).cumsum(0)
    clip = Clip(sequence(len(steps), SPEC), times_F=times_F)
    (whole,) = refine_live(REFINERS[name], [clip], lag)
    same(streamed(name, clip, lag), whole)
    if name == "oneeuro":
        refiner = REFINERS[name]
        refiner.constant_C = torch.ones_like(refiner.constant_C)
        (live,), (offline,) = refine_live(refiner, [clip], lag), refiner.refine([clip])
        refiner.constant_C = torch.zeros_like(refiner.constant_C)
        torch.testing.assert_close(live.poses_FC, offline.poses_FC)
