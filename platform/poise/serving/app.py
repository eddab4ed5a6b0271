"""The HTTP application: FastAPI routes and the replica behind them, as one Serve deployment."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.inference import check
from poise.runtime.settings import Settings
from poise.serving import responses, schema, validation
from poise.serving.limits import BodyLimit
from poise.serving.metrics import ServiceMetrics
from poise.serving.model import RefinedSequence, ReplicaConfig, ServedModel
from poise.serving.model_lookup import find_model
from poise.serving.replica_port import listen_at_node

logger = logging.getLogger(__name__)

#: Sequences refined together, and how long the first of them waits for more.
BATCH_SEQUENCES = 8
BATCH_WAIT_S = 0.01
#: A batch that takes longer is stuck: Serve replaces the replica.
BATCH_LONGEST_S = 600.0
RETRY_AFTER_S = 1

app = FastAPI(
    title="Poise",
    description="Refines human pose sequences: jittery poses in, smooth and precise poses out.",
    openapi_url=None,
    docs_url=None,
    redoc_url=None,
)
app.add_middleware(BodyLimit, limit=schema.MAX_BODY_BYTES)


@app.exception_handler(RequestValidationError)
async def _answer_problems(_: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse(validation.problems(error.errors()).model_dump(), status_code=422)


class ServiceArgs(BaseModel):
    """Arguments of `build`: the ``args`` of an application in a Serve config file."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None,
        description="name, name@alias or name/version in the registry, or a checkpoint "
        "folder; by default the only champion there is.",
    )
    home: str | None = Field(
        None, description="Poise's folder; $POISE_HOME or ./.poise by default."
    )
    lake: str | None = Field(
        None, description="Lake, folder or URI; $POISE_LAKE or <home>/lake by default."
    )
    milvus_uri: str | None = Field(
        None,
        description="Milvus of the PVD; $POISE_MILVUS_URI by default. Without one, answers are "
        "marked `retrieval: unavailable`.",
    )
    tracking_uri: str | None = Field(
        None,
        description="MLflow, to look the model up; $MLFLOW_TRACKING_URI or the home's own store "
        "by default.",
    )
    stride: int | None = Field(
        None, ge=1, description="Frames between a network's windows; its own by default."
    )
    compiled: bool = Field(
        False, description="Compile the network, for long sequences; a minute more to start."
    )
    replicas_max: int = Field(1, ge=1, description="Replicas that autoscaling may start.")
    cpus: float = Field(1.0, gt=0, description="Cores of a replica; also its torch threads.")
    max_queued: int = Field(64, ge=1, description="Waiting requests beyond which 429 is sent.")


