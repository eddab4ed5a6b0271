"""A client of a Poise service."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import httpx
import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from poise.client.asking import (
    Answer,
    answer_of,
    check,
    gives_up,
    json_of,
    parts_of,
    pause_s,
    traced,
)
from poise.client.errors import AwayError, ClientError, away, never_there, refusal
from poise.client.files import ANY, RefinedFile, file_of, sent_of
from poise.client.talking import RefinedPose, Talk

if TYPE_CHECKING:
    from poise.motion.motion import Motion

_TIMEOUT_S = 300.0


class Client:
    """Asks a service, again where it is busy or away for a moment.

    Args:
        url: of the service, ``http://127.0.0.1:8000``.
        token: that it wants to be shown.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._answered = False
        self._http = httpx.Client(headers=self.headers, timeout=_TIMEOUT_S)

    def models(self) -> list[dict[str, Any]]:
        """Ask what is served, and what it takes.

        Raises:
            ClientError: the service refuses, or does not answer.
        """
        found: list[dict[str, Any]] = self._ask("GET", "/v1/models").json()["models"]
        return found

    @overload
    def refine(self, motion: "Motion") -> "Motion": ...

    @overload
    def refine(self, motion: NDArray[np.floating], **options: Any) -> Answer: ...

    def refine(self, motion: Any, **options: Any) -> Any:
        """Refine whole motion.

        Args:
            motion: poses (F, J, D) or (F, C) of one person, NaN where not seen; or a
                `poise.Motion` of any number, whose joints and unit are told by name.
            options: other fields of the request: ``fps``, ``track``, ``model``, ``name``.

        Returns:
            An `Answer`; of a `poise.Motion` the refined one.

        Raises:
            ClientError: the service refuses, or does not answer.
        """
        if not isinstance(motion, np.ndarray | list):
            return self._motion(motion)
        return answer_of(
            self._ask("POST", "/v1/refine", **json_of(np.asarray(motion), **options)).content
        )

    def refine_file(self, path: str | Path, *, accept: str = ANY, **options: Any) -> RefinedFile:
        """Have a keypoint file refined, or a folder whose files are one recording.

        Args:
            path: of a file in any format of `poise formats`.
            accept: ``application/json`` or ``application/x-npz`` for all that is known of the
                motion, in place of a file.
            options: ``to``, ``refiner``, ``fill`` ... as in the query (docs/serving.md).

        Raises:
            ClientError: it cannot be read, the service refuses, or does not answer.
        """
        return file_of(self._ask("POST", "/v1/refine", **sent_of(path, accept, options)), path)

    @contextmanager
    def stream(self, **opening: Any) -> Iterator["Stream"]:
        """Open a stream inside the block.

        Args:
            opening: fields of its first message: ``fps``, ``lag``, ``joints``, ``skeleton``,
                ``dims``, ``unit``, ``people``, ``slow`` ... (docs/serving.md).

        Raises:
            ClientError: the service refuses, or does not answer.
        """
        address = f"{self.url.replace('http', 'ws', 1)}/v1/stream"
        with Stream(address, self.headers, opening) as stream:
            yield stream

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _motion(self, motion: "Motion") -> "Motion":
        model, *_ = self.models()
        poses_FPJD = motion.poses_FPJD.copy()
        for person, places, poses_FJD, scale in parts_of(motion, model):
            refined = self.refine(poses_FJD, fps=motion.fps)
            poses_FPJD[:, person, places] = refined.poses / scale
        return motion.with_poses(poses_FPJD)

    def _ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        sent["headers"] = traced(sent.get("headers", {}))
        waited_s = 0.0
        for number in count():
            retry_after = None
            try:
                response = self._http.request(method, self.url + path, **sent)
                self._answered = True
                retry_after = response.headers.get("Retry-After")
                check(response.status_code, response.content)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise ClientError(f"{self.url} is no URL; http://HOST:PORT is one") from None
            except (httpx.TransportError, AwayError) as error:
                if gives_up(number, self._answered, waited_s):
                    raise away(self.url, error) from None
                pause = pause_s(number, error, retry_after, waited_s)
                waited_s += pause
                time.sleep(pause)
            else:
                return response
        raise AssertionError  # the last try has returned or raised


class Stream:
    """Frames in, refined frames out; it connects again where it is cut off.

    Args:
        address: of the endpoint, ``ws://...``.
        headers: of the handshake.
        opening: fields of the first message.
    """

    def __init__(self, address: str, headers: dict[str, str], opening: dict[str, Any]) -> None:
        self._address, self._headers = address, headers
        self._talk = Talk(opening)
        self._connection: ClientConnection
        self._arrived: list[RefinedPose] = []
        self._connect()

    @property
    def opened(self) -> dict[str, Any]:
        """What the service says of the stream: joints, lag, unit ..."""
        return self._talk.opened

    @property
    def lost(self) -> int:
        """Frames whose refined ones never come."""
        return self._talk.lost

    def push(
        self,
        pose: NDArray[np.floating],
        time: float | None = None,
        ids: Sequence[int] | None = None,
    ) -> list[RefinedPose]:
        """Send a frame, and return the refined ones that have arrived meanwhile.

        Args:
            pose: (J, D) or (C,); NaN where a joint was not seen. Of many people (P, J, D).
            time: seconds, of any clock.
            ids: of many people who each is, a number from 0; None has the service follow them.

        Raises:
            ClientError: the service refuses to go on, or is away.
        """
        message = self._talk.push(pose, time, ids)
        try:
            self._connection.send(message)
        except ConnectionClosed:
            self._lost_it()
        return self.receive(0)

    def receive(self, timeout_s: float | None = None) -> list[RefinedPose]:
        """Wait for refined frames, so long at most; return all that are there.

        Raises:
            ClientError: the service refuses to go on, or is away.
        """
        found, self._arrived = self._arrived, []
        while not self._talk.ended:
            try:
                found += self._talk.hear(self._connection.recv(0 if found else timeout_s))
            except TimeoutError:
                break
            except ConnectionClosed:
                self._lost_it()
                found += self._arrived
                self._arrived = []
        return found

    def finish(self) -> list[RefinedPose]:
        """End the stream, and return the refined frames that are left.

        Raises:
            ClientError: the service refuses to go on, or is away.
        """
        message = self._talk.end()
        try:
            self._connection.send(message)
        except ConnectionClosed:
            self._lost_it()
        found = self.receive()
        while not self._talk.ended:
            found += self.receive()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _lost_it(self) -> None:
        """Hear what came before the connection was lost, and connect again."""
        try:
            while not self._talk.ended:
                self._arrived += self._talk.hear(self._connection.recv(0))
        except TimeoutError:
            pass
        except ConnectionClosed as error:
            refused = refusal(error)
            if refused is not None:
                raise refused from None
        if not self._talk.ended:
            self._connect()

    def _connect(self) -> None:
        for number in count():
            try:
                self._connection = connect(
                    self._address + self._talk.query,
                    additional_headers=traced(self._headers),
                    max_size=None,
                    compression=None,
                )
                self._connection.send(self._talk.first())
                for message in self._talk.begin(self._connection.recv(30)):
                    self._connection.send(message)
            except (OSError, ConnectionClosed, InvalidHandshake, AwayError) as error:
                refused = refusal(error)
                opened = bool(self._talk.opened)
                never = never_there(error, opened)
                if refused is not None or never or gives_up(number, opened):
                    raise refused or away(self._address, error) from None
                time.sleep(pause_s(number, error))
            except InvalidURI:
                raise ClientError(f"{self._address} is no URL") from None
            else:
                return
