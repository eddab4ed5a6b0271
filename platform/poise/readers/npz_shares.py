"""A split of npz files cut into shares, which tasks read by themselves.

A first pass over each file reads all but the poses, of which it notes where they lie; compressed
ones it unpacks. Then every sequence can be named, which takes the names of all before it, and after
that each can be read alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from poise.catalog.tracks import Track
from poise.readers.image_names import UniqueNames
from poise.readers.npz_columns import PoseColumns, StoredSequence
from poise.readers.npz_sequence import Entry, Named, SequenceMaker
from poise.readers.npz_split import check_pair
from poise.readers.sequence import PoseSequence, Rejected
from poise.readers.untrusted.located import Located, NotLocatedError, Unpacked
from poise.runtime import storage
from poise.runtime.errors import DataError, in_short

#: Bytes that are read without need, at most, for each that is needed.
_WASTE: Final = 0.5
_LEAVE: Final = "run the ingest again, and leave the raw files as they are until it is done"


@dataclass(frozen=True)
class Listed:
    """What the first pass finds in a file: its columns, and its sequences without poses."""

    columns: PoseColumns
    stored: list[StoredSequence]


def list_file(file: Path, track: Track, unpacked: str, called: str | None = None) -> Listed | None:
    """Read all of a file but the poses; None where it can only be read in one go.

    Args:
        file: the npz file.
        track: whose sequences it holds, as they are stored.
        unpacked: path or URI to which compressed poses are unpacked.
        called: see `PoseColumns.open`.

    Raises:
        DataError: the file is damaged, or its content is not what the track's has to be.
        OSError: poses cannot be unpacked there.
    """
    stamp = storage.stamp(file)  # before anything is read: it is compared afterwards
    columns = PoseColumns.open(file, track, called)
    folder, _, name = unpacked.rpartition("/")
    with storage.draft(folder) as draft:
        into = Unpacked(unpacked, draft.file)
        try:
            stored = [replace(one, stamp=stamp) for one in columns.locate(into)]
        except NotLocatedError:
            return None
        if into.end:
            draft.publish(name)
    return Listed(columns, stored)


Pair = tuple[Listed | None, Listed | None]


def named_entries(track: Track, split: str, pairs: Iterable[Pair]) -> list[Named]:
    """Name the sequences of a split, whose poses may be anywhere.

    Args:
        track: what they are of.
        split: likewise.
        pairs: the files of detections and of truth, in the order of `poise.readers.layouts.locate`.

    Raises:
        DataError: the files do not go together.
    """
    maker, unique = SequenceMaker.of(track, split), UniqueNames()
    found: list[Named] = []
    for detected, truth in pairs:
        columns = [None if one is None else one.columns for one in (detected, truth)]
        check_pair(track, split, *columns)
        both = (repeat(None) if one is None else one.stored for one in (detected, truth))
        for ours, theirs in zip(*both, strict=False):
            found.append(maker.name(Entry(len(found), ours, theirs), unique))
    return found


def frames_of(named: Named) -> int:
    """Return how many frames an entry has, as far as that can be told."""
    poses = named.entry.main.poses
    return int(poses.shape[0]) if isinstance(poses, Located) and poses.shape else 0


def bytes_of(named: Named) -> int:
    """Return how many bytes of poses an entry has where they lie."""
    return sum(array.nbytes for array in _arrays(named))


def read_share(
    track: Track, split: str, share: Sequence[Named]
) -> Iterator[PoseSequence | Rejected]:
    """Read the sequences of a share, all of whose poses are in memory together.

    Raises:
        DataError: a file changed, or cannot be read any more.
    """
    maker = SequenceMaker.of(track, split)
    values = _values(list(chain.from_iterable(map(_arrays, share))))
    _see_that_none_changed(share, {array.file for array in values})
    for one in share:
        entry = one.entry
        yield maker.make(
            replace(
                one,
                entry=replace(
                    entry,
                    detected=_with(entry.detected, values),
                    truth=_with(entry.truth, values),
                ),
            )
        )


def _stored(named: Named) -> list[StoredSequence]:
    return [one for one in (named.entry.detected, named.entry.truth) if one is not None]


def _arrays(named: Named) -> list[Located]:
    return [
        array
        for one in _stored(named)
        for array in (one.poses, one.confidence)
        if isinstance(array, Located)
    ]


def _with(
    stored: StoredSequence | None, values: dict[Located, NDArray[Any]]
) -> StoredSequence | None:
    if stored is None:
        return None
    poses, confidence = (
        values[one] if isinstance(one, Located) else one
        for one in (stored.poses, stored.confidence)
    )
    return replace(stored, poses=poses, confidence=confidence)


def _see_that_none_changed(share: Sequence[Named], files: set[str]) -> None:
    """Compare the raw files that were read just now with what they were when they were listed."""
    stamps = {str(one.file): one.stamp for named in share for one in _stored(named)}
    for file in sorted(files & stamps.keys()):
        if storage.stamp(file) != stamps[file]:
            raise DataError(f"{file}: changed since it was listed; {_LEAVE}")


def _values(arrays: Sequence[Located]) -> dict[Located, NDArray[Any]]:
    """Read arrays, those that lie beside each other in one go."""
    found: dict[Located, NDArray[Any]] = {}
    by_file: dict[str, list[Located]] = {}
    for array in dict.fromkeys(arrays):
        by_file.setdefault(array.file, []).append(array)
    for file, some in by_file.items():
        filesystem, inner = storage.resolve(file)
        try:
            with filesystem.open_input_file(inner) as stream:
                for run in _runs(sorted(some, key=lambda array: array.at)):
                    first, last = run[0].at, run[-1].at + run[-1].nbytes
                    stream.seek(first)
                    content = memoryview(stream.read(last - first))
                    for array in run:
                        at = array.at - first
                        found[array] = array.of(content[at : at + array.nbytes])
        except (OSError, EOFError) as error:
            raise DataError(f"{file}: cannot be read again ({in_short(error)}); {_LEAVE}") from None
    return found


def _runs(arrays: list[Located]) -> Iterator[list[Located]]:
    run: list[Located] = []
    needed = 0
    for array in arrays:
        span = 0 if not run else array.at + array.nbytes - run[0].at
        if run and span > (1 + _WASTE) * (needed + array.nbytes):
            yield run
            run, needed = [], 0
        run.append(array)
        needed += array.nbytes
    if run:
        yield run
