"""Clips of motion that no network was trained on, as simulated estimators see them."""

from dataclasses import replace

import torch
from torch import Tensor

from poise.analysis.contenders import Sequences
from poise.catalog.tracks import Track, TrackInfo
from poise.readers.filling import too_little, whole
from poise.readers.missing import unseen
from poise.readers.noise import cut_clips, noise_seed
from poise.readers.sequence import PoseSequence
from poise.readers.simulated.body import Body
from poise.readers.simulated.estimator import EstimatorSimulator
from poise.readers.simulated.strengths import Strengths
from poise.runtime.errors import DataError
from poise_retrieval.geometry.skeletons import Skeleton

#: Of a clip.
FRAMES = 120


def clips(sequences: Sequences, most: int) -> Sequences:
    """Clips of `FRAMES` frames from all over some sequences, seen without any error.

    Raises:
        DataError: there is none.
    """
    cut = [
        replace(clip, detected_FC=clip.truth_FC, unseen_FJ=None)
        for one in sequences.items
        for clip in cut_clips(one, FRAMES)
        if clip.truth_FC is not None
    ]
    if not cut:
        raise DataError(f"{sequences.track}: no sequence has {FRAMES} frames")
    step = max(len(cut) / most, 1.0)
    chosen = [cut[int(place * step)] for place in range(min(most, len(cut)))]
    return Sequences(sequences.track, chosen)


def body_of(sequences: Sequences) -> Body:
    """What goes wrong together on the sequences' joints."""
    return Body(_skeleton(sequences.track))


def truth_of(one: PoseSequence, info: TrackInfo) -> Tensor:
    """A sequence's truth, (F, J, D)."""
    assert one.truth_FC is not None  # noqa: S101  (as it was read)
    truth_FJD: Tensor = torch.from_numpy(one.truth_FC).unflatten(-1, (info.joints, -1))
    return truth_FJD


def detected(sequences: Sequences, strengths: Strengths, name: str) -> Sequences:
    """Sequences as estimators see them that have such strengths, one for each.

    Args:
        sequences: on the simulator's skeleton; what is detected of them is seen anew.
        strengths: of the estimators.
        name: tells these draws from others.
    """
    simulator = EstimatorSimulator(_skeleton(sequences.track), strengths=strengths)
    info, made = sequences.track.info, []
    for one in sequences.items:
        generator = torch.Generator().manual_seed(noise_seed(name, one.name) % 2**63)
        poses_FJD = torch.from_numpy(one.detected_FC).unflatten(-1, (info.joints, -1))
        seen_BFJD = simulator.detect(poses_FJD[None], generator).poses_BTJD
        made.append(seen_as(one, seen_BFJD[0], info))
    return Sequences(sequences.track, made)


def seen_as(one: PoseSequence, poses_FJD: Tensor, info: TrackInfo) -> PoseSequence:
    """A sequence with other detections; NaN is not seen, and filled as readers fill it."""
    poses = poses_FJD.numpy()
    # A body that no frame shows is no detection: it stays as it was.
    if too_little(unseen(poses.astype(float), info), info):
        return one
    seen_FC, unseen_FJ = whole(poses.reshape(len(poses), -1), info)
    return replace(one, detected_FC=seen_FC, unseen_FJ=unseen_FJ)


def _skeleton(track: Track) -> Skeleton:
    skeleton = track.info.skeleton
    assert skeleton is not None  # noqa: S101  (the simulated track has one)
    return skeleton
