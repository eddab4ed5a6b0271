"""Publishing in the background, so that a slow or dead tracking server never stops a sweep."""

import logging
import threading
from collections.abc import Callable

from poise.checkpoints.mlflow_client import in_words

log = logging.getLogger(__name__)

_LONGEST = 300


class BackgroundPublisher:
    """Calls ``publish(running=True)`` every few seconds, and once more at the end.

    ``publish`` runs in one thread of its own. Whatever it raises is remembered, said once in the
    log, and tried again at the next beat: the sweep's folder keeps every number meanwhile.
    """

    def __init__(self, publish: Callable[[bool], None], interval: float, where: str) -> None:
        """Remember what to call.

        Args:
            publish: called with whether the sweep is still running.
            interval: seconds between two calls.
            where: names the server in warnings.
        """
        self._publish = publish
        self._interval = interval
        self._where = where
        self._over = threading.Event()
        self._failure: Exception | None = None
        # A daemon: a server that accepts and never answers must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="poise-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self, patience: float) -> str:
        """Publish a last time; return what went wrong, or nothing.

        Args:
            patience: seconds to wait for the server altogether.
        """
        self._over.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            return f"{self._where} has not answered for {patience:.0f} s"
        return _first_line(self._failure) if self._failure else ""

    def _run(self) -> None:
        said = False
        while not self._over.wait(self._interval):
            self._once(True)
            if self._failure and not said:
                log.warning(
                    "MLflow at %s takes no metrics now (%s); they are kept, and sent later",
                    self._where,
                    _first_line(self._failure),
                )
            elif said and not self._failure:
                log.info("MLflow at %s is back", self._where)
            said = self._failure is not None
        self._once(False)

    def _once(self, running: bool) -> None:
        try:
            self._publish(running)
            self._failure = None
        # Any failure at all: tracking must never be able to end a sweep.
        except Exception as error:
            self._failure = error
            log.debug("publishing failed", exc_info=True)


def _first_line(error: Exception) -> str:
    return in_words(error)[:_LONGEST]
