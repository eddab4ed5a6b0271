"""What a track is made from: its raw files, or the code that generates it, with checksums."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Self

from poise.catalog import datasets
from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.lake.manifest import Source
from poise.readers import layouts
from poise.readers import raw_split as raw
from poise.runtime.errors import DataError


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
    def find(cls, data: Path | None, track: Track) -> Self:
        """Look for the track; raise `DataError` where it has no split."""
        found = [split for split in SPLITS if raw.split_exists(data, track, split)]
        # Where nothing is there, asking for it gives the error that says what was looked for.
        splits = found or [split for split in SPLITS if raw.sources(data, track, split)]
        return cls(track, data, splits, checksums(data, track, splits))


def checksums(data: Path | None, track: Track, splits: Sequence[Split]) -> list[Source]:
    """Return the files the splits are read from, with size and SHA-256.

    A generated track's source is the code that makes it; so is one of simulated detections. What a
    user says of her data set is one more: with another unit or pattern the same files mean
    something else.
    """
    files = {file for split in splits for file in raw.sources(data, track, split)}
    if data is None or not files:
        return [_code("poise.readers.synthetic")]
    found = [_source(str(file.relative_to(data)), file) for file in sorted(files)]
    noise = track.info.noise
    if noise is not None and noise.kind == "simulated":
        found.append(_code("poise.readers.simulated"))
    return found if datasets.is_built_in(track.dataset) else [*found, _description(track)]


def _description(track: Track) -> Source:
    text = datasets.dataset(track.dataset).model_dump_json().encode()
    return Source(f"data set {track.dataset}", len(text), hashlib.sha256(text).hexdigest())


def _source(name: str, file: Path) -> Source:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(name, file.stat().st_size, digest)


def _code(package: str) -> Source:
    modules = sorted(
        (entry.name, entry.read_bytes())
        for entry in resources.files(package).iterdir()
        if entry.name.endswith(".py")
    )
    code = b"".join(content for _, content in modules)
    return Source(package, len(code), hashlib.sha256(code).hexdigest())
