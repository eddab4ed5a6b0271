"""A process that reads and refines files of strangers, one after the other, for a replica.

It stands in an empty folder of its own, may hold so much memory, and ends with its replica.
"""

import logging
import os
import resource
import shutil
import sys
import threading
import time
from typing import Final

from poise.serving.files.exchange import receive, send

logger = logging.getLogger(__name__)

_GIB: Final = 1024**3
MEMORY_BYTES: Final = 4 * _GIB
FILE_BYTES: Final = 1 * _GIB
#: A process that holds more after a file ends: what it freed would not come back otherwise.
KEPT_BYTES: Final = 1 * _GIB


def main() -> None:
    """Answer messages until the replica is gone."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for what, most in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
    os.nice(5)  # requests and streams of others come first
    import torch

    from poise.serving.files.refining import answered

    torch.set_num_threads(max(1, int(sys.argv[1])))
    send(answers, {"ready": True})
    while (message := receive(asked)) is not None:
        try:
            answer = answered(*message)
        except Exception as error:  # a mistake of ours is this file's alone
            logger.exception("A file failed.")
            answer = ({"status": 500, "message": f"it failed: {error}"}, b"")
        head, content = answer
        is_last = _held_bytes() > KEPT_BYTES
        send(answers, {**head, "last": is_last}, content)
        if is_last:
            break
    _clear()


def _held_bytes() -> int:
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * resource.getpagesize()


def _end_with(parent: int) -> None:
    """End in the middle of a file where nobody waits for it any more."""
    while os.getppid() == parent:
        time.sleep(1)
    _clear()
    os._exit(1)


def _clear() -> None:
    """Remove the folder that was made for this process."""
    shutil.rmtree(os.getcwd(), ignore_errors=True)


if __name__ == "__main__":
    main()
