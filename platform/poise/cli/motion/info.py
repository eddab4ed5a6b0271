"""``poise info``: what a keypoint file is."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.motion.reading import (
    FormatOption,
    FpsOption,
    SizeOption,
    SkeletonOption,
    UnitOption,
    UpOption,
    image_of,
    skeleton_of,
)
from poise.cli.shared.options import JsonOutput
from poise.cli.shared.output import print_json, say

if TYPE_CHECKING:
    from poise.motion.motion import Motion

EXAMPLES = """
examples:
  poise info clip.json
  poise info clip.npy --skeleton coco17 --fps 30
  poise info takes/*.trc --json | jq '.[].jitter'

lines:
  missing    of all joints of people that are there; then the joints with the
             most gaps, and their longest
  jitter     mean acceleration, and the share of spectral power above 6 Hz,
             where people's movements have next to none
  odd        units and axes that the coordinates do not fit
"""
_SHOWN = 6


def info(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="files, folders of them, patterns")
    ],
    format: FormatOption = None,
    skeleton: SkeletonOption = None,
    fps: FpsOption = None,
    unit: UnitOption = None,
    up: UpOption = None,
    size: SizeOption = None,
    json: JsonOutput = False,
) -> int:
    """Say what a keypoint file is: people, joints, gaps, jitter."""
    from poise.motion.files import read
    from poise.motion.finding import keypoint_files
    from poise.runtime.errors import DataError

    image = image_of(size)
    found, wrong, paths = [], [], list[Path]()
    for name in files:
        try:
            paths += keypoint_files(name)
        except DataError as error:
            wrong.append(error)
            say(f"poise: {error}", aside=True)
    for path in paths:
        try:
            motion = read(
                path,
                format=format,
                skeleton=skeleton_of(skeleton),
                fps=fps,
                unit=unit,
                up=up,
                image=image,
            )
        except DataError as error:
            wrong.append(error)
            say(f"poise: {error}", aside=True)
            continue
        facts = facts_of(motion)
        found.append(facts)
        if not json:
            _print(facts)
            sys.stdout.flush()
    if json:
        print_json(found)
    return 2 if wrong else 0


def facts_of(motion: "Motion") -> dict[str, Any]:
    """Return what is said of a file, as plain values."""
    import numpy as np

    from poise.motion.jitter import SLOW_HZ, gaps, mean_acceleration, power_above
    from poise.motion.space import oddities

    frames, _, joints, dims = motion.poses_FPJD.shape
    seen = motion.seen_FPJ
    present_FP = seen.any(-1)
    inside_PJ, longest_PJ = gaps(motion)
    there = int(present_FP.sum()) * joints
    confidence = motion.confidence_FPJ
    told = None
    if confidence is not None and (known := confidence[seen & ~np.isnan(confidence)]).size:
        told = [round(float(one), 4) for one in np.quantile(known, (0.0, 0.5, 1.0))]
    factors_D, unit = motion.proportions
    lengths = replace(motion, poses_FPJD=motion.poses_FPJD * factors_D)
    span = int(motion.frames_F[-1] - motion.frames_F[0]) + 1
    return {
        "file": str(motion.source),
        "format": motion.format,
        "frames": frames,
        "first_frame": int(motion.frames_F[0]),
        "frames_left_out": max(span - frames, 0),
        "fps": motion.fps,
        "seconds": float(motion.times_F[-1] - motion.times_F[0]) if motion.rate_known else None,
        "people": {
            name: int(count)
            for name, count in zip(motion.people, present_FP.sum(0).tolist(), strict=True)
        },
        "identified": motion.identified,
        "joints": list(motion.joints),
        "skeleton": motion.skeleton,
        "dimensions": dims,
        "unit": motion.unit,
        "up": motion.up,
        "confidence": None
        if told is None
        else dict(zip(("low", "median", "high"), told, strict=True)),
        "missing": 1.0 - float(seen[present_FP].sum()) / there if there else 1.0,
        "gaps": {
            joint: {"frames": int(inside_PJ[:, at].sum()), "longest": int(longest_PJ[:, at].max())}
            for at, joint in enumerate(motion.joints)
            if inside_PJ[:, at].any()
        },
        "jitter": {
            "mean_acceleration": mean_acceleration(lengths),
            "unit": unit,
            "power_above_6_hz": power_above(lengths, SLOW_HZ),
        },
        "odd": oddities(motion),
        "notes": list(motion.notes),
    }


def _print(facts: dict[str, Any]) -> None:
    say(facts["file"])
    for name, text in _lines(facts):
        say(f"  {name:<11}{text}")


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    left_out = facts["frames_left_out"]
    frames = f"{facts['frames']:,} from number {facts['first_frame']}"
    frames += f", {left_out:,} in between are not there" if left_out else ""
    rate = "unknown; give it with --fps"
    if facts["fps"]:
        rate = f"{facts['fps']:g} frames a second, {facts['seconds']:.2f} s"
    people = sorted(facts["people"].items(), key=lambda one: -one[1])
    shown = ", ".join(
        f"{name} ({count:,} frame{'s' * (count != 1)})" for name, count in people[:_SHOWN]
    )
    more = f" and {len(people) - _SHOWN} more" if len(people) > _SHOWN else ""
    who = "" if facts["identified"] else "; the file does not say who is who"
    skeleton = facts["skeleton"] or ", ".join(facts["joints"][:_SHOWN])
    if not facts["skeleton"] and len(facts["joints"]) > _SHOWN:
        skeleton += ", ..."
    space = f"{facts['dimensions']}D, {facts['unit'] or 'unit unknown'}"
    space += f", up is {facts['up']}" if facts["up"] else ""
    lines = [
        ("format", facts["format"]),
        ("frames", frames),
        ("rate", rate),
        ("people", f"{len(people)}: {shown}{more}{who}" if people else "nobody"),
        ("joints", f"{len(facts['joints'])}: {skeleton}"),
        ("space", space),
    ]
    if facts["confidence"]:
        lines.append(
            (
                "confidence",
                "{low:.3g} to {high:.3g}, median {median:.3g}".format(**facts["confidence"]),
            )
        )
    lines.append(("missing", _missing(facts)))
    lines.append(("jitter", _jitter(facts)))
    lines += [("odd", text) for text in facts["odd"]]
    return lines + [("note", text) for text in facts["notes"]]


def _missing(facts: dict[str, Any]) -> str:
    text = f"{facts['missing']:.1%} of joints"
    worst = sorted(facts["gaps"].items(), key=lambda one: -one[1]["frames"])[:3]
    if worst:
        text += "; most gaps: " + ", ".join(
            f"{name} ({gap['frames']} frames, longest {gap['longest']})" for name, gap in worst
        )
    return text


def _jitter(facts: dict[str, Any]) -> str:
    acceleration, power = facts["jitter"]["mean_acceleration"], facts["jitter"]["power_above_6_hz"]
    if acceleration is None:
        return "unknown: no joint is seen in three frames in a row"
    unit = facts["jitter"]["unit"] or "units"
    per = "s²" if facts["fps"] else "frame²"
    text = f"{acceleration:.4g} {unit}/{per} mean acceleration"
    return text if power is None else f"{text}, {power:.2%} of power above 6 Hz"
