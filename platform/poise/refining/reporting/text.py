"""A report in some lines for a terminal."""

from collections.abc import Callable, Iterator
from typing import Final

from poise.refining.reporting.report import JointReport, PersonReport, Report

#: Of a batch's people so many are shown one by one.
_MOST_PEOPLE: Final = 8
_MOST: Final = 3


def report_text(report: Report) -> str:
    """Return a report for people: some lines for each person."""
    unit = report.unit or "units"
    count = len(report.people)
    lines = [
        f"{report.source}: {report.frames} frames at {report.fps:.6g} fps, {count} "
        f"{'person' if count == 1 else 'people'}, {report.joints} joints"
        f"{f' ({report.skeleton})' if report.skeleton else ''} in {report.dims}D, {unit}",
        f"  refined by {report.refiner}",
        *(f"  note: {note}" for note in report.notes),
    ]
    for person in report.people[:_MOST_PEOPLE]:
        lines += _person(person, unit)
    if count > _MOST_PEOPLE:
        lines.append(f"  {count - _MOST_PEOPLE} more people: --json tells of all")
    if report.output:
        lines.append(f"wrote {', '.join([report.output, *report.pictures])}")
    return "\n".join(lines)


def report_line(report: Report) -> str:
    """Return a report of one line, for one of many files."""
    people = report.people
    count = sum(1 for person in people if person.frames)
    filled = sum(person.gaps_filled for person in people)
    left = sum(sum(person.gaps_left.values()) for person in people)
    swaps = sum(len(person.swaps) for person in people)
    curtailed = sum(len(person.curtailed) for person in people)
    parts = [
        f"{count} {'person' if count == 1 else 'people'}, {report.frames} frames",
        f"{filled} gaps filled, {left} left" if filled or left else "no gaps",
        f"{swaps} times sides put right" if swaps else "",
        _pair("acceleration", people[0].acceleration, "") if people else "",
        f"much was taken from {curtailed} joints" if curtailed else "",
    ]
    told = "; ".join(part for part in parts if part)
    return f"{report.output or report.source}: {told}"


def _person(person: PersonReport, unit: str) -> Iterator[str]:
    if not person.frames:
        yield f"  person {person.person}: never seen"
        return
    yield (f"  person {person.person}: {person.frames} frames, {person.first} to {person.last}")
    rows = {
        "gaps": _gaps(person),
        "not believed": _doubts(person),
        "sides": _sides(person),
        "moved": _moved(person, unit),
        "jitter": _jitter(person, unit),
        "kept": _kept(person),
        "bones": _pair("lengths vary by", person.bone_spread, "%"),
        "expected error": _errors(person, unit),
        "cutoff": ", ".join(f"{one:g}" for one in person.cutoffs[:_MOST]) + " Hz"
        if person.cutoffs
        else "",
        "left alone": "; ".join(person.untouched),
    }
    for name, text in rows.items():
        if text:
            yield f"    {name:<15}{text}"


def _gaps(person: PersonReport) -> str:
    places = sum(joint.filled for joint in person.joints)
    left = sum(joint.left for joint in person.joints)
    if not places and not left:
        return "none"
    parts = [f"{person.gaps_filled} filled ({places} places)" if places else "none filled"]
    words = {"long": "too long", "end": "at an end", "never seen": "joints never seen"}
    if left:
        why = ", ".join(f"{number} {words[why]}" for why, number in person.gaps_left.items())
        parts.append(f"left empty: {why} ({left} places: {_worst(person, lambda one: one.left)})")
    return "; ".join(parts)


def _doubts(person: PersonReport) -> str:
    unsure = sum(joint.unsure for joint in person.joints)
    jumped = sum(joint.jumped for joint in person.joints)
    parts = []
    if unsure:
        most = _worst(person, lambda one: one.unsure)
        parts.append(f"{unsure} places of low confidence ({most})")
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
    frames = [f"{limb} in {count} frames" for limb, count in person.swapped_frames.items()]
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
