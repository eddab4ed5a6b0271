"""What a process does with memory it has freed."""

import ctypes
import sys

#: Options of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of handing it back to the system.

    A network makes and frees the same few MB for every layer. By default glibc gives them back,
    and the system clears and maps every page of them again: a fourth of the time of refining one
    short clip on a CPU. The process then keeps what it needed at its largest. For processes
    that refine or train for long; without glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _NEVER)
        mallopt(_TRIM_THRESHOLD, _NEVER)
