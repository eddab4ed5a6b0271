"""Where the usual folder layouts keep a track, and how to write the most common one.

SmoothNet: ``poses/<dataset>_<estimator>_<rep>/``, in it
``detected/<dataset>_<estimator>_<rep>_<split>.npz`` and
``groundtruth/<dataset>_gt_<rep>_<split>.npz``. DeciWatch keeps all representations in one file:
``detected_poses/<dataset>/<estimator>/<dataset>_<estimator>_<split>.npz`` and
``groundtruth_poses/<dataset>/<dataset>_gt_<split>.npz``. A user's data set may name its own paths.
"""

import logging
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog import datasets
from poise.catalog.dataset_file import ANY, DataSet, TrackPart
from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.readers.sequence import PoseSequence
from poise.readers.units import POSE_KEYS
from poise.readers.untrusted.object_npz import npz_keys
from poise.runtime.errors import DataError
from poise.runtime.names import ESTIMATOR, ESTIMATOR_RULE
from poise.runtime.remote_path import remembered

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitFiles:
    """The files of a split, or of a piece of it.

    Attributes:
        detected: None for denoise tracks.
        truth: may be missing for all others.
        called: what the path says that tells this piece from the others of its split; None where
            there is one piece.
    """

    detected: Path | None
    truth: Path | None
    called: str | None = None

    @property
    def present(self) -> list[Path]:
        """The files that exist, detections first."""
        return [path for path in (self.detected, self.truth) if path is not None]


@dataclass(frozen=True)
class _Layout:
    """Templates of the paths under the data folder."""

    detected: str
    truth: str | None

    def needed(self, part: TrackPart) -> str:
        """Denoise tracks need the ground truth, all others the detections."""
        return self.truth if part.noise and self.truth is not None else self.detected


_STEM: Final = "{dataset}_{estimator}_{representation}_{split}.npz"
_TRUTH_STEM: Final = "{dataset}_gt_{representation}_{split}.npz"
_SMOOTHNET: Final = tuple(
    _Layout(f"{above}detected/{_STEM}", f"{above}groundtruth/{_TRUTH_STEM}")
    for above in ("poses/{folder}/", "{folder}/", "")
)
#: ``data`` is the track's own folder.
_OWN_FOLDER: Final = _SMOOTHNET[-1]
_DECIWATCH: Final = _Layout(
    "detected_poses/{dataset}/{estimator}/{dataset}_{estimator}_{split}.npz",
    "groundtruth_poses/{dataset}/{dataset}_gt_{split}.npz",
)


def locate(data: Path, track: Track, split: str) -> list[SplitFiles]:
    """Find the files of a split, in the order of their paths.

    Args:
        data: the folder that holds ``poses/`` or ``detected_poses/``, the ``poses/`` folder, or the
            track's own folder in it; for a data set that names its paths, the folder they are in.
        track: what to look for; denoise tracks need the ground truth, all others the detections.
        split: ``train`` or ``test``.

    Raises:
        DataError: the needed file is nowhere; the message lists what was looked for.
    """
    found = _find(data, track, split)
    if found:
        return found
    tried = "\n  ".join(map(str, needed_files(data, track, split)))
    raise DataError(
        f"no {split} data of {track} under {data}; looked for\n  {tried}\n"
        f"{data} holds {_listing(data)}"
    )


def needed_files(data: Path, track: Track, split: str) -> list[Path]:
    """Return where `locate` looks for the file that it needs, in its order."""
    layouts = _layouts(datasets.dataset(track.dataset))
    return [data / _filled(layout.needed(track.part), track, split) for layout in layouts]


def split_exists(data: Path, track: Track, split: str) -> bool:
    """Say whether the needed files of a split are there."""
    return bool(_find(data, track, split))


def tracks_under(data: Path) -> list[Track]:
    """Return the tracks of the catalogue that have files in a data folder, sorted.

    A ground truth of its own gives one track for each noise level that the catalogue names.

    Raises:
        DataError: a file that several representations share is damaged.
    """
    with remembered(data):
        found = {
            track
            for dataset in datasets.known().values()
            if not dataset.generated
            for part in dataset.tracks
            for layout in _layouts(dataset)
            for track in _tracks_of(data, dataset, part, layout)
        }
    return sorted(found)


