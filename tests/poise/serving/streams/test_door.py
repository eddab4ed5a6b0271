"""What a door does with clients that are wrong, slow, silent, gone, or too many."""

import base64
import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.support.serving import clip, save_untrained
from tests.support.streams import LONG_S, Talk, open_door, url_of
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from poise.client.messages import Frames, encode
from poise.serving.streams.counts import StreamCounts
from poise.serving.streams.door import StreamDoor
from poise.serving.streams.opening import MOST_BYTES, MOST_FRAMES
from poise.serving.tokens.clients import Client, Clients

FRAME = clip(1).tolist()


def binary(**parts: Any) -> bytes:
    return encode(Frames(clip(1).reshape(1, 17, 3), **parts))


#: What is said first, what then, and the close code and field that answer it.
OPENINGS: dict[str, tuple[Any, int, str]] = {
    "bytes": (b"open", 1003, "type"),
    "no JSON": ("{", 1007, "message"),
    "a list": ("[]", 1007, "message"),
    "lists in lists": ("[" * 100_000, 1007, "message"),
    "nothing in it": ("{}", 1008, "type"),
    "frames first": ({"type": "frames", "poses": FRAME}, 1008, "type"),
    "another model": ({"type": "open", "model": "other"}, 1008, "model"),
    "another track": ({"type": "open", "model": "m", "track": "h36m/fcn/3D"}, 1008, "track"),
    "a misspelt key": ({"type": "open", "lagg": 3}, 1008, "lagg"),
    "a lag beyond the window": ({"type": "open", "lag": 8}, 1008, "lag"),
    "a negative lag": ({"type": "open", "lag": -1}, 1008, "lag"),
    "no frame rate": ({"type": "open", "fps": 0}, 1008, "fps"),
    "too high a frame rate": ({"type": "open", "fps": 241}, 1008, "fps"),
    "an infinite frame rate": ('{"type": "open", "fps": Infinity}', 1008, "fps"),
    "an unknown skeleton": ({"type": "open", "skeleton": "cat"}, 1008, "skeleton"),
    "other joints": ({"type": "open", "joints": ["nose"]}, 1008, "joints"),
    "a joint twice": ({"type": "open", "joints": ["nose", "nose"]}, 1008, "joints"),
    "no joints": ({"type": "open", "joints": []}, 1008, "joints"),
    "images": ({"type": "open", "dims": 2}, 1008, "dims"),
    "pixels": ({"type": "open", "unit": "px"}, 1008, "unit"),
    "some people": ({"type": "open", "people": "some"}, 1008, "people"),
    "another format": ({"type": "open", "format": "xml"}, 1008, "format"),
    "too large": ('{"type": "open"}' + " " * MOST_BYTES, 1009, "message"),
}
MESSAGES: dict[str, tuple[Any, int, str]] = {
    "bytes": (binary(), 1003, "format"),
    "no JSON": ("no", 1007, "message"),
    "another type": ({"type": "open"}, 1008, "type"),
    "a misspelt key": ({"type": "frames", "poses": FRAME, "time": [0]}, 1008, "time"),
    "no poses": ({"type": "frames"}, 1007, "poses"),
    "no frames": ({"type": "frames", "poses": []}, 1008, "poses"),
    "too many": ({"type": "frames", "poses": FRAME * (MOST_FRAMES + 1)}, 1008, "poses"),
    "text": ({"type": "frames", "poses": [["x"] * 51]}, 1007, "poses[0][0]"),
    "other joints": ({"type": "frames", "poses": [[1.0] * 50]}, 1007, "poses"),
    "ragged": ({"type": "frames", "poses": [*FRAME, [1.0] * 50]}, 1007, "poses"),
    "too far": ({"type": "frames", "poses": [[1e7] * 51]}, 1007, "poses[0][0]"),
    "an infinite number": ({"type": "frames", "poses": [[1e999] * 51]}, 1007, "poses[0][0]"),
    "millimetres": ({"type": "frames", "poses": (1000 * clip(1)).tolist()}, 1007, "poses"),
    "a time too many": ({"type": "frames", "poses": FRAME, "times": [0, 1]}, 1007, "times"),
    "no time": ({"type": "frames", "poses": FRAME, "times": ["now"]}, 1007, "times"),
    "back in time": ({"type": "frames", "poses": FRAME * 2, "times": [1, 0]}, 1007, "times[1]"),
    "too large": (" " * (MOST_BYTES + 1), 1009, "message"),
}
BYTES: dict[str, tuple[Any, int, str]] = {
    "text": ({"type": "frames", "poses": FRAME}, 1003, "format"),
    "nothing": (b"", 1007, "header"),
    "another version": (b"\2" + binary()[1:], 1007, "version"),
    "unknown parts": (binary()[:1] + b"\x80" + binary()[2:], 1007, "flags"),
    "half a frame": (binary()[:-50], 1007, "frames"),
    "errors": (binary(error_NJ=np.ones((1, 17))), 1007, "flags"),
    "no time": (binary(times_F=np.array([np.nan])), 1007, "times"),
    "many people": (binary(people_F=np.array([1])), 1008, "people"),
    "no confidence": (binary(confidence_NJ=np.full((1, 17), -1.0)), 1007, "confidence"),
}

