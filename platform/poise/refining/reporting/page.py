"""A report as one page that needs nothing else: figures, an animated skeleton, joints over time.

Shape letters: F frames, J joints, D dimensions.
"""

import html
from typing import Any, Final

import numpy as np

from poise.motion.skeletons import bones_of
from poise.refining.grid import Floats, seen
from poise.refining.method import spans
from poise.refining.person import Person
from poise.refining.refine import Refining
from poise.refining.reporting.report import Report, told_in_mm
from poise.runtime.page.poses import box, places, rounded, upright
from poise.runtime.page.template import filled

#: So many places are in a page, all people and both motions together; else every N-th frame.
_MOST_PLACES: Final = 150_000
_MOST_PEOPLE: Final = 6


def page(refining: Refining, report: Report) -> str:
    """Return the page."""
    # First those of whom most was refined, then those who are there longest.
    there = sorted(report.people, key=lambda one: (one.alone - one.frames, -one.frames))
    names = [one.person for one in there if one.frames][:_MOST_PEOPLE]
    frames, joints = refining.after.poses_FPJD.shape[0], refining.after.poses_FPJD.shape[2]
    every = max(-(-2 * frames * joints * max(len(names), 1) // _MOST_PLACES), 1)
    told = told_in_mm(report).to_json()
    by_name = {one["person"]: one for one in told["people"]}
    told["people"] = [by_name[name] for name in names]
    data = {
        "report": told,
        "unit": report.unit or "",
        "bones": bones_of(refining.after),
        "people": [_person(refining, refining.people[name], every) for name in names],
    }
    title = html.escape(f"{refining.after.source or 'motion'}, refined")
    return filled("poise.refining.reporting", "page.html", data, TITLE=title)


def _person(refining: Refining, person: Person, every: int) -> dict[str, Any]:
    there = np.flatnonzero(person.seen_FJ.any(1))
    at = np.arange(there[0], there[-1] + 1, every)
    up = refining.after.up or ("-y" if refining.after.dims == 2 else "+z")
    before_FJD, sign, order = upright(person.before_FJD[at], up)
    after_FJD, _, _ = upright(person.poses_FJD[at], up)
    spread_JD = np.nan_to_num([_spread(one_FD) for one_FD in after_FJD.transpose(1, 0, 2)])
    doubted_FJ = person.seen_FJ[at] & ~person.believed_FJ[at]
    return {
        "frames": refining.after.frames_F[at].tolist(),
        "times": [round(float(one), 4) for one in refining.times_F[at]],
        "before": places(before_FJD),
        "after": places(after_FJD),
        "error": None if person.error_FJ is None else rounded(person.error_FJ[at]),
        "axis": spread_JD.argmax(1).tolist(),
        "sign": sign,
        "order": order,
        "box": box(after_FJD if seen(after_FJD).any() else before_FJD),
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
