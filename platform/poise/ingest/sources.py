"""What a track is made from: its raw files, or the code that generates it, with checksums."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Self

from poise.catalog import datasets
from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.ingest.tasks import in_tasks
from poise.lake.manifest import Source
from poise.readers import layouts
from poise.readers import raw_split as raw
from poise.runtime.errors import DataError, in_short

#: Bytes of files that this process reads for itself.
_IN_THREADS = 256 * 2**20


def is_generated(track: Track) -> bool:
    """Say whether the track needs no raw files."""
    return track.info.folder is None


def tracks_in(data: Path) -> list[Track]:
    """Return the tracks of a data folder that the catalogue knows, sorted.

    Raises:
        DataError: there is none.
    """
    found = layouts.tracks_under(data)
    if not found:
        held = ", ".join(unknown_folders(data, [])[:20])
        raise DataError(
            f"no known track under {data} (it holds {held or 'nothing'}); expected folders such as "
            "poses/uiprmd_kinect_3D or detected_poses/h36m/fcn. A data set of your own needs a "
            "small TOML file: see docs/own-data.md"
        )
    return found


def unknown_folders(data: Path, tracks: Sequence[Track]) -> list[str]:
    """Return the folders of a data folder that should hold a track, but in which none was found."""
    known = {track.info.folder for track in tracks} | {track.dataset for track in tracks}
    places = [data / name for name in ("poses", "detected_poses", "groundtruth_poses")]
    there = [place for place in places if place.is_dir()] or [data]
    return sorted(
        str(entry.relative_to(data))
        for place in there
        if place.is_dir()
        for entry in place.iterdir()
        if entry.is_dir() and entry.name not in known
    )


@dataclass(frozen=True)
class RawTrack:
    """A track as it was found: which splits there are, and what they are read from.

    Attributes:
        data: folder of the raw files; None for a generated track.
    """

    track: Track
    data: Path | None
    splits: list[Split]
    sources: list[Source]

    @classmethod
    def find(
        cls, data: Path | None, track: Track, start_ray: Callable[[], object] | None = None
    ) -> Self:
        """Look for the track, and read its files once, for their checksums.

        Args:
            data: folder of the raw files.
            track: which track.
            start_ray: called before large files are read, which is then done in tasks.

        Raises:
            DataError: the track has no split.
        """
        found = [split for split in SPLITS if raw.split_exists(data, track, split)]
        # Where nothing is there, asking for it gives the error that says what was looked for.
        splits = found or [split for split in SPLITS if raw.sources(data, track, split)]
        return cls(track, data, splits, checksums(data, track, splits, start_ray))


def checksums(
    data: Path | None,
    track: Track,
    splits: Sequence[Split],
    start_ray: Callable[[], object] | None = None,
) -> list[Source]:
    """Return the files the splits are read from, with size and SHA-256.

    A generated track's source is the code that makes it; so is one of simulated detections. What a
    user says of her data set is one more: with another unit or pattern the same files mean
    something else.
    """
    files = sorted({file for split in splits for file in raw.sources(data, track, split)})
    if data is None or not files:
        return [_code("poise.readers.synthetic")]
    names = [str(file.relative_to(data)) for file in files]
    sizes = [file.stat().st_size for file in files]
    if start_ray is not None and sum(sizes) > _IN_THREADS:
        start_ray()
        told = dict(in_tasks(_digest, files, "the folder for temporary files"))
        digests = [told[number] for number in range(len(files))]
    else:
        with ThreadPoolExecutor() as threads:  # hashing leaves the lock to the others
            digests = list(threads.map(_digest, files))
    found = list(map(Source, names, sizes, digests))
    noise = track.info.noise
    if noise is not None and noise.kind == "simulated":
        found.append(_code("poise.readers.simulated"))
    return found if datasets.is_built_in(track.dataset) else [*found, _description(track)]


def _description(track: Track) -> Source:
    text = datasets.dataset(track.dataset).model_dump_json().encode()
    return Source(f"data set {track.dataset}", len(text), hashlib.sha256(text).hexdigest())


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:  # what is written is at fault elsewhere
        raise DataError(f"{file}: cannot be read ({in_short(error)}); copy it again") from None


def _code(package: str) -> Source:
    modules = sorted(
        (entry.name, entry.read_bytes())
        for entry in resources.files(package).iterdir()
        if entry.name.endswith(".py")
    )
    code = b"".join(content for _, content in modules)
    return Source(package, len(code), hashlib.sha256(code).hexdigest())