def write_smoothnet(
    data: Path, track: Track, split: str, sequences: Iterable[PoseSequence]
) -> list[Path]:
    """Write sequences in the SmoothNet layout under ``data/poses``, replacing the split.

    It writes 3D tracks in metres, whose stored form is Poise's own: of a denoise track the ground
    truth only, and of sequences without truth the detections only.

    Returns:
        The files written.

    Raises:
        DataError: not a 3D track in metres, nothing to write, or only part of the sequences have
            truth.
    """
    if track.representation != "3D" or track.info.metres != 1.0:
        raise DataError(f"{track}: only 3D tracks in metres can be written in the SmoothNet layout")
    rows = list(sequences)
    truths = [row.truth_FC for row in rows if row.truth_FC is not None]
    if not rows or len(truths) not in (0, len(rows)):
        raise DataError(
            f"{track}, {split}: {len(truths)} of {len(rows)} sequences have ground truth; "
            "write at least one, and either all with or all without"
        )
    written: list[Path] = []
    if track.info.noise is None:
        path = data / _filled(_SMOOTHNET[0].detected, track, split)
        _write(path, rows, [row.detected_FC for row in rows])
        written.append(path)
    if truths:
        path = data / _filled(f"poses/{{folder}}/groundtruth/{_TRUTH_STEM}", track, split)
        _write(path, rows, truths)
        written.append(path)
    return written


def _write(path: Path, rows: Sequence[PoseSequence], poses: Sequence[NDArray[np.float32]]) -> None:
    names = np.empty(len(rows), dtype=object)
    arrays = np.empty(len(rows), dtype=object)
    for place, (row, array) in enumerate(zip(rows, poses, strict=True)):
        names[place] = [f"{row.name}/{frame:06d}" for frame in range(len(array))]
        arrays[place] = np.ascontiguousarray(array, dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, imgname=names, joints_3d=arrays)


def _layouts(dataset: DataSet) -> tuple[_Layout, ...]:
    if dataset.files is not None:
        return (_Layout(dataset.files.detected, dataset.files.truth),)
    return (*_SMOOTHNET, _DECIWATCH)


def _filled(template: str, track: Track, split: str) -> str:
    return template.format(
        folder=track.info.folder,
        dataset=track.dataset,
        estimator=track.estimator,
        representation=track.stored.representation,
        split=split,
    )


def _find(data: Path, track: Track, split: str) -> list[SplitFiles]:
    noise = track.part.noise
    for layout in _layouts(datasets.dataset(track.dataset)):
        needed = _matching(data, layout.needed(track.part), track, split)
        if not needed:
            continue
        truths = needed if noise else {}
        if layout.truth and not noise:
            truths = _matching(data, layout.truth, track, split)
        return [
            SplitFiles(None if noise else file, truths.get(stars), "/".join(stars) or None)
            for stars, file in needed.items()
        ]
    return []


def _matching(data: Path, template: str, track: Track, split: str) -> dict[tuple[str, ...], Path]:
    """Return the files that fit a template, by what its stars stand for, in order."""
    text = _filled(template, track, split)
    if "*" not in text:
        return {(): data / text} if (data / text).is_file() else {}
    pattern = re.compile(re.escape(text).replace(r"\*", "([^/]*)"))
    found = {
        match.groups(): file
        for file in data.glob(text)
        if (match := pattern.fullmatch(file.relative_to(data).as_posix()))
    }
    return dict(sorted(found.items()))


def _tracks_of(data: Path, dataset: DataSet, part: TrackPart, layout: _Layout) -> Iterator[Track]:
    template = layout.needed(part)
    for estimator in _estimators(data, dataset, part, template):
        if dataset.part(part.representation, estimator) is not part:
            continue
        track = Track(dataset.name, estimator, part.representation)
        if layout is _OWN_FOLDER and data.name != track.info.folder:
            continue
        there = [
            file for split in SPLITS for file in _matching(data, template, track, split).values()
        ]
        if there and ("{representation}" in template or _holds(there[0], track.stored.part)):
            yield track


def _estimators(data: Path, dataset: DataSet, part: TrackPart, template: str) -> set[str]:
    named = {name for name in part.estimators if name != ANY}
    if ANY not in part.estimators or part.noise:
        return named
    template = template.replace("{folder}", "{dataset}_{estimator}_{representation}")
    fixed = {"dataset": dataset.name, "representation": part.representation}
    pattern = ""
    for literal, field, _, _ in string.Formatter().parse(template):
        pattern += re.escape(literal).replace(r"\*", "[^/]*")
        if field == "estimator":
            pattern += "(?P=estimator)" if "estimator" in pattern else "(?P<estimator>[^/]+?)"
        elif field is not None:
            pattern += fixed.get(field, "[^/]+")
    files = data.glob(template.format(**fixed, estimator="*", split="*"))
    found = (re.fullmatch(pattern, file.relative_to(data).as_posix()) for file in files)
    return named | {match["estimator"] for match in found if match and _usable(data, match)}


def _usable(data: Path, match: re.Match[str]) -> bool:
    """Say whether an estimator may be named as a file is; warn where not."""
    if ESTIMATOR.fullmatch(match["estimator"]):
        return True
    log.warning("%s is not taken: %s", data / match.string, ESTIMATOR_RULE)
    return False


def _holds(file: Path, part: TrackPart) -> bool:
    return any(key in POSE_KEYS[part.representation] for key in npz_keys(file))


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "nothing: it is not a folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(names[:20]) or "nothing") + more
