"""Find the motion capture files below a folder, and read each as a clip."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from poise.mocap.clip import MotionClip, checked_clip
from poise.mocap.formats import amass, cgspeed, markers
from poise.mocap.formats.amc import read_amc
from poise.mocap.formats.asf import AsfSkeleton, read_asf
from poise.mocap.formats.body_model import Bodies
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.formats.c3d import read_c3d
from poise.mocap.formats.markers import MarkerMap
from poise.mocap.joints import ACCLAIM, pick
from poise.runtime.errors import DataError

#: CMU's own rate; AMC files do not tell it.
CMU_FPS: Final = 120.0
#: 07_01, mb_12_01, 93_charleston1, 01_01_poses.
_CMU_NAME: Final = re.compile(r"(?:[A-Za-z]+_)*(?P<take>(?P<subject>\d+)_\w+)")
#: AMASS takes, in its first releases and in SMPL-X's.
_AMASS_ENDS: Final = ("_poses.npz", "_stageii.npz")


@dataclass(frozen=True)
class Recording:
    """A file that holds a take.

    Attributes:
        subject: ``S07`` from CMU's names (07_01.amc), else the folder the file lies in, else the
            file's own name.
        take: the file's name without what stands before the subject's number.
    """

    file: Path
    subject: str
    take: str


@dataclass(frozen=True)
class CaptureDetails:
    """What the files do not say themselves.

    Attributes:
        skeletons: ASF files by subject, see `find_skeletons`.
        fps: rate by subject, and of all others under ``""``; else the rate in the file, else 120.
        markers: which markers make which joint, for C3D.
        bodies: the body models, for AMASS.
        estimate_thorax: see `cgspeed.joints_of`.
    """

    skeletons: Mapping[str, Path] = field(default_factory=dict)
    fps: Mapping[str, float] = field(default_factory=dict)
    markers: MarkerMap | None = None
    bodies: Bodies | None = None
    estimate_thorax: bool = False


def find_recordings(folder: Path) -> list[Recording]:
    """Return the takes below a folder, sorted by subject and take.

    Raises:
        DataError: it is no folder, or there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder")
    files = [file for file in folder.rglob("*") if _is_take(file)]
    if not files:
        raise DataError(
            f"{folder}: no motion capture files (.amc, .bvh, .c3d, {', '.join(_AMASS_ENDS)})"
        )
    found = [_recording(folder, file) for file in files]
    return sorted(found, key=lambda recording: (recording.subject, recording.take, recording.file))


def find_skeletons(*folders: Path) -> dict[str, Path]:
    """Return the ASF files below folders by subject; the first folder that has one wins.

    Raises:
        DataError: one is no folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: not a folder")
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() == ".asf":
                found.setdefault(subject_name(file.stem), file)
    return found


def read_recording(recording: Recording, details: CaptureDetails) -> MotionClip:
    """Read one take.

    Raises:
        DataError: it cannot be read, or something it needs is not given.
    """
    return _READERS[recording.file.suffix.lower()](recording, details)


def _is_take(file: Path) -> bool:
    if file.suffix.lower() == ".npz" and not file.name.endswith(_AMASS_ENDS):
        return False  # AMASS keeps people's shapes beside the takes
    return file.suffix.lower() in _READERS and file.is_file()


def _recording(folder: Path, file: Path) -> Recording:
    named = _CMU_NAME.fullmatch(file.stem)
    if named:
        return Recording(file, subject_name(named["subject"]), named["take"])
    inner = file.relative_to(folder).parts[:-1]
    return Recording(file, inner[-1] if inner else file.stem, file.stem)


def subject_name(text: str) -> str:
    """Return a subject's name: ``S07`` for the number 7, any other text as it is."""
    return f"S{int(text):02d}" if text.isdigit() else text


def _skeleton(recording: Recording, details: CaptureDetails) -> AsfSkeleton | None:
    file = details.skeletons.get(recording.subject)
    return read_asf(file) if file else None


def _rate(recording: Recording, details: CaptureDetails, stored: float) -> float:
    return details.fps.get(recording.subject, details.fps.get("", stored))


def _amc(recording: Recording, details: CaptureDetails) -> MotionClip:
    skeleton = _skeleton(recording, details)
    if skeleton is None:
        raise DataError(
            f"{recording.file}: no skeleton of {recording.subject}; put the subject's .asf beside "
            "it or in --skeletons FOLDER"
        )
    ends_FJ3 = read_amc(recording.file, skeleton) * skeleton.metres
    return checked_clip(
        recording.file,
        f"native-{recording.take}",
        recording.subject,
        _rate(recording, details, CMU_FPS),
        pick(ends_FJ3, skeleton.names, ACCLAIM),
    )


def _bvh(recording: Recording, details: CaptureDetails) -> MotionClip:
    take = read_bvh(recording.file)
    skeleton = _skeleton(recording, details)
    return checked_clip(
        recording.file,
        f"{cgspeed.dialect_of(take).prefix}-{recording.take}",
        recording.subject,
        _rate(recording, details, take.fps),
        cgspeed.joints_of(take, skeleton, details.estimate_thorax),
    )


def _c3d(recording: Recording, details: CaptureDetails) -> MotionClip:
    if details.markers is None:
        raise DataError(f"{recording.file}: C3D holds markers; say with --markers what they are")
    take = read_c3d(recording.file)
    return checked_clip(
        recording.file,
        f"c3d-{recording.take}",
        recording.subject,
        _rate(recording, details, take.fps),
        markers.joints_of(recording.file, take, details.markers),
    )


def _amass(recording: Recording, details: CaptureDetails) -> MotionClip:
    take = amass.read_amass(recording.file)
    if details.bodies is None:
        raise DataError(
            f"{recording.file}: AMASS holds rotations; say with --body-model which SMPL model "
            "turns them into joints"
        )
    return checked_clip(
        recording.file,
        f"amass-{recording.take}",
        recording.subject,
        _rate(recording, details, take.fps),
        amass.joints_of(take, details.bodies.of(take.gender)),
    )


_READERS: Final[dict[str, Callable[[Recording, CaptureDetails], MotionClip]]] = {
    ".amc": _amc,
    ".bvh": _bvh,
    ".c3d": _c3d,
    ".npz": _amass,
}
