"""The client of a Poise service, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import httpx
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

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


class AsyncClient:
    """As `poise.client.client.Client`, every call of which is awaited here.

    Args:
        url: of the service, ``http://127.0.0.1:8000``.
        token: that it wants to be shown.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._answered = False
        self._http = httpx.AsyncClient(headers=self.headers, timeout=_TIMEOUT_S)

    async def models(self) -> list[dict[str, Any]]:
        """Ask what is served, and what it takes; raise `ClientError` where nobody says."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/v1/models")).json()["models"]
        return found

    @overload
    async def refine(self, motion: "Motion") -> "Motion": ...

    @overload
    async def refine(self, motion: NDArray[np.floating], **options: Any) -> Answer: ...

    async def refine(self, motion: Any, **options: Any) -> Any:
        """Refine whole motion, as `poise.client.client.Client.refine`."""
        if isinstance(motion, np.ndarray | list):
            response = await self._ask(
                "POST", "/v1/refine", **json_of(np.asarray(motion), **options)
            )
            return answer_of(response.content)
        model, *_ = await self.models()
        poses_FPJD = motion.poses_FPJD.copy()
        for person, places, poses_FJD, scale in parts_of(motion, model):
            refined = await self.refine(poses_FJD, fps=motion.fps)
            poses_FPJD[:, person, places] = refined.poses / scale
        return motion.with_poses(poses_FPJD)

    async def refine_file(
        self, path: str | Path, *, accept: str = ANY, **options: Any
    ) -> RefinedFile:
        """Have a file refined, as `poise.client.client.Client.refine_file`."""
        sent = await asyncio.to_thread(sent_of, path, accept, options)
        return file_of(await self._ask("POST", "/v1/refine", **sent), path)

    @asynccontextmanager
    async def stream(self, **opening: Any) -> AsyncIterator["AsyncStream"]:
        """Open a stream inside the block, as `poise.client.client.Client.stream`."""
        address = f"{self.url.replace('http', 'ws', 1)}/v1/stream"
        async with AsyncStream(address, self.headers, opening) as stream:
            yield stream

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        sent["headers"] = traced(sent.get("headers", {}))
        waited_s = 0.0
        for number in count():
            retry_after = None
            try:
                response = await self._http.request(method, self.url + path, **sent)
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
                await asyncio.sleep(pause)
            else:
                return response
        raise AssertionError  # the last try has returned or raised


class AsyncStream:
    """As `poise.client.client.Stream`. Frames may be pushed in one task and heard in another.

    ``async for refined in stream`` hears until the end; a stream that is not read is slow.

    Args:
        address: of the endpoint, ``ws://...``.
        headers: of the handshake.
        opening: fields of the first message.
    """

    def __init__(self, address: str, headers: dict[str, str], opening: dict[str, Any]) -> None:
        self._address, self._headers = address, headers
        self._talk = Talk(opening)
        self._connection: ClientConnection
        #: Nothing is said while it connects again: then all that was not answered is.
        self._saying = asyncio.Lock()

    @property
    def opened(self) -> dict[str, Any]:
        """What the service says of the stream: joints, lag, unit ..."""
        return self._talk.opened

    @property
    def lost(self) -> int:
        """Frames whose refined ones never come."""
        return self._talk.lost

    async def push(
        self,
        pose: NDArray[np.floating],
        time: float | None = None,
        ids: Sequence[int] | None = None,
    ) -> None:
        """Send a frame, as `poise.client.client.Stream.push`.

        Raises:
            ClientError: the service refuses to go on, or is away.
        """
        async with self._saying:
            await self._say(self._talk.push(pose, time, ids))

    async def end(self) -> None:
        """Say that no more frames come."""
        async with self._saying:
            await self._say(self._talk.end())

    async def __aiter__(self) -> AsyncIterator[RefinedPose]:
        """Refined frames until the end.

        Raises:
            ClientError: the service refuses to go on, or is away.
        """
        while not self._talk.ended:
            connection = self._connection
            try:
                message = await connection.recv()
            except ConnectionClosed as error:
                refused = refusal(error)
                if refused is not None:
                    raise refused from None
                async with self._saying:
                    if self._connection is connection:
                        await self._connect()
            else:
                for refined in self._talk.hear(message):
                    yield refined

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def _say(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            refused = refusal(error)
            if refused is not None:
                raise refused from None
            await self._connect()  # says it again

    async def _connect(self) -> None:
        for number in count():
            try:
                connection = await connect(
                    self._address + self._talk.query,
                    additional_headers=traced(self._headers),
                    max_size=None,
                    compression=None,
                )
                await connection.send(self._talk.first())
                async with asyncio.timeout(30):
                    answer = await connection.recv()
                for message in self._talk.begin(answer):
                    await connection.send(message)
                self._connection = connection
            except (OSError, ConnectionClosed, InvalidHandshake, AwayError) as error:
                refused = refusal(error)
                opened = bool(self._talk.opened)
                never = never_there(error, opened)
                if refused is not None or never or gives_up(number, opened):
                    raise refused or away(self._address, error) from None
                await asyncio.sleep(pause_s(number, error))
            except InvalidURI:
                raise ClientError(f"{self._address} is no URL") from None
            else:
                return
