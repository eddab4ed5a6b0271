"""``poise serve``: a refiner behind HTTP until Ctrl-C."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli.shared.commands import interrupt_on_sigterm
from poise.cli.shared.options import MODEL, Stride, with_settings
from poise.runtime.settings import Settings

EXAMPLES = """
examples:
  poise serve                                    poise:general, or the champion
  poise serve --model poise-uiprmd-kinect-3D@champion --port 8080
  poise serve --model runs/my-checkpoint         a folder, no registry needed
  poise serve --milvus-uri http://milvus:19530   the PVD of a Milvus that runs
  poise serve --check deploy/serve.yaml          is a config file right?

Starts a small local Ray (or joins the one of $RAY_ADDRESS) and an embedded
Milvus (or uses the one of --milvus-uri), waits until the service answers, and
stops what it started when it ends. Where $POISE_TOKEN is set clients must show
it (Authorization: Bearer); an address that others reach wants one. For a
service that outlives this command, on a cluster:
  serve deploy deploy/serve.yaml
"""


@with_settings("home", "lake", "milvus_uri", "tracking_uri")
def serve(
    settings: Settings,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help=f"{MODEL} (the only champion, or general)"),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets the network in, with a token")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 takes a free one")] = 8000,
    stride: Stride = None,
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="compile the network, for long sequences: +1 minute"),
    ] = False,
    replicas: Annotated[
        int, typer.Option(metavar="N", help="replicas that always run; 2 outlive one's death")
    ] = 1,
    replicas_max: Annotated[
        int, typer.Option(metavar="N", help="replicas that autoscaling may start")
    ] = 1,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="tokens of several clients, with limits for each"),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="look at a file for `serve deploy`, and serve nothing"),
    ] = None,
) -> int:
    """Serve a refiner over HTTP until Ctrl-C."""
    if check is not None:
        return _check(check)
    interrupt_on_sigterm()
    try:
        print("Starting; this takes about 20 seconds.", flush=True)
        from poise.pvd.collection import pvd_store
        from poise.serving.running_service import running_service
        from poise.serving.service_args import ServiceArgs

        with pvd_store(settings, needed=False) as milvus_uri:
            service = ServiceArgs(
                model=model,
                home=str(settings.home),
                lake=settings.lake,
                milvus_uri=milvus_uri,
                tracking_uri=settings.tracking_uri,
                token=settings.token,
                tokens=None if tokens is None else str(tokens.absolute()),
                stride=stride,
                compiled=compile_,
                replicas=replicas,
                replicas_max=replicas_max,
            )
            with running_service(service, host, port) as url:
                interrupt_on_sigterm()  # Ray has put its own in place
                if tokens is not None and settings.token is None:  # which are known to clients
                    print(f"Serving at {url} who shows a token of {tokens}.", flush=True)
                else:
                    _introduce(url, settings.token)
                while True:  # not one long wait: a signal that a thread of Ray's takes ends none
                    time.sleep(1)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    return 0


def _check(path: Path) -> int:
    from poise.serving.config_check import problems_of

    problems = problems_of(path)
    for line in problems:
        print(f"{path}: {line}")
    if not problems:
        print(f"{path}: keys and values are right; what they name is looked up later.")
    return 1 if problems else 0


def _introduce(url: str, token: str | None) -> None:
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/v1/models", headers=shown)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        model: dict[str, Any] = json.load(response)["models"][0]
    version = f" version {model['version']}" if model["version"] else ""
    print(
        f"Serving {model['name']}{version} at {url}\n"
        f"  takes      {model['track']}: {model['joints']} joints x {model['dims']}, "
        f"{model['unit']}\n"
        f"  retrieval  {model['retrieval']}\n"
        f"  streams    {url.replace('http', 'ws', 1)}/v1/stream; "
        f"poise stream sample --url {url}\n"
        f"  page       {url}/: drop a keypoint file on it\n"
        f"  docs       {url}/docs\n"
        f"  try it     curl -s {url}/v1/example | curl -s -d @- "
        f"-H 'Content-Type: application/json' {url}/v1/refine\n"
        "Ctrl-C stops it.",
        flush=True,
    )
