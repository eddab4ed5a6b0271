"""Find the motion capture files below a folder, and read each as a clip."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from poise.catalog.dataset_file import METRES
from poise.mocap import skeleton_map
from poise.mocap.clip import MotionClip, checked_clip
from poise.mocap.formats import amass, cgspeed, markers
from poise.mocap.formats.amc import read_amc
from poise.mocap.formats.asf import AsfSkeleton, read_asf
from poise.mocap.formats.body_model import Bodies
from poise.mocap.formats.bvh import read_bvh
from poise.mocap.formats.c3d import read_c3d
from poise.mocap.formats.kinematics import Floats
from poise.mocap.formats.markers import MarkerMap
from poise.mocap.joints import ACCLAIM, JointMap, enough, pick
from poise.mocap.people import Naming, Person, take_name, told_apart
from poise.mocap.skeleton_files import SkeletonFiles, files_below
from poise.runtime.errors import DataError

#: CMU's own rate; AMC files do not tell it.
CMU_FPS: Final = 120.0
#: AMASS takes, in its first releases and in SMPL-X's.
_AMASS_ENDS: Final = ("_poses.npz", "_stageii.npz")


@dataclass(frozen=True)
class Recording:
    """A file that holds a take.

    Attributes:
        subject: who moves; empty where nothing tells.
        take: the file's name, see `people.take_name`.
        rule: how the subject was found.
        problem: why nothing tells who moves.
    """

    file: Path
    subject: str
    take: str
    rule: str = "folder"
    problem: str = ""


@dataclass(frozen=True)
class CaptureDetails:
    """What the files do not say themselves.

    Attributes:
        skeletons: the ASF files.
        fps: rate by subject, and of all others under ``""``; else the rate in the file, else 120.
        markers: which markers make which joint, for C3D.
        bodies: the body models, for AMASS.
        estimate_thorax: see `cgspeed.joints_of`.
        skeleton_map: which joints of BVH files, and bones of AMC files with names unlike CMU's, are
            the 17; for files that have them.
        unit: of C3D, BVH and AMC files, instead of what they, their names and maps say.
    """

    skeletons: SkeletonFiles = field(default_factory=SkeletonFiles)
    fps: Mapping[str, float] = field(default_factory=dict)
    markers: MarkerMap | None = None
    bodies: Bodies | None = None
    estimate_thorax: bool = False
    unit: str = ""
    skeleton_map: JointMap | None = None


def find_recordings(
    folder: Path, subject_from: str = "", skeletons: SkeletonFiles | None = None
) -> list[Recording]:
    """Return the takes below a folder, sorted by subject and take.

    Args:
        folder: where they are, at any depth; links to folders are followed.
        subject_from: see `people.Naming`.
        skeletons: ASF files, whose names tell CMU's takes.

    Raises:
        DataError: it is no folder, or there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder")
    files = [file for file in files_below(folder) if _is_take(file)]
    if not files:
        raise DataError(f"{folder}: no motion capture files (.amc, .bvh, .c3d, or .npz of AMASS)")
    naming = Naming(folder, subject_from, skeletons.numbers if skeletons else frozenset())
    people = [_person(naming, file) for file in files]
    found = [
        Recording(file, subject, take_name(file, one), one.rule, "" if subject else one.rule)
        for file, one, subject in zip(files, people, told_apart(people), strict=True)
    ]
    return sorted(found, key=lambda recording: (recording.subject, recording.take, recording.file))


def read_recording(recording: Recording, details: CaptureDetails) -> MotionClip:
    """Read one take.

    Raises:
        DataError: it cannot be read, or something it needs is not given.
    """
    if recording.problem:
        raise DataError(recording.problem)
    return _READERS[recording.file.suffix.lower()](recording, details)


def _is_take(file: Path) -> bool:
    kind = file.suffix.lower()
    if kind == ".npz" and not file.name.lower().endswith(_AMASS_ENDS):
        return amass.holds_take(file)  # AMASS keeps people's shapes beside the takes
    # A link to nowhere is left out with a word, a pipe or a device in silence.
    return kind in _READERS and (file.is_file() or not file.exists())


def _person(naming: Naming, file: Path) -> Person:
    try:
        return naming.person(file)
    except DataError as error:
        return Person("", str(error))


def _rate(recording: Recording, details: CaptureDetails, stored: float) -> float:
    fps = details.fps.get(recording.subject, details.fps.get("", stored))
    if not 0 < fps < math.inf:
        raise DataError(
            f"{recording.file}: {fps:g} frames a second are no rate; say with --source-fps what "
            "it was recorded at"
        )
    return fps


def _amc(recording: Recording, details: CaptureDetails) -> MotionClip:
    file = details.skeletons.of(recording.file, recording.subject)
    if file is None:
        raise DataError(
            f"{recording.file}: no skeleton of {recording.subject}; put the subject's .asf beside "
            "it or in --skeletons FOLDER"
        )
    skeleton = read_asf(file)
    metres = METRES[details.unit] if details.unit else skeleton.metres
    ends_FJ3 = read_amc(recording.file, skeleton) * metres
    joints = ACCLAIM
    if details.skeleton_map and "lfemur" not in skeleton.names:
        joints = details.skeleton_map
    return checked_clip(
        recording.file,
        f"native-{recording.take}",
        recording.subject,
        _rate(recording, details, CMU_FPS),
        _joints(file, ends_FJ3, skeleton, joints),
        skeleton.notes,
    )


def _joints(file: Path, ends_FJ3: Floats, skeleton: AsfSkeleton, joints: JointMap) -> Floats:
    try:
        return pick(ends_FJ3, skeleton.names, joints)
    except DataError as error:
        raise DataError(
            f"{file}: {error}; say with --skeleton-map MAP.toml which bones' ends they are: poise "
            "convert --show-skeleton prints one to fill in"
        ) from None


def _bvh(recording: Recording, details: CaptureDetails) -> MotionClip:
    take = read_bvh(recording.file)
    names = details.skeleton_map
    if names is None or not enough(skeleton_map.spelt(names, take.names)):
        known = cgspeed.is_known(take)
        names = None if known else skeleton_map.known_map(take) or names
    if names is not None:
        joints_FJ3, notes = skeleton_map.joints_of(take, names, details.unit)
        return checked_clip(
            recording.file,
            f"bvh-{recording.take}",
            recording.subject,
            _rate(recording, details, take.fps),
            joints_FJ3,
            (*take.notes, *notes),
        )
    file = details.skeletons.of(recording.file, recording.subject)
    skeleton: AsfSkeleton | None = read_asf(file) if file else None
    return checked_clip(
        recording.file,
        f"{cgspeed.dialect_of(take).prefix}-{recording.take}",
        recording.subject,
        _rate(recording, details, take.fps),
        cgspeed.joints_of(take, skeleton, details.estimate_thorax, details.unit),
        take.notes,
    )


def _c3d(recording: Recording, details: CaptureDetails) -> MotionClip:
    if details.markers is None:
        raise DataError(f"{recording.file}: C3D holds markers; say with --markers what they are")
    take = read_c3d(recording.file, details.unit or details.markers.unit)
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
        amass.joints_of(take, details.bodies.of(take.gender, take.family)),
        take.notes,
    )


_READERS: Final[dict[str, Callable[[Recording, CaptureDetails], MotionClip]]] = {
    ".amc": _amc,
    ".bvh": _bvh,
    ".c3d": _c3d,
    ".npz": _amass,
}
