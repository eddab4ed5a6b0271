"""A report as one page that needs nothing else: figures, an animated skeleton, joints over time.

Shape letters: F frames, J joints, D dimensions.
"""

import html
import json
from importlib import resources
from typing import Any, Final

import numpy as np

from poise.motion.motion import Motion
from poise.refining.grid import Floats, seen
from poise.refining.method import spans
from poise.refining.person import Person
from poise.refining.refine import Refining
from poise.refining.reporting.report import Report, told_in_mm
from poise.refining.skeletons import bones_of

#: So many places are in a page, all people and both motions together; else every N-th frame.
_MOST_PLACES: Final = 150_000
_MOST_PEOPLE: Final = 6
_DIGITS: Final = 5
#: Of the frames so many may be off the picture at each side.
_FAR_OFF: Final = 0.005


def page(refining: Refining, report: Report) -> str:
    """Return the page."""
    names = [one.person for one in report.people if one.frames][:_MOST_PEOPLE]
    frames, joints = refining.after.poses_FPJD.shape[0], refining.after.poses_FPJD.shape[2]
    every = max(-(-2 * frames * joints * max(len(names), 1) // _MOST_PLACES), 1)
    told = told_in_mm(report).to_json()
    told["people"] = [one for one in told["people"] if one["person"] in names]
    data = {
        "report": told,
        "unit": report.unit or "",
        "bones": bones_of(refining.after),
        "people": [_person(refining, refining.people[name], every) for name in names],
    }
    text = resources.files("poise.refining.reporting").joinpath("page.html").read_text("utf-8")
    title = html.escape(f"{refining.after.source or 'motion'}, refined")
    # No text of a file ends the script.
    whole = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return text.replace("TITLE", title, 1).replace("DATA", whole, 1)


def _person(refining: Refining, person: Person, every: int) -> dict[str, Any]:
    there = np.flatnonzero(person.seen_FJ.any(1))
    at = np.arange(there[0], there[-1] + 1, every)
    before_FJD, sign, order = _upright(person.before_FJD[at], refining.after)
    after_FJD, _, _ = _upright(person.poses_FJD[at], refining.after)
    shown_FJD = after_FJD if seen(after_FJD).any() else before_FJD
    shown_FJD = shown_FJD[seen(shown_FJD).any(1)]
    # Whole bodies, but for a few frames in which something is far off.
    low_D = np.quantile(np.nanmin(shown_FJD, 1), _FAR_OFF, axis=0)
    high_D = np.quantile(np.nanmax(shown_FJD, 1), 1 - _FAR_OFF, axis=0)
    spread_JD = np.nan_to_num([_spread(one_FD) for one_FD in after_FJD.transpose(1, 0, 2)])
    doubted_FJ = person.seen_FJ[at] & ~person.believed_FJ[at]
    return {
        "frames": refining.after.frames_F[at].tolist(),
        "times": [round(float(one), 4) for one in refining.times_F[at]],
        "before": _places(before_FJD),
        "after": _places(after_FJD),
        "error": None if person.error_FJ is None else _rounded(person.error_FJ[at]),
        "axis": spread_JD.argmax(1).tolist(),
        "sign": sign,
        "order": order,
        "box": [low_D.tolist(), high_D.tolist()],
        "filled": [
            [(one.start, one.stop - 1) for one in spans(column_F)]
            for column_F in person.filled_FJ[at].T
        ],
        "doubted": [np.flatnonzero(column_F).tolist() for column_F in doubted_FJ.T],
    }


def _spread(places_FD: Floats) -> Floats:
    known_FD = places_FD[seen(places_FD)]
    spread_D: Floats = known_FD.std(0) if len(known_FD) else np.zeros(places_FD.shape[1])
    return spread_D


def _upright(poses_FJD: Floats, motion: Motion) -> tuple[Floats, list[int], list[int]]:
    """Bring the axis that points up to the second place, growing upwards.

    Returns:
        The poses, the sign and the place in the file of each dimension.
    """
    dims = poses_FJD.shape[-1]
    if dims == 1:
        return np.concatenate([np.zeros_like(poses_FJD), poses_FJD], -1), [1, 1], [0, 0]
    up = motion.up or ("-y" if dims == 2 else "+z")
    axis, sign = "xyz".index(up[1]), 1 if up[0] == "+" else -1
    others = [one for one in range(dims) if one != axis]
    order = [others[0], axis, *others[1:]]
    signs = [1, sign, *[1] * (dims - 2)]
    return poses_FJD[..., order] * np.array(signs), signs, order


def _places(poses_FJD: Floats) -> list[list[list[float] | None]]:
    known_FJ = seen(poses_FJD)
    return [
        [place if known else None for place, known in zip(pose, row, strict=True)]
        for pose, row in zip(_rounded(poses_FJD), known_FJ.tolist(), strict=True)
    ]


def _rounded(values: Floats) -> Any:
    """Return plain numbers of some digits, None where there is none."""
    known = np.abs(values[~np.isnan(values)])
    scale = float(known.max()) if known.size and known.max() > 0 else 1.0
    digits = _DIGITS - 1 - int(np.floor(np.log10(scale)))
    rounded = np.round(values, digits)
    if digits <= 0:
        rounded = np.round(values)
    plain = rounded.astype(object)
    plain[np.isnan(rounded)] = None
    return plain.tolist()