#: Of streams of many people, in either format.
PEOPLE: dict[str, tuple[Any, int, str]] = {
    "one person's": ({"type": "frames", "poses": FRAME}, 1007, "poses[0][0]"),
    "text": ({"type": "frames", "poses": ["a"]}, 1007, "poses[0]"),
    "too many": ({"type": "frames", "poses": [[], FRAME * 33]}, 1008, "poses[1]"),
    "too far": ({"type": "frames", "poses": [FRAME, [*FRAME, [1e7] * 51]]}, 1007, "poses[1][1][0]"),
    "an id too few": ({"type": "frames", "poses": [FRAME * 2], "ids": [[1]]}, 1007, "ids"),
    "no id": ({"type": "frames", "poses": [FRAME], "ids": [["a"]]}, 1007, "ids"),
    "an id twice": (
        {"type": "frames", "poses": [[], FRAME * 2], "ids": [[], [1, 1]]},
        1007,
        "ids[1]",
    ),
    "back in time": ({"type": "frames", "poses": [[], []], "times": [1, 0]}, 1007, "times[1]"),
    "bytes of one person": (binary(), 1007, "people"),
    "more people than bytes": (binary(people_F=np.array([9])), 1007, "frames"),
    "an id below 0": (binary(people_F=np.array([1]), ids_N=np.array([-1])), 1007, "ids[0]"),
}


def refused(talk: Talk, code: int, field: str) -> None:
    """An error comes that names the field, then the close."""
    with talk:
        said = talk.hear()
        assert (said["type"], said["code"], said["field"]) == ("error", code, field), said
        assert said["message"]
        with pytest.raises(ConnectionClosed):
            talk.hear()
        assert talk.connection.close_code == code


@pytest.mark.parametrize("case", OPENINGS)
def test_a_wrong_opening_is_refused_and_the_field_is_named(url: str, case: str) -> None:
    said, code, field = OPENINGS[case]
    talk = Talk(url)
    talk.say(said)
    refused(talk, code, field)


@pytest.mark.parametrize("case", MESSAGES)
def test_a_wrong_message_is_refused_and_the_field_is_named(url: str, case: str) -> None:
    said, code, field = MESSAGES[case]
    talk = Talk(url, lag=0)
    talk.say(said)
    refused(talk, code, field)


@pytest.mark.parametrize("case", BYTES)
def test_wrong_bytes_are_refused_and_the_field_is_named(url: str, case: str) -> None:
    said, code, field = BYTES[case]
    talk = Talk(url, format="binary")
    talk.say(said)
    refused(talk, code, field)


@pytest.mark.parametrize("case", PEOPLE)
def test_wrong_frames_of_people_are_refused_and_the_field_is_named(url: str, case: str) -> None:
    said, code, field = PEOPLE[case]
    talk = Talk(url, people="many", format="binary" if isinstance(said, bytes) else "json")
    talk.say(said)
    refused(talk, code, field)


