"""A stream from the client's side: what is said, and what the answers mean, whoever carries them.

Shape letters: F frames, J joints, D dimensions.
"""

import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from poise.client.errors import AwayError, ClientError
from poise.client.messages import Frames, decode, encode

Floats = NDArray[np.float32]
#: Frames that were sent and not answered, which are sent again where a replica is gone.
KEPT: Final = 512
#: Frames of a message.
_TOGETHER: Final = 32
#: Too many streams: there may be room later.
_BUSY: Final = 1013


@dataclass(frozen=True)
class RefinedPose:
    """A refined frame.

    Attributes:
        number: of the frame, in the order in which they were pushed, from 0.
        pose_JD: (J, D); NaN where nobody was there.
        error_J: how far off joints are expected to be; None where the refiner does not say.
        quality: 0 to 1; None where the refiner has none.
    """

    number: int
    pose_JD: Floats
    error_J: Floats | None
    quality: float | None


class Talk:
    """What a stream's client has to remember.

    Attributes:
        opened: what the service said of the stream.
        sent: frames so far.
        received: refined frames so far: the number of the next one.
        lost: frames whose refined ones never come.
        ended: whether all is said.
    """

    def __init__(self, opening: dict[str, Any]) -> None:
        given = {name: value for name, value in opening.items() if value is not None}
        self._opening = {"type": "open", "format": "binary", **given}
        self.opened: dict[str, Any] = {}
        self.sent = self.received = self.lost = 0
        self.ended = self._ending = False
        #: Number of the frame that the service calls the first.
        self._offset = 0
        self._kept: deque[tuple[Floats, float | None]] = deque(maxlen=KEPT)

    @property
    def query(self) -> str:
        """What follows the address: which replica a lost stream is on."""
        return f"?session={quote(self.opened['session'])}" if self.opened else ""

    def first(self) -> str:
        """The first message of a connection."""
        if not self.opened:
            return json.dumps(self._opening)
        here = {"sent": self.sent - self._offset, "received": self.received - self._offset}
        return json.dumps({**self._opening, "resume": self.opened["session"], **here})

    def begin(self, message: str | bytes) -> list[bytes | str]:
        """Read what the service answers first, and say what is to be sent (again) then.

        Raises:
            ClientError: it refuses.
        """
        opened = self._object(message)
        self.opened = opened
        if opened["resumed"]:
            self.received += opened["lost"]
            self.lost += opened["lost"]
            at = self._offset + opened["next"]
        else:
            # What is not there any more cannot be sent again.
            gone = max(self.sent - self.received - len(self._kept), 0)
            self.received += gone
            self.lost += gone
            at = self._offset = self.received
        waiting = list(self._kept)[len(self._kept) - (self.sent - at) :] if at < self.sent else []
        parts = [waiting[start : start + _TOGETHER] for start in range(0, len(waiting), _TOGETHER)]
        again: list[bytes | str] = [_message(part) for part in parts]
        return [*again, self.end()] if self._ending else again

    def push(self, pose: NDArray[np.floating], time: float | None) -> bytes:
        """The message of a frame.

        Raises:
            ClientError: it has other joints than the stream.
        """
        joints, dims = len(self.opened["joints"]), self.opened["dims"]
        pose_JD = np.asarray(pose, np.float32)
        if pose_JD.size != joints * dims:
            raise ClientError(f"a pose is {joints} joints x {dims}, not of shape {pose_JD.shape}")
        self._kept.append((pose_JD.reshape(joints, dims), time))
        self.sent += 1
        return _message([self._kept[-1]])

    def end(self) -> str:
        """The message that ends the stream."""
        self._ending = True
        return json.dumps({"type": "end"})

    def hear(self, message: str | bytes) -> list[RefinedPose]:
        """Read what comes.

        Raises:
            ClientError: the service refuses to go on.
        """
        if isinstance(message, str):
            said = self._object(message)
            if said["type"] == "end":
                self.lost += self.sent - self.received
                self.ended = True
            return []
        frames = decode(message, len(self.opened["joints"]), self.opened["dims"])
        first = self._offset + frames.first
        self.lost += first - self.received
        self.received = first + len(frames)
        return [
            RefinedPose(
                first + at,
                frames.poses_NJD[at],
                None if frames.error_NJ is None else frames.error_NJ[at],
                None if frames.quality_N is None else float(frames.quality_N[at]),
            )
            for at in range(len(frames))
        ]

    def _object(self, message: str | bytes) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(message)
        if said["type"] == "error":
            kind = AwayError if said["code"] == _BUSY else ClientError
            raise kind(f"{said['field']}: {said['message']}", said["code"], said["field"])
        return said


def _message(frames: list[tuple[Floats, float | None]]) -> bytes:
    times = [time for _, time in frames if time is not None]
    times_F = np.array(times) if len(times) == len(frames) else None
    return encode(Frames(np.stack([pose_JD for pose_JD, _ in frames]), times_F=times_F))
