"""The one evaluation routine: sweep, raw data and analysis share it."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from poise.catalog.tracks import Track
from poise.evaluation import smpl
from poise.evaluation.metrics import PoseErrors, pool, pose_errors, unit
from poise.evaluation.motion import MotionErrors, motion_errors, pool_motion
from poise.runtime.activity import counted
from poise.training_data.examples import Examples
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner

log = logging.getLogger(__name__)

#: Clips refined together: bounds memory, whatever the length of the split.
CLIPS_AT_ONCE = 64

#: What retrieval did for a refiner; ``none`` where it reads no neighbours.
RetrievalUse = Literal["used", "unavailable", "none"]


@dataclass(frozen=True)
class Row:
    """One row of a results table.

    Attributes:
        frames: that were compared.
        params: weights that are trained by gradient.
        seconds: of refining, without reading and comparing.
        unit: of the errors; degrees are of rotations, see `poise.evaluation.metrics.PoseErrors`.
            Empty in rows of earlier versions: the track's own.
        note: what a reader must know beside the numbers.
        retrieval: whether the refiner had neighbours from the PVD. ``none``: it reads none.
            ``unavailable``: it reads them, and there were none, so that every window stood in for
            its own neighbour at distance 1 (in a sweep in training, too). Empty in rows of earlier
            versions.
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
    retrieval: RetrievalUse | Literal[""] = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary, as ``--json`` writes them."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """A refiner's row, and the errors of every sequence behind it.

    Attributes:
        motions: what became of every sequence's motion, None where that is not defined.
        subjects: whose each sequence is; none where the examples do not tell.
    """

    row: Row
    sequences: list[tuple[str, PoseErrors]]
    motions: list[MotionErrors | None]
    subjects: Sequence[str] = ()

    @property
    def motion(self) -> MotionErrors | None:
        """What became of the motion of all sequences together."""
        return pool_motion(self.motions)


def evaluate(
    refiner: Refiner,
    examples: Examples,
    track: Track,
    seed: int,
    body_folder: Path | None = None,
) -> Evaluation:
    """Refine every clip and compare it with its truth.

    Args:
        refiner: any refiner, already fitted, on the clips' device.
        examples: detected sequences with what retrieval found for them, and their truths; for a
            refiner of several views, the views of one take after another.
        track: gives units and roots.
        seed: the seed of the refiner's training, for the row.
        body_folder: of SMPL's body model; ``$POISE_SMPL`` by default.

    Raises:
        DataError: a body model was named and cannot be read, or no frame can be scored.
    """
    info = track.info
    body = smpl.find_body_model(body_folder) if track.representation == "smpl" else None
    seconds = 0.0
    errors: list[PoseErrors] = []
    motions: list[MotionErrors | None] = []
    for clips, truths, untrue in in_parts(refiner, examples):
        counted("sequence", len(errors), len(examples.clips))
        start = time.perf_counter()
        refined = refiner.refine(clips)
        seconds += time.perf_counter() - start
        for one, truth_FC, no_FJ in zip(refined, truths, untrue, strict=True):
            errors.append(pose_errors(one.poses_FC, truth_FC, info, body, no_FJ))
            motions.append(motion_errors(one.poses_FC, truth_FC, info, body, no_FJ))
    total = pool(errors)
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
        note=_note(track, body),
        retrieval=retrieval_of(refiner, examples.clips),
    )
    sequences = list(zip(examples.names, errors, strict=True))
    return Evaluation(row, sequences, motions, examples.subjects)


def retrieval_of(refiner: Refiner, clips: Sequence[Clip]) -> RetrievalUse:
    """Say whether a refiner reads neighbours, and whether these clips have any."""
    if not isinstance(refiner, WindowRefiner) or not refiner.uses_neighbours:
        return "none"
    return "used" if any(clip.neighbours_NKTC is not None for clip in clips) else "unavailable"


def unit_of(track: Track) -> str:
    """Return the unit of a track's rows on this machine; SMPL's depends on the body model."""
    return unit(track.info, smpl.find_body_model() if track.representation == "smpl" else None)


def in_parts(
    refiner: Refiner, examples: Examples
) -> Iterator[tuple[Sequence[Clip], Sequence[Tensor], Sequence[Tensor | None]]]:
    """Yield clips with their truths, and what of these is not scored, some at a time."""
    # The views of a take stay together.
    views = refiner.views if isinstance(refiner, WindowRefiner) else 1
    at_once = max(CLIPS_AT_ONCE // views, 1) * views
    for first in range(0, len(examples.clips), at_once):
        part = slice(first, first + at_once)
        untrue = [examples.untrue.get(name) for name in examples.names[part]]
        yield examples.clips[part], examples.truths[part], untrue


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
