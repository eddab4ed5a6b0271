"""Bodies of `POST /v1/refine` that are files, on their way to a worker and back."""

import logging
import time
from importlib import resources
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from poise.checkpoints.shipped import GENERAL
from poise.refining.options import FILTERS
from poise.serving.files.asked import FileOptions, checked, described
from poise.serving.files.workers import Workers
from poise.serving.intake.limits import CLIENT
from poise.serving.metrics import ServiceMetrics
from poise.serving.model import ServedModel
from poise.serving.models.served_models import ServedModels
from poise.serving.models.wanted import WRONG, ChoiceError
from poise.serving.schema import Problem, Problems
from poise.serving.streams.sessions import longest_lag
from poise.serving.tracing.spans import stages
from poise_models.general.general import GeneralConfig

logger = logging.getLogger(__name__)

#: The header that says what refined a file: ``name/version``, as requests name it.
MODEL: Final = "Poise-Model"
#: Recordings that come with Poise, and what each is.
SAMPLES: Final = {"walking.trc": "MediaPipe on a person who walks, 3D, 60 frames a second"}
_PLACES: Final = {"walking.trc": ("poise.client", "sample.trc")}


class FileIntake:
    """Takes files for a replica.

    Args:
        models: which clients may name.
        threads: of the processor that a file may use.
        metrics: counts what was refined.
    """

    def __init__(self, models: ServedModels, threads: int, metrics: ServiceMetrics) -> None:
        self._models = models
        self._workers = Workers(threads)
        self._metrics = metrics

    @property
    def described(self) -> dict[str, Any]:
        """What may be asked, and the recordings there are."""
        samples = [{"name": name, "about": about} for name, about in SAMPLES.items()]
        own = self._models.own
        lags = {own.name: longest_lag(own.refiner), GENERAL: GeneralConfig().window - 1}
        models = [{"name": name, "longest_lag": lag} for name, lag in lags.items()]
        return {**described(), "models": models, "served": own.name, "samples": samples}

    async def answer(self, request: Request, options: FileOptions) -> Response:
        """Refine the file that a request's body is.

        Raises:
            RequestValidationError: it names a format, joint set or refiner that there is not.
            ChoiceError: it names a model that there is not.
        """
        named = self._models.own
        if options.model is not None or options.track is not None:
            if options.refiner is not None:
                message = "give a refiner, or a model or track: not both"
                raise ChoiceError(WRONG, "refiner", message)
            named = await self._models.get(options.model, options.track)
            options = options.model_copy(update={"refiner": named.name})
        refiner, client = options.refiner or GENERAL, request.scope.get(CLIENT)
        # Of the general network the name and no folder: its weights differ in 2D and 3D.
        models = {named.name: named.config.model.checkpoint} | {GENERAL: GENERAL}
        asked = {
            **checked(options, models, request.headers.get("accept", "")),
            "content_type": request.headers.get("content-type", ""),
            "model": _model(refiner, named),
            "most": {name: getattr(client, name, None) for name in ("frames", "people")},
        }
        body = (await request.receive()).get("body", b"")
        about, content = await self._workers.answer(asked, body)
        if about["status"] != 200:
            problem = Problem(field="file", loc=["body"], msg=about["message"], type="file")
            return JSONResponse(Problems(detail=[problem]).model_dump(), about["status"])
        self._metrics.count(refiner, about["frames"], "none", "none", about["seconds"])
        self._metrics.count_stages(refiner, about["timing"])
        stages(time.perf_counter(), about["timing"])
        version = asked["model"]["version"]
        headers = {
            "X-Content-Type-Options": "nosniff",
            MODEL: refiner if version is None else f"{refiner}/{version}",
        }
        if "filename" in about:
            name = about["filename"].encode("ascii", "replace").decode().replace("?", "_")
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(content, media_type=about["type"], headers=headers)

    def close(self) -> None:
        """End the workers."""
        self._workers.close()


def _model(refiner: str, named: ServedModel) -> dict[str, Any]:
    """What refines, as requests have it; a filter has neither version nor track."""
    if refiner in (GENERAL, *FILTERS) and refiner != named.name:
        return {"name": refiner, "version": None, "track": None}
    track = None if refiner == GENERAL else str(named.track)
    return {"name": refiner, "version": named.version, "track": track}


def sample(name: str) -> bytes | None:
    """A recording that comes with Poise; None where there is none of that name."""
    if name not in _PLACES:
        return None
    package, file = _PLACES[name]
    return resources.files(package).joinpath(file).read_bytes()
