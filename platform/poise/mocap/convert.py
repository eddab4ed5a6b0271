"""Convert motion capture files to a track of ground truth, to which denoise tracks add noise."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from poise.catalog import datasets
from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track, catalogue
from poise.mocap.clip import JOINTS, MotionClip
from poise.mocap.formats.body_model import Bodies
from poise.mocap.formats.markers import read_marker_map
from poise.mocap.people import is_action, subject_name
from poise.mocap.recordings import (
    CaptureDetails,
    Recording,
    find_recordings,
    read_recording,
)
from poise.mocap.skeleton_files import SkeletonFiles
from poise.mocap.skeleton_map import read_skeleton_map
from poise.readers import layouts
from poise.readers.image_names import UniqueNames
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import DataError

#: Callback with the number of files read, the number of all, and what came of the last one.
Progress = Callable[[int, int, str], None]

log = logging.getLogger(__name__)

#: What releases and copies put behind a take's name.
_COPY = re.compile(r"(_poses|_stageii|[ _-]*copy|[ _]*\(\d+\))+$", re.I)


@dataclass(frozen=True)
class Capture:
    """Files of motion capture, and what they do not say themselves.

    Attributes:
        folder: where the files are, at any depth.
        fps: rate to bring them to, a whole fraction of theirs.
        subject_from: see `people.Naming`.
        source_fps: rate by subject (``S07``), and of all others under ``""``, where files do not
            say or are wrong.
        skeletons: where further .asf files are.
        estimate_thorax: give native BVH takes without .asf a thorax as long as their upper back.
        markers: which C3D markers make which joint.
        skeleton_map: which joints of BVH files are the 17.
        unit: of C3D files, one of `METRES`, where they do not say or are wrong.
        body_model: of AMASS, a folder by gender or one file for everybody.
    """

    folder: Path
    fps: float
    subject_from: str = ""
    source_fps: Mapping[str, float] = field(default_factory=dict)
    skeletons: Path | None = None
    estimate_thorax: bool = False
    markers: Path | None = None
    body_model: Path | None = None
    unit: str = ""
    skeleton_map: Path | None = None


@dataclass
class Takes:
    """What was read below a folder: clips at one rate, and what there is to say."""

    folder: Path
    files: int
    notes: list[str]
    clips: list[MotionClip] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TestPeople:
    """Who is tested on: those named, else every n-th person, the first one first."""

    named: Sequence[str] | None = None
    every: int = 4


@dataclass(frozen=True)
class WrittenSplit:
    """What went into a split; ``path`` is None where it has no takes."""

    split: Split
    takes: int
    frames: int
    subjects: list[str]
    path: Path | None


def noise_track(dataset: str) -> Track:
    """Return one of the noise tracks of a data set, all of which share their files.

    Raises:
        TrackError: there is no such data set.
        DataError: it has no noise tracks of our joints.
    """
    datasets.dataset(dataset)  # says which there are
    for track in catalogue():
        if track.dataset == dataset and track.info.noise and track.info.joints == len(JOINTS):
            return track
    raise DataError(f"{dataset} has no noise tracks of {len(JOINTS)} joints; try another data set")


def parse_rates(texts: Sequence[str]) -> dict[str, float]:
    """Read ``60`` and ``SUBJECT=60`` as `Capture.source_fps`, else raise `DataError`."""
    rates: dict[str, float] = {}
    for text in texts:
        subject, _, rate = text.rpartition("=")
        try:
            rates |= dict.fromkeys((subject, subject_name(subject)), float(rate))
        except ValueError:
            raise DataError(f"--source-fps {text}: write 60 or SUBJECT=60") from None
    if any(rate <= 0 for rate in rates.values()):
        raise DataError("--source-fps: rates are above zero")
    return rates


def read_takes(capture: Capture, progress: Progress) -> Takes:
    """Read all recordings below a folder; those that cannot be read are left out.

    Raises:
        DataError: there are none, or skeletons, markers or body models cannot be read.
    """
    details = _details(capture)
    recordings = find_recordings(capture.folder, capture.subject_from, details.skeletons)
    subjects = frozenset(recording.subject.casefold() for recording in recordings)
    details = replace(details, skeletons=replace(details.skeletons, people=subjects))
    takes, batch = Takes(capture.folder, len(recordings), _who(recordings)), _Batch()
    for count, recording in enumerate(recordings, start=1):
        try:
            clip = batch.clip(recording, details, capture.fps)
            takes.clips.append(clip)
            takes.notes += clip.notes
            done = f"{clip.subject}/{clip.name}: {clip.frames} frames"
        except DataError as error:
            takes.left_out.append(str(error))
            done = f"{recording.file.name}: left out"
        except Exception:  # whatever is odd about one take, the others are read
            log.debug("reading %s", recording.file, exc_info=True)
            takes.left_out.append(
                f"{recording.file}: something in it is not as Poise expects; please report it"
            )
            done = f"{recording.file.name}: left out"
        progress(count, len(recordings), done)
    takes.notes += batch.notes()
    return takes


def check_free(data: Path, track: Track, overwrite: bool) -> None:
    """Raise `DataError` where a data folder has the track already and may not lose it."""
    files = _existing(data, track)
    if files and not overwrite:
        raise DataError(f"{files[0]} exists; choose another --out, or replace it with --overwrite")


def write_takes(takes: Takes, data: Path, track: Track, people: TestPeople) -> list[WrittenSplit]:
    """Write takes as the train and test split of a track, replacing what is there.

    Raises:
        DataError: there are no takes, a named person has none, or they cannot be written.
    """
    if not takes.clips:
        raise DataError(f"{takes.folder}: none of {takes.files} files could be converted")
    tested = _tested(sorted({clip.subject for clip in takes.clips}), people)
    for path in _existing(data, track):
        path.unlink()  # also the split that may not be written again
    of_split: dict[Split, list[MotionClip]] = {split: [] for split in SPLITS}
    for clip in takes.clips:
        of_split["test" if clip.subject in tested else "train"].append(clip)
    return [_write(data, track, split, clips) for split, clips in of_split.items()]


def _details(capture: Capture) -> CaptureDetails:
    markers = read_marker_map(capture.markers) if capture.markers else None
    return CaptureDetails(
        skeletons=SkeletonFiles.below(capture.folder, capture.skeletons),
        fps=dict(capture.source_fps),
        markers=markers,
        bodies=Bodies(capture.body_model) if capture.body_model else None,
        estimate_thorax=capture.estimate_thorax,
        unit=capture.unit,
        skeleton_map=read_skeleton_map(capture.skeleton_map) if capture.skeleton_map else None,
    )


def _who(recordings: Sequence[Recording]) -> list[str]:
    """Say who was found, by which rule, and how many takes each has."""
    counts = Counter((one.rule, one.subject) for one in recordings if one.subject)
    lines = []
    for rule in dict.fromkeys(rule for rule, _ in counts):
        found = [f"{subject} ({count})" for (by, subject), count in counts.items() if by == rule]
        lines.append(f"people by {rule}: {len(found)}, with takes: {', '.join(found)}")
    named = [subject for rule, subject in counts if rule == "folder"]
    actions = [subject for subject in named if is_action(subject)]
    if actions and len(actions) * 2 >= len(named):
        lines.append(
            f"{', '.join(actions[:4])}: folders that are called as actions count as people; if one "
            "person is in several, say with --subject-from name or a regular expression who moves"
        )
    folders = {one.file.parent for one in recordings}
    if len(folders) == 1 < len(recordings) and {rule for rule, _ in counts} == {"folder"}:
        lines.append(
            "all takes lie in one folder and count as one person's; if they are several people's, "
            "say with --subject-from name or a regular expression who moves"
        )
    return lines


class _Batch:
    """The takes that were read so far: each content of one name once, each name once."""

    def __init__(self) -> None:
        self._names = UniqueNames()
        self._first: dict[tuple[str, str, bytes], Path] = {}
        self._contents: dict[bytes, Path] = {}
        self.alike: list[tuple[Path, Path]] = []

    def clip(self, recording: Recording, details: CaptureDetails, fps: float) -> MotionClip:
        clip = read_recording(recording, details)
        content = hashlib.sha256(clip.joints_FJ3.tobytes()).digest()
        key = clip.subject, _COPY.sub("", recording.take), content
        if key in self._first:
            raise DataError(f"{recording.file}: the same take as {self._first[key]}")
        try:
            clip = clip.resampled(fps)
        except DataError as error:
            raise DataError(f"{recording.file}: {error}") from None
        self._first[key] = recording.file
        earlier = self._contents.setdefault(content, recording.file)
        if earlier != recording.file:
            self.alike.append((earlier, recording.file))
        name = self._names.take(f"{clip.subject}/{clip.name}").removeprefix(f"{clip.subject}/")
        return replace(clip, name=name)

    def notes(self) -> list[str]:
        if not self.alike:
            return []
        first, second = self.alike[0]
        others = f", and {len(self.alike) - 1} others" if len(self.alike) > 1 else ""
        return [
            f"same content, kept for another name or person: {second} as {first}{others}",
        ]


def _existing(data: Path, track: Track) -> list[Path]:
    splits = [split for split in SPLITS if layouts.split_exists(data, track, split)]
    pairs = [pair for split in splits for pair in layouts.locate(data, track, split)]
    return [path for pair in pairs for path in pair.present]


def _tested(subjects: list[str], people: TestPeople) -> set[str]:
    if people.named is None:
        if people.every < 2:
            raise DataError(f"--test-every {people.every}: at least 2, or nothing is learned")
        return set(subjects[:: people.every]) if len(subjects) > 1 else set()
    tested = {text if text in subjects else subject_name(text) for text in people.named}
    unknown = sorted(tested - set(subjects))
    if unknown:
        raise DataError(f"no takes of {', '.join(unknown)}; there are {', '.join(subjects)}")
    return tested


def _write(data: Path, track: Track, split: Split, clips: Sequence[MotionClip]) -> WrittenSplit:
    rows = []
    for clip in clips:
        joints_FC = clip.joints_FJ3.reshape(clip.frames, -1)
        name = f"{clip.subject}/{clip.name}"
        rows.append(PoseSequence(name, clip.subject, None, None, clip.fps, joints_FC, joints_FC))
    path = None
    if rows:
        try:
            (path,) = layouts.write_smoothnet(data, track, split, rows)
        except OSError as error:
            raise DataError(f"{data}: cannot be written to ({error.strerror})") from None
    subjects = sorted({clip.subject for clip in clips})
    return WrittenSplit(split, len(clips), sum(clip.frames for clip in clips), subjects, path)
