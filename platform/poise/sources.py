"""What a track is made from: its raw files, or the code that generates it, with checksums."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from poise import raw
from poise.errors import DataError, TrackError
from poise.manifest import Source
from poise.rows import SPLITS, Split
from poise.tracks import Track

#: The paper's noises (Tables III, IV).
DENOISE_TASK = ("gaussian-10", "gaussian-20", "uniform-50", "uniform-100")


def is_generated(track: Track) -> bool:
    """Say whether the track needs no raw files."""
    return track.info.folder is None


def tracks_in(data: Path) -> list[Track]:
    """Return the tracks of a data folder that Poise knows, sorted.

    Folders are ``poses/<dataset>_<estimator>_<representation>``; one of truth alone gives a track
    for every noise of the denoise task.

    Raises:
        DataError: there is none.
    """
    base = data / "poses" if (data / "poses").is_dir() else data
    folders = sorted(path.name for path in base.iterdir()) if base.is_dir() else []
    found = [track for folder in folders for track in _tracks_of(folder) if _is_there(data, track)]
    if not found:
        raise DataError(
            f"no known track under {base} (it holds {', '.join(folders[:20]) or 'nothing'}); "
            "expected folders such as uiprmd_kinect_3D"
        )
    return found


def _tracks_of(folder: str) -> list[Track]:
    dataset, _, rest = folder.partition("_")
    estimator, _, representation = rest.rpartition("_")
    names = [f"{dataset}/{estimator}/{representation}"]
    if estimator == "noise":
        names = [f"{dataset}/{noise}/{representation}" for noise in DENOISE_TASK]
    try:
        return [Track.parse(name) for name in names]
    except TrackError:
        return []


def _is_there(data: Path, track: Track) -> bool:
    return any(raw.split_exists(data, track, split) for split in SPLITS)


def splits_of(data: Path | None, track: Track) -> list[Split]:
    """Return the splits there are; raise `DataError` where there is none."""
    found = [split for split in SPLITS if raw.split_exists(data, track, split)]
    # Where nothing is there, asking for it gives the error that says what was looked for.
    return found or [split for split in SPLITS if raw.sources(data, track, split)]


def checksums(data: Path | None, track: Track, splits: Sequence[Split]) -> list[Source]:
    """Return the files the splits are read from, with size and SHA-256.

    A generated track's source is the code that makes it.
    """
    files = {file for split in splits for file in raw.sources(data, track, split)}
    if data is None or not files:
        return _generator()
    return [_source(str(file.relative_to(data)), file) for file in sorted(files)]


def _source(name: str, file: Path) -> Source:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(name, file.stat().st_size, digest)


def _generator() -> list[Source]:
    modules = sorted(
        (entry.name, entry.read_bytes())
        for entry in resources.files("poise.raw").iterdir()
        if entry.name.endswith(".py")
    )
    code = b"".join(content for _, content in modules)
    return [Source("poise.raw", len(code), hashlib.sha256(code).hexdigest())]
