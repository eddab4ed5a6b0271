"""What the service answers: a refined sequence, the model it serves, an example of a request."""

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from poise.readers.missing import Bools, described, listed
from poise.readers.scale import odd_size, reach
from poise.serving import schema
from poise.serving.intake.reading import GivenRequest
from poise.serving.intake.validation import Frames
from poise.serving.model import ServedModel
from poise.serving.work import RefinedSequence

#: Printed decimals: micrometres, far below the 1e-5 at which results are compared.
DECIMALS = 6
#: Frames that become text in one step.
_PIECE = 256


@dataclass(frozen=True)
class Spent:
    """Seconds of a request until its poses were refined, as `schema.Timing` has them."""

    parse: float
    queue: float
    network: float
    retrieval: float

    @property
    def seconds(self) -> float:
        """All together."""
        return self.parse + self.queue + self.network + self.retrieval


def refine_answer(
    model: ServedModel,
    given: GivenRequest,
    refined: RefinedSequence,
    spent: Spent,
) -> Generator[None, None, bytes]:
    """The answer to a request as JSON, its poses nested as the request's were.

    Args:
        model: what refined the sequence.
        given: the request.
        refined: its sequence, refined.
        spent: from the whole body to the refined poses.
    """
    began = time.perf_counter()
    moved_FJ = _moved(model, given, refined)
    # Already of our making: validating a million numbers again would only cost time.
    in_short = schema.RefineResponse.model_construct(
        poses=[],
        error=None,
        moved=None,
        correction=_correction(moved_FJ),
        quality=_quality(refined, given.frames),
        retrieval=refined.retrieval,
        distances=_summary(refined.distances_N),
        neighbours=None,
        model=schema.ModelRef(name=model.name, version=model.version, track=str(model.track)),
        name=given.options.name,
        fps=given.options.fps,
        frames=len(refined.poses_FC),
        seconds=round(spent.seconds, 6),
        timing=schema.Timing(**asdict(spent), format=0.0),  # which is not over yet
        filled=_filled(model, given.frames),
        warnings=_warnings(model, given.options.fps, given.frames),
    )
    width = model.refiner.spec.dims if given.nested else None
    poses_text = yield from _frame_by_frame(_nested(refined.poses_FC, width))
    near_text = yield from _frame_by_frame(_nested(refined.neighbours_FC, width))
    error_text = yield from _frame_by_frame(refined.error_FJ)
    moved_text = yield from _frame_by_frame(moved_FJ if given.options.moved else None)
    long = {"poses", "error", "neighbours", "moved", "timing"}
    rest = in_short.model_dump_json(exclude=long).encode().removeprefix(b"{")
    spent_s = {**asdict(spent), "format": time.perf_counter() - began}
    timing = to_json({stage: round(one, 6) for stage, one in spent_s.items()})
    texts = (poses_text, error_text, near_text, moved_text, timing, rest)
    return b'{"poses":%b,"error":%b,"neighbours":%b,"moved":%b,"timing":%b,%b' % texts


def model_info(model: ServedModel) -> schema.ServedModelInfo:
    """What a model is, and what poses it takes."""
    spec = model.refiner.spec
    return schema.ServedModelInfo(
        name=model.name,
        version=model.version,
        track=str(model.track),
        refiner=model.refiner.name,
        joints=spec.joints,
        joint_names=list(model.info.joint_names),
        dims=spec.dims,
        unit=model.unit,
        fps=model.info.fps,
        retrieval=model.retrieval,
    )


def example_request(model: ServedModel) -> dict[str, Any]:
    """A request that the model takes: ten frames of a made-up body that stands and jitters."""
    spec = model.refiner.spec
    rng = np.random.default_rng(0)
    pose_JD = rng.normal(scale=0.3, size=(spec.joints, spec.dims))
    jitter_FJD = rng.normal(scale=0.01, size=(10, spec.joints, spec.dims))
    poses = np.round(pose_JD + jitter_FJD, 3).tolist()
    return {"poses": poses, "track": str(model.track), "name": "example"}


