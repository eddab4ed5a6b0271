"""One connection of a stream: what the client says, and what it is told."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from pydantic_core import to_json
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from poise.runtime.printable import printable
from poise.serving.streams.frames import as_bytes, as_text, from_bytes, from_object
from poise.serving.streams.opening import (
    FAULT,
    MOST_BYTES,
    MOST_FRAMES,
    POLICY,
    TOO_BIG,
    UNSUPPORTED,
    Opening,
    StreamError,
    read_object,
    read_opening,
)
from poise.serving.streams.session import Session
from poise.serving.streams.sessions import RESUME_S, Sessions, longest_lag

logger = logging.getLogger(__name__)

#: How long a client may take for its first message.
OPENING_S: Final = 10.0
#: How long the last words to a client may take.
_LAST_WORDS_S: Final = 5.0
#: A close may say so much.
_REASON_BYTES: Final = 120


class Conversation:
    """A client's connection, from its first message to its end.

    Args:
        connection: through which it speaks.
        sessions: the streams of this replica.
        idle_s: how long a client may say nothing.
        people: of a frame, at most, where the client may have fewer than others.
    """

    def __init__(
        self,
        connection: ServerConnection,
        sessions: Sessions,
        idle_s: float,
        people: int | None = None,
    ) -> None:
        self._connection, self._sessions = connection, sessions
        self._idle_s, self._people = idle_s, people

    async def hold(self) -> None:
        """Speak until one of both ends it, or something is wrong."""
        session: Session | None = None
        try:
            asked = read_opening(await self._receive(OPENING_S))
            session = await self._seat(asked)
            await self._speak(session)
            self._sessions.forget(session.token)
        except StreamError as error:
            if session is not None:
                self._sessions.forget(session.token)
            await self._refuse(error)
        except ConnectionClosed:
            if session is not None and session.held_by is asyncio.current_task():
                self._sessions.leave(session)
        except asyncio.CancelledError:  # another connection has the stream now
            await self._refuse(StreamError(POLICY, "resume", "another connection took it over"))
        except Exception as error:
            logger.exception("A connection failed.")
            if session is not None:
                self._sessions.forget(session.token)
            await self._refuse(StreamError(FAULT, "service", f"it failed: {error}"))

    async def _seat(self, asked: Opening) -> Session:
        """Open a stream or find it again, and say so."""
        found = None if asked.resume is None else self._sessions.back(asked.resume)
        if found is None:
            session, lost = (
                await self._sessions.begin(asked, self._people),
                max(asked.sent - asked.received, 0),
            )
        else:
            session = found
            await session.taken_over()
            lost = session.rewind(asked.received)
        session.held_by = asyncio.current_task()
        model, body = session.model, session.body
        answer = {
            "type": "opened",
            "session": session.token,
            "resumed": found is not None,
            "next": session.came,
            "lost": lost,
            "model": model.name,
            "version": model.version,
            "track": str(model.track),
            "joints": body.names,
            "dims": body.info.dims,
            "unit": body.unit,
            "fps": session.fps,
            "lag": session.lag,
            "longest_lag": longest_lag(body.refiner),
            "format": session.asked.format,
            "people": session.asked.people,
            "retrieval": model.retrieval,
            "limits": {
                "frames": MOST_FRAMES,
                "bytes": MOST_BYTES,
                "idle_s": self._idle_s,
                "resume_s": RESUME_S,
            },
        }
        await self._connection.send(to_json(answer).decode())
        return session

    async def _speak(self, session: Session) -> None:
        """Take frames and tell refined ones, until all are told."""
        hearing = asyncio.create_task(self._hear(session))
        telling = asyncio.create_task(self._tell(session))
        tasks = {hearing, telling}
        if session.asked.slow == "close":
            tasks.add(asyncio.create_task(session.fails()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            wrong = next((task.exception() for task in tasks - {telling} if task.done()), None)
            if isinstance(wrong, StreamError) and session.wrong is None:
                # What came before is refined and told first, to whom it can be told.
                await session.put(wrong)
                await asyncio.wait({telling}, timeout=_LAST_WORDS_S)
            if wrong is not None and not telling.done():
                raise wrong
            await telling
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, session: Session) -> None:
        """Take what the client says, until its end."""
        while True:
            message = await self._receive(self._idle_s)
            if isinstance(message, bytes):
                if session.asked.format != "binary":
                    raise StreamError(UNSUPPORTED, "format", "bytes, and it was opened for json")
                await session.put(from_bytes(message, session.body))
                continue
            found = read_object(message)
            kind = found.get("type")
            if kind == "end":
                await session.put(None)
                return
            if kind != "frames":
                raise StreamError(POLICY, "type", "should be frames or end")
            if session.asked.format != "json":
                raise StreamError(UNSUPPORTED, "format", "text, and it was opened for binary")
            await session.put(from_object(found, session.body, session.asked.people))

    async def _tell(self, session: Session) -> None:
        binary = session.asked.format == "binary"
        while told := await session.take(MOST_FRAMES):
            await self._connection.send(as_bytes(told, session.body) if binary else as_text(told))
            while session.notes:
                await self._connection.send(to_json(session.notes.popleft()).decode())
        end = {"type": "end", "frames": session.people.came, "dropped": session.dropped}
        await self._connection.send(to_json(end).decode())
        await self._close(1000, "")

    async def _receive(self, seconds: float) -> str | bytes:
        try:
            async with asyncio.timeout(seconds):
                message = await self._connection.recv()
        except TimeoutError:
            text = f"nothing came for {seconds:g} seconds"
            raise StreamError(POLICY, "idle", text) from None
        size = len(message) if isinstance(message, bytes) else len(message.encode())
        if size > MOST_BYTES:
            text = f"it has {size} bytes; a message has {MOST_BYTES} at most"
            raise StreamError(TOO_BIG, "message", text)
        return message

    async def _refuse(self, error: StreamError) -> None:
        """Say what is wrong, and close."""
        text = printable(str(error))
        said: dict[str, Any] = {
            "type": "error",
            "code": error.code,
            "field": error.field,
            "message": printable(error.message)[:2000],
        }
        reason = text.encode()[:_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(_LAST_WORDS_S):  # it may not read
                await self._connection.send(to_json(said).decode())
                await self._close(error.code, reason)
        except (ConnectionClosed, TimeoutError):
            self._connection.transport.abort()

    async def _close(self, code: int, reason: str) -> None:
        """Close, and read on until the client has: its close comes after all else that it says."""

        async def read_on() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await self._connection.recv()

        reading = asyncio.create_task(read_on())
        try:
            await self._connection.close(code, reason)
        finally:
            reading.cancel()
            await asyncio.wait({reading})
