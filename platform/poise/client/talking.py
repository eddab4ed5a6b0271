"""A stream from the client's side: what is said, and what the answers mean, whoever carries them.

Shape letters: F frames, P people of a frame, N poses of some frames, J joints, D dimensions.
"""

import json
from collections import deque
from collections.abc import Sequence
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
#: Frames of a message, and bytes of its poses.
_TOGETHER: Final = 32
_TOGETHER_BYTES: Final = 128 * 1024
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
        person: who it is, in a stream of many: the id that was pushed, or a number from 0.
    """

    number: int
    pose_JD: Floats
    error_J: Floats | None
    quality: float | None
    person: int = 0


@dataclass(frozen=True)
class _Sent:
    """A frame on its way: of everybody in it."""

    poses_PJD: Floats
    time: float | None
    ids: tuple[int, ...] | None


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
        #: As `_offset` of the people that the service follows: those of a replica that is gone.
        self._people_before = self._people = 0
        self._named = False
        self._kept: deque[_Sent] = deque(maxlen=KEPT)

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
        opened, again = self._object(message), bool(self.opened)
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
            self._people_before = self._people if again else 0
        waiting = list(self._kept)[len(self._kept) - (self.sent - at) :] if at < self.sent else []
        messages: list[bytes | str] = [self._message(part) for part in _parts(waiting)]
        return [*messages, self.end()] if self._ending else messages

    def push(
        self, pose: NDArray[np.floating], time: float | None, ids: Sequence[int] | None = None
    ) -> bytes:
        """The message of a frame.

        Raises:
            ClientError: it has other joints than the stream, or ids that are none.
        """
        joints, dims = len(self.opened["joints"]), self.opened["dims"]
        poses = np.asarray(pose, np.float32)
        count = len(poses) if self._many else 1
        if poses.size != count * joints * dims:
            many = "people's poses are (people, joints, dimensions), " if self._many else ""
            text = f"a pose is {joints} joints x {dims}, not of shape {poses.shape}"
            raise ClientError(many + text)
        if ids is not None and not (self._many and len(ids) == count):
            raise ClientError("ids are for streams of many people, one a pose")
        who = None if ids is None else tuple(map(int, ids))
        self._named |= who is not None
        self._kept.append(_Sent(poses.reshape(count, joints, dims), time, who))
        self.sent += 1
        return self._message([self._kept[-1]])

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
        counts = [1] * len(frames) if frames.people_F is None else frames.people_F.tolist()
        numbers = [first + at for at, count in enumerate(counts) for _ in range(count)]
        ids = [0] * len(numbers)
        if frames.ids_N is not None:
            ids = (frames.ids_N + (0 if self._named else self._people_before)).tolist()
            self._people = max([self._people, *(one + 1 for one in ids)])
        return [
            RefinedPose(
                number,
                frames.poses_NJD[at],
                None if frames.error_NJ is None else frames.error_NJ[at],
                None if frames.quality_N is None else float(frames.quality_N[at]),
                ids[at],
            )
            for at, number in enumerate(numbers)
        ]

    @property
    def _many(self) -> bool:
        return bool(self.opened["people"] == "many")

    def _message(self, frames: Sequence[_Sent]) -> bytes:
        times = [one.time for one in frames if one.time is not None]
        times_F = np.array(times) if len(times) == len(frames) else None
        poses_NJD = np.concatenate([one.poses_PJD for one in frames])
        if not self._many:
            return encode(Frames(poses_NJD, times_F=times_F))
        people_F = np.array([len(one.poses_PJD) for one in frames])
        ids = [number for one in frames for number in one.ids or ()]
        ids_N = np.array(ids) if len(ids) == len(poses_NJD) > 0 else None
        return encode(Frames(poses_NJD, times_F=times_F, people_F=people_F, ids_N=ids_N))

    def _object(self, message: str | bytes) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(message)
        if said["type"] == "error":
            kind = AwayError if said["code"] == _BUSY else ClientError
            raise kind(f"{said['field']}: {said['message']}", said["code"], said["field"])
        return said


def _parts(frames: Sequence[_Sent]) -> list[list[_Sent]]:
    """Frames as messages may hold them."""
    parts: list[list[_Sent]] = []
    room = 0
    for frame in frames:
        if not parts or len(parts[-1]) == _TOGETHER or frame.poses_PJD.nbytes > room:
            parts.append([])
            room = _TOGETHER_BYTES
        parts[-1].append(frame)
        room -= frame.poses_PJD.nbytes
    return parts