def test_people_have_ids_in_all_frames_or_in_none(url: str) -> None:
    talk = Talk(url, people="many")
    talk.say({"type": "frames", "poses": [FRAME], "ids": [[3]]})
    talk.say({"type": "frames", "poses": [FRAME]})
    refused(talk, 1007, "ids")


def test_what_came_before_a_wrong_message_is_answered(url: str) -> None:
    with Talk(url, lag=0) as talk:
        talk.send(clip(5))
        talk.say({"type": "frames", "poses": [[1e7] * 51]})
        poses, _, last = talk.heard()
    assert (len(poses), last["type"]) == (5, "error")


def test_no_text_and_no_path_are_refused_by_the_protocol(url: str) -> None:
    with Talk(url) as talk:
        talk.connection.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            talk.connection.recv(LONG_S)
        assert talk.connection.close_code == 1007
    with pytest.raises(InvalidStatus, match="404"):
        Talk(url.removesuffix("stream"))


def eventually(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lost(talk: Talk) -> None:
    """Cut a connection, as a network does that goes away."""
    talk.connection.socket.close()


def test_a_client_that_lost_its_connection_goes_on(url: str) -> None:
    detected_FC = clip(40)
    with Talk(url, lag=7) as whole:
        whole.send(detected_FC)
        expected = np.array(whole.rest()[0])
    talk = Talk(url, lag=7)
    talk.send(detected_FC[:20])
    heard: list[Any] = []
    while len(heard) < 5:
        heard += [np.ravel(pose) for pose in talk.hear()["poses"]]
    heard = heard[:5]  # the others are lost on their way
    lost(talk)
    with Talk(url, resume=talk.opened["session"], sent=20, received=5) as again:
        assert again.opened["resumed"]
        assert again.opened["lost"] == 0
        assert again.opened["session"] == talk.opened["session"]
        again.send(detected_FC[again.opened["next"] :])
        poses, _, end = again.rest()
    np.testing.assert_allclose(np.array([*heard, *poses]), expected, atol=2e-6)
    assert end["frames"] == 40


def test_a_client_whose_stream_is_gone_is_told_what_it_lost(url: str) -> None:
    with Talk(url, resume="other.token", sent=30, received=22) as talk:
        assert (talk.opened["resumed"], talk.opened["lost"], talk.opened["next"]) == (False, 8, 0)


def test_the_last_connection_has_the_stream(url: str) -> None:
    talk = Talk(url, lag=0)
    talk.send(clip(3))
    with Talk(url, resume=talk.opened["session"]) as again:
        assert talk.heard()[2]["field"] == "resume"
        with pytest.raises(ConnectionClosed):
            talk.hear()
        assert talk.connection.close_code == 1008
        assert len(again.rest()[0]) == 3


def test_there_are_so_many_streams_and_no_more(synspp: str) -> None:
    with open_door(synspp, most=2) as door:
        one, two = Talk(url_of(door), lag=0), Talk(url_of(door), lag=0)
        third = Talk(url_of(door))
        third.say({"type": "open"})
        refused(third, 1013, "type")
        lost(one)  # whoever left makes room
        eventually(lambda: door.sessions.waiting == 1)
        with Talk(url_of(door), lag=0) as fourth, two:
            assert not fourth.opened["resumed"]
            assert len(door.sessions) == 2


def test_what_streams_do_is_counted(synspp: str) -> None:
    counted: list[StreamCounts] = []
    with (
        open_door(synspp, count=counted.append) as door,
        Talk(url_of(door), lag=2) as talk,
        Talk(url_of(door), lag=2, people="many") as many,
    ):
        talk.say({"type": "frames", "poses": clip(10).tolist()})
        many.say({"type": "frames", "poses": [[]] * 5})
        eventually(lambda: sum(one.frames_in for one in counted) == 15)
        assert max(one.open for one in counted) == 2
        talk.rest()
    assert sum(one.frames_out for one in counted) == 15
    assert sum(one.late for one in counted) <= 15
    assert max(one.longest_s for one in counted) > 0


def test_who_says_nothing_is_sent_away(synspp: str) -> None:
    with open_door(synspp, idle_s=0.2) as door:
        refused(Talk(url_of(door), lag=0), 1008, "idle")
        eventually(lambda: len(door.sessions) == 0)


def test_a_browser_shows_the_token_as_a_protocol(synspp: str) -> None:
    token = " ".join(["the", "token/of=the+service,", "ü"])
    bearer = "bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    with open_door(synspp, clients=Clients(token)) as door:

        def come(*offered: str, origin: str | None = None) -> ClientConnection:
            names = [Subprotocol(name) for name in offered]
            return connect(url_of(door), subprotocols=names, origin=origin, proxy=None)  # type: ignore[arg-type]

        for wrong in (["poise"], ["bearer.!"], ["poise", bearer[:-4]]):
            with pytest.raises(InvalidStatus, match="401"):
                come(*wrong)
        with pytest.raises(InvalidStatus, match="403"):
            come("poise", bearer, origin="http://elsewhere")
        with come("poise", bearer, origin=f"http://127.0.0.1:{door.port}") as found:
            assert found.subprotocol == "poise"
            found.send('{"type": "open"}')
            assert json.loads(found.recv())["type"] == "opened"


@pytest.mark.parametrize("shown", [None, "wrong-token-of-mine", ""])
def test_a_token_is_asked_for(synspp: str, shown: str | None) -> None:
    token = "-".join(["the", "token", "of", "the", "service"])
    with open_door(synspp, clients=Clients(token)) as door:
        with pytest.raises(InvalidStatus, match="401"):
            Talk(url_of(door), shown)
        with Talk(url_of(door), token, lag=0) as talk:
            assert talk.opened["type"] == "opened"


def test_a_token_has_so_many_streams_and_people(synspp: str) -> None:
    token = "-".join(["a", "token", "of", "few"])
    few = Client(sha256=hashlib.sha256(token.encode()).hexdigest(), streams=1, people=1)
    with open_door(synspp, clients=Clients(listed=[few])) as door:
        with Talk(url_of(door), token, lag=0, people="many") as talk:
            with pytest.raises(InvalidStatus, match="429") as refused:
                Talk(url_of(door), token)
            assert refused.value.response.headers["Retry-After"] == "1"
            talk.say({"type": "frames", "poses": [[FRAME[0], FRAME[0]]], "ids": [[0, 1]]})
            assert talk.hear()["field"] == "poses[0]"
        eventually(lambda: len(door._here) == 0)
        Talk(url_of(door), token, lag=0).connection.close()


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamDoor]:
    """A door before a filter, which takes no time."""
    with open_door(save_untrained(tmp_path_factory.mktemp("m") / "swift", "oneeuro")) as door:
        yield door


