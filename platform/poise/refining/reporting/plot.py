"""A picture of a refined person: joints before and after, how sure they are, and their gaps."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from poise.refining.cutoff import Residuals
from poise.refining.grid import Mask, seen
from poise.refining.method import spans
from poise.refining.person import Person
from poise.refining.refine import Refining
from poise.refining.reporting.compare import Comparison
from poise.runtime.plotting import BLUE, FAINT, GHOST, INK, ORANGE, new_figure, png, style_axes

#: So many joints are shown, those that moved most; and so many seconds, around where they did.
_MOST_JOINTS: Final = 10
_MOST_S: Final = 20.0
#: Residuals are shown up to so many times the noise.
_BEND: Final = 10.0
_FILLED, _LEFT = "#fde3cf", "#e5e9ed"


def plot(refining: Refining) -> bytes:
    """Draw the person who is there longest as a PNG."""
    name = max(refining.people, key=lambda one: int(refining.people[one].seen_FJ.sum()))
    person = refining.people[name]
    moved_FJ = np.linalg.norm(person.poses_FJD - person.before_FJD, axis=-1)
    known_FJ = ~np.isnan(moved_FJ)
    mean_J = np.where(known_FJ, moved_FJ, 0).sum(0) / np.maximum(known_FJ.sum(0), 1)
    joints = np.argsort(-mean_J, kind="stable")[: min(_MOST_JOINTS, len(mean_J))].tolist()
    part = _window(refining, np.where(known_FJ, moved_FJ, 0).sum(1))
    residuals = person.residuals
    rows = len(joints) + (residuals is not None)
    figure = new_figure(9.0, 0.8 + 1.3 * rows, dpi=110)
    panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for panel, joint in zip(panels, joints, strict=False):
        _joint(panel, refining, person, joint, part)
        panel.sharex(panels[0])
        panel.tick_params(labelbottom=joint == joints[-1])
    panels[len(joints) - 1].set_xlabel("seconds", color=INK)
    if residuals is not None:
        _residuals(panels[-1], residuals)
    who = f"person {name}, " if len(refining.people) > 1 else ""
    source = refining.after.source
    figure.suptitle(
        f"{source.name if source else 'motion'}: {who}{refining.method}", color=INK, fontsize=11
    )
    keys = {label: key for panel in panels
            for key, label in zip(*panel.get_legend_handles_labels(), strict=True)}  # fmt: skip
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=6, fontsize=8,
                  frameon=False)  # fmt: skip
    return png(figure)


def _window(refining: Refining, moved_F: np.ndarray[tuple[int], np.dtype[np.float64]]) -> slice:
    """The seconds around the frame that was corrected most."""
    times_F = refining.times_F
    if times_F[-1] - times_F[0] <= _MOST_S:
        return slice(0, len(times_F))
    middle = float(times_F[int(moved_F.argmax())])
    first = min(max(middle - _MOST_S / 2, 0.0), float(times_F[-1]) - _MOST_S)
    ends = np.searchsorted(times_F, [first, first + _MOST_S])
    return slice(int(ends[0]), int(ends[1]))


def _joint(panel: Axes, refining: Refining, person: Person, joint: int, part: slice) -> None:
    times_F = refining.times_F[part]
    before_FD, after_FD = person.before_FJD[part, joint], person.poses_FJD[part, joint]
    there_F = seen(after_FD)
    spread_D = after_FD[there_F].std(0) if there_F.any() else np.zeros(after_FD.shape[1])
    axis = int(spread_D.argmax())
    _shade(panel, times_F, person.filled_FJ[part, joint], _FILLED, "filled")
    _shade(panel, times_F, person.left_FJ[part, joint], _LEFT, "left empty")
    if person.error_FJ is not None:
        error_F = person.error_FJ[part, joint]
        low_F, high_F = after_FD[:, axis] - error_F, after_FD[:, axis] + error_F
        panel.fill_between(times_F, low_F, high_F, color=BLUE, alpha=0.15, linewidth=0,
                           label="expected error")  # fmt: skip
    doubted_F = seen(before_FD) & ~person.believed_FJ[part, joint]
    panel.plot(times_F, before_FD[:, axis], ".-", color=FAINT, markersize=2, linewidth=0.6,
               label="before")  # fmt: skip
    if doubted_F.any():
        panel.plot(times_F[doubted_F], before_FD[doubted_F, axis], "x", color=ORANGE,
                   markersize=4, label="not believed")  # fmt: skip
    panel.plot(times_F, after_FD[:, axis], color=BLUE, linewidth=1.3, label="after")
    _limits(panel, after_FD[:, axis])
    style_axes(panel)
    name = refining.after.joints[joint]
    panel.set_ylabel(f"{name}\n{'xyz'[axis]}, {refining.unit or 'units'}", fontsize=7)


def _limits(panel: Axes, after_F: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """Let no jump of the input squeeze the movement."""
    known_F = after_F[~np.isnan(after_F)]
    if len(known_F) and np.ptp(known_F) > 0:
        room = 0.25 * float(np.ptp(known_F))
        panel.set_ylim(float(known_F.min()) - room, float(known_F.max()) + room)


def _shade(
    panel: Axes, times_F: np.ndarray[tuple[int], np.dtype[np.float64]], mask_F: Mask, colour: str,
    label: str,
) -> None:  # fmt: skip
    step = float(np.median(np.diff(times_F))) if len(times_F) > 1 else 1.0
    for span in spans(mask_F):
        ends = times_F[span.start] - step / 2, times_F[span.stop - 1] + step / 2
        panel.axvspan(*ends, color=colour, linewidth=0, label=label)
        label = f"_{label}"  # once


def _residuals(panel: Axes, found: Residuals) -> None:
    """Residuals over cutoffs, as Winter draws them, as shares of what is taken away at most."""
    scale_X = found.residual_HX[0]
    mean_H = (found.residual_HX / np.where(scale_X > 0, scale_X, 1)).mean(1)
    panel.plot(found.cutoffs_H, mean_H, color=BLUE, linewidth=1.3)
    noise = float((found.noise_X / np.where(scale_X > 0, scale_X, 1)).mean())
    panel.axhline(noise, color=GHOST, linewidth=1)
    panel.axvline(found.chosen, color=ORANGE, linewidth=1)
    # What slow movement leaves is larger by far, and tells nothing of where the curve bends.
    top = min(_BEND * noise, float(mean_H.max())) or 1.0
    panel.set_ylim(0, top)
    panel.annotate(f" {found.chosen:.1f} Hz", (found.chosen, top), color=ORANGE, fontsize=8,
                   va="top")  # fmt: skip
    style_axes(panel)
    panel.set_xlabel("cutoff, Hz", color=INK)
    panel.set_ylabel("residual", fontsize=7)


def plot_comparison(found: Sequence[Comparison]) -> bytes:
    """Draw errors over time, all people together, and by joint of the first, as a PNG."""
    figure = new_figure(9.0, 5.5, dpi=110)
    over_time, by_joint = figure.subplots(2, 1)
    for one in found:
        over_time.plot(one.times_F, one.error_F, linewidth=1, label=f"person {one.person[0]}")
    over_time.set_ylabel(f"mean error, {found[0].unit}", color=INK)
    over_time.set_xlabel("time", color=INK)
    if len(found) > 1:
        over_time.legend(fontsize=8, frameon=False)
    names, errors = zip(*sorted(found[0].joints.items(), key=lambda pair: -pair[1]), strict=True)
    by_joint.bar(range(len(names)), errors, color=BLUE)
    by_joint.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
    by_joint.set_ylabel(f"mean error, {found[0].unit}", color=INK)
    for panel in (over_time, by_joint):
        style_axes(panel)
    return png(figure)
