"""All streams of a replica: how many there may be, and how long one waits for its client."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import Any, Final

from poise.serving.models.served_models import ServedModels
from poise.serving.models.wanted import AWAY, ChoiceError
from poise.serving.streams.bodies import Bodies
from poise.serving.streams.counts import StreamCounts
from poise.serving.streams.opening import BUSY, LAG, POLICY, Opening, StreamError
from poise.serving.streams.people import ManyPeople, OnePerson, People
from poise.serving.streams.session import Session
from poise.serving.turns import Turns
from poise_models.base.refiner import Refiner
from poise_models.errors import ConfigError
from poise_models.live.stream import Find, open_stream

#: How long a stream is kept for a client that lost its connection.
RESUME_S: Final = 30.0
#: Frames a second where neither client nor track says.
FPS: Final = 30.0


def longest_lag(refiner: Refiner) -> int | None:
    """The longest lag that is of any use; None where any is."""
    window = getattr(refiner, "window", None)
    return None if window is None else int(window) - 1


class Sessions:
    """The streams that are open, and those whose clients may come back.

    Args:
        models: what refines them.
        network: the thread in which it does.
        most: how many there may be.
        door: the part of a token that says which replica a stream is on.
    """

    def __init__(self, models: ServedModels, network: Turns[Any], most: int, door: str) -> None:
        self._models, self._network, self._most, self._door = models, network, most, door
        self._bodies = Bodies()
        self._open: dict[str, Session] = {}
        self._left: OrderedDict[str, asyncio.TimerHandle] = OrderedDict()
        self._coming = 0
        self._counts = StreamCounts()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open) + self._coming

    @property
    def waiting(self) -> int:
        """How many wait for clients to come back."""
        return len(self._left)

    def counted(self) -> StreamCounts:
        """Say what was counted since the last time."""
        counts = replace(self._counts, open=len(self))
        vars(self._counts).update(vars(StreamCounts()))
        return counts

    def look(self) -> None:
        """Tell the clients of streams whose model has a newer version by now."""
        for session in self._open.values():
            named = session.asked.model
            fixed = named is not None and "/" in named
            version = None if fixed else self._models.moved_to(session.model, named)
            if version is not None:
                here = session.model.version
                text = f"{session.model.name} is version {version} now: this stream stays with "
                session.note("version", f"{text}{here} to its end; open another for the new one")

    async def begin(self, asked: Opening, most_people: int | None = None) -> Session:
        """Open a stream, of so many people in a frame at most.

        Raises:
            StreamError: there are too many, or the model does not refine such a stream.
        """
        if len(self) >= self._most and self._left:
            self.forget(next(iter(self._left)))
        if len(self) >= self._most:
            raise StreamError(BUSY, "type", f"{self._most} streams are open here: come back later")
        self._coming += 1
        try:
            model = await self._models.get(asked.model, asked.track)
            # Another skeleton's network takes a moment.
            body = await asyncio.to_thread(self._bodies.body, model, asked)
        except ChoiceError as error:
            code = BUSY if error.status == AWAY else POLICY
            raise StreamError(code, error.field, str(error)) from None
        finally:
            self._coming -= 1
        most = longest_lag(body.refiner)
        usual = LAG if most is None else min(LAG, most)
        find: Find | None = model.neighbours_of if model.retrieval != "none" else None
        lag = usual if asked.lag is None else asked.lag
        try:
            stream = open_stream(body.refiner, lag, find)
        except ConfigError as error:
            raise StreamError(POLICY, "lag", str(error)) from None
        token = f"{self._door}.{secrets.token_urlsafe(18)}"
        fps = asked.fps or model.info.fps or FPS
        people: People = OnePerson(body, fps, stream)
        if asked.people == "many":
            opened = partial(open_stream, body.refiner, lag, find)
            people = ManyPeople(body, fps, opened, most_people)
        session = Session(token, asked, model, body, people, fps, lag, self._network, self._counts)
        self._open[token] = session
        return session

    def back(self, token: str) -> Session | None:
        """Give a stream to a client that came back; None where it is not here any more."""
        session = self._open.get(token)
        timer = self._left.pop(token, None)
        if timer is not None:
            timer.cancel()
        return session

    def leave(self, session: Session) -> None:
        """Keep a stream for a while whose client went away without an end."""
        if session.token not in self._open:
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(RESUME_S, self.forget, session.token)
        self._left[session.token] = timer

    def forget(self, token: str) -> None:
        """End a stream."""
        timer = self._left.pop(token, None)
        if timer is not None:
            timer.cancel()
        session = self._open.pop(token, None)
        if session is not None:
            session.close()

    async def close(self) -> None:
        """End all streams."""
        workers = [session.close() for session in self._open.values()]
        for token in list(self._open):
            self.forget(token)
        await asyncio.gather(*workers, return_exceptions=True)
