"""What streams ask of the network, side by side: frames pushed together, in short turns.

Shape letters: C = joints x dims.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor

from poise_models.base.clip import Refined
from poise_models.live.stream import RefinedFrame, Stream, push_together

logger = logging.getLogger(__name__)

#: Frames that a stream has refined in one turn; others have theirs beside.
EACH: Final = 8


@dataclass(frozen=True)
class Push:
    """A frame for a stream's network.

    Attributes:
        frame_C: as the network takes it.
        step: frames since the last one.
        number: by which the client knows it; None where it stands for one that is missing.
        seen: whether anybody was there.
    """

    frame_C: Tensor
    step: float = 1.0
    number: int | None = None
    seen: bool = True


@dataclass(frozen=True)
class Flush:
    """A stream's end: what waits is answered, and the stream begins anew."""


Answer = RefinedFrame | Refined | None


class StreamJob:
    """Frames of one stream, to be taken in order.

    Attributes:
        outcome: an answer to each, or what went wrong; None until all are there.
    """

    def __init__(self, stream: Stream, asked: Iterable[Push | Flush]) -> None:
        self.stream = stream
        self.outcome: list[Answer] | Exception | None = None
        self._left = deque(asked)
        self._answers: list[Answer] = []

    def next(self) -> list[Push]:
        """The frames of the next turn; none where the stream ends first."""
        found: list[Push] = []
        for one in self._left:
            if isinstance(one, Flush) or len(found) == EACH:
                break
            found.append(one)
        return found

    def take(self, answers: Sequence[Answer]) -> None:
        """Take the answers to `next`, and end the stream where that comes after them."""
        self._answers += answers
        for _ in answers:
            self._left.popleft()
        if self._left and isinstance(self._left[0], Flush):
            self._left.popleft()
            self._answers.append(self.stream.finish())
        if not self._left:
            self.outcome = self._answers


def push_all(jobs: Sequence[StreamJob]) -> None:
    """Take a turn of several streams: a call of each refiner for all of them together.

    Where that fails, they are called one by one: one's fault is not the others'.
    """
    by_refiner: dict[int, list[StreamJob]] = defaultdict(list)
    for job in jobs:
        by_refiner[id(job.stream.refiner)].append(job)
    for group in by_refiner.values():
        try:
            _together(group)
        except Exception as error:
            logger.exception("A turn of %d streams failed.", len(group))
            for job in group:
                job.outcome = error


def _together(jobs: Sequence[StreamJob]) -> None:
    parts = [job.next() for job in jobs]
    flat = [(job.stream, push) for job, part in zip(jobs, parts, strict=True) for push in part]
    answers = iter(
        push_together(
            [stream for stream, _ in flat],
            [push.frame_C for _, push in flat],
            [push.step for _, push in flat],
        )
        if flat
        else ()
    )
    for job, part in zip(jobs, parts, strict=True):
        job.take([next(answers) for _ in part])


class SharedNetwork:
    """The network thread's steps: streams and sequences take turns, so that neither waits long.

    Args:
        advance: takes a step of sequences; told how long it may last where streams wait.
    """

    def __init__(self, advance: Callable[[Sequence[Any], bool], None]) -> None:
        self._advance = advance
        self._streams_were_last = False

    def step(self, jobs: Sequence[Any]) -> None:
        """Take a step of the streams at hand, or of the sequences where the last was of streams."""
        streams = [job for job in jobs if isinstance(job, StreamJob)]
        works = [job for job in jobs if not isinstance(job, StreamJob)]
        if streams and not (works and self._streams_were_last):
            push_all(streams)
            self._streams_were_last = True
        else:
            self._advance(works, self._streams_were_last)
            self._streams_were_last = False
