"""A client's stream on its replica: frames wait, are refined, and are kept until they are sent.

It outlives its connection for a while, so that a client that lost it can go on.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from poise.client.messages import Frames
from poise.serving.model import ServedModel
from poise.serving.streams.bodies import Body
from poise.serving.streams.counts import StreamCounts
from poise.serving.streams.opening import FAULT, POLICY, Opening, StreamError
from poise.serving.streams.people import AskedOf, People, Person, ToldTogether
from poise.serving.streams.pushes import Answer, StreamJob
from poise.serving.streams.timeline import Asked, Told
from poise.serving.turns import Turns

#: A frame that waits so long beyond its lag is said to be late, once a stream.
LATE_S: Final = 2.0
_LATE: Final = "frames wait to be refined: there are more streams than this replica keeps up with"

logger = logging.getLogger(__name__)

#: Frames that wait to be refined; more are not read from the connection.
WAITING: Final = 64
#: Refined frames that wait to be sent; beyond it a client is slow. More than come at a time.
UNSENT: Final = 160
#: Refined frames that are kept, so that a client may ask for them again.
KEPT: Final = 256


class Session:
    """A stream and its frames on both sides of the network.

    Attributes:
        token: by which a client finds it again.
        asked: how it was opened.
        model: what refines it, to its end.
        dropped: refined frames that a slow client never gets.
        wrong: why it ends, where something is wrong.
        ended: whether all frames are refined and no more will come.
    """

    def __init__(
        self,
        token: str,
        asked: Opening,
        model: ServedModel,
        body: Body,
        people: People,
        fps: float,
        lag: int,
        network: Turns[Any],
        counts: StreamCounts,
    ) -> None:
        self.token = token
        self.asked = asked
        self.model = model
        self.body = body
        self.people = people
        self.fps, self.lag = fps, lag
        self.dropped = 0
        self.wrong: StreamError | None = None
        self.ended = False
        #: What its client is still to be told beside frames, and of what it was told.
        self.notes: deque[dict[str, str]] = deque()
        self._noted = set[str]()
        #: What speaks with its client.
        self.held_by: asyncio.Task[Any] | None = None
        self._network, self._counts = network, counts
        self._inbox: deque[tuple[Frames | StreamError | None, float]] = deque()
        self._kept: deque[Told | ToldTogether] = deque(maxlen=KEPT)
        self._next = 0
        self._changed = asyncio.Condition()
        self._worker = asyncio.create_task(self._work())

    @property
    def came(self) -> int:
        """Frames that came, those that wait too: the number of the next one."""
        waiting = (len(said) for said, _ in self._inbox if isinstance(said, Frames))
        return self.people.came + sum(waiting)

    async def put(self, said: Frames | StreamError | None) -> None:
        """Take more frames, as soon as there is room; None is the end, an error a bad one.

        Raises:
            StreamError: the stream has ended, or something is wrong with it.
        """
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.wrong or self.came - self.people.came < WAITING
            )
            if self.wrong is not None:
                raise self.wrong
            if self.ended or (self._inbox and self._inbox[-1][0] is None):
                if said is None:  # again, after a lost connection
                    return
                raise StreamError(POLICY, "type", "the stream has ended: nothing comes after end")
            self._inbox.append((said, time.monotonic()))
            self._changed.notify_all()

    async def take(self, most: int) -> Sequence[Told | ToldTogether]:
        """Wait for refined frames, and take them; none at the end.

        Raises:
            StreamError: something is wrong with the stream, all frames before it taken.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._unsent or self.ended or self.wrong)
            first = len(self._kept) - self._unsent
            found = list(islice(self._kept, first, min(first + most, len(self._kept))))
            self._next += len(found)
            if not found and self.wrong is not None:
                raise self.wrong
            return found

    def note(self, about: str, message: str) -> None:
        """Have the client told something, once."""
        if about not in self._noted:
            self._noted.add(about)
            self.notes.append({"type": "note", "about": about, "message": message})

    def rewind(self, received: int) -> int:
        """Go on from a frame again; answer how many from there on are lost."""
        oldest = self._kept[0].number if self._kept else self.people.told
        self._next = min(max(received, oldest), self.people.told)
        return max(oldest - received, 0)

    async def fails(self) -> None:
        """Wait until something is wrong with the stream, and raise it.

        Raises:
            StreamError: something is.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self.wrong)
        assert self.wrong is not None  # noqa: S101  (it was waited for)
        raise self.wrong

    async def taken_over(self) -> None:
        """Let go of the connection that has the stream, where one has."""
        if self.held_by is not None and not self.held_by.done():
            self.held_by.cancel()
            await asyncio.wait({self.held_by})

    def close(self) -> asyncio.Task[None]:
        """Stop all work for it; the work is done when it has stopped."""
        self._worker.cancel()
        return self._worker

    @property
    def _unsent(self) -> int:
        return self.people.told - self._next

    async def _work(self) -> None:
        while not self.ended and self.wrong is None:
            async with self._changed:
                await self._changed.wait_for(lambda: self._inbox)
            # All that came while the network was busy goes on together.
            parts = list(self._inbox)
            came, told = self.people.came, self.people.told
            self.wrong = await self._refine([said for said, _ in parts])
            self.ended = self.wrong is None and parts[-1][0] is None
            waited_s = time.monotonic() - parts[0][1]
            self._counts.refined(
                self.people.came - came, self.people.told - told, waited_s, 1 / self.fps
            )
            if waited_s > LATE_S:
                self.note("late", _LATE)
            async with self._changed:
                self._changed.notify_all()

    async def _refine(self, parts: list[Frames | StreamError | None]) -> StreamError | None:
        """Refine frames, and keep them; say what is wrong with the first that are none."""
        asked: AskedOf = []
        wrong = None
        for said in parts:
            self._inbox.popleft()
            try:
                if isinstance(said, StreamError):
                    raise said
                asked += self.people.end() if said is None else self.people.ask(said)
            except StreamError as error:
                wrong = error
                break
        try:
            self._keep(self.people.tell(await self._answered(asked)))
        except StreamError as error:
            return error
        except Exception as error:
            logger.exception("A stream failed.")
            return StreamError(FAULT, "poses", f"the model failed on this stream: {error}")
        return wrong

    async def _answered(self, asked: AskedOf) -> list[tuple[Person, Asked, list[Answer]]]:
        """Ask everybody's stream, all at a time."""
        of_each: dict[Person, Asked] = {}
        for person, more in asked:
            of_each.setdefault(person, []).extend(more)
        jobs = []
        for person, all_of_it in of_each.items():
            pushes = [one for one in all_of_it if not isinstance(one, int)]
            jobs.append(StreamJob(person.stream, pushes) if pushes else None)
        answers = await asyncio.gather(
            *(self._network.finished(job) for job in jobs if job is not None)
        )
        left = iter(answers)
        return [
            (person, all_of_it, [] if job is None else next(left))
            for (person, all_of_it), job in zip(of_each.items(), jobs, strict=True)
        ]

    def _keep(self, told: Sequence[Told | ToldTogether]) -> None:
        self._kept.extend(told)
        beyond = self._unsent - UNSENT
        if beyond <= 0:
            return
        if self.asked.slow == "close":
            text = f"{UNSENT} refined frames wait to be read: read faster, or open with slow: drop"
            raise StreamError(POLICY, "slow", text)
        self._next += beyond
        self.dropped += beyond
        self._counts.dropped += beyond
