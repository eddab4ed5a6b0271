"""Something done again and again beside the work, and given up when the work is done."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from poise.runtime.errors import in_short

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0


@contextmanager
def every_few_seconds(
    call: Callable[[int], None], seconds: float, name: str
) -> Iterator[threading.Event]:
    """Call in a thread of its own, with 1, 2, ..., until the block ends.

    Whatever goes wrong there is said, the first time, and left to the next call: what is said must
    not stop what is done.

    Yields:
        An event that calls at once where it is set.
    """
    over, soon = threading.Event(), threading.Event()

    def run() -> None:
        number = 0
        level = logging.WARNING
        while not over.is_set():
            number += 1
            try:
                call(number)
            except Exception as error:
                log.log(level, "cannot say now how far this is (%s); it goes on", in_short(error))
                level = logging.DEBUG
            soon.wait(seconds)
            soon.clear()

    # A daemon: a storage that never answers must not keep the process alive.
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield soon
    finally:
        over.set()
        soon.set()
        thread.join(_PATIENCE_S)
