"""Whatever a client says, a door answers with poses, or with an error that names a field."""

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.serving import clip
from tests.support.streams import LONG_S, Talk
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from poise.client.messages import Frames, encode

CODES = {1003, 1007, 1008, 1009}
FRAME = clip(1)[0].tolist()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NUMBER = st.none() | st.floats() | st.floats(-2, 2) | st.text(max_size=2)
POSES = st.lists(
    st.none() | st.just(FRAME) | st.lists(NUMBER, min_size=51, max_size=51) | JSON, max_size=4
)
MESSAGES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200),
    JSON.map(json.dumps),
    st.fixed_dictionaries(
        {"type": st.just("frames"), "poses": POSES | st.lists(POSES, max_size=3)},
        optional={
            "times": st.lists(st.floats(), max_size=4) | JSON,
            "ids": st.lists(st.lists(st.integers(-1, 5), max_size=3), max_size=3) | JSON,
        },
    ).map(json.dumps),
    st.builds(
        lambda people, ids, end: encode(
            Frames(clip(2).reshape(2, 17, 3), people_F=people, ids_N=ids)
        )[:end],
        st.none() | st.lists(st.integers(0, 3), max_size=3).map(np.array),
        st.none() | st.lists(st.integers(-1, 3), min_size=2, max_size=2).map(np.array),
        st.none() | st.integers(0, 400),
    ),
)
OPENING = st.fixed_dictionaries(
    {"type": st.just("open")},
    optional={
        "lag": st.integers(-1, 9) | JSON,
        "fps": st.floats() | JSON,
        "format": st.sampled_from(["json", "binary", "none"]),
        "slow": st.sampled_from(["drop", "close"]) | JSON,
        "people": st.sampled_from(["one", "many"]) | JSON,
        "joints": st.lists(st.text(max_size=5), max_size=3) | JSON,
        "dims": st.integers(1, 7),
        "unit": st.sampled_from(["m", "mm", "px"]) | JSON,
        "resume": st.text(max_size=20),
        "received": st.integers(-1, 2**70),
        "sent": st.integers(-1, 2**70),
        "skeleton": st.text(max_size=8),
    },
)
SHORT = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def spoken(url: str, messages: list[str | bytes]) -> None:
    """Say all of it and the end: poses and an end come back, or one error and its close."""
    said: list[dict[str, Any]] = []
    talk = Talk(url)
    try:
        for message in [*messages, json.dumps({"type": "end"})]:
            talk.say(message)
    except ConnectionClosed:
        pass  # it has been refused before all was said
    try:
        while True:
            answer = talk.connection.recv(LONG_S)
            said.append({"type": "bytes"} if isinstance(answer, bytes) else json.loads(answer))
    except ConnectionClosedOK:
        assert said[-1]["type"] == "end"
    except ConnectionClosed:
        assert talk.connection.close_code in CODES
        assert said[-1]["type"] == "error"
        assert said[-1]["field"]
        assert said[-1]["message"]
    finally:
        talk.connection.close()


@SHORT
@given(
    st.lists(MESSAGES, max_size=4),
    st.sampled_from(["json", "binary"]),
    st.sampled_from(["one", "many"]),
)
def test_messages(url: str, messages: list[str | bytes], format: str, people: str) -> None:
    opening = {"type": "open", "lag": 1, "format": format, "people": people}
    spoken(url, [json.dumps(opening), *messages])


@SHORT
@given(OPENING.map(json.dumps) | MESSAGES)
def test_openings(url: str, opening: str | bytes) -> None:
    spoken(url, [opening])


def test_after_all_that_others_are_served(url: str) -> None:
    with Talk(url, lag=0) as talk:
        talk.send(clip(3))
        assert len(talk.rest()[0]) == 3