# `serve.ingress` pickles the class by value while this module is still being imported: its methods
# see only module globals that are defined above it.
@serve.ingress(app)
class RefineService:
    """One replica: it validates requests, batches them, and refines them in a worker thread.

    Args:
        config: the model to serve.
        cpus: cores of the replica; torch takes as many threads.
    """

    def __init__(self, config: ReplicaConfig, cpus: float) -> None:
        listen_at_node()
        torch.set_num_threads(max(1, int(cpus)))
        self._model = ServedModel(config)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="refine")
        self._busy_since: float | None = None
        self._metrics = ServiceMetrics(self._model.name)

    @app.post(
        "/v1/refine",
        response_model=schema.RefineResponse,
        responses={
            404: {"description": "This service does not serve that model."},
            413: {"description": f"The body is larger than {schema.MAX_BODY_BYTES} bytes."},
            422: {"model": schema.Problems, "description": "The fields that are wrong."},
            429: {"description": "Overloaded; try again after `Retry-After` seconds."},
        },
    )
    async def refine(self, body: schema.RefineRequest) -> Response:
        """Refine one sequence."""
        start = time.perf_counter()
        given = validation.checked_frames(self._model, body)
        refined = await self._batched(given.poses_FC)
        if isinstance(refined, Exception):
            logger.error("A sequence of %d frames failed.", len(given.poses_FC), exc_info=refined)
            raise HTTPException(500, f"the model failed on this sequence: {refined}")
        seconds = time.perf_counter() - start
        frames, backend = len(given.poses_FC), self._model.search_backend
        self._metrics.count(frames, refined.retrieval, backend, seconds)
        response = responses.refine_response(self._model, body, given, refined, seconds)
        return Response(response.model_dump_json(), media_type="application/json")

    @app.get("/v1/models")
    async def models(self) -> schema.ModelList:
        """List what is served, and what it takes."""
        return schema.ModelList(models=[responses.model_info(self._model)])

    @app.get("/v1/example")
    async def example(self) -> dict[str, Any]:
        """Give a body that `POST /v1/refine` takes as it is."""
        return responses.example_request(self._model)

    @app.get("/healthz")
    async def healthz(self) -> schema.Health:
        """Say that the service answers, and whether it can retrieve."""
        return schema.Health(status="ok", model=self._model.name, retrieval=self._model.retrieval)

    @app.get("/", include_in_schema=False)
    async def root(self) -> RedirectResponse:
        """Lead to the documentation."""
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def docs(self) -> HTMLResponse:
        """Show the OpenAPI description."""
        return get_swagger_ui_html(openapi_url="openapi.json", title="Poise")

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(self, request: Request) -> dict[str, Any]:
        """Describe the API, with an example that fits the served model."""
        description: dict[str, Any] = request.app.openapi()
        content = description["paths"]["/v1/refine"]["post"]["requestBody"]["content"]
        content["application/json"]["example"] = responses.example_request(self._model)
        return description

    def check_health(self) -> None:
        """Raise where a batch is stuck, so that Serve replaces this replica."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > BATCH_LONGEST_S:
            raise RuntimeError(f"a batch has been running for more than {BATCH_LONGEST_S:.0f} s")

    @serve.batch(max_batch_size=BATCH_SEQUENCES, batch_wait_timeout_s=BATCH_WAIT_S)
    async def _batched(
        self, sequences: list[NDArray[np.float32]]
    ) -> list[RefinedSequence | Exception]:
        loop = asyncio.get_running_loop()
        self._busy_since = time.monotonic()
        try:
            return await loop.run_in_executor(self._worker, self._model.refine, sequences)
        finally:
            self._busy_since = None


def build(args: ServiceArgs) -> Application:
    """Build the Serve application; Ray Serve calls this for ``deploy/serve.yaml``.

    Raises:
        SettingsError: as `replica_config`.
        ModelError: as `replica_config`.
        CheckpointError: as `replica_config`.
    """
    application: Application = _deployment(args).bind(replica_config(args), args.cpus)
    return application


def replica_config(args: ServiceArgs) -> ReplicaConfig:
    """Find the model and check that it runs as asked.

    An alias is looked up here, once. Replicas get the checkpoint folder: they agree on the version,
    and a tracking server that is down later stops none of them from starting.

    Raises:
        SettingsError: a setting, given or from the environment, cannot be used.
        ModelError: the model cannot be found.
        CheckpointError: its checkpoint cannot be loaded, or cannot run as asked.
    """
    settings = Settings.load(
        home=args.home,
        lake=args.lake,
        milvus_uri=args.milvus_uri,
        tracking_uri=args.tracking_uri,
    )
    model = find_model(args.model, settings.tracking_uri)
    # A replica's failing constructor is retried for a minute: better to fail here and at once.
    check(load_checkpoint(model.checkpoint)[0], args.stride, args.compiled)
    return ReplicaConfig(
        model=model,
        lake=settings.lake,
        milvus_uri=settings.milvus_uri,
        stride=args.stride,
        compiled=args.compiled,
    )


def _deployment(args: ServiceArgs) -> Deployment:
    return serve.deployment(
        name="refine",
        autoscaling_config=AutoscalingConfig(
            min_replicas=1,
            max_replicas=args.replicas_max,
            target_ongoing_requests=BATCH_SEQUENCES,
            look_back_period_s=15.0,
            upscale_delay_s=5,
            downscale_delay_s=120,
        ),
        max_ongoing_requests=2 * BATCH_SEQUENCES,
        max_queued_requests=args.max_queued,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_S),
        health_check_period_s=10,
        health_check_timeout_s=30,
        ray_actor_options={"num_cpus": args.cpus},
    )(RefineService)
