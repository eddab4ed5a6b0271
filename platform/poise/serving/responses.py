"""From a validated body to frames, and from refined frames to the response."""

from typing import Any

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from poise.serving import schema
from poise.serving.model import Answer, ServedModel

#: Printed decimals: micrometres, far below the 1e-5 at which results are compared.
DECIMALS = 6


def accept(model: ServedModel, body: schema.RefineRequest) -> NDArray[np.float32]:
    """Take a body's poses as (F, C) in the model's unit.

    Raises:
        HTTPException: 404, the body asks for a model that is not served.
        RequestValidationError: the poses or their track are not the model's.
    """
    if body.model not in (None, model.source.name):
        raise HTTPException(404, f"no model {body.model!r} here; there is {model.source.name}")
    if body.track not in (None, str(model.track)):
        raise schema.refused(
            "track", "wrong_track", f"{model.source.name} was trained on {model.track}"
        )
    spec = model.refiner.spec
    return schema.as_frames(body.poses, spec.joints, spec.dims, model.unit)


def response(
    model: ServedModel, body: schema.RefineRequest, answer: Answer, seconds: float
) -> schema.RefineResponse:
    """Render an answer, its poses nested as the request's were."""
    spec = model.refiner.spec
    frames = len(answer.poses_FC)
    nested = isinstance(body.poses[0][0], list)
    shape = (frames, spec.joints, spec.dims) if nested else (frames, spec.channels)
    # Already of our making: validating a million numbers again would only cost time.
    return schema.RefineResponse.model_construct(
        poses=_rounded(answer.poses_FC.reshape(shape)),
        quality=None if answer.quality_F is None else _rounded(answer.quality_F),
        retrieval=answer.retrieval,
        distances=_summary(answer.distances_N),
        model=schema.ModelRef(
            name=model.source.name, version=model.source.version, track=str(model.track)
        ),
        name=body.name,
        fps=body.fps,
        frames=frames,
        seconds=round(seconds, 6),
        warnings=_warnings(model, body.fps),
    )


def describe(model: ServedModel) -> schema.ServedModelInfo:
    """Say what a model is and what it takes."""
    spec = model.refiner.spec
    return schema.ServedModelInfo(
        name=model.source.name,
        version=model.source.version,
        track=str(model.track),
        refiner=model.refiner.name,
        joints=spec.joints,
        dims=spec.dims,
        unit=model.unit,
        fps=model.info.fps,
        retrieval=model.retrieval,
    )


def example(model: ServedModel) -> dict[str, Any]:
    """Make a body that the model takes: ten frames of a body that stands and jitters."""
    spec = model.refiner.spec
    rng = np.random.default_rng(0)
    pose_JD = rng.normal(scale=0.3, size=(spec.joints, spec.dims))
    jitter_FJD = rng.normal(scale=0.01, size=(10, spec.joints, spec.dims))
    poses = np.round(pose_JD + jitter_FJD, 3).tolist()
    return {"poses": poses, "track": str(model.track), "name": "example"}


def _warnings(model: ServedModel, fps: float | None) -> list[str]:
    trained = model.info.fps
    if fps is None or trained is None or fps == trained:
        return []
    return [f"{fps:g} fps: the model was trained at {trained:g} fps"]


def _rounded(array: NDArray[np.float32]) -> list[Any]:
    values: list[Any] = np.round(array.astype(np.float64), DECIMALS).tolist()
    return values


def _summary(distances_N: NDArray[np.float32] | None) -> schema.Distances | None:
    if distances_N is None:
        return None
    low, middle, high = np.quantile(distances_N.astype(np.float64), [0, 0.5, 1]).round(DECIMALS)
    return schema.Distances(min=float(low), median=float(middle), max=float(high))
