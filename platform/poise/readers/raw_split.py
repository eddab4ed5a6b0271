"""Splits of raw tracks, from files or generated, as streams of sequences."""

from collections.abc import Iterator
from pathlib import Path

from poise.catalog.tracks import Track
from poise.readers import layouts, npz_split
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.synthetic import sequences as synthetic
from poise.runtime.errors import DataError


def open_split(data: Path | None, track: Track, split: str) -> Iterator[PoseSequence | Rejected]:
    """Read or generate a split of a track, sequence by sequence.

    Args:
        data: see `npz_split.read_split`; not used for synthetic tracks.
        track: which track.
        split: ``train`` or ``test``.

    Raises:
        DataError: the track needs files, and ``data`` is None or lacks them.
    """
    if _is_made(track):
        return synthetic.sequences(split, estimator=track.estimator)
    return npz_split.read_split(_needed(data, track), track, split)


def sources(data: Path | None, track: Track, split: str) -> list[Path]:
    """List the files a split is read from, for checksums; none for synthetic tracks.

    Raises:
        DataError: as `open_split`.
    """
    if _is_made(track):
        return []
    pairs = layouts.locate(_needed(data, track), track, split)
    return [path for pair in pairs for path in pair.present]


def split_exists(data: Path | None, track: Track, split: str) -> bool:
    """Say whether `open_split` finds the split."""
    if _is_made(track):
        return split in synthetic.DEFAULT_SIZES
    return data is not None and layouts.split_exists(data, track, split)


def _is_made(track: Track) -> bool:
    return track.info.folder is None


def _needed(data: Path | None, track: Track) -> Path:
    if data is None:
        raise DataError(
            f"{track} is read from files: set POISE_DATA or pass --data, the folder that holds "
            "poses/ (synthetic/simulated/3D needs none)"
        )
    return data
