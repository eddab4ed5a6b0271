"""Read a split from its npz files, sequence by sequence, into Poise's units."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from poise.catalog.tracks import Track
from poise.readers.image_names import UniqueNames
from poise.readers.layouts import SplitFiles, locate
from poise.readers.npz_columns import PoseColumns
from poise.readers.npz_sequence import Entry, SequenceMaker
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.units import needs_image_shape
from poise.runtime.errors import DataError


def read_split(data: Path, track: Track, split: str) -> Iterator[PoseSequence | Rejected]:
    """Read a split: one `PoseSequence` or `Rejected` for every sequence in the files.

    3D comes in metres, 2D in the published normalisation, SMPL's axis-angles as 6D rotations. The
    detections of a denoise track are its truth with noise, drawn per frame.

    Args:
        data: the folder that holds ``poses/``, the ``poses/`` folder, or the track's own folder.
        track: what to read.
        split: ``train`` or ``test``.

    Raises:
        DataError: a file is missing or damaged, lacks its poses, or the files disagree on the
            number of sequences; a fault within one sequence rejects that sequence only.
    """
    maker, unique, place = SequenceMaker.of(track, split), UniqueNames(), 0
    for files in locate(data, track, split):
        detected, truth = open_pair(files, track)
        check_pair(track, split, detected, truth)
        count = max(column.count for column in (detected, truth) if column is not None)
        # Both files are read side by side, a sequence at a time, and to their ends.
        both = (
            itertools.repeat(None, count) if column is None else column
            for column in (detected, truth)
        )
        for ours, theirs in zip(*both, strict=True):
            yield maker.make(maker.name(Entry(place, ours, theirs), unique))
            place += 1


def open_pair(files: SplitFiles, track: Track) -> tuple[PoseColumns | None, PoseColumns | None]:
    """Open the files of detections and of truth, where there are such."""
    return (
        PoseColumns.open(files.detected, track, files.called) if files.detected else None,
        PoseColumns.open(files.truth, track.stored, files.called) if files.truth else None,
    )


def check_pair(
    track: Track, split: str, detected: PoseColumns | None, truth: PoseColumns | None
) -> None:
    """Raise `DataError` where the files do not go together, or something needed is in neither."""
    if detected and truth and detected.count != truth.count:
        raise DataError(
            f"{detected.file} has {detected.count} sequences and {truth.file} has "
            f"{truth.count}: they are matched by position, so write both again together"
        )
    columns = [column for column in (detected, truth) if column is not None]
    if not columns or (detected is None and track.info.noise is None):
        raise DataError(f"{track}, {split}: neither detections nor noise")
    if needs_image_shape(track) and not any(column.image_shapes for column in columns):
        raise DataError(f"{columns[0].file}: no key imgshape, nor in the ground truth")
