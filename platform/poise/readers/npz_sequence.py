"""A sequence of npz files as Poise has it: in its units, without gaps, with its names."""

import logging
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from poise.catalog.tracks import Noise, Track, TrackInfo
from poise.readers.filling import too_little, whole
from poise.readers.image_names import ImageName, UniqueNames, parse_imgname
from poise.readers.missing import never_seen
from poise.readers.noise import noise_seed, per_frame
from poise.readers.npz_columns import EntryError, Images, StoredSequence
from poise.readers.scale import no_person
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.units import stored_widths, to_poise
from poise.runtime.errors import ImageNameError, in_short

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A sequence as the files of detections and of truth have it.

    Attributes:
        place: number of the sequence in its split.
    """

    place: int
    detected: StoredSequence | None
    truth: StoredSequence | None

    @property
    def main(self) -> StoredSequence:
        """What names it."""
        stored = self.detected or self.truth
        assert stored is not None  # noqa: S101
        return stored


@dataclass(frozen=True)
class Named:
    """An entry with its name in the split.

    Attributes:
        label: what its image's path says; None where it says nothing that can be read, and the
            sequence is left out because of ``key`` and ``reason``.
    """

    entry: Entry
    name: str
    label: ImageName | None
    key: str = ""
    reason: str = ""


def _unforeseen(entry: Entry, error: Exception) -> str:
    log.debug("%s, sequence %d: unforeseen", entry.main.file, entry.place, exc_info=error)
    return f"cannot be read: {in_short(error)}"


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
class SequenceMaker:
    """Makes the sequences of a split, each by itself."""

    track: Track
    split: str
    info: TrackInfo
    widths: tuple[int, ...]

    @classmethod
    def of(cls, track: Track, split: str) -> Self:
        """Prepare for a split."""
        return cls(track, split, track.info, stored_widths(track.stored))

    def name(self, entry: Entry, unique: UniqueNames) -> Named:
        """Name an entry; the names of those before it are taken."""
        key = entry.main.key
        try:
            label = self._label(entry.place, entry.main.image)
            return Named(entry, unique.take(label.sequence), label)
        except ImageNameError as error:
            key, reason = "imgname", str(error)
        except Exception as error:
            reason = _unforeseen(entry, error)
        return Named(entry, unique.take(self._unknown(entry.place)), None, key, reason)

    def make(self, named: Named) -> PoseSequence | Rejected:
        """Make a sequence; whatever is wrong with the entry leaves out that one only."""
        entry = named.entry
        file, key, reason = str(entry.main.file), named.key, named.reason
        if named.label is not None:
            try:
                return self._sequence(entry, named.label, named.name)
            except EntryError as fault:
                file, key, reason = str(fault.file), fault.key, fault.reason
            except Exception as error:
                key, reason = entry.main.key, _unforeseen(entry, error)
        return Rejected(file, named.name, key, reason)

    def _unknown(self, place: int) -> str:
        """Name a sequence whose image paths do not name it."""
        return f"{self.split}-{place:05d}"

    def _label(self, place: int, image: str) -> ImageName:
        return parse_imgname(self.track.dataset, image, self._unknown(place))

    def _sequence(self, entry: Entry, label: ImageName, name: str) -> PoseSequence:
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

    def _poses(self, stored: StoredSequence, entry: Entry) -> _Poses:
        track = self.track.stored
        dims = track.info.dims if track.representation != "smpl" else 3
        stored_FX, confidence_FJ = stored.frames(self.widths, dims)
        sized = next(
            (one for one in (entry.truth, entry.detected) if one and one.image_shape is not None),
            None,
        )
        size = None if sized is None else sized.image_size(len(stored_FX))
        return self._whole(to_poise(stored_FX, track, size, confidence_FJ), stored, track)

    def _whole(self, poses_FC: NDArray[np.float32], stored: StoredSequence, track: Track) -> _Poses:
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

    def _check_one_person(self, entry: Entry, label: ImageName) -> None:
        """Refuse two takes in one: the image names change to those of another person."""
        images = entry.main.images
        turn = images.turn if isinstance(images, Images) else None
        if turn is None or label.sequence == self._unknown(entry.place):
            return
        frame, image = turn
        if self._label(entry.place, image).subject != label.subject:
            raise entry.main.error(
                f"frame 0 is {images.first}, frame {frame} {image}: two takes in one sequence; cut "
                "it where the name changes",
                "imgname",
            )

    def _check_pair(
        self, entry: Entry, truth: StoredSequence, label: ImageName, detected: int, true: int
    ) -> None:
        if abs(detected - true) > 1:
            raise truth.error(f"{true} frames, but {detected} frames were detected")
        try:
            theirs = self._label(entry.place, truth.image).sequence
        except ImageNameError as error:
            raise truth.error(str(error), "imgname") from None
        unknown = self._unknown(entry.place)
        if unknown not in (label.sequence, theirs) and label.sequence != theirs:
            raise truth.error(
                f"is of {theirs}, but the detections are of {label.sequence}", "imgname"
            )
