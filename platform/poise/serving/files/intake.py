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
from poise.serving.schema import Problem, Problems

logger = logging.getLogger(__name__)

_JSON: Final = "application/json"
#: Recordings that come with Poise, and what each is.
SAMPLES: Final = {"walking.trc": "MediaPipe on a person who walks, 3D, 60 frames a second"}
_PLACES: Final = {"walking.trc": ("poise.client", "sample.trc")}


class FileIntake:
    """Takes files for a replica.

    Args:
        models: checkpoint folders of the models that clients may name, beside the general one.
        threads: of the processor that a file may use.
        metrics: counts what was refined.
    """

    def __init__(self, models: dict[str, str], threads: int, metrics: ServiceMetrics) -> None:
        self._models = {**models, GENERAL: GENERAL}
        self._workers = Workers(threads)
        self._metrics = metrics

    @property
    def described(self) -> dict[str, Any]:
        """What may be asked, and the recordings there are."""
        samples = [{"name": name, "about": about} for name, about in SAMPLES.items()]
        return {**described(self._models), "samples": samples}

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
