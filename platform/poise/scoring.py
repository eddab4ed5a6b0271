"""The one evaluation routine: sweep, ``jobs/evaluate.py`` and the service's tests share it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from poise.metrics import Scores, pool, score
from poise.tracks import Track
from poise_models.refiner import Clip, Refiner

#: Clips refined together: bounds memory, whatever the length of the split.
CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class Row:
    """One row of a results table; errors in the track's unit, seconds of refining alone."""

    track: str
    refiner: str
    seed: int
    mpjpe: float
    pa_mpjpe: float
    accel: float
    accel_interior: float
    frames: int
    params: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, keyed as in the documentation of ``--json``."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """A refiner's row, and the scores of every sequence behind it."""

    row: Row
    sequences: list[tuple[str, Scores]]


def evaluate(
    refiner: Refiner,
    clips: Sequence[Clip],
    truths: Sequence[Tensor],
    names: Sequence[str],
    track: Track,
    seed: int,
) -> Evaluation:
    """Refine every clip and score it against its truth.

    Args:
        refiner: any refiner, already fitted, on the clips' device.
        clips: detected sequences with what retrieval found for them.
        truths: (F, C) each.
        names: the sequences' names.
        track: gives units and roots.
        seed: the seed of the refiner's training, for the row.
    """
    seconds = 0.0
    scores: list[Scores] = []
    for first in range(0, len(clips), CLIPS_AT_ONCE):
        part = slice(first, first + CLIPS_AT_ONCE)
        start = time.perf_counter()
        refined = refiner.refine(clips[part])
        seconds += time.perf_counter() - start
        scores += [
            score(one.poses_FC, truth, track.info)
            for one, truth in zip(refined, truths[part], strict=True)
        ]
    total = pool(scores)
    row = Row(
        track=str(track),
        refiner=refiner.name,
        seed=seed,
        mpjpe=total.mpjpe,
        pa_mpjpe=total.pa_mpjpe,
        accel=total.accel,
        accel_interior=total.accel_interior,
        frames=total.frames,
        params=refiner.parameter_count(),
        seconds=seconds,
    )
    return Evaluation(row, list(zip(names, scores, strict=True)))
