"""The columns of one npz file: poses, image names and image sizes, one entry a sequence."""

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.readers.image_names import as_text
from poise.readers.missing import confidences, no_confidences
from poise.readers.units import POSE_KEYS, needs_image_shape, stored_widths
from poise.readers.untrusted.located import Located, Unpacked
from poise.readers.untrusted.object_npz import ObjectColumn, listed, npz_keys
from poise.readers.untrusted.safe_pickle import Refused
from poise.runtime.errors import DataError

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: What estimators' confidences are called.
_CONFIDENCE: Final = ("confidence", "confidences", "conf", "scores", "keypoint_scores")


class EntryError(Exception):
    """What is wrong with one sequence, in which file and column."""

    def __init__(self, file: Path, key: str, reason: str) -> None:
        super().__init__(reason)
        self.file, self.key, self.reason = file, key, reason


@dataclass(frozen=True)
class Images:
    """The image names of a sequence, of which few are kept.

    Attributes:
        first: of the first frame; empty where it is unknown.
        count: how many names there are; None where one name is that of all frames.
        turn: the first frame whose image lies in another folder, and its name; None where all lie
            in one.
    """

    first: str
    count: int | None
    turn: tuple[int, str] | None = None

    @classmethod
    def of(cls, names: Any) -> Any:
        """Sum up the names of a sequence; what can be none is returned as it is."""
        if isinstance(names, np.ndarray):
            names = names.tolist()
        if names is None or isinstance(names, str | bytes):
            return cls(as_text(names) or "", None)
        if not isinstance(names, list):
            return names
        if len(names) == 1 and isinstance(names[0], list | np.ndarray):
            return cls.of(names[0])
        if len(names) > 1 and type(names[0]) is str and _in_one_folder(names):
            return cls(names[0], len(names))
        texts = [as_text(name) or "" for name in names]
        first = next(filter(None, texts), "")
        folder = _folder(first)
        turns = (place for place, text in enumerate(texts) if text and _folder(text) != folder)
        turn = next(turns, None) if first else None
        return cls(first, len(texts), None if turn is None else (turn, texts[turn]))


def _in_one_folder(names: list[Any]) -> bool:
    """Say, quickly, whether these are texts as they stand, of one folder; no may be wrong."""
    folder = _folder(names[0])
    if not folder or folder[0] == "b" or not all(type(name) is str for name in names):
        return False
    together = "".join(names)
    return (
        all(name.startswith(folder) for name in names)
        and "\0" not in together
        and all(together.count(mark) == len(names) * folder.count(mark) for mark in "/\\")
    )


def _folder(image: str) -> str:
    return image[: max(image.rfind("/"), image.rfind("\\")) + 1]


