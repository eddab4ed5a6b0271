"""What refining did to a motion, in figures: for people, and for programs."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np

from poise.motion.motion import Motion
from poise.motion.skeletons import bones_of
from poise.motion.space import oddities
from poise.refining.grid import Floats, Mask, gap_lengths, seen
from poise.refining.method import spans
from poise.refining.options import Options
from poise.refining.person import Person
from poise.refining.refine import Refining
from poise.refining.reporting.measures import Measures, measured, way
from poise.refining.sides import swapped_in

#: So many of the most corrected frames and joints are named.
_MOST: Final = 3
#: Bones that vary by so much more than before are worth a word, in % of their lengths.
_LOOSER: Final = 0.5
#: In %, of a joint's range of motion and peak speed: where less is left, a note says so.
_LEAST_RANGE: Final = 90.0
_LEAST_PEAK: Final = 80.0
#: In a unit of length.
_MILLIMETRES: Final = {"m": 1000.0, "cm": 10.0}
_NOTHING: Final = 1e-6
#: A joint moves whose range is so many times the jitter.
_MOVES: Final = 10.0


@dataclass(frozen=True)
class JointReport:
    """What became of one joint of a person. Lengths are in the motion's unit.

    Attributes:
        joint: its name.
        seen: frames in which the file has a place for it.
        unsure: of those, where the estimator was not sure enough.
        jumped: of those, where it jumped off the body and back.
        filled: frames without one that have a place now.
        left: frames without one that have none still, while the person is there.
        moved: mean way from where it was.
        range_kept: of its range of motion, in %; None where it hardly moves.
        peak_kept: of its peak speed, in %, likewise.
        error: how far off it is expected to be still; None where the refiner does not say.
    """

    joint: str
    seen: int
    unsure: int
    jumped: int
    filled: int
    left: int
    moved: float | None
    range_kept: float | None
    peak_kept: float | None
    error: float | None


@dataclass(frozen=True)
class PersonReport:
    """What became of one person.

    Attributes:
        person: the id.
        frames: in which they are there, in the file.
        first: number of the first of them.
        last: number of the last of them.
        gaps_filled: how many gaps were filled, each of one joint.
        gaps_left: how many are left, by why: ``long`` ones, and those at an ``end``.
        swaps: limbs whose sides were put right, with the numbers of the first and last frame.
        swapped_frames: frames in which refined sides are nearer to the input's other sides.
        moved: mean way of a joint from where it was.
        most_moved_frames: numbers of the frames that were corrected most.
        acceleration: mean before and after, a frame^2.
        jitter: what is faster than 6 Hz, root mean square, before and after.
        bone_spread: standard deviation of bones' lengths in % of them, before and after.
        range_kept: of the joints' ranges of motion together, in %.
        peak_kept: of the joints' peak speeds together, in %.
        cutoffs: of a filter, in Hz, for each piece of the motion.
        joints: joint by joint.
        alone: frames too few in a row to refine, which are as they were.
        feet: how often a foot stands, how long in all, and its mean speed along the floor
            meanwhile, a second, before and after; None where feet were not held.
    """

    person: str
    frames: int
    first: int | None
    last: int | None
    gaps_filled: int
    gaps_left: dict[str, int]
    swaps: list[tuple[str, int, int]]
    swapped_frames: dict[str, int]
    moved: float | None
    most_moved_frames: list[int]
    acceleration: tuple[float | None, float | None]
    jitter: tuple[float | None, float | None]
    bone_spread: tuple[float | None, float | None]
    range_kept: float | None
    peak_kept: float | None
    cutoffs: list[float]
    joints: list[JointReport]
    alone: int
    feet: tuple[int, float, float | None, float | None] | None = None

    @property
    def is_alone(self) -> bool:
        """Whether all of this person is as it was."""
        return self.alone >= self.frames and not self.gaps_filled

    @property
    def curtailed(self) -> list[str]:
        """Joints of which much movement was taken, and how much is left."""
        found = []
        for one in self.joints:
            for what, kept, least in (
                ("range", one.range_kept, _LEAST_RANGE),
                ("peak speed", one.peak_kept, _LEAST_PEAK),
            ):
                if kept is not None and kept < least:
                    found.append(f"{one.joint} ({kept:.0f} % of its {what} left)")
                    break
        return found


@dataclass(frozen=True)
class Report:
    """What refining did to a motion.

    Attributes:
        source: the file.
        output: what was written; empty where nothing was.
        refiner: in words.
        frames: how many there are.
        fps: frames a second.
        joints: how many there are.
        dims: dimensions of each.
        skeleton: its name, where Poise knows it.
        unit: of all lengths.
        people: person by person.
        notes: what a user should know, beside.
        pictures: files that were made of it.
    """

    source: str
    output: str
    refiner: str
    frames: int
    fps: float
    joints: int
    dims: int
    skeleton: str | None
    unit: str | None
    people: list[PersonReport]
    notes: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def report_of(refining: Refining, options: Options, output: str = "") -> Report:
    """Say what refining did."""
    after = refining.after
    bones = bones_of(after) if after.dims == 3 else []
    people = [_person(name, person, refining, bones) for name, person in refining.people.items()]
    return Report(
        source=str(after.source or ""),
        output=output,
        refiner=refining.method,
        frames=len(after),
        fps=refining.fps,
        joints=len(after.joints),
        dims=after.dims,
        skeleton=after.skeleton,
        unit=refining.unit,
        people=people,
        notes=[
            *_notes(refining, options),
            *_taken_away(people, options),
            *_looser(people, options),
        ],
    )


def _notes(refining: Refining, options: Options) -> list[str]:
    told, after = refining.told, refining.after
    notes = [*after.notes, *oddities(after)]
    if refining.rate_assumed:
        notes.append(f"no frame rate in the file: {refining.fps:g} a second assumed (--fps)")
    if told.tracked and len(refining.before.people) > 1:
        notes.append("the file does not say who is who: people were followed by where they are")
    if told.ghosts:
        shown = ", ".join(f"{who} in frame {frame}" for frame, who in told.ghosts[:_MOST])
        more = f" and {len(told.ghosts) - _MOST} more" if len(told.ghosts) > _MOST else ""
        notes.append(f"left out, there in one frame only: person {shown}{more} (--no-track)")
    for frame, one, other in told.exchanged[:_MOST]:
        notes.append(f"{one} and {other} had each other's place from frame {frame}: put right")
    if told.note:
        notes.append(told.note)
    others = [name for name in after.people if name not in refining.people]
    if others:
        notes.append(f"left as they are, not asked for: {', '.join(others)}")
    if options.fill == math.inf:
        notes.append("gaps of any length were filled (--fill all)")
    return notes


def _taken_away(people: list[PersonReport], options: Options) -> list[str]:
    """Say plainly where much movement is gone, and how to find out whether it was jitter."""
    instead = "--refiner butterworth --cutoff 6"
    if any(person.cutoffs for person in people):
        instead = (
            "a higher --cutoff" if options.cutoff == "auto" else "--cutoff auto, or a higher one"
        )
    notes = []
    for person in people:
        lost = person.curtailed
        if lost:
            others = len(lost) - _MOST
            more = f" and {others} more joint{'s' * (others > 1)}" if others > 0 else ""
            notes.append(
                f"much was taken from person {person.person}: {', '.join(lost[:_MOST])}{more}; if "
                f"it was movement and not jitter, try {instead}"
            )
    if len(notes) > _MOST:
        notes[_MOST:] = [f"much was taken from {len(notes) - _MOST} more people (--json)"]
    return notes


def _looser(people: list[PersonReport], options: Options) -> list[str]:
    """Name those whose bones vary more than before, which no smoothing of a body should do."""
    names = []
    for person in people:
        before, after = person.bone_spread
        if before is not None and after is not None and after > before + _LOOSER:
            names.append(person.person)
    if not names:
        return []
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    told = ", ".join(names[:_MOST])
    cure = "" if options.rigid else ": --rigid holds them"
    return [f"bones' lengths vary more than before in person {told}{more}{cure}"]


def _person(
    name: str, person: Person, refining: Refining, bones: list[tuple[int, int]]
) -> PersonReport:
    after, fps = refining.after, refining.fps
    both_FJ = seen(person.poses_FJD) & person.believed_FJ
    old = _of_movement(measured(person.before_FJD, both_FJ, bones, fps))
    new = measured(person.poses_FJD, both_FJ, bones, fps)
    numbers = after.frames_F
    there = np.flatnonzero(person.seen_FJ.any(1))
    moved_FJ = way(person.before_FJD, person.poses_FJD)
    mixed = swapped_in(person.before_FJD, person.poses_FJD, after.joints)
    filled, left = _gaps(person, refining.times_F)
    return PersonReport(
        person=name,
        frames=len(there),
        first=int(numbers[there[0]]) if len(there) else None,
        last=int(numbers[there[-1]]) if len(there) else None,
        gaps_filled=filled,
        gaps_left=left,
        swaps=[(s.limb, int(numbers[s.first]), int(numbers[s.end - 1])) for s in person.swaps],
        swapped_frames={limb: int(mask_F.sum()) for limb, mask_F in mixed.items() if mask_F.any()},
        moved=_plain(_mean(moved_FJ)),
        most_moved_frames=[int(numbers[frame]) for frame in _most(moved_FJ)],
        acceleration=(_plain(old.acceleration), _plain(new.acceleration)),
        jitter=(_plain(old.jitter), _plain(new.jitter)),
        bone_spread=(_share(old.bone_spread), _share(new.bone_spread)),
        range_kept=_kept(old.ranges_J, new.ranges_J),
        peak_kept=_kept(old.peaks_J, new.peaks_J),
        cutoffs=[round(one, 2) for one in person.cutoffs],
        joints=_joints(person, after, moved_FJ, (old, new)),
        alone=person.alone,
        feet=_feet(person),
    )


def _feet(person: Person) -> tuple[int, float, float | None, float | None] | None:
    feet = person.feet
    if feet is None:
        return None
    before, after = feet.slide
    # What is left where nothing is are the last digits of numbers, and no slide.
    after = 0.0 if after < _NOTHING * before else after
    return feet.stands, round(feet.seconds, 3), _plain(before), _plain(after)


def told_in_mm(report: Report) -> Report:
    """Return a report whose lengths are in millimetres, where they were in metres or so."""
    scale = _MILLIMETRES.get(report.unit or "")
    if scale is None:
        return report

    def of(length: float | None) -> float | None:
        return None if length is None else scale * length

    people = [
        replace(
            one,
            moved=of(one.moved),
            acceleration=(of(one.acceleration[0]), of(one.acceleration[1])),
            jitter=(of(one.jitter[0]), of(one.jitter[1])),
            feet=one.feet and (*one.feet[:2], of(one.feet[2]), of(one.feet[3])),
            joints=[replace(j, moved=of(j.moved), error=of(j.error)) for j in one.joints],
        )
        for one in report.people
    ]
    return replace(report, unit="mm", people=people)


def _of_movement(old: Measures) -> Measures:
    """Forget range and speed of joints that only jitter: none of it is worth keeping."""
    if math.isnan(old.jitter):
        return old
    still_J = old.ranges_J < _MOVES * old.jitter
    ranges_J, peaks_J = (np.where(still_J, np.nan, x) for x in (old.ranges_J, old.peaks_J))
    return replace(old, ranges_J=ranges_J, peaks_J=peaks_J)


def _joints(
    person: Person, after: Motion, moved_FJ: Floats, measures: tuple[Measures, Measures]
) -> list[JointReport]:
    old, new = measures
    seen_FJ, left_FJ = person.seen_FJ, person.left_FJ
    error_FJ = person.error_FJ
    return [
        JointReport(
            joint=joint,
            seen=int(seen_FJ[:, at].sum()),
            unsure=int(person.unsure_FJ[:, at].sum()),
            jumped=int(person.jumped_FJ[:, at].sum()),
            filled=int(person.filled_FJ[:, at].sum()),
            left=int(left_FJ[:, at].sum()),
            moved=_plain(_mean(moved_FJ[:, at])),
            range_kept=_kept(old.ranges_J[at : at + 1], new.ranges_J[at : at + 1]),
            peak_kept=_kept(old.peaks_J[at : at + 1], new.peaks_J[at : at + 1]),
            error=None if error_FJ is None else _plain(_mean(error_FJ[:, at])),
        )
        for at, joint in enumerate(after.joints)
    ]


def _gaps(person: Person, times_F: Floats) -> tuple[int, dict[str, int]]:
    """Count gaps of joints: filled ones, and those left by why."""
    filled = sum(_runs(column_F) for column_F in person.filled_FJ.T)
    at_end_FJ = np.isinf(gap_lengths(seen(person.poses_FJD)))
    left_FJ = person.left_FJ
    never_J = ~seen(person.poses_FJD).any(0)
    counts = {
        "long": sum(_runs(column_F) for column_F in (left_FJ & ~at_end_FJ).T),
        "end": sum(_runs(column_F) for column_F in (left_FJ & at_end_FJ & ~never_J).T),
        "never seen": int(never_J.sum()) if left_FJ.any() else 0,
    }
    return filled, {why: count for why, count in counts.items() if count}


def _runs(mask_F: Mask) -> int:
    return sum(1 for _ in spans(mask_F))


def _most(moved_FJ: Floats) -> list[int]:
    """Places of the frames that were corrected most, no two of them neighbours."""
    known_FJ = ~np.isnan(moved_FJ)
    mean_F = np.where(known_FJ, moved_FJ, 0).sum(1) / np.maximum(known_FJ.sum(1), 1)
    found: list[int] = []
    for frame in np.argsort(-mean_F, kind="stable").tolist():
        if len(found) == _MOST or not mean_F[frame] > 0:
            break
        if all(abs(frame - other) > _MOST for other in found):
            found.append(frame)
    return found


def _kept(old_J: Floats, new_J: Floats) -> float | None:
    known_J = ~np.isnan(old_J) & ~np.isnan(new_J)
    before = float(old_J[known_J].sum())
    return 100 * float(new_J[known_J].sum()) / before if before > 0 else None


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _share(value: float) -> float | None:
    """A share in %; what is left of lengths that are held are the last digits of numbers."""
    return 0.0 if value < _NOTHING else _plain(100 * value)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
