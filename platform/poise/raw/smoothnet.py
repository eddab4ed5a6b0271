"""Read a track in the SmoothNet layout, sequence by sequence, into Poise's units."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from poise.errors import DataError
from poise.raw.imgname import ImageName, UniqueNames, parse_imgname
from poise.raw.layout import locate
from poise.raw.noise import noise_seed, per_frame
from poise.raw.objectnpz import npz_keys, read_object_npz
from poise.raw.stored import needs_image_shape, stored_widths, to_poise
from poise.sequences import PoseSequence, Rejected
from poise.tracks import Track

log = logging.getLogger(__name__)

#: A release of the 3DPW ground truth spells the key of the SMPL poses "psoe".
_POSE_KEYS: Final = {
    "3D": ("joints_3d", "keypoints_3d"),
    "2D": ("joints_2d", "keypoints_2d"),
    "smpl": ("pose", "psoe"),
}
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)


def read_split(data: Path, track: Track, split: str) -> Iterator[PoseSequence | Rejected]:
    """Read a split: one `PoseSequence` or `Rejected` for every sequence in the files.

    3D stays in metres, H36M and JHMDB 2D come in the published normalisation, SMPL axis-angles
    become 6D rotations. A denoise track's detections are its truth with noise per frame.

    Args:
        data: the folder that holds ``poses/``, the ``poses/`` folder, or the track's own folder.
        track: what to read.
        split: ``train`` or ``test``.

    Raises:
        DataError: a file is missing or damaged, lacks its poses, or the files disagree on the
            number of sequences; a fault within one sequence rejects that sequence only.
    """
    source = _Source.open(data, track, split)
    unique = UniqueNames()
    for place in range(source.count):
        label = source.label(place)
        name = unique.take(label.sequence)
        try:
            yield source.sequence(place, label, name)
        except _EntryError as error:
            rejected = Rejected(str(error.file), name, error.key, error.reason)
            log.warning("left out: %s", rejected)
            yield rejected


class _EntryError(Exception):
    def __init__(self, file: Path, key: str, reason: str) -> None:
        super().__init__(reason)
        self.file, self.key, self.reason = file, key, reason


@dataclass(frozen=True)
class _Column:
    """The poses of one file, and what is stored beside them; one entry per sequence."""

    file: Path
    key: str
    poses: list[Any]
    images: list[Any] | None
    image_shapes: list[Any] | None

    @classmethod
    def read(cls, file: Path, track: Track) -> Self:
        present = npz_keys(file)
        wanted = _POSE_KEYS[track.representation]
        key = next((key for key in wanted if key in present), None)
        if key is None:
            raise DataError(
                f"{file}: no key {' or '.join(wanted)}; it holds {', '.join(present) or 'nothing'}"
            )
        shapes = ["imgshape"] if needs_image_shape(track) else []
        beside = [extra for extra in ("imgname", *shapes) if extra in present]
        content = read_object_npz(file, [key, *beside])
        for extra in beside:
            if len(content[extra]) != len(content[key]):
                raise DataError(
                    f"{file}: {len(content[extra])} entries of {extra}, "
                    f"but {len(content[key])} of {key}"
                )
        if "imgname" not in beside:
            log.warning("%s has no imgname: every sequence counts as a person of its own", file)
        return cls(file, key, content[key], content.get("imgname"), content.get("imgshape"))

    def first_image(self, place: int) -> str:
        images = None if self.images is None else self.images[place]
        if isinstance(images, list | np.ndarray) and len(images) > 0:
            return str(images[0])
        return ""

    def frames(self, place: int, widths: tuple[int, ...]) -> NDArray[np.float64]:
        stored_FX = self._numbers(self.poses[place])
        if stored_FX.shape[1] not in widths:
            expected = " or ".join(map(str, widths))
            raise self.error(f"{stored_FX.shape[1]} values a frame, expected {expected}")
        if self.images is not None:
            self._check_images(self.images[place], len(stored_FX))
        # NaN fails the comparison, infinity and what float32 cannot hold exceed it.
        bad = np.flatnonzero(~(np.abs(stored_FX) <= _FLOAT32_MAX).all(axis=1))
        if len(bad):
            raise self.error(f"NaN or infinite values in {len(bad)} frames, first {bad[0]}")
        return stored_FX

    def error(self, reason: str, key: str | None = None) -> _EntryError:
        return _EntryError(self.file, key or self.key, reason)

    def _numbers(self, entry: Any) -> NDArray[np.float64]:
        if not isinstance(entry, np.ndarray):
            raise self.error(f"is a {type(entry).__name__}, not an array of numbers")
        try:
            stored = entry.astype(np.float64)
        except (TypeError, ValueError, RecursionError):
            raise self.error(f"holds {entry.dtype} values that are not numbers") from None
        if stored.ndim not in (2, 3) or stored.size == 0:
            raise self.error(f"has shape {stored.shape}, expected (frames, values)")
        return stored.reshape(len(stored), -1)

    def _check_images(self, images: Any, frames: int) -> None:
        if not isinstance(images, list | np.ndarray):
            raise self.error(f"is a {type(images).__name__}, not one name a frame", "imgname")
        if len(images) != frames:
            raise self.error(f"{len(images)} image names for {frames} frames", "imgname")


@dataclass(frozen=True)
class _Source:
    """The files of a split, matched by position."""

    track: Track
    split: str
    detected: _Column | None
    truth: _Column | None

    @classmethod
    def open(cls, data: Path, track: Track, split: str) -> Self:
        files = locate(data, track, split)
        detected = _Column.read(files.detected, track) if files.detected else None
        truth = _Column.read(files.truth, track) if files.truth else None
        if detected and truth and len(detected.poses) != len(truth.poses):
            raise DataError(
                f"{detected.file} has {len(detected.poses)} sequences and {truth.file} has "
                f"{len(truth.poses)}: they are matched by position, so write both again together"
            )
        source = cls(track, split, detected, truth)
        if needs_image_shape(track) and source.image_shapes is None:
            raise DataError(f"{source.main.file}: no key imgshape, nor in the ground truth")
        return source

    @property
    def main(self) -> _Column:
        column = self.detected or self.truth
        if column is None:
            raise DataError(f"{self.track}, {self.split}: no poses")
        return column

    @property
    def count(self) -> int:
        return len(self.main.poses)

    @property
    def image_shapes(self) -> _Column | None:
        return next((c for c in (self.truth, self.detected) if c and c.image_shapes), None)

    def label(self, place: int, column: _Column | None = None) -> ImageName:
        image = (column or self.main).first_image(place)
        return parse_imgname(self.track.dataset, image, unknown=f"{self.split}-{place:05d}")

    def sequence(self, place: int, label: ImageName, name: str) -> PoseSequence:
        info = self.track.info
        truth_FC = self._poses(self.truth, place) if self.truth else None
        if self.detected:
            detected_FC = self._poses(self.detected, place)
            if self.truth and truth_FC is not None:
                self._check_pair(place, self.truth, len(detected_FC), len(truth_FC))
        elif truth_FC is not None and info.noise:
            detected_FC = per_frame(truth_FC, info.noise, noise_seed(self.split, name))
        else:
            raise DataError(f"{self.track}, {self.split}: neither detections nor noise")
        return PoseSequence(
            name=name,
            subject=label.subject,
            camera=label.camera,
            action=label.action,
            fps=info.fps,
            detected_FC=detected_FC,
            truth_FC=truth_FC,
        )

    def _poses(self, column: _Column, place: int) -> NDArray[np.float32]:
        stored_FX = column.frames(place, stored_widths(self.track))
        return to_poise(stored_FX, self.track, self._image_shape(place, len(stored_FX)))

    def _image_shape(self, place: int, frames: int) -> NDArray[np.float64] | None:
        column = self.image_shapes
        if column is None or column.image_shapes is None:
            return None
        try:
            size = np.asarray(column.image_shapes[place], dtype=np.float64)
        except (TypeError, ValueError):
            raise column.error("is not numbers", "imgshape") from None
        sound = size.ndim == 1 or (size.ndim == 2 and len(size) == frames)
        if not sound or size.shape[-1] < 2 or not (size[..., :2] > 0).all():
            raise column.error(f"is {size.tolist()!r:.60}, expected height, width", "imgshape")
        return size[..., :2]

    def _check_pair(self, place: int, truth: _Column, detected: int, true: int) -> None:
        if detected != true:
            raise truth.error(f"{true} frames, but {detected} frames were detected")
        unknown = f"{self.split}-{place:05d}"
        ours = self.label(place).sequence
        theirs = self.label(place, truth).sequence
        if unknown not in (ours, theirs) and ours != theirs:
            raise truth.error(f"is of {theirs}, but the detections are of {ours}", "imgname")
