"""The HTTP application: FastAPI routes and the replica behind them, as one Serve deployment."""

import logging
import time
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import ray
import torch
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import BackpressureConfig

from poise.serving import responses, schema
from poise.serving.files.asked import (
    ARCHIVE,
    ENDINGS,
    FORM,
    NPZ,
    OCTETS,
    TYPES,
    FileOptions,
    is_file,
)
from poise.serving.files.intake import FileIntake, sample
from poise.serving.intake.admission import Admission
from poise.serving.intake.limits import (
    CLIENT,
    RETRY_AFTER,
    BodyLimit,
    NoPlaceError,
    Places,
    client_of,
)
from poise.serving.intake.passing import DEPLOYMENT
from poise.serving.intake.reading import NO_OBJECT, fitted, is_json, read_body
from poise.serving.intake.validation import field_error, problems
from poise.serving.metrics import ServiceMetrics
from poise.serving.model import ReplicaConfig
from poise.serving.models.served_models import ModelWork, ServedModels
from poise.serving.models.wanted import AWAY, WRONG, ChoiceError, agreed
from poise.serving.page.routes import router
from poise.serving.replica_port import listen_at_node
from poise.serving.scaling import ReplicaLoad, autoscaling
from poise.serving.service_args import ServiceArgs, replica_config
from poise.serving.streams.counts import StreamCounts, StreamMetrics
from poise.serving.streams.door import StreamDoor
from poise.serving.streams.pushes import SharedNetwork
from poise.serving.tokens.clients import Clients
from poise.serving.tracing.log_lines import log_as_serve_does
from poise.serving.tracing.middleware import TraceRequests
from poise.serving.tracing.spans import send_rest, stages
from poise.serving.turns import Steps, Turns, step_all

logger = logging.getLogger(__name__)

#: A step that takes longer is stuck: Serve replaces the replica.
STEP_LONGEST_S = 120.0
#: Requests of any kind that Serve hands to a replica: no request for its health waits for a place
#: behind requests that are refined, which a replica counts itself.
MOST_REQUESTS = 1024

app = FastAPI(
    title="Poise",
    description="Refines human pose sequences: jittery poses in, smooth and precise poses out.",
    openapi_url=None,
    docs_url=None,
    redoc_url=None,
    responses={401: schema.refused("The service's token is not shown.")},
)
#: Described by hand: FastAPI describes only what it reads itself, and in one go.
_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE}
_REQUEST = {
    "application/json": {"schema": schema.RefineRequest.model_json_schema()},
    **{kind: {"schema": _FILE} for kind in (OCTETS, NPZ, *TYPES)},
    FORM: {"schema": {"type": "object", "properties": {"file": _FILES}, "required": ["file"]}},
}
app.include_router(router)
app.add_middleware(BodyLimit, limit=schema.MAX_BODY_BYTES)
app.add_middleware(
    Admission, clients_of=lambda: serve.get_replica_context().servable_object.clients
)
app.add_middleware(TraceRequests)


