"""Streams through a real door, in this process: what comes back is what offline gives."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.support.serving import clip
from tests.support.streams import Floats, Talk
from tests.support.tiny_lake import TRACK

from poise.catalog.joint_sets import joint_sets
from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.models import load_model
from poise.checkpoints.shipped import GENERAL
from poise.serving.streams import session
from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.live.refine import refine_live


def offline(detected_FC: Floats, spec: PoseSpec | None = None) -> Refined:
    [refined] = load_model(GENERAL, spec=spec)[0].refine([Clip(torch.from_numpy(detected_FC))])
    return refined


def streamed(url: str, detected_FC: Floats, times: Any = None, **opening: Any) -> Floats:
    """What comes back of frames; NaN where there is no pose."""
    with Talk(url, **{"lag": None, **opening}) as talk:
        talk.send(detected_FC, times)
        poses, _, _ = talk.rest()
    nowhere = np.full(detected_FC.shape[1], np.nan)
    return np.array([nowhere if pose is None else pose for pose in poses])


@pytest.mark.parametrize("format", ["json", "binary"])
def test_at_full_lag_a_stream_is_the_offline_result(general: str, format: str) -> None:
    detected_FC = clip(70)
    expected = offline(detected_FC)
    assert expected.error_FJ is not None
    with Talk(general, format=format, lag=31) as talk:
        talk.send(detected_FC)
        poses, errors, end = talk.rest()
    np.testing.assert_allclose(np.array(poses), expected.poses_FC, atol=1e-5)
    np.testing.assert_allclose(np.array(errors), expected.error_FJ, atol=1e-5)
    assert end == {"type": "end", "frames": 70, "dropped": 0}


@pytest.mark.parametrize("frames", [1, 3, 8, 30])
@pytest.mark.parametrize("lag", [0, 3, 7])
def test_at_any_lag_a_stream_is_the_live_result(
    url: str, synspp: str, lag: int, frames: int
) -> None:
    detected_FC = clip(frames, seed=frames)
    [live] = refine_live(load_checkpoint(synspp)[0], [Clip(torch.from_numpy(detected_FC))], lag)
    np.testing.assert_allclose(streamed(url, detected_FC, lag=lag), live.poses_FC, atol=1e-5)


def test_gaps_are_the_networks_own_affair(general: str) -> None:
    detected_FC = clip(50, seed=1)
    detected_FC[10:14, 9:12] = np.nan
    detected_FC[20:24] = np.nan
    got_FC = streamed(general, detected_FC, lag=31)
    np.testing.assert_allclose(got_FC, offline(detected_FC).poses_FC, atol=1e-5)


def test_frames_that_are_missing_in_time_are_gaps(general: str) -> None:
    detected_FC = clip(50, seed=2)
    came = [*range(20), *range(23, 50)]
    gaps_FC = detected_FC.copy()
    gaps_FC[20:23] = np.nan
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(came))
    times = (np.array(came) + jitter) / 30
    got_FC = streamed(general, detected_FC[came], times, lag=31, fps=30)
    np.testing.assert_allclose(got_FC, offline(gaps_FC).poses_FC[came], atol=1e-5)


@pytest.mark.parametrize("how", ["nobody", "no frames"])
def test_what_is_long_apart_is_refined_apart(general: str, how: str) -> None:
    detected_FC = clip(60, seed=3)
    apart = [offline(detected_FC[:20]).poses_FC, offline(detected_FC[40:]).poses_FC]
    if how == "nobody":
        detected_FC[20:40] = np.nan
        got_FC = streamed(general, detected_FC, lag=31, fps=30)
        assert np.isnan(got_FC[20:40]).all()
        got_FC = np.concatenate([got_FC[:20], got_FC[40:]])
    else:
        kept = [*range(20), *range(40, 60)]
        got_FC = streamed(general, detected_FC[kept], np.array(kept) / 30, lag=31, fps=30)
    np.testing.assert_allclose(got_FC[20:], apart[1], atol=1e-5)
    if how == "nobody":  # before it is known that nobody comes, it may be a gap
        assert np.isfinite(got_FC).all()
    else:
        np.testing.assert_allclose(got_FC[:20], apart[0], atol=1e-5)


def test_before_anybody_comes_there_is_no_pose(url: str) -> None:
    detected_FC = clip(20)
    detected_FC[:6] = np.nan
    got_FC = streamed(url, detected_FC, lag=2)
    assert np.isnan(got_FC[:6]).all()
    assert np.isfinite(got_FC[6:]).all()


def test_a_joint_that_is_not_seen_is_there_in_what_comes_back(url: str) -> None:
    detected_FC = clip(20)
    detected_FC[:, :3] = np.nan
    detected_FC[8:12, 30:33] = np.nan
    assert np.isfinite(streamed(url, detected_FC)).all()


def test_other_joints_in_images_are_refined_by_the_general_network(general: str) -> None:
    names = joint_sets()["coco17"].joints
    detected_FC = (400 + 300 * clip(50)[:, :34]).astype(np.float32)
    expected = offline(detected_FC, PoseSpec(17, 2, names=names))
    got_FC = streamed(general, detected_FC, skeleton="coco17", dims=2, unit="px", lag=31)
    np.testing.assert_allclose(got_FC, expected.poses_FC, atol=2e-4)


def test_joints_come_back_in_the_order_and_unit_in_which_they_came(url: str) -> None:
    detected_FC = clip(20)
    straight_FJ3 = streamed(url, detected_FC).reshape(20, 17, 3)
    order = np.random.default_rng(0).permutation(17)
    joints = [TRACK.info.joint_names[joint] for joint in order]
    turned_FC = 1000 * detected_FC.reshape(20, 17, 3)[:, order].reshape(20, 51)
    back_FC = streamed(url, turned_FC, joints=joints, unit="mm")
    np.testing.assert_allclose(back_FC.reshape(20, 17, 3) / 1000, straight_FJ3[:, order], atol=1e-5)


def test_messages_of_several_frames_are_the_same_as_of_one(url: str) -> None:
    detected_FC = clip(50)
    with Talk(url, lag=3) as talk:
        for part in np.split(detected_FC, [1, 8, 40]):
            talk.say({"type": "frames", "poses": part.tolist()})
        poses, _, _ = talk.rest()
    np.testing.assert_allclose(np.array(poses), streamed(url, detected_FC, lag=3), atol=2e-6)


def test_streams_do_not_change_each_other(url: str) -> None:
    clips = [clip(30, seed=seed) for seed in range(4)]
    alone = [streamed(url, one, lag=2) for one in clips]
    talks = [Talk(url, lag=2) for _ in clips]
    for frame in range(30):
        for talk, one in zip(talks, clips, strict=True):
            talk.send(one[frame : frame + 1])
    for talk, expected in zip(talks, alone, strict=True):
        with talk:
            np.testing.assert_allclose(np.array(talk.rest()[0]), expected, atol=1e-5)


def test_a_client_is_told_once_that_frames_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LATE_S", -1.0)
    with Talk(url, lag=0) as talk:
        talk.send(clip(12))
        poses, _, last = talk.rest()
    assert (len(poses), last["type"]) == (12, "end")
    assert [note["about"] for note in talk.notes] == ["late"]
