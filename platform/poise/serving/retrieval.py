"""Retrieval that may be away: no request waits for it, and it is taken back when it is up."""

import logging
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor

from poise.runtime.errors import LakeError, PoiseError
from poise_retrieval.errors import RetrievalError, VectorError

logger = logging.getLogger(__name__)

#: Seconds between attempts: the first, and the longest.
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0
#: Seconds between two looks at whether another PVD was published.
WATCH_S = 30.0

State = Literal["ready", "unavailable"]


class Finder(Protocol):
    """What a replica needs of a retriever."""

    road: Literal["index", "milvus"]

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (N, T, C) in the windows' own frames, squared L2 distances (N,)."""

    def stale(self) -> bool:
        """Whether something else is published now."""

    def close(self) -> None:
        """Let go of what it holds."""


class Retrieval:
    """Hold a retriever while there is one, and try for a new one in the background while not.

    Where another PVD was published, a new retriever is made while the old one goes on answering.

    Args:
        opened: makes a retriever, or raises `RetrievalError` or `PoiseError`; may take long.
    """

    def __init__(self, opened: Callable[[], Finder]) -> None:
        self._open = opened
        self._finder: Finder | None = None
        self._wanted = threading.Event()
        self._wanted.set()
        self._tried = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="retrieval", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """Whether the next request can expect neighbours."""
        return "unavailable" if self._finder is None else "ready"

    @property
    def road(self) -> Literal["index", "milvus", "none"]:
        """Who searches."""
        finder = self._finder
        return "none" if finder is None else finder.road

    def wait(self, seconds: float) -> State:
        """Wait until the first attempt has ended, well or badly, but not longer than that."""
        self._tried.wait(seconds)
        return self.state

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor] | None:
        """Neighbours and squared distances of a sequence's windows; None while unavailable."""
        finder = self._finder
        if finder is None:
            return None
        try:
            return finder.find(detected_FC)
        except VectorError as error:
            logger.warning("No neighbours for this sequence: %s", error)
            return None
        except (RetrievalError, LakeError) as error:
            logger.warning("Retrieval failed, going on without it: %s", error)
            if self._finder is finder:
                self._finder = None
                self._wanted.set()
            return None

    def close(self) -> None:
        """Stop trying."""
        self._closed.set()
        self._wanted.set()

    def _keep(self) -> None:
        pause = RETRY_FIRST_S
        while True:
            while not self._wanted.wait(WATCH_S) and not self._outdated():
                pass
            if self._closed.is_set():
                return
            try:
                self._renew()
            except Exception as error:  # whatever it is, the next attempt may succeed
                known = isinstance(error, RetrievalError | PoiseError)
                logger.warning(
                    "No new retrieval yet, next try in %.0f s: %s",
                    *(pause, error),
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
        logger.info("Another PVD was published: taking it in.")
        return True

    def _renew(self) -> None:
        # A function of its own: a name in the endless loop would keep an old one's poses.
        before, finder = self._finder, self._open()
        self._wanted.clear()
        self._finder = finder
        if before is not None:
            before.close()
        logger.info("Retrieval is ready, by %s.", finder.road)
