"""The one evaluation routine: sweep, ``jobs/evaluate.py`` and the service's tests share it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from poise.catalog.tracks import Track
from poise.evaluation import smpl
from poise.evaluation.metrics import Scores, pool, score, unit
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner

log = logging.getLogger(__name__)

#: Clips refined together: bounds memory, whatever the length of the split.
CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class Row:
    """One row of a results table; seconds of refining alone.

    Attributes:
        unit: of the errors; degrees are of rotations, see `poise.evaluation.metrics.Scores`. Empty
            in rows of earlier versions: the track's own.
        note: what a reader must know beside the numbers.
    """

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
    unit: str = ""
    note: str = ""

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
    body_folder: Path | None = None,
) -> Evaluation:
    """Refine every clip and score it against its truth.

    Args:
        refiner: any refiner, already fitted, on the clips' device.
        clips: detected sequences with what retrieval found for them; for a refiner of several
            views, the views of one take after another.
        truths: (F, C) each.
        names: the sequences' names.
        track: gives units and roots.
        seed: the seed of the refiner's training, for the row.
        body_folder: of SMPL's body model; ``$POISE_SMPL`` by default.

    Raises:
        DataError: a body model was named and cannot be read.
    """
    info = track.info
    body = smpl.find_body_model(body_folder) if track.representation == "smpl" else None
    note = _note(track, body)
    seconds = 0.0
    scores: list[Scores] = []
    views = refiner.views if isinstance(refiner, WindowRefiner) else 1
    at_once = max(CLIPS_AT_ONCE // views, 1) * views
    for first in range(0, len(clips), at_once):
        part = slice(first, first + at_once)
        start = time.perf_counter()
        refined = refiner.refine(clips[part])
        seconds += time.perf_counter() - start
        scores += [
            score(one.poses_FC, truth, info, body)
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
        unit=unit(info, body),
        note=note,
    )
    return Evaluation(row, list(zip(names, scores, strict=True)))


def unit_of(track: Track) -> str:
    """Return the unit of a track's rows on this machine; SMPL's depends on the body model."""
    return unit(track.info, smpl.find_body_model() if track.representation == "smpl" else None)


def _note(track: Track, body: smpl.BodyModel | None) -> str:
    if track.representation != "smpl":
        return ""
    if body is not None:
        return body.note
    _say_once(f"{track}: {smpl.WITHOUT_BODY}")
    return smpl.WITHOUT_BODY


@lru_cache(maxsize=256)
def _say_once(text: str) -> None:
    log.warning("%s", text)
