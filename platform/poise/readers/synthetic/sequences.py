"""The synthetic track: people who move, seen by a simulated estimator. It needs no files.

A sequence depends only on its name, the estimator's name and the seed, so any part of the track can
be generated anywhere and in any order.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poise.readers.sequence import PoseSequence
from poise.readers.synthetic import body, motion
from poise.readers.synthetic import estimator as simulator
from poise.runtime.errors import DataError

FPS = 30.0


@dataclass(frozen=True)
class Size:
    """How much of the track to make.

    Attributes:
        subjects: people in the split; those of ``train`` and ``test`` are never the same.
        sequences_per_subject: sequences of one person, over all kinds of movement in turn.
        frames: frames of each sequence.
        seed: seed of everything random: people, movements and estimator.
    """

    subjects: int
    sequences_per_subject: int = 20
    frames: int = 120
    seed: int = 0


#: Sizes of the splits where nobody says otherwise.
DEFAULT_SIZES = {"train": Size(subjects=6), "test": Size(subjects=2)}


def sequences(
    split: str, size: Size | None = None, estimator: str = "simulated"
) -> Iterator[PoseSequence]:
    """Make a split of ``synthetic/<estimator>/3D``: h36m17, metres, root-relative, y up, 30 fps.

    Args:
        split: ``train`` or ``test``.
        size: see `Size`; `DEFAULT_SIZES` where None.
        estimator: name of the simulated estimator; each has its own bias and its own errors.

    Raises:
        DataError: no such split, or a size below one.
    """
    if split not in DEFAULT_SIZES:
        raise DataError(f"the synthetic track has no split {split!r}: take train or test")
    size = size or DEFAULT_SIZES[split]
    if min(size.subjects, size.sequences_per_subject, size.frames) < 1:
        raise DataError(f"{size}: subjects, sequences and frames must be at least 1")
    bias_J3 = simulator.bias(_chance("bias", estimator, size.seed))
    for person in range(1, size.subjects + 1):
        subject = f"{'S' if split == 'train' else 'T'}{person}"
        bones_J3 = body.proportions(_chance("body", subject, size.seed))
        for take in range(size.sequences_per_subject):
            kind = motion.KINDS[take % len(motion.KINDS)]
            name = f"{subject}/{kind}/{take:03d}"
            turned = motion.rotations(kind, size.frames, FPS, _chance("motion", name, size.seed))
            truth_FJ3 = body.forward_kinematics(turned, bones_J3)
            seen = _chance(f"errors of {estimator}", name, size.seed)
            detected_FJ3 = simulator.detect(truth_FJ3, bias_J3, seen)
            yield PoseSequence(
                name=name,
                subject=subject,
                camera=None,
                action=kind,
                fps=FPS,
                detected_FC=detected_FJ3.reshape(size.frames, -1).astype(np.float32),
                truth_FC=truth_FJ3.reshape(size.frames, -1).astype(np.float32),
            )


def _chance(what: str, whose: str, seed: int) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed}\n{what}\n{whose}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))
