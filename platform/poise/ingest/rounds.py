"""The splits of a track from raw files to the lake, in rounds of Ray Data tasks.

A small split is one task's. A large one takes three rounds: its files are listed, shares of its
sequences are read and put aside beside the lake, and, when all names are known, parts are written
of them. The driver sees names and lengths, never poses.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track
from poise.ingest import parts as in_parts
from poise.ingest.parts import Part, deal, grouped, index_of
from poise.ingest.split_writer import SplitResult, result_of, write_split
from poise.ingest.spool import Blocks, Spool
from poise.ingest.take_in import TakenIn, take_in
from poise.ingest.tasks import in_tasks
from poise.lake.manifest import track_folder
from poise.lake.poses import POSES, Pose
from poise.pvd.progress import Report, counting
from poise.readers import npz_shares
from poise.readers.layouts import locate
from poise.readers.npz_sequence import Named
from poise.readers.npz_shares import Listed, bytes_of, frames_of, named_entries
from poise.runtime import storage

#: Splits whose files have fewer bytes are one task's.
WHOLE_BYTES = 64 * 2**20
#: Poses of a share, as the files have them.
SHARE_BYTES = 32 * 2**20
#: A sequence with simulated errors takes as long as so many that are read.
_SIMULATED = 16
#: The folder of what is put aside, in a track's. It is there while the track is ingested.
_SPOOL = ".spool"


class _Sized(Protocol):
    @property
    def frames(self) -> int: ...


Piece = TypeVar("Piece", bound=_Sized)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _File:
    """A file of a split that is to be listed.

    Attributes:
        pair: number of the files that it belongs to.
        pose: what its poses are.
    """

    split: Split
    pair: int
    pose: Pose
    path: Path
    size: int
    called: str | None


@dataclass(frozen=True)
class _Share:
    """Sequences of a split that are to be read and put aside."""

    split: Split
    number: int
    entries: list[Named]

    @property
    def frames(self) -> int:
        return sum(map(frames_of, self.entries))


@dataclass(frozen=True)
class Tasks:
    """What is done in tasks; it travels to them."""

    data: Path | None
    track: Track
    lake: str

    @property
    def spool(self) -> str:
        """Where sequences are put aside."""
        return storage.join(track_folder(self.lake, self.track), _SPOOL)

    def begin(self, piece: Split | list[_File]) -> SplitResult | list[Listed | None]:
        """Write a small split, or list files of a large one."""
        if isinstance(piece, list):
            return [self._list(file) for file in piece]
        return write_split(self.data, self.track, self.lake, piece)

    def _list(self, file: _File) -> Listed | None:
        track = self.track.stored if file.pose == "truth" else self.track
        unpacked = storage.join(self.spool, f"{file.split}-{file.pair}-{file.pose}.unpacked")
        return npz_shares.list_file(file.path, track, unpacked, file.called)

    def read(self, share: _Share) -> TakenIn:
        """Read a share, and put its sequences aside."""
        block = f"{share.split}-{share.number:05d}"
        with storage.draft(self.spool) as draft:
            spool = Spool(storage.join(self.spool, block), draft.file)
            items = npz_shares.read_share(self.track, share.split, share.entries)
            found = take_in(items, self.track, share.split, spool)
            draft.publish(block)
        return found

    def write(self, part: Part) -> str:
        """Write a part of what was put aside; return its name."""
        with closing(Blocks()) as blocks:
            return in_parts.write(part, self.track, self.lake, blocks)


def write_splits(
    data: Path | None, track: Track, lake: str, splits: Iterable[Split], report: Report
) -> list[SplitResult]:
    """Write the sequences of the splits into the lake, in name order.

    The bytes of the parts depend on the raw files alone: not on the size of the cluster, nor on
    tasks that died and were run again.

    Raises:
        DataError: a raw file cannot be used at all, or what was read cannot be written.
    """
    tasks = Tasks(data, track, lake)
    try:
        results = list(written(tasks, list(splits), report))
    finally:
        storage.remove_folder(tasks.spool)
    return sorted(results, key=lambda result: SPLITS.index(result.split))


def written(tasks: Tasks, splits: list[Split], report: Report) -> Iterator[SplitResult]:
    """Write the splits, and leave there what was put aside; yield them in any order.

    Raises:
        DataError: as `write_splits`.
    """
    pieces: list[Split | list[_File]] = []
    for split in splits:
        files = _files(tasks, split)
        is_large = sum(file.size for file in files) * _effort(tasks.track) >= WHOLE_BYTES
        pieces += grouped(files, lambda file: file.size, SHARE_BYTES) if is_large else [split]
    listed: dict[Split, dict[tuple[int, Pose], Listed | None]] = {}
    for number, found in in_tasks(tasks.begin, pieces, tasks.lake, tasks.spool):
        piece = pieces[number]
        if isinstance(found, SplitResult):
            yield found
        elif isinstance(piece, list):
            for file, one in zip(piece, found, strict=True):
                listed.setdefault(file.split, {})[file.pair, file.pose] = one
    # What cannot be read but in one go is.
    one_go = [split for split, found in listed.items() if None in found.values()]
    for _, result in in_tasks(tasks.begin, one_go, tasks.lake, tasks.spool):
        assert isinstance(result, SplitResult)  # noqa: S101
        yield result
    large = {
        split: named_entries(
            tasks.track,
            split,
            [
                (found.get((pair, "detected")), found.get((pair, "truth")))
                for pair in sorted({p for p, _ in found})
            ],
        )
        for split, found in listed.items()
        if split not in one_go
    }
    if large:
        yield from _in_shares(tasks, large, report)


def _in_shares(
    tasks: Tasks, large: dict[Split, list[Named]], report: Report
) -> Iterator[SplitResult]:
    size = SHARE_BYTES // _effort(tasks.track)
    cut = [
        _Share(split, number, share)
        for split, entries in large.items()
        for number, share in enumerate(grouped(entries, bytes_of, size))
    ]
    taken = _counted(tasks, tasks.read, cut, "read", report)
    whole = {split: TakenIn() for split in large}
    for share, found in zip(cut, taken, strict=True):
        whole[share.split].extend(found)
    indices = {split: index_of(tasks.track, split, found.kept) for split, found in whole.items()}
    parts = [part for split, found in whole.items() for part in deal(indices[split], found.kept)]
    names = _counted(tasks, tasks.write, parts, "written", report)
    for split, found in whole.items():
        own = [name for part, name in zip(parts, names, strict=True) if part.split == split]
        yield result_of(tasks.data, found, indices[split], own)


def _counted(
    tasks: Tasks,
    work: Callable[[Piece], Answer],
    pieces: Sequence[Piece],
    what: str,
    report: Report,
) -> list[Answer]:
    """Do all pieces, and say how many frames are done; return the answers in order."""
    sizes = [piece.frames for piece in pieces]
    tell, done = counting(f"frames {what}", sum(sizes), report), 0
    found: dict[int, Answer] = {}
    for number, answer in in_tasks(work, pieces, tasks.lake, tasks.spool):
        found[number] = answer
        done += sizes[number]
        tell(done)
    return [found[number] for number in range(len(pieces))]


def _files(tasks: Tasks, split: Split) -> list[_File]:
    if tasks.data is None or tasks.track.info.folder is None:
        return []
    return [
        _File(split, pair, pose, path, path.stat().st_size, files.called)
        for pair, files in enumerate(locate(tasks.data, tasks.track, split))
        for pose, path in zip(POSES, (files.detected, files.truth), strict=True)
        if path is not None
    ]


def _effort(track: Track) -> int:
    noise = track.info.noise
    return _SIMULATED if noise is not None and noise.kind == "simulated" else 1
