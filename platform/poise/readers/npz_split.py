"""Read a split from its npz files, sequence by sequence, into Poise's units."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Noise, Track, TrackInfo
from poise.readers.filling import too_little, whole
from poise.readers.image_names import ImageName, UniqueNames, parse_imgname
from poise.readers.layouts import locate
from poise.readers.missing import never_seen
from poise.readers.noise import noise_seed, per_frame
from poise.readers.npz_columns import EntryError, Images, PoseColumns, StoredSequence
from poise.readers.scale import no_person
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.units import needs_image_shape, stored_widths, to_poise
from poise.runtime.errors import DataError, ImageNameError, in_short

log = logging.getLogger(__name__)


def read_split(data: Path, track: Track, split: str) -> Iterator[PoseSequence | Rejected]:
    """Read a split: one `PoseSequence` or `Rejected` for every sequence in the files.

    3D comes in metres, 2D in the published normalisation, SMPL's axis-angles as 6D rotations. The
    detections of a denoise track are its truth with noise, drawn per frame.

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
    for entry in source.entries():
        yield _sequence(source, entry, unique)


def _sequence(source: "_Source", entry: "_Entry", unique: UniqueNames) -> PoseSequence | Rejected:
    """Make a sequence of an entry; whatever is wrong with the entry leaves out that one only."""
    file, key = str(entry.main.file), entry.main.key
    name = ""
    try:
        label = source.label(entry.place, entry.main.image)
        name = unique.take(label.sequence)
        return source.sequence(entry, label, name)
    except EntryError as fault:
        file, key, reason = str(fault.file), fault.key, fault.reason
    except ImageNameError as error:
        key, reason = "imgname", str(error)
    except Exception as error:
        log.debug("%s, sequence %s: unforeseen", file, name, exc_info=error)
        reason = f"cannot be read: {in_short(error)}"
    return Rejected(file, name or unique.take(source.unknown(entry.place)), key, reason)


@dataclass(frozen=True)
class _Entry:
    """A sequence as both files have it."""

    place: int
    detected: StoredSequence | None
    truth: StoredSequence | None

    @property
    def main(self) -> StoredSequence:
        stored = self.detected or self.truth
        assert stored is not None  # noqa: S101
        return stored


@dataclass(frozen=True)
class _Poses:
    """Poses without gaps, and the joints that were filled; None where none was."""

    poses_FC: NDArray[np.float32]
    unseen_FJ: NDArray[np.bool_] | None

    def cut(self, frames: int) -> Self:
        """Return the first frames."""
        unseen_FJ = None if self.unseen_FJ is None else self.unseen_FJ[:frames]
        return replace(self, poses_FC=self.poses_FC[:frames], unseen_FJ=unseen_FJ)


def _untrue(truth: _Poses, detected: _Poses) -> NDArray[np.bool_] | None:
    """Return what is not scored: truth that is not known, and joints that no detection shows."""
    if detected.unseen_FJ is None:
        return truth.unseen_FJ
    never_J = never_seen(detected.unseen_FJ)
    if not never_J.any():
        return truth.unseen_FJ
    never_FJ = np.broadcast_to(never_J, detected.unseen_FJ.shape)
    return never_FJ.copy() if truth.unseen_FJ is None else truth.unseen_FJ | never_FJ


