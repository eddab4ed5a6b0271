"""Clients that ask a service all the time at a steady rate, and remember what became of it."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.client import Client
from poise.client.errors import ClientError

FPS = 30


@dataclass(frozen=True)
class Asked:
    """One request as the user of the client library sees it.

    Attributes:
        began, ended: times of `time.monotonic`.
        wrong: what the user was told where there was no answer.
        version: of the model that answered.
        retrieval: what it said of its neighbours.
    """

    began: float
    ended: float
    wrong: str | None = None
    version: str | None = None
    retrieval: str | None = None


class StreamSeen:
    """What the user of one stream has seen so far."""

    def __init__(self) -> None:
        self.sent = self.refined = self.lost = self.opened = 0
        self.wrong: str | None = None


class SteadyLoad:
    """Clients and streams in threads, from the beginning of a block to its end.

    Args:
        url: of the service.
        poses: (F, C) that every client sends.
        clients: that ask, each so many times a second, or as fast as they are answered.
        streams: that send 30 frames a second.
    """

    def __init__(
        self,
        url: str,
        poses: NDArray[np.float32],
        clients: int,
        streams: int = 0,
        rate: float | None = None,
    ) -> None:
        self._url, self._poses, self._rate = url, poses, rate
        self.asked: list[Asked] = []
        self.streams = [StreamSeen() for _ in range(streams)]
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number / max(clients, 1),))
            for number in range(clients)
        ]
        self._threads += [
            threading.Thread(target=self._stream, args=(seen,)) for seen in self.streams
        ]

    @contextmanager
    def running(self) -> Iterator["SteadyLoad"]:
        """Ask inside the block; at its end all have their answers."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, offset: float) -> None:
        client = Client(self._url)
        pause_s = 1 / self._rate if self._rate else 0.0
        due = time.monotonic() + offset * pause_s
        while not self._over.wait(max(due - time.monotonic(), 0)):
            began = time.monotonic()
            due = max(due + pause_s, began)
            try:
                rest = client.refine(self._poses).rest
            except ClientError as error:
                self.asked.append(Asked(began, time.monotonic(), str(error)))
                continue
            version, use = rest["model"]["version"], rest["retrieval"]
            self.asked.append(Asked(began, time.monotonic(), None, version, use))
        client.close()

    def _stream(self, seen: StreamSeen) -> None:
        client = Client(self._url)
        due, session = time.monotonic(), ""
        try:
            with client.stream(fps=FPS, lag=4) as stream:
                while not self._over.wait(max(due - time.monotonic(), 0)):
                    due += 1 / FPS
                    pose_C = self._poses[seen.sent % len(self._poses)]
                    seen.refined += len(stream.push(pose_C))
                    seen.sent += 1
                    if stream.opened["session"] != session:
                        session = stream.opened["session"]
                        seen.opened += 1
                seen.refined += len(stream.finish())
                seen.lost = stream.lost
        except ClientError as error:
            seen.wrong = str(error)
        client.close()


class Retries(logging.Handler):
    """Counts how often the client library asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.times.append(time.monotonic())

    @contextmanager
    def counting(self) -> Iterator["Retries"]:
        """Count inside the block."""
        logger = logging.getLogger("poise.client")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        try:
            yield self
        finally:
            logger.removeHandler(self)


def quantiles_ms(asked: Sequence[Asked]) -> str:
    """The median and the 99th percentile of how long requests took, in milliseconds."""
    if not asked:
        return "-"
    low, high = np.quantile([1e3 * (one.ended - one.began) for one in asked], [0.5, 0.99])
    return f"{low:.0f} / {high:.0f}"