def flooded(door: StreamDoor, slow: str) -> tuple[Talk, int]:
    """A client that sends more than anything on the way holds, and reads nothing."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", door.port))
    talk = Talk(url_of(door), sock=narrow, lag=0, slow=slow)
    part = clip(MOST_FRAMES).tolist()
    for _ in range(80):
        talk.say({"type": "frames", "poses": part})
    return talk, 80 * MOST_FRAMES


def test_a_slow_reader_may_lose_the_oldest_frames(swift: StreamDoor) -> None:
    talk, sent = flooded(swift, "drop")
    with talk:
        session = swift.sessions.back(talk.opened["session"])
        assert session is not None
        eventually(lambda: session.came == session.people.told == sent)
        assert session.dropped > 0
        talk.say({"type": "end"})
        numbers, last = list[int](), talk.hear()
        while last["type"] == "refined":
            numbers += range(last["first"], last["first"] + len(last["poses"]))
            last = talk.hear()
    assert last == {"type": "end", "frames": sent, "dropped": sent - len(numbers)}
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == sent - 1


def test_a_slow_reader_may_lose_the_connection(swift: StreamDoor) -> None:
    try:
        talk, _ = flooded(swift, "close")
    except ConnectionClosed:
        return
    eventually(lambda: len(swift.sessions) == 0)
    with talk, pytest.raises(ConnectionClosed):
        list(iter(talk.hear, None))
