"""A door for streams in this process, a client that speaks through it, and motions to send."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from poise.client.messages import Frames, decode, encode
from poise.serving.model import ReplicaConfig
from poise.serving.model_lookup import ModelLocation
from poise.serving.models.served_models import ServedModels
from poise.serving.streams.door import StreamDoor
from poise.serving.streams.pushes import SharedNetwork
from poise.serving.turns import Turns

Floats = NDArray[np.float32]
#: Nothing that is waited for takes so long.
LONG_S = 60.0


@contextmanager
def open_door(checkpoint: str, name: str = "m", **settings: Any) -> Iterator[StreamDoor]:
    """A door before a model's checkpoint."""
    models = ServedModels(ReplicaConfig(ModelLocation(name, None, checkpoint), "no-lake"))
    network: Turns[Any] = Turns("network", SharedNetwork(models.advance).step)
    door = StreamDoor(models, network, **settings)
    try:
        yield door
    finally:
        door.close()


def url_of(door: StreamDoor) -> str:
    return f"ws://127.0.0.1:{door.port}/v1/stream"


class Talk:
    """A client that says exactly what a test wants it to say."""

    def __init__(
        self, url: str, token: str | None = None, sock: socket.socket | None = None, **opening: Any
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.connection: ClientConnection = connect(
            url, additional_headers=headers, max_size=None, proxy=None, sock=sock
        )
        self.opened: dict[str, Any] = {}
        self.notes: list[dict[str, str]] = []
        if opening:
            self.say({"type": "open", **opening})
            self.opened = self.hear()

    def say(self, message: dict[str, Any] | str | bytes) -> None:
        self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    def hear(self) -> Any:
        """The next message, as what it means, but for notes; it closes where the service did."""
        message = self.connection.recv(LONG_S)
        if isinstance(message, bytes):
            return decode(message, len(self.opened["joints"]), self.opened["dims"])
        found = json.loads(message)
        if found["type"] != "note":
            return found
        self.notes.append(found)
        return self.hear()

    def send(self, poses: Floats, times: Any = None) -> None:
        """Send poses (F, ...) one frame a message, in the format that was opened."""
        joints, dims = len(self.opened["joints"]), self.opened["dims"]
        for at, pose in enumerate(poses):
            here = None if times is None else [float(times[at])]
            if self.opened["format"] == "binary":
                times_F = None if here is None else np.array(here)
                self.say(encode(Frames(pose.reshape(1, joints, dims), times_F=times_F)))
            else:
                said = [None if np.isnan(one).all() else one.tolist() for one in pose[None]]
                message = {"type": "frames", "poses": said}
                self.say(message if here is None else {**message, "times": here})

    def rest(self) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """End, and hear all refined poses (flat) and errors, then the last message."""
        self.say({"type": "end"})
        return self.heard()

    def heard(self) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """All refined poses and errors until the last message."""
        poses: list[Any] = []
        errors: list[Any] = []
        while True:
            found = self.hear()
            if isinstance(found, dict) and found["type"] != "refined":
                return poses, errors, found
            if isinstance(found, Frames):
                poses += list(found.poses_NJD.reshape(len(found), -1))
                errors += [] if found.error_NJ is None else list(found.error_NJ)
            else:
                flat = [None if one is None else np.ravel(one) for one in found["poses"]]
                poses += flat
                errors += found["error"] or []

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
