"""Streams of many people through a real door: everybody gets what offline gives them alone."""

from collections import defaultdict
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.serving import clip
from tests.support.streams import Floats, Talk

from poise.checkpoints.models import load_model
from poise.checkpoints.shipped import GENERAL
from poise.client import Client
from poise.client.talking import RefinedPose
from poise.serving.streams.people import MOST_KNOWN, MOST_PEOPLE
from poise_models.base.clip import Clip

FRAME = clip(1)[0]


def offline(*clips: Floats) -> list[Floats]:
    parts = [Clip(torch.from_numpy(detected_FC)) for detected_FC in clips]
    return [one.poses_FC.numpy() for one in load_model(GENERAL)[0].refine(parts)]


def apart(number: int) -> Floats:
    """Somebody who walks, three metres beside the last."""
    aside_C = np.tile(np.array([3 * number, 0, 0], np.float32), 17)
    moved_FC: Floats = clip(70, seed=number) + aside_C
    return moved_FC


def of_each(refined: list[RefinedPose]) -> dict[int, dict[int, Floats]]:
    """Poses by person and frame."""
    found: dict[int, dict[int, Floats]] = defaultdict(dict)
    for one in refined:
        found[one.person][one.number] = one.pose_JD.ravel()
    return found


@pytest.mark.parametrize("who", ["said", "followed"])
def test_at_full_lag_everybody_gets_the_offline_result(general: str, who: str) -> None:
    clips = [apart(0), apart(1)]
    with Client(general.replace("ws", "http", 1).removesuffix("/v1/stream")).stream(
        lag=31, fps=30, people="many"
    ) as stream:
        refined = []
        for frame in range(70):
            order = [0, 1] if frame % 3 else [1, 0]
            poses_PC = np.stack([clips[person][frame] for person in order])
            ids = [7 * person for person in order] if who == "said" else None
            refined += stream.push(poses_PC.reshape(2, 17, 3), frame / 30, ids)
        refined += stream.finish()
        assert stream.lost == 0
    found = of_each(refined)
    # Who is followed is counted in the order of the first frame they are in.
    numbers = [0, 7] if who == "said" else [1, 0]
    assert sorted(found) == sorted(numbers)
    for number, expected_FC in zip(numbers, offline(*clips), strict=True):
        assert list(found[number]) == [*range(70)]
        np.testing.assert_allclose([*found[number].values()], expected_FC, atol=1e-5)


def test_people_come_and_go(general: str) -> None:
    """One is there in frames 20 to 45 alone; who is not there is not told, after half a second."""
    stays_FC, comes_FC = apart(0), apart(1)[20:45]
    with Talk(general, people="many", lag=31, fps=30) as talk:
        for frame in range(70):
            there = 20 <= frame < 45
            poses = [stays_FC[frame].tolist(), *([comes_FC[frame - 20].tolist()] if there else [])]
            talk.say({"type": "frames", "poses": [poses], "ids": [[4, 9][: len(poses)]]})
        told = said(talk)
    [stayed] = offline(stays_FC)
    assert [*told] == [*range(70)]
    assert [sorted(who) for who in told.values()] == [
        [4, 9] if 20 <= frame < 45 else [4] for frame in range(70)
    ]
    np.testing.assert_allclose([told[frame][4] for frame in range(70)], stayed, atol=1e-5)
    there_FC = np.array([told[frame][9] for frame in range(20, 45)])
    assert abs(there_FC.mean() - comes_FC.mean()) < 0.2


def said(talk: Talk) -> dict[int, dict[int, Floats]]:
    """All that is told until the end: poses by frame and person."""
    talk.say({"type": "end"})
    found: dict[int, dict[int, Floats]] = {}
    while (message := talk.hear())["type"] == "refined":
        frames = zip(message["ids"], message["poses"], strict=True)
        for number, (ids, poses) in zip(count(message["first"]), frames):
            found[number] = dict(zip(ids, map(np.ravel, poses), strict=True))
    assert message == {"type": "end", "frames": len(found), "dropped": 0}
    return found


def crowds(frame: int) -> dict[str, Any]:
    """As many as may be, all of them others in every frame."""
    ids = [*range(MOST_PEOPLE * frame, MOST_PEOPLE * (frame + 1))]
    return {"poses": [[FRAME.tolist()] * MOST_PEOPLE], "ids": [ids]}


def somewhere(frame: int) -> dict[str, Any]:
    """As many as may be, all of them far from where anybody was."""
    moved = np.arange(MOST_PEOPLE)[:, None] * 9.0 + MOST_PEOPLE * 9.0 * frame
    return {"poses": [(FRAME + moved).round(3).tolist()]}


@pytest.mark.parametrize("frames", [crowds, somewhere])
def test_who_is_known_is_bounded(url: str, frames: Callable[[int], dict[str, Any]]) -> None:
    with Talk(url, people="many", lag=0) as talk:
        for frame in range(5):
            talk.say({"type": "frames", **frames(frame)})
        told = said(talk)
    assert all(MOST_PEOPLE <= len(told[frame]) <= MOST_KNOWN for frame in range(5))


def test_nobody_at_all(url: str) -> None:
    with Talk(url, people="many") as talk:
        talk.say({"type": "frames", "poses": [[], None, [None]], "times": [0, 1, 2]})
        assert said(talk) == {0: {}, 1: {}, 2: {}}
