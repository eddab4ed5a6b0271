"""Poise: smooth and precise motion from the output of human pose estimators.

``poise.read("clip.json")`` returns a `Motion`, whose ``write("clip.trc")`` makes a file of it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poise.motion.motion import Motion

__all__ = ["Motion", "read"]


def read(path: str | Path, **options: Any) -> "Motion":
    """Read a keypoint file of any format; see `poise.motion.files.read` for the options.

    Raises:
        poise.runtime.errors.DataError: missing, damaged, or of no known format.
    """
    from poise.motion.files import read as read_file  # imported when it is asked for

    return read_file(path, **options)


def __getattr__(name: str) -> Any:
    if name == "Motion":
        from poise.motion.motion import Motion

        return Motion
    raise AttributeError(f"module 'poise' has no attribute {name!r}")
