"""Poise: smooth and precise motion from the output of human pose estimators.

``poise.read("clip.json")`` returns a `Motion`, ``poise.refine(motion)`` a clean one, and its
``write("clip.trc")`` makes a file of it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poise.motion.motion import Motion

__all__ = ["Motion", "read", "refine"]


def read(path: str | Path, **options: Any) -> "Motion":
    """Read a keypoint file of any format; see `poise.motion.files.read` for the options.

    Raises:
        poise.runtime.errors.DataError: missing, damaged, or of no known format.
    """
    from poise.motion.files import read as read_file  # imported when it is asked for

    return read_file(path, **options)


def refine(motion: "Motion", **options: Any) -> "Motion":
    """Return clean motion: same frames, people, joints and units, NaN where nothing was filled.

    `poise.refining.options.Options` has the options, and what they are by default;
    `poise.refining.refine.refine` says what was done, too.

    Raises:
        poise.runtime.errors.PoiseError: nobody of a name, no such refiner, or it does not fit.
    """
    from poise.refining.options import Options
    from poise.refining.refine import refine as refine_motion

    return refine_motion(motion, Options(**options)).after


def __getattr__(name: str) -> Any:
    if name == "Motion":
        from poise.motion.motion import Motion

        return Motion
    raise AttributeError(f"module 'poise' has no attribute {name!r}")
