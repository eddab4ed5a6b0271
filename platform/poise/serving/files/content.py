"""Refined motion as arrays, and as plain values.

Shape letters: F frames, P people, J joints, D dimensions.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.skeletons import bones_of
from poise.refining.refine import Refining
from poise.runtime.page.poses import upright

#: What a joint in a frame is: seen and believed, doubted (the estimator is unsure, or it jumped off
#: the body), filled, or missing still.
SEEN, UNSURE, JUMPED, FILLED, MISSING = range(5)
_DECIMALS: Final = 6


def summary(refining: Refining) -> dict[str, Any]:
    """What is known of the motion as a whole."""
    after = refining.after
    up = after.up or ("-y" if after.dims == 2 else "+z")
    _, signs, order = upright(np.zeros((1, 1, after.dims)), up)
    return {
        "frames": len(after),
        "people": list(after.people),
        "joints": list(after.joints),
        "bones": bones_of(after),
        "dims": after.dims,
        "unit": after.unit,
        "fps": refining.fps,
        "format": after.format,
        "skeleton": after.skeleton,
        # Of the axes as they are shown: across, upwards, towards the viewer.
        "axes": {"order": order, "signs": signs},
    }


def arrays_of(refining: Refining) -> dict[str, NDArray[Any]]:
    """Poses before and after (F, P, J, D), errors and states (F, P, J), times and numbers (F,)."""
    before, after = refining.before, refining.after
    error_FPJ = np.full(after.poses_FPJD.shape[:3], np.nan, np.float32)
    state_FPJ = np.full(after.poses_FPJD.shape[:3], SEEN, np.uint8)
    state_FPJ[np.isnan(after.poses_FPJD).any(-1)] = MISSING
    for name, person in refining.people.items():
        place = after.people.index(name)
        if person.error_FJ is not None:
            error_FPJ[:, place] = person.error_FJ
        state_FJ = state_FPJ[:, place]
        state_FJ[person.unsure_FJ & person.seen_FJ] = UNSURE
        state_FJ[person.jumped_FJ & person.seen_FJ] = JUMPED
        state_FJ[person.filled_FJ] = FILLED
    return {
        "before": np.ascontiguousarray(before.poses_FPJD),
        "after": np.ascontiguousarray(after.poses_FPJD),
        "error": error_FPJ,
        "state": state_FPJ,
        "times": refining.times_F,
        "frames": after.frames_F,
    }


def as_json(refining: Refining, about: dict[str, Any]) -> dict[str, Any]:
    """Everything as plain values, null where a joint has no place."""
    arrays = arrays_of(refining)
    people = []
    for place, name in enumerate(refining.after.people):
        error_FJ = arrays["error"][:, place]
        people.append(
            {
                "person": name,
                "poses": _rows(arrays["after"][:, place]),
                "error": None if np.isnan(error_FJ).all() else _rows(error_FJ),
                "state": arrays["state"][:, place].tolist(),
            }
        )
    times = np.round(arrays["times"], _DECIMALS).tolist()
    return {**about, "people": people, "times": times, "numbers": arrays["frames"].tolist()}


def _rows(values: NDArray[Any]) -> Any:
    """Nested lists, None for NaN; of poses, for a joint of which a coordinate is."""
    rounded = np.round(values.astype(np.float64), _DECIMALS)
    known = ~np.isnan(rounded) if values.ndim == 2 else ~np.isnan(rounded).any(-1)
    return [
        [joint if there else None for joint, there in zip(pose, row, strict=True)]
        for pose, row in zip(rounded.tolist(), np.asarray(known).tolist(), strict=True)
    ]
