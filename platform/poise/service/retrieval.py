"""Retrieval that may be away: no request waits for it, and it is taken back when it is up."""

import logging
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor

from poise.errors import PoiseError
from poise_retrieval.errors import RetrievalError, VectorError

logger = logging.getLogger(__name__)

#: Seconds between attempts: the first, and the longest.
RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0

State = Literal["ready", "unavailable"]


class Finder(Protocol):
    """What a request needs of a retriever."""

    def find(self, detected_FC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (N, T, C) in the windows' own frames, squared L2 distances (N,)."""


class Retrieval:
    """Hold a retriever while there is one, and try for a new one in the background while not.

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
        except RetrievalError as error:
            logger.warning("Retrieval failed, going on without it: %s", error)
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
            self._wanted.wait()
            if self._closed.is_set():
                return
            try:
                finder = self._open()
            except Exception as error:  # whatever it is, the next attempt may succeed
                known = isinstance(error, RetrievalError | PoiseError)
                logger.warning(
                    "No retrieval yet, next try in %.0f s: %s", pause, error, exc_info=not known
                )
                self._tried.set()
                self._closed.wait(pause)
                pause = min(2 * pause, RETRY_LONGEST_S)
                continue
            self._wanted.clear()
            self._finder = finder
            self._tried.set()
            pause = RETRY_FIRST_S
            logger.info("Retrieval is ready.")
