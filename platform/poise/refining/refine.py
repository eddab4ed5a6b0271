"""Motion in, clean motion and a report of what was done out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from poise.motion.motion import Floats as MotionFloats
from poise.motion.motion import Motion
from poise.motion.skeletons import bones_of, root_of
from poise.refining.feet.hold import held
from poise.refining.feet.legs import legs_of
from poise.refining.grid import Floats, filled
from poise.refining.method import method_for
from poise.refining.options import Options
from poise.refining.people import Told, told_apart
from poise.refining.person import Person, refined
from poise.refining.rigid import rigid, stiff
from poise.runtime.errors import SettingsError

#: Of the steps between frames, from the shortest, the one that is taken for usual.
_SHORT: Final = 0.1


@dataclass(frozen=True)
class Refining:
    """What refining did to a motion.

    Attributes:
        before: the motion that came, its people told apart.
        after: the refined one.
        people: what became of each, by id; those left alone are missing.
        told: how people were told apart.
        method: the refiner, in words.
        times_F: of the frames, in seconds.
        fps: frames a second.
        rate_assumed: whether nobody says how many frames there are in a second.
        unit: of the people's lengths; another than the motion's where its coordinates are shares
            of an image.
    """

    before: Motion
    after: Motion
    people: dict[str, Person]
    told: Told
    method: str
    times_F: Floats
    fps: float
    rate_assumed: bool
    unit: str | None


def refine(
    motion: Motion,
    options: Options = Options(),  # noqa: B008  # frozen
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Refining:
    """Refine a motion: same frames, joints and units, NaN where nothing could be filled.

    Args:
        motion: of any joints.
        options: how.
        progress: told how many people are done, of how many.

    Raises:
        DataError: it holds nobody, or nobody of that name.
        SettingsError: the cutoff is too high for the rate, or there are no bones or feet to hold.
        ModelError: no such model.
        CheckpointError: a model is damaged, or of other joints.
    """
    times_F, step = _timing(motion, options.rate)
    told = told_apart(motion, times_F, options.track)
    before = told.motion
    names = options.people or before.people
    for name in names:
        before.person(name)  # or nobody is called that
    method = method_for(before, options)
    bones = bones_of(before)
    if options.rigid and (before.dims != 3 or not bones):
        raise SettingsError(
            f"{motion.source or 'motion'}: no bones to hold: --rigid wants joints in 3D whose "
            "names are known (--skeleton)"
        )
    legs = legs_of(before) if options.feet else []
    confidence = None if before.confidence_FPJ is None else before.confidence_FPJ.copy()
    factors_D, unit = before.proportions
    as_given = bool((factors_D == 1).all())
    people: dict[str, Person] = {}
    for done, name in enumerate(names):
        progress(done, len(names))
        place = before.people.index(name)
        sure_FJ = None if confidence is None else confidence[:, place]
        given_FJD = before.poses_FPJD[:, place]
        given_FJD = given_FJD if as_given else given_FJD * factors_D
        one = refined(given_FJD, sure_FJ, before.joints, times_F, step, method, options)
        if options.rigid:
            held_FJD = rigid(one.poses_FJD, one.poses_FJD, bones, root_of(before))
            one = replace(one, poses_FJD=held_FJD)
        elif before.dims == 3 and stiff(one.before_FJD, bones):
            held_FJD = rigid(one.poses_FJD, one.before_FJD, bones, root_of(before))
            one = replace(one, poses_FJD=held_FJD)
        if options.feet:
            still_FJD, feet = held(one.poses_FJD, one.before_FJD, legs, str(before.up), times_F)
            one = replace(one, poses_FJD=still_FJD, feet=feet)
        if confidence is not None:
            confidence[:, place] = _sure(confidence[:, place], one)
        people[name] = one
    progress(len(names), len(names))
    poses = before.poses_FPJD.copy()
    for name, one in people.items():
        now_FJD = poses[:, before.people.index(name)]
        # What stayed where it was keeps its digits.
        moved_FJD = one.poses_FJD != one.before_FJD
        np.divide(one.poses_FJD, factors_D, out=now_FJD, where=moved_FJD, casting="same_kind")
        if as_given and poses.dtype == np.float64:  # the same numbers, in memory once
            people[name] = replace(one, poses_FJD=np.asarray(now_FJD, np.float64))
    after = before.with_poses(poses, confidence)
    return Refining(
        before, after, people, told, method.about, times_F, 1 / step, not motion.rate_known, unit
    )


def _timing(motion: Motion, rate: float) -> tuple[Floats, float]:
    """Return the frames' times in seconds, from 0, and the usual step between them."""
    if motion.fps is not None:
        return motion.times_F - motion.times_F[0], 1 / motion.fps
    steps = np.diff(motion.times_F)
    # Some tools number every second frame; lost frames make steps longer, never shorter.
    usual = float(np.quantile(steps[steps > 0], _SHORT)) if (steps > 0).any() else 1.0
    times_F = (motion.times_F - motion.times_F[0]) / (rate * usual)
    return times_F, 1 / rate


def _sure(confidence_FJ: MotionFloats, person: Person) -> Floats:
    """Give places that were filled the confidence of those around them."""
    believed_FJ = np.where(person.believed_FJ, confidence_FJ, np.nan)
    around_FJ = filled(believed_FJ.astype(np.float64))
    return np.where(person.filled_FJ & ~np.isnan(around_FJ), around_FJ, confidence_FJ)
