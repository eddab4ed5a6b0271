"""Who is in a stream: one person, or many, each with a stream of their own, told frame by frame.

Shape letters: F frames, N poses (one for each person in a frame), J joints, D dimensions.
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.client.messages import Frames
from poise.readers.missing import Bools
from poise.refining.following import AWAY_S, Follower
from poise.serving.streams.bodies import Body, Floats
from poise.serving.streams.opening import INVALID, POLICY, StreamError
from poise.serving.streams.pushes import Answer
from poise.serving.streams.timeline import Asked, Timeline, Told, checked, checked_times
from poise_models.live.stream import Stream

#: People of one frame, and those that are known at a time: who left may come back.
MOST_PEOPLE: Final = 32
MOST_KNOWN: Final = 64


@dataclass(eq=False)
class Person:
    """One person's frames in time, and the stream that refines them.

    Attributes:
        timeline: of the frames since the person came.
        stream: refines them.
        who: their number.
        seen_s: when they were there last.
    """

    timeline: Timeline
    stream: Stream
    who: int = 0
    seen_s: float = 0.0


@dataclass(frozen=True)
class ToldTogether:
    """The answer of a frame with all who are in it.

    Attributes:
        number: of the frame.
        people: their numbers, and what is told of each.
    """

    number: int
    people: tuple[tuple[int, Told], ...]


AskedOf = list[tuple[Person, Asked]]
AnswersOf = Sequence[tuple[Person, Asked, list[Answer]]]


class People(ABC):
    """Who is in a stream.

    Attributes:
        came: frames so far.
        told: frames that were answered so far.
    """

    came: int
    told: int

    @abstractmethod
    def ask(self, frames: Frames) -> AskedOf:
        """Say what everybody's stream is to be asked.

        Raises:
            StreamError: they are no frames of such a stream.
        """

    @abstractmethod
    def end(self) -> AskedOf:
        """What the streams are to be asked at the end."""

    @abstractmethod
    def tell(self, answers: AnswersOf) -> Sequence[Told | ToldTogether]:
        """Say what the answers mean, frame by frame.

        Raises:
            NotFiniteError: the refiner gave NaN or infinity.
        """


class OnePerson(People):
    """A stream of one person."""

    def __init__(self, body: Body, fps: float, stream: Stream) -> None:
        self._person = Person(Timeline(body, fps), stream)
        self.came = self.told = 0

    def ask(self, frames: Frames) -> AskedOf:
        """As `Timeline.ask`."""
        if frames.people_F is not None or frames.ids_N is not None:
            raise StreamError(POLICY, "people", "these are frames of many: open with people: many")
        asked = self._person.timeline.ask(frames)
        self.came += len(frames)
        return [(self._person, asked)]

    def end(self) -> AskedOf:
        """As `Timeline.end`."""
        return [(self._person, self._person.timeline.end())]

    def tell(self, answers: AnswersOf) -> Sequence[Told]:
        """As `Timeline.tell`."""
        found = [
            told for person, asked, given in answers for told in person.timeline.tell(asked, given)
        ]
        self.told += len(found)
        return found


@dataclass
class _Open:
    """A frame that is not answered yet: of how many people nothing is told."""

    number: int
    left: int
    people: list[tuple[int, Told]] = field(default_factory=list)


class ManyPeople(People):
    """A stream of many: the client says who they are, or they are followed by where they are.

    Args:
        body: whose joints everybody has.
        fps: frames a second.
        open_stream: begins the stream of somebody who comes.
        most: of one frame.
    """

    def __init__(
        self,
        body: Body,
        fps: float,
        open_stream: Callable[[], Stream],
        most: int | None = None,
    ) -> None:
        self.came = self.told = 0
        self._most = min(MOST_PEOPLE, most or MOST_PEOPLE)
        self._body, self._fps, self._open_stream = body, fps, open_stream
        self._time: float | None = None
        self._now_s = 0.0
        self._named: bool | None = None
        self._follower = Follower(MOST_KNOWN)
        self._known: dict[int, Person] = {}
        self._open: deque[_Open] = deque()

    def ask(self, frames: Frames) -> AskedOf:
        """Say who everybody is, and what their streams are to be asked."""
        people_F, times_F = self._counts(frames), frames.times_F
        if times_F is not None:
            checked_times(times_F, self._time)
        starts_F = np.cumsum(people_F) - people_F
        try:
            poses_NJD, unseen_NJ = checked(frames, self._body, first=self.came == 0)
        except StreamError as error:
            raise placed(error, people_F) from None
        asked: AskedOf = []
        for frame, (start, count) in enumerate(zip(starts_F, people_F, strict=True)):
            part = slice(start, start + count)
            ids_P = None if frames.ids_N is None else frames.ids_N[part]
            time_1 = None if times_F is None else times_F[frame : frame + 1]
            asked += self._frame(poses_NJD[part], unseen_NJ[part], ids_P, time_1)
        self._time = self._time if times_F is None else float(times_F[-1])
        return asked

    def end(self) -> AskedOf:
        """The ends of all."""
        return [(person, person.timeline.end()) for person in self._known.values()]

    def tell(self, answers: AnswersOf) -> Sequence[ToldTogether]:
        """Put together what is told of the people of each frame."""
        for person, asked, given in answers:
            for told in person.timeline.tell(asked, given):
                frame = self._open[told.number - self.told]
                frame.left -= 1
                if told.pose_JD is not None:
                    frame.people.append((person.who, told))
        found: list[ToldTogether] = []
        while self._open and not self._open[0].left:
            frame = self._open.popleft()
            in_order = sorted(frame.people, key=lambda one: one[0])
            found.append(ToldTogether(frame.number, tuple(in_order)))
        self.told += len(found)
        return found

    def _counts(self, frames: Frames) -> NDArray[np.int64]:
        """How many people each frame has, where they and their ids are as they should be."""
        if frames.people_F is None:
            raise StreamError(INVALID, "people", "each frame should say how many are in it")
        people_F, ids_N = frames.people_F.astype(np.int64), frames.ids_N
        if (people_F > self._most).any():
            frame = int((people_F > self._most).argmax())
            text = f"{people_F[frame]} people; a frame has {self._most} at most"
            raise StreamError(POLICY, f"poses[{frame}]", text)
        if not people_F.any():
            return people_F
        if self._named not in (None, ids_N is not None):
            raise StreamError(INVALID, "ids", "all frames of a stream have ids, or none has")
        self._named = ids_N is not None
        if ids_N is None and self._body.info.dims > 3:
            text = "people can be followed in 2 or 3 dimensions; say who they are"
            raise StreamError(POLICY, "ids", text)
        if ids_N is not None:
            for frame, ids_P in enumerate(np.split(ids_N, np.cumsum(people_F)[:-1])):
                if len(set(ids_P.tolist())) < len(ids_P) or (ids_P < 0).any():
                    text = "should be different numbers from 0, one a person"
                    raise StreamError(INVALID, f"ids[{frame}]", text)
        return people_F

    def _frame(
        self,
        poses_PJD: Floats,
        unseen_PJ: Bools,
        ids_P: NDArray[np.integer] | None,
        time_1: NDArray[np.float64] | None,
    ) -> AskedOf:
        """What everybody's stream is to be asked for one frame, who is in it or not."""
        self._now_s = self._now_s + 1 / self._fps if time_1 is None else float(time_1[0])
        places = np.flatnonzero(~unseen_PJ.all(axis=1))
        if ids_P is not None:
            who = ids_P[places].tolist()
        else:
            gaps_PJD = np.where(unseen_PJ[..., None], np.nan, poses_PJD.astype(np.float64))
            who = self._follower.follow(list(gaps_PJD[places]), self._now_s)
        asked = self._gone()
        here = dict(zip(who, places.tolist(), strict=True))
        for one in here:
            if one not in self._known:
                timeline = Timeline(self._body, self._fps, self.came)
                self._known[one] = Person(timeline, self._open_stream(), one)
            self._known[one].seen_s = self._now_s
        while len(self._known) > MOST_KNOWN:
            asked += self._without(min(self._known.values(), key=lambda one: one.seen_s))
        self._open.append(_Open(self.came, len(self._known)))
        self.came += 1
        shape = (1, self._body.info.joints)
        nowhere_1JD = np.full((*shape, self._body.info.dims), np.nan, np.float32)
        for one, person in self._known.items():
            place, pose_1JD, unseen_1J = here.get(one), nowhere_1JD, np.ones(shape, np.bool_)
            if place is not None:
                pose_1JD, unseen_1J = poses_PJD[place : place + 1], unseen_PJ[place : place + 1]
            asked.append((person, person.timeline.take(pose_1JD, unseen_1J, time_1)))
        return asked

    def _gone(self) -> AskedOf:
        """The ends of those who have been away for so long that they are forgotten."""
        gone = [one for one in self._known.values() if self._now_s - one.seen_s > AWAY_S]
        return [end for person in gone for end in self._without(person)]

    def _without(self, person: Person) -> AskedOf:
        del self._known[person.who]
        return [(person, person.timeline.end())]


def placed(error: StreamError, people_F: NDArray[np.int64]) -> StreamError:
    """The same error with its pose counted by frame and person, not from the first on."""
    found = re.fullmatch(r"poses\[(\d+)\](.*)", error.field)
    if found is None:
        return error
    ends_F, pose = np.cumsum(people_F), int(found[1])
    frame = int(np.searchsorted(ends_F, pose, side="right"))
    place = pose - int(ends_F[frame] - people_F[frame])
    return StreamError(error.code, f"poses[{frame}][{place}]{found[2]}", error.message)
