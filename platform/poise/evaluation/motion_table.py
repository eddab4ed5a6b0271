"""What became of motions as a table's columns: those that are defined for its rows."""

import math
from collections.abc import Callable, Sequence

from poise.evaluation.motion import PCK_MM, PCK_SHARES, MotionErrors

_Value = Callable[[MotionErrors], float]


def motion_columns(
    motions: Sequence[MotionErrors | None], unit: str
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of each row; a dash where a row has nothing to say.

    Args:
        motions: one a row.
        unit: of the track's errors.
    """
    columns = [column for column in _columns(unit) if any(_said(column[1], m) for m in motions)]
    rows = [[_said(of, motion) or "-" for _, of in columns] for motion in motions]
    return [name for name, _ in columns], rows


def _columns(unit: str) -> list[tuple[str, _Value]]:
    return [
        (f"Precision {unit}", lambda m: m.precision),
        (f"Velocity {unit}/frame", lambda m: m.velocity),
        ("Range kept %", lambda m: m.range_kept),
        ("Peak speed kept %", lambda m: m.peak_kept),
        (f"Bone spread {unit}", lambda m: m.bone_spread),
        (f"Foot slide {unit}/frame", lambda m: m.foot_slide),
        *[(f"PCK@{share:g} %", _pck(place)) for place, share in enumerate(PCK_SHARES)],
        (f"PCK@{PCK_MM:g} mm %", lambda m: m.pck_150),
        ("AUC %", lambda m: m.auc),
    ]


def _pck(place: int) -> _Value:
    return lambda motion: motion.pck[place]


def _said(of: _Value, motion: MotionErrors | None) -> str:
    value = math.nan if motion is None else of(motion)
    if math.isnan(value):
        return ""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"
