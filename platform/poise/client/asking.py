"""Requests to `POST /v1/refine` and their answers, whoever carries them.

Shape letters: F frames, P people, J joints, D dimensions, C = J x D.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.client.errors import AwayError, ClientError

if TYPE_CHECKING:
    from poise.motion.motion import Motion

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
#: How often a service is asked that has answered before, for the better part of a minute: that
#: is what a proxy or a replica takes that starts again. One that never has may not be there.
_TRIES: Final = 16
_FIRST_TRIES: Final = 7
_LONGEST_PAUSE_S: Final = 5.0
#: And no longer than this in all, whatever `Retry-After` says.
_PATIENCE_S: Final = 60.0
#: Of a service that has too much to do, or whose replica has just died.
_AWAY: Final = (408, 429, 502, 503, 504)
_METRES: Final = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


@dataclass(frozen=True)
class Answer:
    """A refined sequence.

    Attributes:
        poses: refined, in the shape in which they were given.
        error_FJ: how far off joints are expected to be; None where the refiner does not say.
        quality_F: of the frames, 0 to 1; None where the refiner has none.
        rest: everything else that the service said.
    """

    poses: Floats
    error_FJ: Floats | None
    quality_F: Floats | None
    rest: Mapping[str, Any]


def traced(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers, and with them the trace that the caller's current span is of, where it has one."""
    found = dict(headers)
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(found)
    return found


def json_of(poses: NDArray[np.floating], **options: Any) -> dict[str, Any]:
    """What to send of poses; NaN is what was not seen.

    Args:
        poses: (F, J, D) or (F, C).
        options: other fields; those that are None are left out.
    """
    frames = np.asarray(poses, dtype=np.float64)
    if frames.ndim not in (2, 3):
        raise ClientError(f"poses are (frames, joints, dimensions), not of shape {frames.shape}")
    said = {name: value for name, value in options.items() if value is not None}
    body = json.dumps({"poses": frames.tolist(), **said}).encode()
    return {"content": body, "headers": {"Content-Type": "application/json"}}


def answer_of(body: bytes) -> Answer:
    """Read an answer."""
    rest = json.loads(body)
    poses, error, quality = (rest.pop(name) for name in ("poses", "error", "quality"))
    return Answer(
        np.asarray(poses, np.float32),
        None if error is None else np.asarray(error, np.float32),
        None if quality is None else np.asarray(quality, np.float32),
        rest,
    )


def check(status: int, body: bytes) -> None:
    """See that a request was answered.

    Raises:
        AwayError: it may be made again.
        ClientError: it is refused.
    """
    if status < 400:
        return
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    if status in _AWAY or (status == 500 and detail is None):
        raise AwayError(f"the service is busy or away ({status})", status)
    if isinstance(detail, list) and detail:
        first = detail[0]
        raise ClientError(f"{first['field']}: {first['msg']}", status, first["field"])
    raise ClientError(str(detail or f"the service answers {status}"), status)


def gives_up(number: int, answered: bool, waited_s: float = 0.0) -> bool:
    """Say whether a try was the last one, the first being 0.

    Args:
        number: of the try, which failed.
        answered: whether the service has ever answered.
        waited_s: between the tries, in all.
    """
    return number + 1 >= (_TRIES if answered else _FIRST_TRIES) or waited_s >= _PATIENCE_S


def pause_s(
    number: int, error: Exception, retry_after: str | None = None, waited_s: float = 0.0
) -> float:
    """How long to wait after so many tries, the last of which failed, or what the service says.

    With what was waited before it is never more than a minute.
    """
    pause = float(min(0.1 * 2**number, _LONGEST_PAUSE_S))
    if retry_after is not None and retry_after.isdecimal():
        pause = float(retry_after)
    pause = min(pause, _PATIENCE_S - waited_s)
    logger.info("Asks again in %.1f s: %s", pause, str(error) or type(error).__name__)
    return pause


def parts_of(
    motion: "Motion", model: Mapping[str, Any]
) -> Iterator[tuple[int, list[int], NDArray[np.floating], float]]:
    """The people of a motion as a model takes them.

    Yields:
        Which person, which joints of the motion, their poses (F, J, D), and their scale.

    Raises:
        ClientError: the model's joints are not among the motion's.
    """
    from poise.catalog.joint_sets import plain_joint

    there = [plain_joint(name) for name in motion.joints]
    wanted = [plain_joint(name) for name in model["joint_names"]]
    lacks = [name for name in wanted if name not in there]
    if lacks or motion.dims != model["dims"]:
        which = f"; there is no {', '.join(lacks[:5])}" if lacks else ""
        raise ClientError(
            f"{model['name']} takes {model['joints']} joints in {model['dims']} dimensions{which}"
        )
    places = [there.index(name) for name in wanted]
    scale = _METRES.get(motion.unit or "m", 1.0) if model["unit"] == "m" else 1.0
    for person in range(len(motion.people)):
        poses_FJD = motion.poses_FPJD[:, person][:, places] * scale
        if not np.isnan(poses_FJD).all():
            yield person, places, poses_FJD, scale