@dataclass(frozen=True)
class _Source:
    """The files of a split, matched by position."""

    track: Track
    split: str
    info: TrackInfo
    widths: tuple[int, ...]
    detected: PoseColumns | None
    truth: PoseColumns | None

    @classmethod
    def open(cls, data: Path, track: Track, split: str) -> Self:
        files = locate(data, track, split)
        detected = PoseColumns.open(files.detected, track) if files.detected else None
        truth = PoseColumns.open(files.truth, track.stored) if files.truth else None
        if detected and truth and detected.count != truth.count:
            raise DataError(
                f"{detected.file} has {detected.count} sequences and {truth.file} has "
                f"{truth.count}: they are matched by position, so write both again together"
            )
        source = cls(track, split, track.info, stored_widths(track.stored), detected, truth)
        columns = [column for column in (detected, truth) if column is not None]
        if not columns or (detected is None and source.info.noise is None):
            raise DataError(f"{track}, {split}: neither detections nor noise")
        if needs_image_shape(track) and not any(column.image_shapes for column in columns):
            raise DataError(f"{columns[0].file}: no key imgshape, nor in the ground truth")
        return source

    def entries(self) -> Iterator[_Entry]:
        """Yield every sequence; both files are read side by side, a sequence at a time."""
        columns = (self.detected, self.truth)
        count = max(column.count for column in columns if column is not None)
        detected, truth = (
            itertools.repeat(None, count) if column is None else column for column in columns
        )
        for place, (ours, theirs) in enumerate(zip(detected, truth, strict=True)):
            yield _Entry(place, ours, theirs)

    def unknown(self, place: int) -> str:
        """Name a sequence whose image paths do not name it."""
        return f"{self.split}-{place:05d}"

    def label(self, place: int, image: str) -> ImageName:
        return parse_imgname(self.track.dataset, image, self.unknown(place))

    def sequence(self, entry: _Entry, label: ImageName, name: str) -> PoseSequence:
        info = self.info
        self._check_one_person(entry, label)
        note = ""
        truth = self._poses(entry.truth, entry) if entry.truth else None
        if entry.detected:
            detected = self._poses(entry.detected, entry)
            if entry.truth and truth:
                frames, true = len(detected.poses_FC), len(truth.poses_FC)
                self._check_pair(entry, entry.truth, label, frames, true)
                if frames != true:
                    note = f"{frames} frames detected, {true} of truth: the last one was cut off"
                    detected, truth = (one.cut(min(frames, true)) for one in (detected, truth))
        else:
            assert truth is not None and info.noise is not None  # noqa: S101, PT018
            if self.track.stored != self.track:
                truth, detected = self._images(truth, name, entry.main)
            else:
                detected = self._noisy(truth, info.noise, name, entry.main)
        return PoseSequence(
            name=name,
            subject=label.subject,
            camera=label.camera,
            action=label.action,
            fps=info.fps,
            detected_FC=detected.poses_FC,
            truth_FC=None if truth is None else truth.poses_FC,
            take=label.take,
            unseen_FJ=detected.unseen_FJ,
            untrue_FJ=None if truth is None else _untrue(truth, detected),
            note=note,
        )

    def _noisy(self, truth: _Poses, noise: Noise, name: str, stored: StoredSequence) -> _Poses:
        seed = noise_seed(self.split, name)
        if noise.kind != "simulated":
            return _Poses(per_frame(truth.poses_FC, noise, seed), truth.unseen_FJ)
        # Here and not above: torch takes seconds.
        from poise.readers.simulated.sequence import simulated

        assert self.info.skeleton is not None  # noqa: S101
        seen_FJD = simulated(truth.poses_FC, self.info.skeleton, seed)
        if truth.unseen_FJ is not None:
            seen_FJD[truth.unseen_FJ] = np.nan
        return self._whole(seen_FJD.reshape(truth.poses_FC.shape), stored, self.track)

    def _images(self, truth: _Poses, name: str, stored: StoredSequence) -> tuple[_Poses, _Poses]:
        from poise.readers.simulated.sequence import simulated_images

        space = self.track.stored.info
        assert space.skeleton is not None  # noqa: S101
        assert space.up is not None  # noqa: S101
        seed = noise_seed(self.split, name)
        image_FJD, seen_FJD = simulated_images(truth.poses_FC, space.skeleton, space.up, seed)
        if truth.unseen_FJ is not None:
            seen_FJD[truth.unseen_FJ] = np.nan
        frames = len(image_FJD)
        seen = self._whole(seen_FJD.reshape(frames, -1), stored, self.track)
        return _Poses(image_FJD.reshape(frames, -1), truth.unseen_FJ), seen

    def _poses(self, stored: StoredSequence, entry: _Entry) -> "_Poses":
        track = self.track.stored
        dims = track.info.dims if track.representation != "smpl" else 3
        stored_FX, confidence_FJ = stored.frames(self.widths, dims)
        sized = next(
            (one for one in (entry.truth, entry.detected) if one and one.image_shape is not None),
            None,
        )
        size = None if sized is None else sized.image_size(len(stored_FX))
        return self._whole(to_poise(stored_FX, track, size, confidence_FJ), stored, track)

    def _whole(
        self, poses_FC: NDArray[np.float32], stored: StoredSequence, track: Track
    ) -> "_Poses":
        """Fill what was not seen; raise `EntryError` where that cannot be, or is no person."""
        info = track.info
        lost_FJD = ~np.isfinite(poses_FC).reshape(len(poses_FC), info.joints, info.dims)
        nothing = too_little(np.logical_or.reduce(lost_FJD, axis=-1), info)
        if nothing:
            raise stored.error(nothing)
        poses_FC, unseen_FJ = whole(poses_FC, info)
        if track.representation == "3D":
            wrong = no_person(poses_FC.reshape(len(poses_FC), info.joints, 3), info.metres)
            if wrong:
                raise stored.error(wrong)
        return _Poses(poses_FC, unseen_FJ)

    def _check_one_person(self, entry: _Entry, label: ImageName) -> None:
        """Refuse two takes in one: the image names change to those of another person."""
        images = entry.main.images
        turn = images.turn if isinstance(images, Images) else None
        if turn is None or label.sequence == self.unknown(entry.place):
            return
        frame, image = turn
        if self.label(entry.place, image).subject != label.subject:
            raise entry.main.error(
                f"frame 0 is {images.first}, frame {frame} {image}: two takes in one sequence; cut "
                "it where the name changes",
                "imgname",
            )

    def _check_pair(
        self, entry: _Entry, truth: StoredSequence, label: ImageName, detected: int, true: int
    ) -> None:
        if abs(detected - true) > 1:
            raise truth.error(f"{true} frames, but {detected} frames were detected")
        try:
            theirs = self.label(entry.place, truth.image).sequence
        except ImageNameError as error:
            raise truth.error(str(error), "imgname") from None
        unknown = self.unknown(entry.place)
        if unknown not in (label.sequence, theirs) and label.sequence != theirs:
            raise truth.error(
                f"is of {theirs}, but the detections are of {label.sequence}", "imgname"
            )