@app.exception_handler(RequestValidationError)
async def _answer_problems(_: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse(problems(error.errors()).model_dump(), status_code=422)


@app.exception_handler(ChoiceError)
async def _answer_choice(_: Request, error: ChoiceError) -> JSONResponse:
    if error.status == WRONG:
        wrong = field_error(error.field, "contradiction", str(error)).errors()
        return JSONResponse(problems(wrong).model_dump(), WRONG)
    headers = RETRY_AFTER if error.status == AWAY else None
    return JSONResponse({"detail": str(error)}, error.status, headers)


# `serve.ingress` pickles the class by value while this module is still being imported: its methods
# see only module globals that are defined above it.
@serve.ingress(app)
class RefineService:
    """One replica: requests become frames in one thread, and are refined in another.

    Requests share both threads a step at a time. Everything else, health too, is answered by the
    event loop, on which nothing takes long, and waits in no queue.

    Args:
        config: the model to serve.
        cpus: cores of the replica; torch takes as many threads.
        max_queued: requests that it takes at a time.
    """

    def __init__(self, config: ReplicaConfig, cpus: float, max_queued: int) -> None:
        listen_at_node()
        log_as_serve_does()
        torch.set_num_threads(max(1, int(cpus)))
        self._models = ServedModels(config)
        self._text = Turns("text", step_all)
        self._network = Turns("network", SharedNetwork(self._models.advance).step)
        # One client leaves half of the places to others.
        self._places = Places(max_queued, (max_queued + 1) // 2)
        self._metrics = ServiceMetrics()
        self._load = ReplicaLoad(lambda: self._network.busy_s, lambda: self._streams.address[-1])
        self._files = FileIntake(self._models, max(1, int(cpus)), self._metrics)
        self.clients = Clients(config.token, config.clients)
        metrics = StreamMetrics()

        def count(counts: StreamCounts) -> None:
            metrics.count(counts)
            self._load.streamed(counts)

        self._streams = StreamDoor(
            self._models,
            self._network,
            ray.util.get_node_ip_address(),
            self.clients,
            config.streams,
            config.idle_s,
            count,
        )

    @app.post(
        "/v1/refine",
        # Of a file, JSON is whatever its format is.
        response_model=schema.RefineResponse | dict[str, Any] | list[Any],
        openapi_extra={"requestBody": {"required": True, "content": _REQUEST}},
        responses={
            200: {"content": {kind: {} for kind in (NPZ, OCTETS, ARCHIVE, *ENDINGS.values())}},
            400: schema.refused("The body is no text in UTF-8, 16 or 32."),
            404: schema.refused("There is no such model."),
            408: schema.refused("The body came too slowly."),
            413: schema.refused(f"The body is larger than {schema.MAX_BODY_BYTES} bytes."),
            422: {"model": schema.Problems, "description": "The fields that are wrong."},
            429: schema.refused("Overloaded; try again after `Retry-After` seconds."),
            503: schema.refused("That model is not loaded, and the registry does not answer."),
        },
    )
    async def refine(self, request: Request, options: Annotated[FileOptions, Query()]) -> Response:
        """Refine one sequence, or a keypoint file, whose options are the query.

        A body that is no JSON, or comes with `filename`, is a file in any format of `/v1/files`, or
        a form of the files of one recording. The answer is such a file (`to`), or what is known of
        it as arrays or JSON (`Accept: application/x-npz`, `application/json`).
        """
        try:
            with self._places.taken(client_of(request.scope)):
                if is_file(request.headers.get("content-type", ""), options):
                    return await self._files.answer(request, options)
                answer = await self._refined(request, options)
        except NoPlaceError as error:
            raise HTTPException(429, str(error), dict(RETRY_AFTER)) from None
        return Response(answer, media_type="application/json")

    @app.get("/v1/models")
    async def models(self) -> schema.ModelList:
        """List what is loaded, and what it takes; first what refines where no model is named."""
        return schema.ModelList(models=list(map(responses.model_info, self._models.loaded)))

    @app.get("/v1/example")
    async def example(self) -> dict[str, Any]:
        """Give a body that `POST /v1/refine` takes as it is."""
        return responses.example_request(self._models.own)

    @app.get("/healthz")
    async def healthz(self) -> schema.Health:
        """Say that the service answers, and whether it can retrieve."""
        own = self._models.own
        return schema.Health(status="ok", model=own.name, retrieval=own.retrieval)

    @app.get("/v1/files")
    async def files(self) -> dict[str, Any]:
        """List formats of files, refiners for them, and recordings to try."""
        return self._files.described

    @app.get(
        "/v1/samples/{name}",
        responses={
            200: {"content": {OCTETS: {}}},
            404: schema.refused("There is no such recording."),
        },
    )
    async def sample(self, name: str) -> Response:
        """Give a recording that comes with Poise."""
        content = sample(name)
        if content is None:
            raise HTTPException(404, "no such recording: GET /v1/files lists them")
        return Response(content, media_type=OCTETS)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(self, request: Request) -> dict[str, Any]:
        """Describe the API, with an example that fits the served model."""
        description: dict[str, Any] = request.app.openapi()
        content = description["paths"]["/v1/refine"]["post"]["requestBody"]["content"]
        content["application/json"]["example"] = responses.example_request(self._models.own)
        return description

    async def door(self) -> tuple[str, str, int, int]:
        """Say where streams come in, and how many are open; Serve's proxies ask."""
        return self._streams.address

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Say how much there is to do; Serve asks every few seconds."""
        return self._load.told()

    def __del__(self) -> None:
        """Close streams, so that their clients go elsewhere."""
        if hasattr(self, "_streams"):
            self._streams.close()
            self._files.close()
            self._models.close()
            send_rest()

    def check_health(self) -> None:
        """Raise where a step is stuck, so that Serve replaces this replica."""
        if max(self._text.step_s, self._network.step_s) > STEP_LONGEST_S:
            raise RuntimeError(f"a step has been going on for more than {STEP_LONGEST_S:.0f} s")

    async def _refined(self, request: Request, asked: FileOptions) -> bytes:
        """Answer a request, all of it in threads: the event loop answers others meanwhile."""
        times = [time.perf_counter()]
        if not is_json(request.headers.get("content-type", "")):
            raise RequestValidationError([NO_OBJECT])
        body = (await request.receive()).get("body", b"")
        named = asked.model is not None or asked.track is not None
        likely = await self._models.get(asked.model, asked.track) if named else self._models.own
        read = await self._text.finished(Steps(read_body(likely, body, chosen=named)))
        del body
        most = getattr(request.scope.get(CLIENT), "frames", None)
        if most is not None and len(read.poses) > most:
            text = f"{len(read.poses)} frames; {most} may come with this token"
            raise field_error("poses", "too_long", text)
        model = await self._models.get(
            agreed("model", asked.model, read.options.model),
            agreed("track", asked.track, read.options.track),
        )
        given = await self._text.finished(Steps(fitted(model, read)))
        del read
        times.append(time.perf_counter())
        frames = len(given.detected_FC)
        work = ModelWork(model, given.detected_FC, given.options.neighbours)
        try:
            refined = await self._network.finished(work)
        except Exception as error:
            logger.exception("A sequence of %d frames failed.", frames)
            raise HTTPException(500, f"the model failed on this sequence: {error}") from error
        times.append(time.perf_counter())
        parse_s, network_s = np.diff(times).tolist()
        queue_s = max(network_s - work.network_s - work.retrieval_s, 0.0)
        spent = responses.Spent(parse_s, queue_s, work.network_s, work.retrieval_s)
        backend = model.search_backend
        self._metrics.count(model.name, frames, refined.retrieval, backend, spent.seconds)
        self._load.answered(queue_s)
        steps = Steps(responses.refine_answer(model, given, refined, spent))
        answer = bytes(await self._text.finished(steps))
        times.append(time.perf_counter())
        all_s = asdict(spent) | {"format": times[-1] - times[-2]}
        self._metrics.count_stages(model.name, all_s)
        stages(times[-1], all_s)
        return answer


def build(args: ServiceArgs) -> Application:
    """Build the Serve application; Ray Serve calls this for ``deploy/serve.yaml``.

    Raises:
        SettingsError: as `replica_config`.
        ModelError: as `replica_config`.
        CheckpointError: as `replica_config`.
    """
    application: Application = _deployment(args).bind(
        replica_config(args), args.cpus, args.max_queued
    )
    return application


def _deployment(args: ServiceArgs) -> Deployment:
    return serve.deployment(
        name=DEPLOYMENT,
        autoscaling_config=autoscaling(
            args.replicas, max(args.replicas, args.replicas_max), args.downscale_delay_s
        ),
        max_ongoing_requests=MOST_REQUESTS,
        max_queued_requests=MOST_REQUESTS,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        # A replica that died is missed at the next look; one that hangs after three of 30 seconds.
        health_check_period_s=1,
        health_check_timeout_s=30,
        # The longest sequence takes a minute: who is stopped ends what it has begun.
        graceful_shutdown_timeout_s=120,
        ray_actor_options={"num_cpus": args.cpus},
    )(RefineService)
