"""Streams by the client, against a real door: what comes back, whatever happens to connections."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from tests.support.ports import free_port
from tests.support.serving import clip, save_untrained
from tests.support.streams import LONG_S, Floats, Talk, open_door, url_of

from poise.client import AsyncClient, Client
from poise.client.errors import ClientError
from poise.client.talking import RefinedPose
from poise.serving.streams.door import StreamDoor
from poise.serving.tokens.clients import Clients


class Wire:
    """A port before another one, whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def lead_to(self, port: int) -> None:
        self._port = port

    def cut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_untrained(tmp_path_factory.mktemp("m") / "untrained")


@pytest.fixture(scope="module")
def door(checkpoint: str) -> Iterator[StreamDoor]:
    with open_door(checkpoint) as door:
        yield door


@contextmanager
def wire(door: StreamDoor) -> Iterator[Wire]:
    found = Wire(door.port)
    try:
        yield found
    finally:
        found.close()


def expected(door: StreamDoor, detected_FC: Floats) -> Floats:
    with Talk(url_of(door), lag=5) as talk:
        talk.send(detected_FC)
        return np.array(talk.rest()[0])


def test_frames_come_back_in_order_through_lost_connections(door: StreamDoor) -> None:
    detected_FC = clip(60)
    with wire(door) as between, Client(between.url).stream(lag=5) as stream:
        refined = []
        for number, pose_C in enumerate(detected_FC):
            if number in (10, 30, 59):
                between.cut()
            refined += stream.push(pose_C)
        refined += stream.finish()
        assert stream.lost == 0
    assert [one.number for one in refined] == [*range(60)]
    poses_FC = np.array([one.pose_JD.ravel() for one in refined])
    np.testing.assert_allclose(poses_FC, expected(door, detected_FC), atol=1e-5)
    assert all(one.quality is not None for one in refined)


def test_another_replica_goes_on_where_one_is_gone(door: StreamDoor, checkpoint: str) -> None:
    with (
        open_door(checkpoint) as second,
        wire(door) as between,
        Client(between.url).stream(lag=5) as stream,
    ):
        refined = []
        for number, pose_C in enumerate(clip(60)):
            if number == 30:
                between.lead_to(second.port)
                between.cut()
            refined += stream.push(pose_C)
        refined += stream.finish()
        assert stream.lost == 0
    assert [one.number for one in refined] == [*range(60)]
    assert all(np.isfinite(one.pose_JD).all() for one in refined)


@pytest.mark.parametrize("named", [True, False])
def test_people_go_on_through_lost_connections_and_replicas(
    door: StreamDoor, checkpoint: str, named: bool
) -> None:
    """The other replica cannot know whom the first one followed: they get new numbers."""
    apart_P1 = np.array([[0.0], [5.0]], np.float32)
    ids = [3, 8] if named else None
    with (
        open_door(checkpoint) as second,
        wire(door) as between,
        Client(between.url).stream(lag=5, people="many") as stream,
    ):
        refined: list[RefinedPose] = []
        for number, pose_C in enumerate(clip(60)):
            if number == 20:
                between.cut()
            if number == 40:
                while not refined:
                    refined += stream.receive(LONG_S)
                between.lead_to(second.port)
                between.cut()
            refined += stream.push((pose_C + apart_P1).reshape(2, 17, 3), ids=ids)
        refined += stream.finish()
        assert stream.lost == 0
    assert [one.number for one in refined] == [number for number in range(60) for _ in (0, 1)]
    assert sorted({one.person for one in refined}) == (ids or [0, 1, 2, 3])


def test_asyncio_gives_the_same(door: StreamDoor) -> None:
    detected_FC = clip(60)

    async def refined(url: str, between: Wire) -> list[Floats]:
        async with AsyncClient(url).stream(lag=5) as stream:

            async def push() -> None:
                for number, pose_C in enumerate(detected_FC):
                    if number in (20, 40):
                        between.cut()
                    await stream.push(pose_C)
                    await asyncio.sleep(0)
                await stream.end()

            pushing = asyncio.create_task(push())
            found = [one.pose_JD.ravel() async for one in stream]
            await pushing
            assert stream.lost == 0
            return found

    with wire(door) as between:
        found = asyncio.run(asyncio.wait_for(refined(between.url, between), LONG_S))
    np.testing.assert_allclose(np.array(found), expected(door, detected_FC), atol=1e-5)


def test_times_are_sent(door: StreamDoor) -> None:
    with Client(f"http://127.0.0.1:{door.port}").stream(lag=0, fps=30) as stream:
        for number in (0, 1, 40):
            stream.push(clip(41)[number], time=number / 30)
        assert len(stream.finish()) == 3


@pytest.mark.parametrize(
    ("opening", "field"), [({"lag": 99}, "lag"), ({"joints": ["nose"]}, "joints")]
)
def test_what_the_service_refuses_is_said_once(
    door: StreamDoor, opening: dict[str, object], field: str
) -> None:
    client = Client(f"http://127.0.0.1:{door.port}")
    with pytest.raises(ClientError, match=field) as refused, client.stream(**opening):
        pass
    assert (refused.value.code, refused.value.field) == (1008, field)


def test_a_pose_of_other_joints_is_refused_here(door: StreamDoor) -> None:
    client = Client(f"http://127.0.0.1:{door.port}")
    with client.stream() as stream, pytest.raises(ClientError, match="17 joints x 3"):
        stream.push(np.zeros((16, 3)))


def test_an_error_in_the_middle_ends_it(door: StreamDoor) -> None:
    with Client(f"http://127.0.0.1:{door.port}").stream(lag=0) as stream:
        stream.push(np.full(51, 1e7))
        with pytest.raises(ClientError, match=r"poses\[0\]"):
            stream.finish()


def test_a_token_is_shown(tmp_path: Path) -> None:
    token = "-".join(["the", "token", "of", "the", "service"])
    with open_door(save_untrained(tmp_path / "m"), clients=Clients(token)) as door:
        url = f"http://127.0.0.1:{door.port}"
        with Client(url, token).stream() as stream:
            assert stream.opened["type"] == "opened"
        with pytest.raises(ClientError, match="token"), Client(url).stream():
            pass


def test_where_nobody_listens_is_said_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ClientError, match="does the service run"), Client(url).stream():
        pass