def _nested(poses_FC: NDArray[np.float32] | None, width: int | None) -> NDArray[np.float32] | None:
    """Poses with a list for each joint, of so many numbers; as they are without."""
    if poses_FC is None or width is None:
        return poses_FC
    return poses_FC.reshape(len(poses_FC), -1, width)


def _frame_by_frame(values: NDArray[np.float32] | None) -> Generator[None, None, bytes]:
    """A list with an entry a frame as JSON, some frames a step."""
    if values is None:
        return b"null"
    pieces = []
    for first in range(0, len(values), _PIECE):
        yield
        pieces.append(to_json(_rounded(values[first : first + _PIECE]))[1:-1])
    yield
    return b"[" + b",".join(pieces) + b"]"


def _moved(
    model: ServedModel, given: GivenRequest, refined: RefinedSequence
) -> NDArray[np.float32]:
    """How far joints were moved; NaN for those that were not seen."""
    shape = (len(refined.poses_FC), model.refiner.spec.joints, model.refiner.spec.dims)
    apart_FJD = (refined.poses_FC - given.frames.poses_FC).reshape(shape)
    moved_FJ: NDArray[np.float32] = np.sqrt((apart_FJD**2).sum(axis=2))
    if given.frames.unseen_FJ is not None:
        moved_FJ[given.frames.unseen_FJ] = np.nan
    return moved_FJ


def _correction(moved_FJ: NDArray[np.float32]) -> schema.Correction | None:
    seen = moved_FJ[~np.isnan(moved_FJ)]
    if not len(seen):
        return None
    frame, joint = np.unravel_index(int(np.nanargmax(moved_FJ)), moved_FJ.shape)
    return schema.Correction(
        median=round(float(np.median(seen)), DECIMALS),
        max=round(float(seen.max()), DECIMALS),
        frame=int(frame),
        joint=int(joint),
    )


def _quality(refined: RefinedSequence, given: Frames) -> list[float] | None:
    """Quality of the frames, as far as there was something to see."""
    if refined.quality_F is None:
        return None
    if given.unseen_FJ is None:
        return _rounded(refined.quality_F)
    return _rounded(refined.quality_F * (1 - given.unseen_FJ.mean(axis=1, dtype=np.float32)))


def _warnings(model: ServedModel, fps: float | None, given: Frames) -> list[str]:
    trained = model.info.fps
    found = []
    if fps is not None and trained is not None and fps != trained:
        found.append(f"{fps:g} fps: the model was trained at {trained:g} fps")
    if given.unseen_FJ is not None:
        found += _not_seen(model, given.unseen_FJ)
    if model.unit == "m":
        odd = odd_size(reach(given.poses_FC.reshape(len(given.poses_FC), -1, 3)))
        found += [odd] if odd else []
    return found


def _not_seen(model: ServedModel, unseen_FJ: Bools) -> list[str]:
    names = model.info.joint_names
    if model.refiner.takes_missing:
        return [f"not seen, and refined as such: {listed(unseen_FJ, names)}"]
    return described(unseen_FJ, names)


def _filled(model: ServedModel, given: Frames) -> list[schema.FilledJoint]:
    if given.unseen_FJ is None:
        return []
    columns = zip(model.info.joint_names, given.unseen_FJ.T, strict=True)
    return [
        schema.FilledJoint(joint=joint, name=name, frames=np.flatnonzero(unseen_F).tolist())
        for joint, (name, unseen_F) in enumerate(columns)
        if unseen_F.any()
    ]


def _rounded(array: NDArray[np.float32]) -> list[Any]:
    values: list[Any] = np.round(array.astype(np.float64), DECIMALS).tolist()
    return values


def _summary(distances_N: NDArray[np.float32] | None) -> schema.Distances | None:
    if distances_N is None:
        return None
    low, middle, high = np.quantile(distances_N.astype(np.float64), [0, 0.5, 1]).round(DECIMALS)
    return schema.Distances(min=float(low), median=float(middle), max=float(high))
