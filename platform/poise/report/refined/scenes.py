"""The worst and the median sequence of the best refiner, as skeletons that move."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from poise.catalog.joint_sets import bones_between
from poise.catalog.tracks import Track, TrackInfo
from poise.evaluation.scored import Scored
from poise.report.pages.document import Skeletons
from poise.report.refined.again import Again, Floats
from poise.runtime.page.poses import box, places, upright

#: More frames of a sequence are not shown one by one.
_MOST_FRAMES: Final = 240


def chosen(sequences: Sequence[Scored]) -> list[tuple[str, Scored]]:
    """Return the worst and the median sequence by MPJPE, each with what it is."""
    order = sorted((one for one in sequences if one.errors.frames), key=lambda s: s.errors.mpjpe)
    if not order:
        return []
    found = [("the worst", order[-1]), ("the median", order[len(order) // 2])]
    return found[: len(order)]


def scene(what: str, who: str, scored: Scored, sequence: Again, track: Track) -> Skeletons:
    """Return a sequence as input and refined, each over the truth.

    Args:
        what: it is, of the refiner's sequences.
        who: refined it.
        scored: its errors.
        sequence: its poses.
        track: of the poses.
    """
    info = track.info
    every = max(-(-len(sequence.truth_FJD) // _MOST_FRAMES), 1)
    frames = np.arange(0, len(sequence.truth_FJD), every)
    bodies = {
        name: _upright(poses_FJD[frames], info)
        for name, poses_FJD in (
            ("input", sequence.detected_FJD),
            ("refined", sequence.refined_FJD),
            ("truth", np.where(sequence.scored_FJ[..., None], sequence.truth_FJD, np.nan)),
        )
    }
    before = _mpjpe(sequence.detected_FJD, sequence)
    data: dict[str, Any] = {
        "bones": bones_between(info.joint_names),
        "dims": info.dims,
        "fps": info.fps or 30.0,
        "every": every,
        "yaw": _broadest(bodies["truth"]),
        "frames": frames.tolist(),
        "box": box(np.concatenate([bodies["refined"], bodies["truth"]])),
        "poses": {name: places(poses_FJD) for name, poses_FJD in bodies.items()},
        "panels": {
            f"input, {before:.0f} {info.unit}": [("truth", "--faint", 2), ("input", "--c2", 2)],
            f"refined, {scored.errors.mpjpe:.0f} {info.unit}": [
                ("truth", "--faint", 2),
                ("refined", "--after", 2),
            ],
        },
    }
    return Skeletons(f"{what} sequence of {who}: {scored.name}", data)


def _broadest(poses_FJD: Floats) -> float:
    """Return the angle about the vertical from which a body is broadest, in radians."""
    if poses_FJD.shape[-1] < 3:
        return 0.0
    about_XD = (poses_FJD - np.nanmean(poses_FJD, axis=1, keepdims=True)).reshape(-1, 3)
    across_2X = about_XD[~np.isnan(about_XD).any(axis=1)][:, [0, 2]].T
    (xx, xz), (_, zz) = np.cov(across_2X)
    return float(0.5 * np.arctan2(2 * xz, xx - zz))


def _mpjpe(poses_FJD: Floats, sequence: Again) -> float:
    apart_FJ = np.linalg.norm(poses_FJD - sequence.truth_FJD, axis=-1)
    return float(apart_FJ[sequence.scored_FJ].mean())


def _upright(poses_FJD: Floats, info: TrackInfo) -> Floats:
    """Turn poses so that the vertical is up; images and tracks that say nothing grow downwards."""
    up = "-y" if info.dims == 2 or info.up is None else f"+{'xyz'[info.up]}"
    return upright(poses_FJD, up)[0]
