"""Raw tracks, from files or made up, as one stream of sequences."""

from collections.abc import Iterator
from pathlib import Path

from poise.catalog.tracks import Track
from poise.readers import layouts, npz_split
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.synthetic import sequences as synthetic
from poise.runtime.errors import DataError

__all__ = ["open_split", "sources", "split_exists"]


def open_split(
    data: Path | None, track: Track, split: str, size: synthetic.Size | None = None
) -> Iterator[PoseSequence | Rejected]:
    """Read or make a split of a track, sequence by sequence.

    Args:
        data: see `npz_split.read_split`; not looked at for synthetic tracks.
        track: what to open.
        split: ``train`` or ``test``.
        size: how much of a synthetic track to make; its default sizes where None.

    Raises:
        DataError: the track needs files and ``data`` is None or lacks them, or ``size`` is given
            for a track that is read from files.
    """
    if _is_made(track):
        return synthetic.sequences(split, size, track.estimator)
    if size is not None:
        raise DataError(f"{track} is read from files: a size is for synthetic tracks only")
    return npz_split.read_split(_needed(data, track), track, split)


def sources(data: Path | None, track: Track, split: str) -> list[Path]:
    """List the files a split is read from (none for synthetic tracks), for checksums.

    Raises:
        DataError: as `open_split`.
    """
    return [] if _is_made(track) else layouts.source_files(_needed(data, track), track, split)


def split_exists(data: Path | None, track: Track, split: str) -> bool:
    """Tell whether `open_split` would find the split."""
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
