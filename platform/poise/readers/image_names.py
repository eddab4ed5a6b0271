"""Sequence, subject, camera, action and take, read from the path of a frame's image."""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from poise.catalog import datasets
from poise.runtime.errors import ImageNameError
from poise.runtime.names import LONGEST_PATH, LONGEST_SUBJECT, normal, why_no_label

#: Characters of a name that is refused.
_SHOWN = 80

#: In how many lists of one element a text may lie; a list in a pickle may even hold itself.
_MOST_AXES: Final = 32
#: What ``str()`` makes of bytes.
_BYTES: Final = re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"", re.ASCII)


@dataclass(frozen=True)
class ImageName:
    """What a sequence shows.

    Attributes:
        sequence: its name.
        subject: who moves. Where the data set names no person, the take or else the sequence, so
            that retrieval still leaves out everything of the same video.
        camera: which camera saw it, where there are several.
        action: what is done, where it is known.
        take: name that all cameras of one moment share; None where there is one camera.
    """

    sequence: str
    subject: str
    camera: str | None = None
    action: str | None = None
    take: str | None = None


def parse_imgname(dataset: str, image: str, unknown: str) -> ImageName:
    """Read the image path of a sequence's first frame, in one spelling: see `normal`.

    The folder of the image names the sequence. It must match one of the data set's patterns, with
    or without further folders before it; where a data set has no patterns, the folder is all there
    is to know.

    Args:
        dataset: first part of the track's name.
        image: for example ``S9/Directions/camera55011271/000001.jpg``; may be empty.
        unknown: the sequence's name where the path has no folder.

    Raises:
        ImageNameError: the folder matches no pattern, or names what nothing could hold.
        TrackError: there is no such data set.
    """
    patterns = datasets.dataset(dataset).imgname
    _check("the image path", image, LONGEST_PATH)
    image = normal(image)
    parts = [part for part in image.replace("\\", "/").split("/")[:-1] if part not in ("", ".")]
    if not parts:
        return ImageName(unknown, unknown)
    sequence = "/".join(parts)
    if not patterns:
        return _checked(ImageName(sequence, subject=sequence))
    for pattern in patterns:
        found = _compiled(pattern).fullmatch(sequence)
        if found:
            return _checked(_name(sequence, found))
    raise ImageNameError(
        f"{image!r} matches no image name of {dataset} ({' or '.join(patterns)}): correct "
        "imgname in the file, or describe your own data set with a pattern of its own"
    )


def as_text(value: Any) -> str | None:
    """Return what a stored value says as text; None where it is no text.

    HDF5 and older NumPy give bytes, and ``str()`` of these gives ``b'...'``; both are decoded.
    Values in lists or arrays of one element, or of no axes, are taken out.
    """
    for _ in range(_MOST_AXES):
        if not isinstance(value, list | np.ndarray):
            break
        items = value if isinstance(value, list) else value.ravel()
        if len(items) != 1:
            return None
        value = items[0]
    if isinstance(value, str) and value[:1] == "b" and _BYTES.fullmatch(value):
        try:
            value = ast.literal_eval(value)  # a literal: nothing of it runs
        except (ValueError, SyntaxError):
            return str(value)
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    return value.rstrip("\0") if isinstance(value, str) else None


class UniqueNames:
    """Give every sequence of a split its own name: ``walk``, ``walk#2``, ``walk#3`` in file order.

    3DPW stores the two people of a video as two sequences of one name.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._uses: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return the name, with the first free ``#2``, ``#3``, ... where it was taken before."""
        count = self._uses.get(name, 0) + 1
        unique = name if count == 1 else f"{name}#{count}"
        while unique in self._taken:
            count += 1
            unique = f"{name}#{count}"
        self._uses[name] = count
        self._taken.add(unique)
        return unique


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # The shortest way in that fits: a pattern may be preceded by folders, but need not.
    return re.compile(f"(?:.*?/)??(?:{normal(pattern)})")


def _checked(name: ImageName) -> ImageName:
    _check("the subject", name.subject, LONGEST_SUBJECT)
    return name


def _check(what: str, text: str, longest: int) -> None:
    problem = why_no_label(text, longest)
    if problem is not None:
        raise ImageNameError(f"{what} {ascii(text)[:_SHOWN]} {problem}")


def _name(sequence: str, found: re.Match[str]) -> ImageName:
    told = {key: value for key, value in found.groupdict().items() if value}
    camera = told.get("camera")
    take = told.get("take")
    if take is None and camera is not None:
        start, end = found.span("camera")
        take = f"{sequence[:start]}*{sequence[end:]}"
    return ImageName(
        sequence,
        subject=told.get("subject") or take or sequence,
        camera=camera,
        action=told.get("action"),
        take=take,
    )
