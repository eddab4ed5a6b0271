"""Arguments of the Serve application, and the replicas that they ask for."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.inference import check
from poise.runtime.settings import Settings
from poise.serving.model import ReplicaConfig
from poise.serving.model_lookup import find_model
from poise.serving.tokens.clients import read_clients
from poise.serving.tracing.spans import check_exporter


class ServiceArgs(BaseModel):
    """Arguments of `build`: the ``args`` of an application in a Serve config file."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None,
        description="name, name@alias or name/version in the registry, or a checkpoint "
        "folder, for requests that name none; by default the champion where there is one alone, "
        "else poise:general.",
    )
    models: int = Field(
        3, ge=1, description="Models that a replica keeps loaded beside it, for requests that do."
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
    replicas: int = Field(
        1,
        ge=0,
        description="Replicas that always run; two answer on where one is killed, and with none "
        "the first who asks after a pause waits for one to start.",
    )
    replicas_max: int = Field(1, ge=1, description="Replicas that autoscaling may start.")
    downscale_delay_s: float = Field(
        120.0,
        ge=0,
        description="Seconds that fewer replicas must do before one is stopped.",
    )
    cpus: float = Field(1.0, gt=0, description="Cores of a replica; also its torch threads.")
    max_queued: int = Field(
        64,
        ge=1,
        description="Requests of a replica beyond which 429 is sent; one client may have half.",
    )
    streams: int = Field(256, ge=0, description="Streams that a replica has open at a time.")
    idle_s: float = Field(
        60.0, gt=0, description="How long a stream's client may say nothing, in seconds."
    )
    token: str | None = Field(
        None,
        repr=False,
        description="What clients must show, `Authorization: Bearer TOKEN`; $POISE_TOKEN by "
        "default. Without one, and without `tokens`, everybody may come.",
    )
    tokens: str | None = Field(
        None, description="File of several tokens, with limits for each (docs/serving.md)."
    )


def replica_config(args: ServiceArgs) -> ReplicaConfig:
    """Find the model and check that it runs as asked.

    An alias is looked up here, and later by every replica: a tracking server that is down then
    stops none of them from starting.

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
        token=args.token,
    )
    check_exporter()
    model = find_model(args.model, settings.tracking_uri)
    # A replica's failing constructor is retried for a minute: better to fail here and at once.
    check(load_checkpoint(model.checkpoint)[0], args.stride, args.compiled)
    return ReplicaConfig(
        model=model,
        lake=settings.lake,
        milvus_uri=settings.milvus_uri,
        stride=args.stride,
        compiled=args.compiled,
        token=settings.token,
        clients=() if args.tokens is None else read_clients(Path(args.tokens)),
        streams=args.streams,
        idle_s=args.idle_s,
        tracking_uri=settings.tracking_uri,
        models=args.models,
    )
