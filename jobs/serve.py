#!/usr/bin/env python3
"""Serve a refiner over HTTP until Ctrl-C.

    python jobs/serve.py                                        the only champion there is
    python jobs/serve.py --model poise-uiprmd-kinect-3D@champion --port 8080
    python jobs/serve.py --model runs/my-checkpoint             a folder, no registry needed

Starts a small local Ray (or joins the one of $RAY_ADDRESS) and an embedded Milvus (or uses the one
of --milvus-uri), waits until the service answers, and stops what it started when it ends. For a
service that outlives this command, on a cluster: serve deploy deploy/serve.yaml
"""

import argparse
import json
import logging
import signal
import sys
import time
import urllib.request
from typing import Any

import _paths  # noqa: F401

from poise.pvd.collection import pvd_store
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise.serving.app import ServiceArgs
from poise.serving.running_service import running_service
from poise_retrieval.errors import RetrievalError


def main() -> int:
    """Serve until told to stop."""
    args = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminate)
    settings = Settings.use(
        home=args.home, milvus_uri=args.milvus_uri, tracking_uri=args.tracking_uri
    )
    try:
        print("Starting; this takes about 20 seconds.", flush=True)
        with pvd_store(settings) as milvus_uri:
            service = ServiceArgs(
                model=args.model,
                home=str(settings.home),
                milvus_uri=milvus_uri,
                tracking_uri=settings.tracking_uri,
                stride=args.stride,
                compiled=args.compile,
                replicas_max=args.replicas_max,
            )
            with running_service(service, args.host, args.port) as url:
                signal.signal(signal.SIGTERM, _terminate)  # Ray has put its own in place
                _introduce(url)
                while True:  # not one long wait: a signal that a thread of Ray's takes ends none
                    time.sleep(1)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    except (PoiseError, RetrievalError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        help="name, name@alias or name/version in the registry, or a checkpoint folder "
        "(default: the only champion in the registry)",
    )
    parser.add_argument("--home", help="workspace (default: $POISE_HOME, else ./.poise)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--milvus-uri", help="Milvus of the PVD (default: an embedded server)")
    parser.add_argument(
        "--tracking-uri", help="MLflow registry (default: $MLFLOW_TRACKING_URI, else the home's)"
    )
    parser.add_argument(
        "--stride", type=int, help="frames between a network's windows (default: its own, mostly 1)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the network, for long sequences: +1 minute"
    )
    parser.add_argument(
        "--replicas-max", type=int, default=1, help="replicas autoscaling may start (default: 1)"
    )
    return parser.parse_args()


def _introduce(url: str) -> None:
    with urllib.request.urlopen(f"{url}/v1/models", timeout=30) as response:  # noqa: S310
        model: dict[str, Any] = json.load(response)["models"][0]
    version = f" version {model['version']}" if model["version"] else ""
    print(
        f"Serving {model['name']}{version} at {url}\n"
        f"  takes      {model['track']}: {model['joints']} joints x {model['dims']}, "
        f"{model['unit']}\n"
        f"  retrieval  {model['retrieval']}\n"
        f"  docs       {url}/docs\n"
        f"  try it     curl -s {url}/v1/example | curl -s -d @- "
        f"-H 'Content-Type: application/json' {url}/v1/refine\n"
        "Ctrl-C stops it.",
        flush=True,
    )


def _terminate(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