@dataclass(frozen=True)
class StoredSequence:
    """A sequence as a file stores it.

    Attributes:
        poses: its frames, or where they are (`Located`); so is ``confidence``.
        stamp: of the file that they were located in, by `storage.stamp`.
    """

    file: Path
    key: str
    poses: Any
    images: Any
    image_shape: Any
    confidence: Any = None
    stamp: tuple[int, int] | None = None

    @property
    def image(self) -> str:
        """Path of the first frame's image; empty where it is unknown."""
        return self.images.first if isinstance(self.images, Images) else ""

    def frames(self, widths: tuple[int, ...], dims: int) -> tuple[Floats, Floats | None]:
        """Return the frames (F, X), and the confidence (F, J) of each joint where there is one.

        Args:
            widths: what X may be.
            dims: numbers of a joint; one more is taken for its confidence.

        Raises:
            EntryError: these are no such frames.
        """
        stored_FX = self._numbers()
        width = stored_FX.shape[1]
        confidence_FJ = self._confidences(len(stored_FX))
        if width not in widths:
            stored_FX, confidence_FJ = self._apart(stored_FX, widths, dims)
        if confidence_FJ is not None and confidence_FJ.shape[1] * dims != stored_FX.shape[1]:
            raise self.error(f"has {confidence_FJ.shape[1]} values a frame", "confidence")
        if self.images is not None:
            self._check_images(len(stored_FX))
        return stored_FX, confidence_FJ

    def _apart(
        self, stored_FX: Floats, widths: tuple[int, ...], dims: int
    ) -> tuple[Floats, Floats]:
        """Take the confidence that follows each joint off its coordinates."""
        frames, width = stored_FX.shape
        expected = f"{width} values a frame, expected {' or '.join(map(str, widths))}"
        if width % (dims + 1) or width // (dims + 1) * dims not in widths:
            raise self.error(expected)
        joints_FJX = stored_FX.reshape(frames, -1, dims + 1)
        last_FJ = joints_FJX[..., dims]
        if not confidences(last_FJ):
            raise self.error(f"{expected}; {no_confidences(last_FJ)}")
        return joints_FJX[..., :dims].reshape(frames, -1), last_FJ

    def image_size(self, frames: int) -> NDArray[np.float64] | None:
        """Return height and width, (2,) or (F, 2); None where the file has none."""
        if self.image_shape is None:
            return None
        try:
            size = np.asarray(self.image_shape, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.error("is not numbers", "imgshape") from None
        sound = size.ndim == 1 or (size.ndim == 2 and len(size) == frames)
        if not sound or size.shape[-1] < 2 or not (size[..., :2] > 0).all():
            raise self.error(f"is {size.tolist()!r:.60}, expected height, width", "imgshape")
        return size[..., :2]

    def error(self, reason: str, key: str | None = None) -> EntryError:
        """Make the error that rejects this sequence."""
        return EntryError(self.file, key or self.key, reason)

    def _numbers(self) -> NDArray[np.float64]:
        entry = self.poses
        if isinstance(entry, Refused):
            raise self.error(str(entry))
        if entry is None or not isinstance(entry, list | np.ndarray):
            kind = "None" if entry is None else f"a {type(entry).__name__}"
            raise self.error(f"is {kind}, not an array of numbers")
        try:
            stored = np.asarray(entry, dtype=np.float64)
        except (TypeError, ValueError, RecursionError):
            kind = "a list of" if isinstance(entry, list) else str(entry.dtype)
            raise self.error(f"holds {kind} values that are not numbers") from None
        stored = _without_axes_of_one(stored)
        if stored.ndim not in (2, 3) or stored.size == 0:
            raise self.error(f"has shape {stored.shape}, expected (frames, values)")
        return stored.reshape(len(stored), -1)

    def _confidences(self, frames: int) -> Floats | None:
        if self.confidence is None:
            return None
        try:
            found = np.asarray(self.confidence, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.error("is not numbers", "confidence") from None
        if found.ndim < 2:
            return None  # of frames or of the sequence, not of joints
        if len(found) != frames:
            raise self.error(f"has shape {found.shape} for {frames} frames", "confidence")
        return found.reshape(frames, -1)

    def _check_images(self, frames: int) -> None:
        if isinstance(self.images, Refused):
            raise self.error(f"{self.images}: names are strings", "imgname")
        if not isinstance(self.images, Images):
            kind = type(self.images).__name__
            raise self.error(f"is a {kind}, not one name a frame", "imgname")
        # One more or less tells as well whose they are.
        if self.images.count is not None and abs(self.images.count - frames) > 1:
            raise self.error(f"{self.images.count} image names for {frames} frames", "imgname")


@dataclass(frozen=True)
class PoseColumns:
    """The columns of one file, read side by side."""

    file: Path
    key: str
    count: int
    poses: ObjectColumn
    images: ObjectColumn | None
    image_shapes: ObjectColumn | None
    confidences: ObjectColumn | None
    one_frame: frozenset[tuple[int, ...]] = frozenset()
    named: Images | None = None

    @classmethod
    def open(cls, file: Path, track: Track, called: str | None = None) -> Self:
        """Open a file.

        Args:
            file: the npz file.
            track: whose poses it holds.
            called: name of what it holds, where a split has many files. It may then be a sequence
                without an axis in front.

        Raises:
            DataError: columns are missing, or of different lengths.
        """
        present = npz_keys(file)
        wanted = POSE_KEYS[track.representation]
        key = next((key for key in wanted if key in present), None)
        if key is None:
            raise DataError(f"{file}: no key {' or '.join(wanted)}; it holds {listed(present)}")
        poses = ObjectColumn(file, key)
        alone = _is_one_sequence(poses, track)
        if alone:
            _check_layout(poses, called)
            poses = ObjectColumn(file, key, alone=True)
        images = shapes = named = None
        if "imgname" in present:
            images = ObjectColumn(file, "imgname", Images.of, alone=alone)
        elif alone and called:
            named = Images(f"{called}/0", None)
        if needs_image_shape(track) and "imgshape" in present:
            shapes = ObjectColumn(file, "imgshape", alone=alone)
        sure = next((name for name in _CONFIDENCE if name in present), None)
        confidences = None if sure is None else ObjectColumn(file, sure, alone=alone)
        if confidences is not None and confidences.count != poses.count:
            log.warning("%s: %s has other entries than %s: not read", file, sure, key)
            confidences = None
        for beside in (images, shapes, confidences):
            if beside is not None and beside.count != poses.count:
                raise DataError(
                    f"{file}: {beside.count} entries of {beside.key}, but {poses.count} of {key}"
                )
        if images is None and named is None:
            log.warning("%s has no imgname: every sequence counts as a person of its own", file)
        frame = frozenset(_shapes_of_a_frame(track))
        return cls(file, key, poses.count, poses, images, shapes, confidences, frame, named)

    def __iter__(self) -> Iterator[StoredSequence]:
        """Read sequence by sequence; raise `DataError` where the file is damaged."""
        return self._read(_whole)

    def locate(self, unpacked: Unpacked) -> Iterator[StoredSequence]:
        """Read all but the poses and confidences, of which it is told where they are.

        Args:
            unpacked: where they go if the file is compressed.

        Raises:
            NotLocatedError: they have to be read in one go.
            DataError: the file is damaged.
        """
        return self._read(lambda column: column.locate(unpacked))

    def _read(self, numbers: Callable[[ObjectColumn], Iterator[Any]]) -> Iterator[StoredSequence]:
        columns = (
            (self.images and iter(self.images)) or itertools.repeat(self.named, self.count),
            (self.image_shapes and iter(self.image_shapes)) or itertools.repeat(None, self.count),
            (self.confidences and numbers(self.confidences)) or itertools.repeat(None, self.count),
        )
        nameless = 0
        poses_of = self._sequences(numbers(self.poses))
        for poses, images, *others in zip(poses_of, *columns, strict=True):
            nameless += isinstance(images, Images) and not images.first
            yield StoredSequence(self.file, self.key, poses, images, *others)
        if nameless:
            which = f"{nameless} of {self.count} sequences: each counts as a person of its own"
            log.warning("%s: imgname names no image in %s", self.file, which)

    def _sequences(self, entries: Iterator[Any]) -> Iterator[Any]:
        for first in entries:
            if self.one_frame and _shape(first) in self.one_frame:
                # One may be odd; two in a row are how somebody saved a list of frames.
                second = list(itertools.islice(entries, 1))
                if second and _shape(second[0]) == _shape(first):
                    raise DataError(
                        f"{self.file}: the {self.count} entries of {self.key} are of shape "
                        f"{_shape(first)}, which is one frame, not a sequence; if they are one "
                        f"sequence, save it as np.array([frames]), with an axis in front"
                    )
                yield first
                yield from second
            else:
                yield first
            yield from entries


def _whole(column: ObjectColumn) -> Iterator[Any]:
    return iter(column)


def _shapes_of_a_frame(track: Track) -> Iterator[tuple[int, ...]]:
    dims = track.info.dims if track.representation != "smpl" else 3
    for width in stored_widths(track):
        joints = width // dims
        for numbers in (dims, dims + 1):  # a confidence may follow
            yield from ((joints * numbers,), (joints, numbers))


def _shape(entry: Any) -> tuple[int, ...] | None:
    if isinstance(entry, Located):
        return entry.shape
    if not isinstance(entry, list | np.ndarray):
        return None
    try:
        return np.shape(entry)
    except ValueError:  # rows of different lengths
        return None


def _is_one_sequence(column: ObjectColumn, track: Track) -> bool:
    """Say whether the poses look like one sequence, not like one entry a sequence."""
    shape, widths = column.shape, stored_widths(track)
    dims = track.info.dims if track.representation != "smpl" else 3
    flat = len(shape) == 2 and shape[1] in widths and column.dtype != object
    nested = len(shape) == 3 and shape[2] == dims and shape[1] * shape[2] in widths
    return flat or nested


def _check_layout(column: ObjectColumn, called: str | None) -> None:
    if called is None or column.dtype.hasobject:
        raise DataError(
            f"{column.path}: {column.key} {column.shape} looks like one sequence: add an axis in "
            f"front (np.savez(..., {column.key}={column.key}[None])), or cut it into its takes and "
            "save a list of them"
        )


def _without_axes_of_one(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop axes of length 1 that (1, F, J, D) and (F, 1, J, D) have too many."""
    while stored.ndim > 3 and 1 in stored.shape[:-2]:
        stored = stored.squeeze(stored.shape.index(1))
    return stored
