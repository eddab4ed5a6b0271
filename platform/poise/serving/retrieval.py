"""Retrieval that may fail at any time: no request waits for it, and it comes back by itself."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor

from poise.pvd.retriever import SearchBackend
from poise.runtime.errors import LakeError, PoiseError
from poise.serving.metrics import SearchMetrics
from poise_retrieval.errors import RetrievalError, VectorError

logger = logging.getLogger(__name__)

#: Seconds between attempts to open a retriever: after the first failure, and at most.
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0
#: Seconds between two checks whether another PVD was published.
WATCH_S = 30.0

RetrievalState = Literal["ready", "unavailable"]
_Neighbours = tuple[Tensor, Tensor]


class NeighbourFinder(Protocol):
    """What a replica asks of a retriever; `poise.pvd.retriever.Retriever` is the real one."""

    search_backend: SearchBackend

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (N, K, T, C) in the windows' own frames, squared L2 distances (N, K)."""

    def stale(self) -> bool:
        """Whether another PVD has been published since this one was opened."""

    def close(self) -> None:
        """Close connections."""


class ReconnectingRetriever:
    """A retriever that a background thread opens, and opens again after a failure.

    Where another PVD is published, a new retriever is opened while the old one goes on answering.

    Args:
        open_finder: opens a retriever, which may take long; where it raises, it is called again
            later.
    """

    def __init__(self, open_finder: Callable[[], NeighbourFinder]) -> None:
        self._open_finder = open_finder
        self._finder: NeighbourFinder | None = None
        self._metrics = SearchMetrics()
        self._wanted = threading.Event()
        self._wanted.set()
        self._tried = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_open, name="retrieval", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RetrievalState:
        """Whether the next request can expect neighbours."""
        return "unavailable" if self._finder is None else "ready"

    @property
    def search_backend(self) -> SearchBackend | Literal["none"]:
        """Who searches for neighbours now."""
        finder = self._finder
        return "none" if finder is None else finder.search_backend

    def wait(self, seconds: float) -> RetrievalState:
        """Wait for the end of the first attempt, successful or not, for so many seconds at most."""
        self._tried.wait(seconds)
        return self.state

    def find_windows(self, detected_NTC: Tensor) -> _Neighbours | None:
        """Find neighbours of windows (N, T, C) of a sequence.

        Returns:
            Neighbours (N, K, T, C) in the windows' own frames and squared L2 distances (N, K); None
            while retrieval is unavailable, or where the sequence has no embedding.
        """
        finder = self._finder
        if finder is None:
            self._metrics.count("unavailable", len(detected_NTC), None)
            return None
        began = time.monotonic()
        found, outcome = self._asked(finder, detected_NTC)
        self._metrics.count(outcome, len(detected_NTC), time.monotonic() - began)
        return found

    def _asked(
        self, finder: NeighbourFinder, detected_NTC: Tensor
    ) -> tuple[_Neighbours | None, str]:
        try:
            return finder.find_windows(detected_NTC), "found"
        except VectorError as error:
            logger.warning("No neighbours for this sequence: %s", error)
            return None, "no_embedding"
        except (RetrievalError, LakeError) as error:
            logger.warning("Retrieval failed, going on without it: %s", error)
            if self._finder is finder:
                self._finder = None
                self._wanted.set()
            return None, "failed"

    def close(self) -> None:
        """Stop the background thread."""
        self._closed.set()
        self._wanted.set()

    def _keep_open(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            while not self._wanted.wait(WATCH_S) and not self._outdated():
                pass
            if self._closed.is_set():
                return
            try:
                self._replace_finder()
            except Exception as error:  # whatever it is, the next attempt may succeed
                known = isinstance(error, RetrievalError | PoiseError)
                logger.warning(
                    "No new retrieval yet, next try in %.0f s: %s",
                    pause,
                    error,
                    exc_info=not known,
                )
                self._tried.set()
                self._closed.wait(pause)
                pause = min(2 * pause, RETRY_LONGEST_S)
            else:
                self._tried.set()
                pause = RETRY_FIRST_S

    def _outdated(self) -> bool:
        finder = self._finder
        if finder is None or not finder.stale():
            return False
        logger.info("Another PVD was published: opening it.")
        return True

    def _replace_finder(self) -> None:
        # A function of its own: a name in the endless loop would keep an old one's poses.
        before, finder = self._finder, self._open_finder()
        self._wanted.clear()
        self._finder = finder
        if before is not None:
            before.close()
        logger.info("Retrieval is ready, by %s.", finder.search_backend)
