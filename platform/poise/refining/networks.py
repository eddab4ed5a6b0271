"""Networks for a motion: the general one for any skeleton, others for the one they learnt on.

Shape letters: G points of the grid, J joints, D dimensions, C = J x D.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from poise.catalog.joint_sets import plain_joint, plain_joints
from poise.catalog.tracks import Track
from poise.checkpoints.models import load_model
from poise.checkpoints.shipped import GENERAL
from poise.motion.motion import Motion
from poise.refining.grid import Floats, filled, gap_lengths, seen
from poise.refining.usual_places import put_back
from poise.runtime.errors import CheckpointError, SettingsError
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.filters.gaps import filled as held
from poise_models.general.general import General
from poise_models.live.refine import refine_live

#: Points a network sees at once, and those on either side that only lead up to them.
_CHUNK: Final = 8192
_LEAD: Final = 64
#: Between windows of the general network, which overlap by three quarters.
_STRIDE: Final = 8
#: Longer gaps are bridged by curves before the general network sees them.
_BRIDGED: Final = 8
#: Of a metre, in which networks of a track think.
_METRES: Final = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


@dataclass(frozen=True)
class Network:
    """A network for a motion.

    Attributes:
        about: what reports say of it.
        run: refines poses (G, J, D), NaN where nothing was seen; gives poses and, where the
            network says so, how far off each joint is expected to be, (G, J).
    """

    about: str
    run: Callable[[Floats], tuple[Floats, Floats | None]]


def network_for(motion: Motion, model: str, lag: int | None = None) -> Network:
    """Return the network of a name for a motion's joints.

    Args:
        motion: of 2 or 3 dimensions.
        model: ``poise:general``, a checkpoint folder, or a registered model.
        lag: frames that it waits for, as a stream does; None: all that its windows hold.

    Raises:
        SettingsError: its windows are no longer than the lag.
        ModelError: no such model.
        CheckpointError: it is damaged, or is of joints that the motion lacks.
    """
    names = tuple(plain_joints(motion.joints))
    spec = PoseSpec(len(names), motion.dims, names=names)
    refiner, card = load_model(model, spec=spec)
    most = getattr(refiner, "window", 0) - 1
    if lag is not None and not 0 <= lag <= most:
        raise SettingsError(
            f"a lag of {lag} frames: {refiner.name} waits for {max(most, 0)} at most"
        )
    if isinstance(refiner, General):
        refiner.stride = _STRIDE
        known = len(refiner.knows)
        beside = f", {len(names) - known} by themselves" if known < len(names) else ""
        about = (
            f"{model}, {known} joints as a body{beside}" if known else f"{model}, joint by joint"
        )
        return Network(about, lambda even_GJD: _general(refiner, even_GJD, names, lag))
    return _of_a_track(refiner, Track.parse(card.track), motion, names, lag)


def _general(
    refiner: General, even_GJD: Floats, names: tuple[str, ...], lag: int | None
) -> tuple[Floats, Floats | None]:
    """Gaps within its reach are the network's own affair; longer ones are bridged first.

    How far off a joint is, it has learnt of an estimator's bodies. Of markers, fingers and animals
    it knows nothing, and nothing is said.
    """
    seen_GJ = seen(even_GJD)
    bridged_GJD = filled(even_GJD)
    short_GJ = ~seen_GJ & (gap_lengths(seen_GJ) <= _BRIDGED)
    bridged_GJD[short_GJ] = np.nan
    refined_GJD, error_GJ = _in_chunks(refiner, bridged_GJD, lag)
    del bridged_GJD  # of an hour it is much
    if error_GJ is not None:
        error_GJ[:, [name not in refiner.knows for name in names]] = np.nan
    return put_back(refined_GJD, even_GJD, names), error_GJ


def _of_a_track(
    refiner: Refiner, track: Track, motion: Motion, names: tuple[str, ...], lag: int | None
) -> Network:
    info = track.info
    wanted = tuple(map(plain_joint, info.joint_names)) or names
    missing = [name for name in wanted if name not in names]
    if missing or len(wanted) != info.joints or (info.dims, motion.dims) != (3, 3):
        lacks = f", of which there is no {' or '.join(missing[:5])}" if missing else ""
        raise CheckpointError(
            f"{refiner.name} was trained on {track}: {info.joints} joints in {info.dims} "
            f"dimensions{lacks}; of other joints, or in images, use {GENERAL}"
        )
    places = [names.index(name) for name in wanted]
    scale = _METRES.get(motion.unit or "m", 1.0) if motion.dims == 3 else 1.0

    def run(even_GJD: Floats) -> tuple[Floats, Floats | None]:
        whole_GJD = _held(filled(even_GJD[:, places])) * scale
        refined_GJD = even_GJD.copy()
        refined_GJD[:, places], _ = _in_chunks(refiner, whole_GJD, lag)
        refined_GJD[:, places] /= scale
        return refined_GJD, None

    rest = len(names) - len(places)
    beside = f", {rest} joints left as they are" if rest else ""
    return Network(f"{refiner.name} of {track}{beside}", run)


def _held(values_GJD: Floats) -> Floats:
    """Carry first and last values to the ends; zero where a joint is never seen."""
    flat_GC = torch.from_numpy(values_GJD.reshape(len(values_GJD), -1))
    held_GC: Floats = np.nan_to_num(held(flat_GC).numpy())
    return held_GC.reshape(values_GJD.shape)


def _in_chunks(refiner: Refiner, even_GJD: Floats, lag: int | None) -> tuple[Floats, Floats | None]:
    """Refine any number of points, some thousands at a time."""
    points, joints, dims = even_GJD.shape
    # In double precision, so that a body far from the origin keeps its digits.
    places_XD = even_GJD.reshape(-1, even_GJD.shape[-1])
    seen_X = seen(places_XD)
    centre_D = places_XD[seen_X].mean(0) if seen_X.any() else np.zeros(places_XD.shape[-1])
    poses_GJD, errors = np.empty_like(even_GJD), []
    for first in range(0, points, _CHUNK):
        begin, end = max(first - _LEAD, 0), min(first + _CHUNK + _LEAD, points)
        here = slice(first - begin, first - begin + _CHUNK)
        about_HJD = even_GJD[begin:end] - centre_D
        clip = Clip(torch.from_numpy(about_HJD.reshape(end - begin, -1)).float())
        refined = (refiner.refine([clip]) if lag is None else refine_live(refiner, [clip], lag))[0]
        found_HC = refined.poses_FC[here].double().numpy()
        poses_GJD[first : first + _CHUNK] = found_HC.reshape(-1, joints, dims) + centre_D
        if refined.error_FJ is not None:
            errors.append(refined.error_FJ[here].double().numpy())
    return poses_GJD, np.concatenate(errors).reshape(points, joints) if errors else None
