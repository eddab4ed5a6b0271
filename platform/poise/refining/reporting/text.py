"""A report in some lines for a terminal. Lengths of a report in metres are told in millimetres."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from poise.refining.reporting.report import JointReport, PersonReport, Report, told_in_mm

#: Of a batch's people so many are shown one by one.
_MOST_PEOPLE: Final = 8
_MOST: Final = 3


def report_text(report: Report) -> str:
    """Return a report for people: some lines for each person."""
    lines = [
        f"{report.source}: {_count(report.frames, 'frame')} at {report.fps:.6g} fps, "
        f"{_count(len(report.people), 'person')}, {_count(report.joints, 'joint')}"
        f"{f' ({report.skeleton})' if report.skeleton else ''} in {report.dims}D, "
        f"{report.unit or 'units'}",
        f"  refined by {report.refiner}",
        *(f"  note: {note}" for note in report.notes),
    ]
    shown = told_in_mm(report)
    unit = shown.unit or "units"
    refined = [person for person in shown.people if not person.is_alone]
    # Where there are too many, those who are there longest; in the order of the file.
    longest = sorted(refined, key=lambda one: -one.frames)[:_MOST_PEOPLE]
    for person in (one for one in refined if one in longest):
        lines += _person(person, unit)
    if len(refined) > _MOST_PEOPLE:
        lines.append(f"  {len(refined) - _MOST_PEOPLE} more people: --json tells of all")
    lines += _alone([person for person in shown.people if person.is_alone])
    if report.output:
        lines.append(f"wrote {', '.join([report.output, *report.pictures])}")
    return "\n".join(lines)


def report_line(report: Report) -> str:
    """Return a report of one line, for one of many files."""
    shown = told_in_mm(report)
    people, unit = shown.people, shown.unit or "units"
    filled = sum(person.gaps_filled for person in people)
    left = sum(sum(person.gaps_left.values()) for person in people)
    swaps = sum(len(person.swaps) for person in people)
    curtailed = sum(len(person.curtailed) for person in people)
    parts = [
        f"{_count(sum(1 for one in people if one.frames), 'person')}, "
        f"{_count(report.frames, 'frame')}",
        f"{_count(filled, 'gap')} filled, {left} left" if filled or left else "no gaps",
        f"sides put right {_count(swaps, 'time')}" if swaps else "",
        _pair("acceleration", people[0].acceleration, f" {unit}/frame^2") if people else "",
        f"much was taken from {_count(curtailed, 'joint')}" if curtailed else "",
    ]
    told = "; ".join(part for part in parts if part)
    return f"{report.output or report.source}: {told}"


def _count(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    return f"{number} {'people' if what == 'person' else f'{what}s'}"


def _alone(people: Sequence[PersonReport]) -> Iterator[str]:
    """Say in a line or two who is in the file as before."""
    for text, some in (
        ("never seen", [one for one in people if not one.frames]),
        ("left as they are, too few frames in a row", [one for one in people if one.frames]),
    ):
        if some:
            names = ", ".join(one.person for one in some[:_MOST_PEOPLE])
            more = f" and {len(some) - _MOST_PEOPLE} more" if len(some) > _MOST_PEOPLE else ""
            yield f"  {'person' if len(some) == 1 else 'people'} {names}{more}: {text}"


def _person(person: PersonReport, unit: str) -> Iterator[str]:
    frames = f"{_count(person.frames, 'frame')}, {person.first} to {person.last}"
    yield f"  person {person.person}: {frames}"
    rows = {
        "gaps": _gaps(person),
        "not believed": _doubts(person),
        "sides": _sides(person),
    }
    if person.alone < person.frames:
        rows |= _changes(person, unit)
    if person.alone:
        rows["left alone"] = f"{_count(person.alone, 'frame')}: too few in a row to refine"
    for name, text in rows.items():
        if text:
            yield f"    {name:<15}{text}"


def _changes(person: PersonReport, unit: str) -> dict[str, str]:
    return {
        "moved": _moved(person, unit),
        "jitter": _jitter(person, unit),
        "kept": _kept(person),
        "bones": _pair("lengths vary by", person.bone_spread, "%"),
        "feet": _feet(person, unit),
        "expected error": _errors(person, unit),
        "cutoff": ", ".join(f"{one:g}" for one in person.cutoffs[:_MOST]) + " Hz"
        if person.cutoffs
        else "",
    }


def _gaps(person: PersonReport) -> str:
    places = sum(joint.filled for joint in person.joints)
    left = sum(joint.left for joint in person.joints)
    if not places and not left:
        return "none"
    parts = [
        f"{person.gaps_filled} filled ({_count(places, 'place')})" if places else "none filled"
    ]
    words = {"long": "too long", "end": "at an end"}
    if left:
        why = ", ".join(
            f"{number} {words[why]}" if why in words else f"{_count(number, 'joint')} {why}"
            for why, number in person.gaps_left.items()
        )
        parts.append(
            f"left empty: {why} ({_count(left, 'place')}: {_worst(person, lambda one: one.left)})"
        )
    return "; ".join(parts)


def _doubts(person: PersonReport) -> str:
    unsure = sum(joint.unsure for joint in person.joints)
    jumped = sum(joint.jumped for joint in person.joints)
    parts = []
    if unsure:
        most = _worst(person, lambda one: one.unsure)
        parts.append(f"{_count(unsure, 'place')} of low confidence ({most})")
    if jumped:
        most = _worst(person, lambda one: one.jumped)
        parts.append(f"{jumped} that jump off and back ({most})")
    return ", ".join(parts)


def _sides(person: PersonReport) -> str:
    swaps = [
        f"{limb} put right in {f'frame {first}' if first == last else f'frames {first}-{last}'}"
        for limb, first, last in person.swaps[:_MOST]
    ]
    if len(person.swaps) > _MOST:
        swaps.append(f"{len(person.swaps) - _MOST} more")
    if swaps:
        return ", ".join(swaps)
    frames = [
        f"{limb} in {_count(count, 'frame')}" for limb, count in person.swapped_frames.items()
    ]
    return f"nearer to the other side after refining: {', '.join(frames)}" if frames else ""


def _moved(person: PersonReport, unit: str) -> str:
    if person.moved is None:
        return ""
    most = sorted(person.joints, key=lambda one: -(one.moved or 0))[:_MOST]
    joints = ", ".join(f"{one.joint} {one.moved:.3g}" for one in most if one.moved)
    frames = ", ".join(map(str, person.most_moved_frames))
    return (
        f"{person.moved:.3g} {unit} on average"
        f"{f'; most: {joints}' if joints else ''}{f'; most in frames {frames}' if frames else ''}"
    )


def _feet(person: PersonReport, unit: str) -> str:
    if person.feet is None:
        return ""
    stands, seconds, before, after = person.feet
    if not stands:
        return "none stands"
    slide = _pair("slide", (before, after), f" {unit}/s")
    return f"held {_count(stands, 'time')}, {seconds:.3g} s in all: {slide}"


def _jitter(person: PersonReport, unit: str) -> str:
    parts = [
        _pair("acceleration", person.acceleration, f" {unit}/frame^2"),
        _pair("above 6 Hz", person.jitter, f" {unit}"),
    ]
    return ", ".join(part for part in parts if part)


def _kept(person: PersonReport) -> str:
    parts = []
    for what, kept, each in (
        ("range of motion", person.range_kept, [(j.range_kept, j.joint) for j in person.joints]),
        ("peak speed", person.peak_kept, [(j.peak_kept, j.joint) for j in person.joints]),
    ):
        known = [(share, joint) for share, joint in each if share is not None]
        if kept is not None and known:
            least, joint = min(known)
            parts.append(f"{kept:.0f} % of the {what} (least: {joint} {least:.0f} %)")
    return ", ".join(parts)


def _errors(person: PersonReport, unit: str) -> str:
    known = [(one.error, one.joint) for one in person.joints if one.error is not None]
    if not known:
        return ""
    mean = sum(error for error, _ in known) / len(known)
    worst, joint = max(known)
    return f"{mean:.3g} {unit} a joint (most: {joint} {worst:.3g})"


def _worst(person: PersonReport, of: Callable[[JointReport], int]) -> str:
    """Name the joints that have most of something."""
    most = sorted(person.joints, key=lambda one: -of(one))[:_MOST]
    return ", ".join(f"{one.joint} {of(one)}" for one in most if of(one))


def _pair(what: str, pair: tuple[float | None, float | None], unit: str) -> str:
    before, after = pair
    return "" if before is None or after is None else f"{what} {before:.3g} -> {after:.3g}{unit}"
