"""Bodies of `POST /v1/refine` that are files, on their way to a worker and back."""

import logging
from importlib import resources
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from poise.checkpoints.shipped import GENERAL
from poise.serving.files.asked import NPZ, FileOptions, checked, described
from poise.serving.files.workers import Workers
from poise.serving.metrics import ServiceMetrics
from poise.serving.model import ServedModel
from poise.serving.schema import Problem, Problems
from poise.serving.streams.sessions import longest_lag
from poise_models.general.general import GeneralConfig

logger = logging.getLogger(__name__)

_JSON: Final = "application/json"
#: Recordings that come with Poise, and what each is.
SAMPLES: Final = {"walking.trc": "MediaPipe on a person who walks, 3D, 60 frames a second"}
_PLACES: Final = {"walking.trc": ("poise.client", "sample.trc")}


class FileIntake:
    """Takes files for a replica.

    Args:
        model: which clients may name, beside the general one.
        threads: of the processor that a file may use.
        metrics: counts what was refined.
    """

    def __init__(self, model: ServedModel, threads: int, metrics: ServiceMetrics) -> None:
        self._served = model.name
        # Of the general network the name and no folder: its weights differ in 2D and 3D.
        self._models = {model.name: model.config.model.checkpoint, GENERAL: GENERAL}
        self._lags = {model.name: longest_lag(model.refiner), GENERAL: GeneralConfig().window - 1}
        self._workers = Workers(threads)
        self._metrics = metrics

    @property
    def described(self) -> dict[str, Any]:
        """What may be asked, and the recordings there are."""
        samples = [{"name": name, "about": about} for name, about in SAMPLES.items()]
        models = [{"name": name, "longest_lag": self._lags[name]} for name in self._models]
        return {**described(), "models": models, "served": self._served, "samples": samples}

    async def answer(self, request: Request, options: FileOptions) -> Response:
        """Refine the file that a request's body is.

        Raises:
            RequestValidationError: it names a format, joint set or refiner that there is not.
        """
        accept = request.headers.get("accept", "")
        asked = {
            **checked(options, self._models),
            "content_type": request.headers.get("content-type", ""),
            "accept": next((kind for kind in (NPZ, _JSON) if kind in accept), ""),
        }
        body = (await request.receive()).get("body", b"")
        about, content = await self._workers.answer(asked, body)
        if about["status"] != 200:
            problem = Problem(field="file", loc=["body"], msg=about["message"], type="file")
            return JSONResponse(Problems(detail=[problem]).model_dump(), about["status"])
        self._metrics.count(about["frames"], "none", "none", about["seconds"])
        headers = {"X-Content-Type-Options": "nosniff"}
        if "filename" in about:
            name = about["filename"].encode("ascii", "replace").decode().replace("?", "_")
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(content, media_type=about["type"], headers=headers)

    def close(self) -> None:
        """End the workers."""
        self._workers.close()


def sample(name: str) -> bytes | None:
    """A recording that comes with Poise; None where there is none of that name."""
    if name not in _PLACES:
        return None
    package, file = _PLACES[name]
    return resources.files(package).joinpath(file).read_bytes()
