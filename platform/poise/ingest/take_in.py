"""The sequences of a reader, checked and put aside; what they were is told in a few bytes each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.ingest.spool import Kept, Spool
from poise.lake.ids import LONGEST
from poise.lake.manifest import Filled
from poise.readers.missing import runs
from poise.readers.plausible import Looks, look
from poise.readers.sequence import PoseSequence, Rejected


@dataclass
class TakenIn:
    """What was read of a split, or of a share of it, in the order of its files.

    Attributes:
        kept: the sequences that can be used.
        left_out: those that cannot.
        filled: joints that nobody saw.
        notes: what is odd.
        looks: what the bodies of all sequences are judged by.
    """

    kept: list[Kept] = field(default_factory=list)
    left_out: list[Rejected] = field(default_factory=list)
    filled: list[Filled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looks: list[Looks | None] = field(default_factory=list)

    def extend(self, other: "TakenIn") -> None:
        """Add what was read after it."""
        self.kept += other.kept
        self.left_out += other.left_out
        self.filled += other.filled
        self.notes += other.notes
        self.looks += other.looks


def take_in(
    items: Iterable[PoseSequence | Rejected], track: Track, split: Split, spool: Spool
) -> TakenIn:
    """Check sequences, and put aside those that can be used; one is in memory at a time."""
    found = TakenIn()
    width = track.info.joints * track.info.dims
    for item in items:
        checked = _checked(item, track, width)
        if isinstance(checked, Rejected):
            found.left_out.append(checked)
            continue
        found.kept.append(spool.add(checked))
        found.looks.append(look(checked.detected_FC, checked.truth_FC, track.info))
        found.filled += _filled(split, checked)
        found.notes += [f"{checked.name}: {checked.note}"] if checked.note else []
    return found


def _filled(split: Split, sequence: PoseSequence) -> Iterator[Filled]:
    if sequence.unseen_FJ is not None:
        yield Filled(split, sequence.name, "detected", runs(sequence.unseen_FJ))
    if sequence.untrue_FJ is not None:
        yield Filled(split, sequence.name, "truth", runs(sequence.untrue_FJ))


def _checked(item: PoseSequence | Rejected, track: Track, expected: int) -> PoseSequence | Rejected:
    if isinstance(item, Rejected):
        return item
    frames, width = item.detected_FC.shape
    if width != expected:
        reason = f"{width} values a frame, expected {expected}"
    elif not 0 < frames <= LONGEST:
        reason = f"{frames} frames; a sequence has 1 to {LONGEST}: cut it"
    else:
        return item
    return Rejected(str(track), item.name, "detected", reason)
