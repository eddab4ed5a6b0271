"""Where the SmoothNet layout keeps a track, and how to write it.

``poses/<dataset>_<estimator>_<rep>/detected/<dataset>_<estimator>_<rep>_<split>.npz`` and
``.../groundtruth/<dataset>_gt_<rep>_<split>.npz``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poise.errors import DataError
from poise.sequences import PoseSequence
from poise.tracks import Track


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split; ``detected`` is None on denoise tracks, ``truth`` where unknown."""

    detected: Path | None
    truth: Path | None

    @property
    def present(self) -> list[Path]:
        """The files there are."""
        return [path for path in (self.detected, self.truth) if path is not None]


def locate(data: Path, track: Track, split: str) -> SplitFiles:
    """Find the files of a split.

    Args:
        data: the folder that holds ``poses/``, the ``poses/`` folder, or the track's own folder.
        track: what to look for; denoise tracks need the ground truth, all others the detections.
        split: ``train`` or ``test``.

    Raises:
        DataError: the needed file is nowhere; the message lists what was looked for.
    """
    found = _find(data, track, split)
    if found is not None:
        return found
    tried = "\n  ".join(str(_needed(folder, track, split)) for folder in _candidates(data, track))
    raise DataError(
        f"no {split} data of {track} under {data}; looked for\n  {tried}\n"
        f"{data} holds {_listing(data)}"
    )


def split_exists(data: Path, track: Track, split: str) -> bool:
    """Tell whether the needed files of a split are there."""
    return _find(data, track, split) is not None


def source_files(data: Path, track: Track, split: str) -> list[Path]:
    """List the files a split is read from, detections first; raise `DataError` as `locate`."""
    return locate(data, track, split).present


def write_smoothnet(
    data: Path, track: Track, split: str, sequences: Iterable[PoseSequence]
) -> list[Path]:
    """Write sequences in the SmoothNet layout under ``data/poses``, replacing the split.

    Only 3D tracks: their stored form is Poise's own (metres). A denoise track gets its ground truth
    alone, and a split whose sequences have no truth its detections alone.

    Returns:
        The files written.

    Raises:
        DataError: not a 3D track, nothing to write, or only part of the sequences have truth.
    """
    if track.representation != "3D":
        raise DataError(f"{track}: only 3D tracks can be written in the SmoothNet layout")
    rows = list(sequences)
    truths = [row.truth_FC for row in rows if row.truth_FC is not None]
    if not rows or len(truths) not in (0, len(rows)):
        raise DataError(
            f"{track}, {split}: {len(truths)} of {len(rows)} sequences have ground truth; "
            "write at least one, and either all with or all without"
        )
    folder = data / "poses" / _folder_name(track)
    written: list[Path] = []
    if track.info.noise is None:
        path = _detected_path(folder, track, split)
        _write(path, rows, [row.detected_FC for row in rows])
        written.append(path)
    if truths:
        path = _truth_path(folder, track, split)
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


def _folder_name(track: Track) -> str:
    return track.info.folder or f"{track.dataset}_{track.estimator}_{track.representation}"


def _candidates(data: Path, track: Track) -> tuple[Path, ...]:
    name = _folder_name(track)
    return (data / "poses" / name, data / name, data)


def _detected_path(folder: Path, track: Track, split: str) -> Path:
    stem = f"{track.dataset}_{track.estimator}_{track.representation}_{split}"
    return folder / "detected" / f"{stem}.npz"


def _truth_path(folder: Path, track: Track, split: str) -> Path:
    stem = f"{track.dataset}_gt_{track.representation}_{split}"
    return folder / "groundtruth" / f"{stem}.npz"


def _needed(folder: Path, track: Track, split: str) -> Path:
    find = _detected_path if track.info.noise is None else _truth_path
    return find(folder, track, split)


def _find(data: Path, track: Track, split: str) -> SplitFiles | None:
    for folder in _candidates(data, track):
        if _needed(folder, track, split).is_file():
            truth = _truth_path(folder, track, split)
            return SplitFiles(
                _detected_path(folder, track, split) if track.info.noise is None else None,
                truth if truth.is_file() else None,
            )
    return None


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "nothing: it is not a folder"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(names[:20]) or "nothing") + more
